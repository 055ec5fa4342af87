// Names of the most central genes in view, kept apart; a name that is shown stays where it is as long as it fits.

const MOST_LABELS = 20;
const PLACES = [
  [1, 0], [-1, 0], [0, -1], [0, 1], [0.75, -0.75], [0.75, 0.75], [-0.75, -0.75], [-0.75, 0.75],
]; // prettier-ignore

class Labels {
  constructor(points) {
    this.points = points;
    this.width = new Float32Array(points.n); // measured once, 0 = not yet
    this.alpha = new Float32Array(points.n);
    this.place = new Int8Array(points.n).fill(-1);
    this.wanted = new Uint8Array(points.n);
    this.shown = [];
    this.boxes = new Float32Array(4 * 256);
    this.box = new Float32Array(4);
    this.font = "";
    this.ringed = []; // their names keep clear of their rings
  }

  fits(boxes, box) {
    for (let k = 0; k < boxes; k++) {
      const at = 4 * k;
      const b = this.boxes;
      if (box[0] < b[at + 2] && box[2] > b[at] && box[1] < b[at + 3] && box[3] > b[at + 1]) return false;
    }
    return true;
  }

  around(frame, i, place) {
    const { points, box } = this;
    const px = frame.cx + points.u[i] * frame.radius;
    const py = frame.cy + points.v[i] * frame.radius;
    const gap = points.size(i, frame.scale) + (this.ringed.includes(i) ? 8 : 3);
    const [h, v] = PLACES[place];
    const w = this.width[i];
    const left = h > 0 ? px + gap * h : h < 0 ? px + gap * h - w : px - w / 2;
    const top = v > 0 ? py + gap * v : v < 0 ? py + gap * v - frame.line : py - frame.line / 2;
    box[0] = left;
    box[1] = top;
    box[2] = left + w;
    box[3] = top + frame.line;
    return box;
  }

  keep(count, box, pad) {
    if (count >= 256) return count;
    const at = 4 * count;
    this.boxes[at] = box[0] - pad;
    this.boxes[at + 1] = box[1] - pad;
    this.boxes[at + 2] = box[2] + pad;
    this.boxes[at + 3] = box[3] + pad;
    return count + 1;
  }

  tryToPlace(context, frame, i, boxes) {
    if (this.width[i] === 0) this.width[i] = context.measureText(this.points.genes[i]).width;
    for (let turn = -1; turn < PLACES.length; turn++) {
      const place = turn < 0 ? this.place[i] : turn;
      if (place < 0) continue;
      const box = this.around(frame, i, place);
      if (box[0] < 2 || box[1] < 2 || box[2] > frame.width - 2 || box[3] > frame.height - 2) continue;
      if (!this.fits(boxes, box)) continue;
      this.place[i] = place;
      this.wanted[i] = 1;
      return this.keep(boxes, box, 1);
    }
    return boxes;
  }

  draw(context, frame, taken, first, only, moving, still) {
    // `taken`: boxes of other writing; `first`: genes whose names come before all others; `only`: no others; `moving`: names that are there stay;
    // `still`: no fading. Returns whether names are still fading.
    const { points, wanted, alpha } = this;
    if (this.font !== frame.font) {
      this.font = frame.font;
      this.width.fill(0);
    }
    context.font = frame.font;
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const i of this.shown) wanted[i] = 0;
    let boxes = 0;
    // Neither ring numbers nor the largest points nor the ones that are asked for are written over.
    const box = this.box;
    for (const other of taken) boxes = this.keep(boxes, other, 0);
    const block = (i) => {
      const r = points.size(i, frame.scale) * 0.7;
      const px = frame.cx + points.u[i] * frame.radius;
      const py = frame.cy + points.v[i] * frame.radius;
      box[0] = px - r;
      box[1] = py - r;
      box[2] = px + r;
      box[3] = py + r;
      boxes = this.keep(boxes, box, 0);
    };
    for (const i of first) block(i);
    for (let k = points.hubs.length - 1; k >= 0 && k >= points.hubs.length - 40; k--) {
      if (points.radius[points.hubs[k]] * frame.scale > 4) block(points.hubs[k]);
    }
    const placed = [];
    const consider = (i) => {
      if (wanted[i]) return;
      boxes = this.tryToPlace(context, frame, i, boxes);
      if (wanted[i]) placed.push(i);
    };
    for (const i of first) consider(i);
    if (!only) {
      for (let k = 0; moving && k < this.shown.length && placed.length < MOST_LABELS + first.length; k++) {
        const i = this.shown[k];
        if (alpha[i] > 0.5 && this.inView(frame, i, 0.95)) consider(i);
      }
      // Rows are in order of centrality, so this names the most central that are in clear view.
      for (let i = 0; i < points.n && placed.length < MOST_LABELS + first.length; i++) {
        if (this.inView(frame, i, 0.9)) consider(i);
      }
    }
    placed.sort((a, b) => a - b);
    for (const i of placed) if (alpha[i] === 0 && !this.shown.includes(i)) this.shown.push(i);
    let fading = false;
    let kept = 0;
    for (const i of this.shown) {
      const goal = wanted[i] ? 1 : 0;
      alpha[i] = still ? goal : alpha[i] + Math.max(-0.2, Math.min(0.2, goal - alpha[i]));
      if (alpha[i] !== goal) fading = true;
      if (alpha[i] <= 0) {
        this.place[i] = -1;
        continue;
      }
      this.shown[kept++] = i;
      const at = this.around(frame, i, Math.max(0, this.place[i]));
      context.globalAlpha = alpha[i];
      context.lineJoin = "round";
      context.lineWidth = 3.5;
      context.strokeStyle = frame.paper;
      context.strokeText(points.genes[i], at[0], at[1] + frame.line / 2);
      context.fillStyle = frame.ink;
      context.fillText(points.genes[i], at[0], at[1] + frame.line / 2);
    }
    this.shown.length = kept;
    context.globalAlpha = 1;
    return fading;
  }

  inView(frame, i, limit) {
    const { u, v } = this.points;
    if (u[i] * u[i] + v[i] * v[i] > limit * limit) return false;
    const px = frame.cx + u[i] * frame.radius;
    const py = frame.cy + v[i] * frame.radius;
    return px > 0 && py > 0 && px < frame.width && py < frame.height;
  }
}
