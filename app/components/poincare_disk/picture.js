// The picture: how the space lies under the eye, in which colours, and where each thing is.

class Picture {
  constructor(parent) {
    this.parent = parent;
    const find = (selector) => parent.querySelector(selector);
    this.root = find(".disk");
    this.stage = find(".stage");
    this.canvas = find(".view");
    this.homeButton = find(".home");
    this.tip = find(".tip");
    this.legend = find(".legend");
    this.hint = find(".hint");
    this.live = find(".live");
    this.probe = find(".probe");
    this.lassoButton = find(".lasso");
    this.menu = find(".menu");
    this.saveButton = find(".save");
    this.context = this.canvas.getContext("2d", { alpha: true });
    this.m = IDENTITY.slice();
    this.zoom = 1;
    this.points = null;
    this.spec = {};
    this.selected = -1;
    this.second = -1; // the gene that the selected one is measured to
    this.neighbours = [];
    this.gathered = []; // the gene set, the most central first
    this.loop = []; // the lasso while it is drawn, in pixels
    this.reach = 0; // the lasso of the keyboard: radius of a circle in the middle of the view, 0 = none
    this.hovered = -1;
    this.times = new Float32Array(61);
    this.frames = 0;
    this.width = 0;
    this.height = 0;
    this.pending = 0;
    this.animation = 0;
  }

  // --- the page around it ------------------------------------------------------------------------------------

