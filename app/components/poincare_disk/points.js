// The genes as typed arrays, moved and drawn without allocating anything per point.

const HUBS = 250; // drawn one by one, largest last, each with an edge; all others go in one path per colour
const EDGE_OF_VIEW = 40; // pixels outside the canvas that are still drawn

class Points {
  constructor(table, spec) {
    const column = (name) => table.getChild(name).toArray();
    this.x = Float64Array.from(column("x"));
    this.y = Float64Array.from(column("y"));
    this.radius = Float32Array.from(column("r"));
    this.bin = Uint8Array.from(column("bin"));
    this.n = this.x.length;
    this.genes = new Array(this.n);
    this.index = new Map();
    const names = table.getChild("gene");
    for (let i = 0; i < this.n; i++) {
      this.genes[i] = names.get(i);
      this.index.set(this.genes[i], i);
    }
    this.colourText = spec.hasColourText ? table.getChild("colour_text") : null;
    this.colourValue = spec.hasColourText ? null : column("colour_value");
    this.sizeValue = column("size_value");
    this.u = new Float64Array(this.n); // where each gene is now, in the disk
    this.v = new Float64Array(this.n);
    this.stamped = new Uint8Array(0);
    this.sort(spec);
  }

  sort(spec) {
    // Rows arrive with the most central first; drawing order is by colour, the telling colours on top.
    const colours = spec.light.length;
    const rank = new Uint8Array(colours);
    const bins = Array.from({ length: colours }, (_, i) => i);
    const missing = colours - 1;
    const middle = (missing - 1) / 2;
    const weight = (b) => (b === missing ? -1 : spec.kind === "diverging" ? Math.abs(b - middle) : b);
    bins.sort((a, b) => weight(a) - weight(b));
    bins.forEach((b, place) => (rank[b] = place));
    this.binAt = Uint8Array.from(bins);
    this.starts = new Uint32Array(colours + 1);
    for (let i = 0; i < this.n; i++) this.starts[rank[this.bin[i]] + 1]++;
    for (let b = 0; b < colours; b++) this.starts[b + 1] += this.starts[b];
    const next = this.starts.slice();
    this.order = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i++) this.order[next[rank[this.bin[i]]]++] = i;

    const bySize = Array.from({ length: this.n }, (_, i) => i);
    bySize.sort((a, b) => this.radius[b] - this.radius[a] || a - b);
    this.hubs = Uint32Array.from(bySize.slice(0, HUBS).reverse());
    this.isHub = new Uint8Array(this.n);
    for (const i of this.hubs) this.isHub[i] = 1;
  }

  move(m) {
    const [ar, ai, br, bi] = m;
    const { x, y, u, v, n } = this;
    for (let i = 0; i < n; i++) {
      const nr = ar * x[i] - ai * y[i] + br;
      const ni = ar * y[i] + ai * x[i] + bi;
      const dr = br * x[i] + bi * y[i] + ar;
      const di = br * y[i] - bi * x[i] - ai;
      const q = 1 / (dr * dr + di * di);
      u[i] = (nr * dr + ni * di) * q;
      v[i] = (ni * dr - nr * di) * q;
    }
  }

  size(i, scale) {
    // Points shrink towards the rim as everything does there, though less, so that they stay to be seen.
    const near = 1 - this.u[i] * this.u[i] - this.v[i] * this.v[i];
    const r = this.radius[i] * scale * (0.55 + 0.45 * near);
    return r < 0.75 ? 0.75 : r;
  }

  draw(context, frame, colours) {
    const { cx, cy, radius, scale, width, height } = frame;
    const { u, v, order, starts, isHub } = this;
    const base = this.radius;
    const whole = 2 * Math.PI;
    // The rim holds many specks a pixel: of one colour, one is enough. Who has painted a pixel last, 0 = nobody.
    const across = Math.ceil(width);
    const cells = across * Math.ceil(height);
    if (this.stamped.length !== cells) this.stamped = new Uint8Array(cells);
    else this.stamped.fill(0);
    const stamped = this.stamped;
    for (let place = 0; place < this.binAt.length; place++) {
      const from = starts[place];
      const to = starts[place + 1];
      if (from === to) continue;
      context.fillStyle = colours[this.binAt[place]];
      context.beginPath();
      for (let k = from; k < to; k++) {
        const i = order[k];
        if (isHub[i]) continue;
        const px = cx + u[i] * radius;
        const py = cy + v[i] * radius;
        if (px < -EDGE_OF_VIEW || py < -EDGE_OF_VIEW || px > width + EDGE_OF_VIEW || py > height + EDGE_OF_VIEW) continue;
        let r = base[i] * scale * (0.55 + 0.45 * (1 - u[i] * u[i] - v[i] * v[i]));
        if (r < 1) {
          if (r < 0.75) r = 0.75;
          if (px >= 0 && py >= 0 && px < width && py < height) {
            const cell = (py | 0) * across + (px | 0);
            if (stamped[cell] === place + 1) continue;
            stamped[cell] = place + 1;
          }
          context.rect(px - r, py - r, r + r, r + r);
        } else {
          context.moveTo(px + r, py);
          context.arc(px, py, r, 0, whole);
        }
      }
      context.fill();
    }
    context.lineWidth = 1;
    for (let k = 0; k < this.hubs.length; k++) this.drawOne(context, frame, colours, this.hubs[k]);
  }

  drawOne(context, frame, colours, i) {
    const px = frame.cx + this.u[i] * frame.radius;
    const py = frame.cy + this.v[i] * frame.radius;
    const r = this.size(i, frame.scale);
    if (px < -r || py < -r || px > frame.width + r || py > frame.height + r) return;
    context.beginPath();
    context.arc(px, py, r, 0, 2 * Math.PI);
    context.fillStyle = colours[this.bin[i]];
    context.fill();
    context.strokeStyle = r > 3 ? frame.edge : frame.paper;
    context.stroke();
  }

  nearest(frame, px, py, reach) {
    // The gene whose drawn disk is nearest to a place on the canvas, or −1 where none is within reach.
    let best = -1;
    let least = reach;
    for (let i = 0; i < this.n; i++) {
      const dx = frame.cx + this.u[i] * frame.radius - px;
      if (dx > 40 || dx < -40) continue;
      const dy = frame.cy + this.v[i] * frame.radius - py;
      if (dy > 40 || dy < -40) continue;
      // Inside several disks the smallest wins by its nearer middle.
      const away = Math.sqrt(dx * dx + dy * dy) - 0.6 * this.size(i, frame.scale);
      if (away < least) {
        least = away;
        best = i;
      }
    }
    return best;
  }

  inside(frame, holds) {
    // The genes, the most central first, whose place on the canvas `holds(x, y)`; never what lies outside of the view.
    const found = [];
    for (let i = 0; i < this.n; i++) {
      const px = frame.cx + this.u[i] * frame.radius;
      const py = frame.cy + this.v[i] * frame.radius;
      if (px >= 0 && py >= 0 && px <= frame.width && py <= frame.height && holds(px, py)) found.push(i);
    }
    return found;
  }
}
