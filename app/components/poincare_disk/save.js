// The disk as files: what is seen, as a picture; its numbers; a page that stands alone and still moves.

const KEY_HEIGHT = 64; // pixels under the disk for the legend

function saveDisk(view, kind) {
  const name = view.spec.fileName || "poincare-disk";
  const hand = (content, type) => giveFile(new Blob([content], { type }), `${name}.${kind}`);
  if (kind === "svg") hand(diskAsSvg(view), "image/svg+xml");
  else if (kind === "csv") hand(diskAsCsv(view), "text/csv");
  else if (kind === "html") hand(diskAsPage(view), "text/html");
  else diskAsPng(view).toBlob((blob) => giveFile(blob, `${name}.png`), "image/png");
}

function giveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function paintWith(view, context) {
  // The picture and its legend in another context, without the ring of what happens to lie under the pointer.
  const kept = { context: view.context, hovered: view.hovered };
  Object.assign(view, { context, hovered: -1 });
  context.fillStyle = view.paper;
  context.fillRect(0, 0, view.width, view.height + KEY_HEIGHT);
  view.paint(true);
  drawKey(context, view);
  Object.assign(view, kept);
  view.redraw();
}

function diskAsSvg(view) {
  const context = new SvgContext(document.createElement("canvas").getContext("2d"));
  paintWith(view, context);
  const title = view.canvas.getAttribute("aria-label");
  return context.document(view.width, view.height + KEY_HEIGHT, title, describe(view.spec, view.points));
}

function diskAsPng(view, scale = 3) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(view.width * scale);
  canvas.height = Math.round((view.height + KEY_HEIGHT) * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  paintWith(view, context);
  return canvas;
}

function drawKey(context, view) {
  const { spec, width } = view;
  const colours = view.colours();
  const words = (text, x, y, weight = 400) => {
    context.font = `${weight} 12px ${view.family}`;
    context.fillStyle = view.ink(0.9);
    context.fillText(text, x, y);
    return context.measureText(text).width;
  };
  context.globalAlpha = 1;
  context.textAlign = "left";
  context.textBaseline = "middle";
  let y = view.height + 14;
  let x = 12;
  x += words(spec.colourLabel, x, y, 600) + 12;
  if (spec.kind === "categorical") {
    spec.categories.forEach(([name, count], k) => {
      if (!count) return;
      const text = `${name} ${figure(count)}`;
      context.font = `400 12px ${view.family}`;
      const needs = 28 + context.measureText(text).width;
      if (x + needs > width) {
        x = 12;
        y += 18;
      }
      context.beginPath();
      context.arc(x + 5, y, 5, 0, 2 * Math.PI);
      context.fillStyle = colours[k];
      context.fill();
      words(text, x + 14, y);
      x += needs;
    });
  } else {
    const ramp = colours.slice(0, -1);
    const long = Math.min(190, width - x - 20);
    ramp.forEach((colour, k) => {
      context.fillStyle = colour;
      context.fillRect(x + (k * long) / ramp.length, y - 6, long / ramp.length + 0.5, 12);
    });
    spec.ticks.forEach(([at, text], k) => {
      context.textAlign = spec.ticks.length === 1 ? "center" : ["left", "center", "right"][k];
      words(text, x + at * long, y + 16);
    });
    context.textAlign = "left";
    y += 16;
  }
  const size = spec.sizeLabel === spec.colourLabel ? "" : `; size: ${spec.sizeLabel}`;
  words(`Rings: hyperbolic distance from the middle, hubs inside${size}`, 12, y + 20);
}

function diskAsCsv(view) {
  const { points, spec } = view;
  const cell = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
  const chosen = new Set(view.gathered);
  const same = spec.sizeLabel === spec.colourLabel;
  const head = ["gene", "x", "y", "seen_x", "seen_y", spec.colourLabel, ...(same ? [] : [spec.sizeLabel]), "in_gene_set"];
  points.move(view.m);
  const lines = [head];
  for (let i = 0; i < points.n; i++) {
    const colour = points.colourText ? points.colourText.get(i) : points.colourValue[i];
    const known = (value) => (typeof value === "number" && !Number.isFinite(value) ? "" : value ?? "");
    const values = same ? [known(colour)] : [known(colour), known(points.sizeValue[i])];
    lines.push([points.genes[i], points.x[i], points.y[i], points.u[i], points.v[i], ...values, chosen.has(i)]);
  }
  return lines.map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

function diskAsPage(view) {
  // The component with its data: opens anywhere, without a server and without a connection.
  const { points, spec, shell } = view;
  const columns = { gene: points.genes, x: [...points.x], y: [...points.y], r: [...points.radius], bin: [...points.bin] };
  columns.size_value = [...points.sizeValue];
  if (points.colourText) columns.colour_text = points.genes.map((_, i) => points.colourText.get(i));
  else columns.colour_value = [...points.colourValue];
  const data = {
    spec: { ...spec, view: { m: view.m, zoom: view.zoom }, selected: points.genes[view.selected] ?? null, alone: true },
    points: columns,
  };
  if (view.neighbours.length) {
    data.spec.neighboursOf = data.spec.selected;
    data.neighbours = { gene: view.neighbours.map(([i]) => points.genes[i]), weight: view.neighbours.map(([, w]) => w) };
  }
  const style = getComputedStyle(view.root);
  const names = ["font", "text-color", "background-color", "secondary-background-color", "border-color", "primary-color", "base-radius"];
  const theme = names.map((name) => `--st-${name}:${style.getPropertyValue(`--st-${name}`)}`).join(";");
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  const script = shell.js.replace(/^export default function/m, "const mount = function");
  const title = svgText(view.canvas.getAttribute("aria-label"));
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>`,
    `<meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<style>:root{${theme}}body{margin:16px;background:var(--st-background-color)}${shell.css}</style></head><body>`,
    `${shell.html}<script type="module">${script}`,
    `const data = ${json};`,
    "const table = (columns) => ({ getChild: (name) => ({ toArray: () => columns[name], get: (i) => columns[name][i] }) });",
    "data.points = table(data.points);",
    "if (data.neighbours) data.neighbours = table(data.neighbours);",
    "mount({ parentElement: document.body, data, setStateValue: () => {} });",
    "</" + "script></body></html>\n",
  ].join("\n");
}