  readTheme() {
    const style = getComputedStyle(this.probe);
    const channel = (text) => (text.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
    const [r, g, b] = channel(style.backgroundColor);
    const ink = channel(style.color);
    this.dark = 0.2126 * r + 0.7152 * g + 0.0722 * b < 110;
    this.paper = `rgb(${r}, ${g}, ${b})`;
    this.ink = (alpha) => `rgba(${ink[0]}, ${ink[1]}, ${ink[2]}, ${alpha})`;
    this.accent = getComputedStyle(this.probe).borderTopColor;
    this.family = getComputedStyle(this.root).fontFamily;
    this.edge = this.dark ? "rgba(0, 0, 0, 0.55)" : "rgba(0, 0, 0, 0.35)";
    if (this.spec.kind) {
      drawLegend(this.legend, this.spec, this.colours());
      this.redraw();
    }
  }

  colours() {
    return this.dark ? this.spec.dark : this.spec.light;
  }

  get still() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  resize() {
    const width = this.stage.clientWidth;
    if (!width) return;
    const height = Math.max(240, Math.min(this.spec.height || 640, width));
    const ratio = window.devicePixelRatio || 1;
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    Object.assign(this, { width, height, ratio });
    this.stage.style.height = `${height}px`;
    this.stage.style.setProperty("--edge", `${Math.max(0, (width - height) / 2)}px`);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.redraw(true);
  }

  // --- drawing -----------------------------------------------------------------------------------------------

  redraw(now = false) {
    if (now) {
      cancelAnimationFrame(this.pending);
      this.pending = 0;
      this.draw();
    } else if (!this.pending) {
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        if (window.devicePixelRatio !== this.ratio) this.resize();
        this.draw();
      });
    }
  }

  frame() {
    const fit = Math.min(this.width, this.height) / 2 - 8;
    const size = Math.max(10.5, Math.min(14, 9 + fit / 75));
    return {
      cx: this.width / 2,
      cy: this.height / 2,
      width: this.width,
      height: this.height,
      radius: fit * this.zoom,
      scale: Math.pow(fit / 312, 0.6) * Math.pow(this.zoom, 0.45),
      paper: this.paper,
      ink: this.ink(0.95),
      edge: this.edge,
      line: size * 1.2,
      font: `600 ${size}px ${this.family}`,
    };
  }

  draw() {
    if (!this.points || !this.width) return;
    const start = performance.now();
    const { context, ratio } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const fading = this.paint(this.still);
    const [ax, ay] = trueCentre(this.m);
    drawInset(this.homeButton, ax, ay, Math.hypot(ax, ay) > 0.02 || this.zoom > 1.02);
    const spent = performance.now() - start;
    this.times[this.frames % this.times.length] = spent;
    this.frames++;
    const known = this.times.slice(0, Math.min(this.frames, this.times.length)).sort();
    this.canvas.dataset.frameMs = known[known.length >> 1].toFixed(2);
    this.canvas.dataset.frames = this.frames;
    if (fading) this.redraw();
  }

  paint(still) {
    // Everything on the canvas, in whatever context there is; whether names are still fading.
    const { context, points, selected } = this;
    const frame = this.frame();
    points.move(this.m);
    const taken = this.drawSpace(frame);
    const colours = this.colours();
    const chosen = selected >= 0;
    const dimmed = chosen || this.gathered.length > 0;
    context.globalAlpha = dimmed ? 0.2 : 1;
    points.draw(context, frame, colours);
    context.globalAlpha = 1;
    for (let k = this.gathered.length - 1; k >= 0; k--) points.drawOne(context, frame, colours, this.gathered[k]);
    const first = [];
    this.labels.ringed = [selected, this.second];
    if (chosen) {
      this.drawNeighbours(frame, colours);
      first.push(selected);
      if (this.second >= 0) {
        taken.push(...this.drawSecond(frame, colours));
        first.push(this.second);
      }
      first.push(...this.neighbours.map(([i]) => i));
    } else first.push(...this.gathered.slice(0, MOST_LABELS));
    if (this.hovered >= 0) {
      this.ring(frame, this.hovered, 2, 1.25, this.ink(0.7));
      if (!first.includes(this.hovered)) first.unshift(this.hovered);
    }
    const fading = this.labels.draw(context, frame, taken, first, dimmed, this.isMoving, still);
    this.drawLoop();
    return fading;
  }

  drawSpace(frame) {
    const { context } = this;
    const { cx, cy, radius } = frame;
    const [ax, ay] = trueCentre(this.m);
    context.save();
    context.beginPath();
    context.arc(cx, cy, radius, 0, 2 * Math.PI);
    context.fillStyle = this.ink(this.dark ? 0.035 : 0.018);
    context.fill();
    context.clip();
    context.lineWidth = 1;
    context.font = `11px ${this.family}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const root = Math.sqrt(this.spec.curvature);
    const step = this.spec.ringStep;
    let last = 0;
    const numbers = [];
    for (let k = 1; k <= 14; k++) {
      const [x, y, r] = hyperbolicCircle(ax, ay, Math.tanh((root * k * step) / 2));
      const gap = (r - last) * radius;
      last = r;
      if (gap < 4) continue;
      context.strokeStyle = this.ink(0.13 * Math.min(1, gap / 24));
      context.beginPath();
      context.arc(cx + x * radius, cy + y * radius, r * radius, 0, 2 * Math.PI);
      context.stroke();
      // The ring's number stands where the ring is nearest to the middle of the view; straight down at home.
      const away = Math.hypot(ax, ay);
      const pull = Math.min(1, away * 4);
      let dx = -ax * pull;
      let dy = -ay * pull + (1 - pull);
      const length = Math.hypot(dx, dy) || 1;
      dx /= length;
      dy /= length;
      const lx = x + dx * r;
      const ly = y + dy * r;
      if (gap < 18 || lx * lx + ly * ly > 0.97) continue;
      const text = figure(k * step);
      context.lineWidth = 4;
      context.strokeStyle = this.paper;
      context.strokeText(text, cx + lx * radius, cy + ly * radius);
      context.lineWidth = 1;
      context.fillStyle = this.ink(0.6);
      context.fillText(text, cx + lx * radius, cy + ly * radius);
      numbers.push([cx + lx * radius - 6, cy + ly * radius - 6, cx + lx * radius + 6, cy + ly * radius + 6]);
    }
    // A small cross marks the model's middle.
    const px = cx + ax * radius;
    const py = cy + ay * radius;
    context.strokeStyle = this.ink(0.45);
    context.beginPath();
    context.moveTo(px - 4, py);
    context.lineTo(px + 4, py);
    context.moveTo(px, py - 4);
    context.lineTo(px, py + 4);
    context.stroke();
    context.restore();
    context.beginPath();
    context.arc(cx, cy, radius, 0, 2 * Math.PI);
    context.strokeStyle = this.ink(0.55);
    context.lineWidth = 1;
    context.stroke();
    return numbers;
  }

  drawNeighbours(frame, colours) {
    const { context, points, selected, neighbours } = this;
    const { u, v } = points;
    let most = 0;
    for (const [, weight] of neighbours) most = Math.max(most, weight);
    context.lineCap = "round";
    for (const [i, weight] of neighbours) {
      const share = most > 0 ? Math.max(0, weight) / most : 1;
      context.beginPath();
      traceGeodesic(context, u[selected], v[selected], u[i], v[i], frame.cx, frame.cy, frame.radius);
      context.strokeStyle = this.ink(0.18 + 0.62 * share);
      context.lineWidth = 0.8 + 1.6 * share;
      context.stroke();
    }
    context.lineCap = "butt";
    context.lineWidth = 1;
    for (const [i] of neighbours) points.drawOne(context, frame, colours, i);
    points.drawOne(context, frame, colours, selected);
    this.ring(frame, selected, 3.5, 2.25, this.ink(0.95));
  }

  drawSecond(frame, colours) {
    // The geodesic to the second gene, with the distance on its middle; returns the box of that number.
    const { context, points, selected, second, spec } = this;
    const { u, v } = points;
    context.beginPath();
    traceGeodesic(context, u[selected], v[selected], u[second], v[second], frame.cx, frame.cy, frame.radius);
    context.strokeStyle = this.accent;
    context.lineWidth = 2.5;
    context.stroke();
    context.lineWidth = 1;
    points.drawOne(context, frame, colours, selected);
    points.drawOne(context, frame, colours, second);
    this.ring(frame, selected, 3.5, 2.25, this.ink(0.95));
    this.ring(frame, second, 3.5, 2.25, this.accent);
    if (spec.secondDistance === null || spec.second !== points.genes[second]) return [];
    const [mx, my] = middleOf(u[selected], v[selected], u[second], v[second]);
    // Beside the middle where the two are too close for a number between them.
    const dx = (u[second] - u[selected]) * frame.radius;
    const dy = (v[second] - v[selected]) * frame.radius;
    const long = Math.hypot(dx, dy) || 1;
    const aside = long < 70 ? 26 : 0;
    const x = frame.cx + mx * frame.radius + (aside * Math.abs(dy)) / long;
    const y = frame.cy + my * frame.radius - (aside * dx * Math.sign(dy || 1)) / long;
    const text = figure(spec.secondDistance);
    context.font = frame.font;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 5;
    context.strokeStyle = this.paper;
    context.strokeText(text, x, y);
    context.fillStyle = this.accent;
    context.fillText(text, x, y);
    context.lineWidth = 1;
    const half = context.measureText(text).width / 2 + 3;
    return [[x - half, y - frame.line / 2, x + half, y + frame.line / 2]];
  }

  drawLoop() {
    const { context, loop, reach } = this;
    if (loop.length < 2 && !reach) return;
    context.beginPath();
    if (reach) context.arc(this.width / 2, this.height / 2, reach, 0, 2 * Math.PI);
    else loop.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.globalAlpha = 0.1;
    context.fillStyle = this.accent;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = this.accent;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineWidth = 1;
  }

  ring(frame, i, gap, width, colour) {
    const { context, points } = this;
    context.beginPath();
    const r = points.size(i, frame.scale) + gap;
    context.arc(frame.cx + points.u[i] * frame.radius, frame.cy + points.v[i] * frame.radius, r, 0, 2 * Math.PI);
    context.strokeStyle = this.paper;
    context.lineWidth = width + 2;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  // --- places ------------------------------------------------------------------------------------------------

  positionOf(gene) {
    const i = this.points.index.get(gene);
    if (i === undefined) return null;
    const [x, y] = moveTo(this.m, this.points.x[i], this.points.y[i]);
    const frame = this.frame();
    return [frame.cx + x * frame.radius, frame.cy + y * frame.radius];
  }

  inDisk(px, py) {
    const frame = this.frame();
    return [(px - frame.cx) / frame.radius, (py - frame.cy) / frame.radius];
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}
