// A drawing context that writes SVG: the part of CanvasRenderingContext2D that the picture is drawn with.

const SVG_STATE = ["fillStyle", "strokeStyle", "lineWidth", "globalAlpha", "font", "textAlign", "textBaseline", "lineCap", "lineJoin"];

function svgNumber(value) {
  return String(Math.round(value * 100) / 100);
}

function svgText(text) {
  return String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}

class SvgContext {
  constructor(measure) {
    this.measure = measure; // a real context, which knows how wide words are
    this.parts = [];
    this.path = "";
    this.clips = 0;
    this.kept = [];
    Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1, font: "12px sans-serif" });
    Object.assign(this, { textAlign: "left", textBaseline: "alphabetic", lineCap: "butt", lineJoin: "miter" });
  }

  save() {
    this.kept.push({ state: SVG_STATE.map((name) => this[name]), clipped: false });
  }

  restore() {
    const { state, clipped } = this.kept.pop();
    SVG_STATE.forEach((name, k) => (this[name] = state[k]));
    if (clipped) this.parts.push("</g>");
  }

  clip() {
    const id = `clip${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path}"/></clipPath><g clip-path="url(#${id})">`);
    this.kept[this.kept.length - 1].clipped = true;
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x, y) {
    this.path += `M${svgNumber(x)} ${svgNumber(y)}`;
  }

  lineTo(x, y) {
    this.path += `L${svgNumber(x)} ${svgNumber(y)}`;
  }

  rect(x, y, width, height) {
    this.path += `M${svgNumber(x)} ${svgNumber(y)}h${svgNumber(width)}v${svgNumber(height)}h${svgNumber(-width)}Z`;
  }

  arc(cx, cy, r, from, to, backwards = false) {
    const at = (angle) => `${svgNumber(cx + r * Math.cos(angle))} ${svgNumber(cy + r * Math.sin(angle))}`;
    const radius = svgNumber(r);
    const sweep = backwards ? 0 : 1;
    const join = this.path && !this.path.endsWith("Z") && Math.abs(to - from) < 6.28 ? "L" : "M";
    this.path += `${join}${at(from)}`;
    if (Math.abs(to - from) >= 6.28) {
      this.path += `A${radius} ${radius} 0 1 ${sweep} ${at(from + Math.PI)}A${radius} ${radius} 0 1 ${sweep} ${at(from)}Z`;
    } else {
      const large = Math.abs(to - from) > Math.PI ? 1 : 0;
      this.path += `A${radius} ${radius} 0 ${large} ${sweep} ${at(to)}`;
    }
  }

  opacity() {
    return this.globalAlpha < 1 ? ` opacity="${svgNumber(this.globalAlpha)}"` : "";
  }

  strokeWith() {
    const line = `stroke="${svgText(this.strokeStyle)}" stroke-width="${svgNumber(this.lineWidth)}"`;
    return `${line} stroke-linecap="${this.lineCap}" stroke-linejoin="${this.lineJoin}"`;
  }

  fill() {
    if (this.path) this.parts.push(`<path d="${this.path}" fill="${svgText(this.fillStyle)}"${this.opacity()}/>`);
  }

  stroke() {
    if (this.path) this.parts.push(`<path d="${this.path}" fill="none" ${this.strokeWith()}${this.opacity()}/>`);
  }

  fillRect(x, y, width, height) {
    this.beginPath();
    this.rect(x, y, width, height);
    this.fill();
  }

  write(text, x, y, how) {
    const anchor = { center: "middle", right: "end" }[this.textAlign] || "start";
    const shift = this.textBaseline === "middle" ? "0.35em" : "0";
    const place = `x="${svgNumber(x)}" y="${svgNumber(y)}" dy="${shift}" text-anchor="${anchor}"`;
    this.parts.push(`<text ${place} style="font:${svgText(this.font)}" ${how}${this.opacity()}>${svgText(text)}</text>`);
  }

  fillText(text, x, y) {
    this.write(text, x, y, `fill="${svgText(this.fillStyle)}"`);
  }

  strokeText(text, x, y) {
    this.write(text, x, y, `fill="none" ${this.strokeWith()}`);
  }

  measureText(text) {
    this.measure.font = this.font;
    return this.measure.measureText(text);
  }

  document(width, height, title, description) {
    const box = `width="${svgNumber(width)}" height="${svgNumber(height)}" viewBox="0 0 ${svgNumber(width)} ${svgNumber(height)}"`;
    const words = `<title>${svgText(title)}</title><desc>${svgText(description)}</desc>`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img">${words}${this.parts.join("\n")}</svg>\n`;
  }
}
