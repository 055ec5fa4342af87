// The view: what Python says of it, what is selected, and the hand that moves it.

const VIEWS = new WeakMap(); // one view per place in the page; it outlives Streamlit's reruns
const REMEMBERED = new Map(); // where a view stood when its page was left
const NEAREST_ZOOM = 12;

class View extends Picture {
  constructor(parent, token) {
    super(parent);
    this.token = token; // the newest call of this module that has a right to end the view
    this.off = new AbortController();
    this.listen();
    this.readTheme();
    this.selectedAt = 0; // when the reader last clicked: older words from Python do not undo it
    this.pointers = new Map();
    this.canvas.__positions = (gene) => this.positionOf(gene);
    this.canvas.__view = () => ({ isometry: this.m.slice(), zoom: this.zoom });
    this.canvas.__labels = () => (this.labels ? this.labels.shown.map((i) => this.points.genes[i]) : []);
  }

  // --- what Python says --------------------------------------------------------------------------------------

  update(component) {
    const { data } = component;
    const spec = data.spec;
    this.say = component.setStateValue;
    this.spec = spec;
    if (spec.version !== this.version) {
      const kept = this.selected >= 0 ? this.points.genes[this.selected] : null;
      this.points = new Points(data.points, spec);
      this.labels = new Labels(this.points);
      this.selected = kept !== null && this.points.index.has(kept) ? this.points.index.get(kept) : -1;
      this.hovered = -1;
      this.tip.hidden = true;
      if (spec.layout !== this.layout) {
        const before = REMEMBERED.get(spec.key);
        if (before && before.layout === spec.layout) Object.assign(this, { m: before.m, zoom: before.zoom });
        else if (this.layout !== undefined) Object.assign(this, { m: IDENTITY.slice(), zoom: 1 });
        this.layout = spec.layout;
      }
      this.version = spec.version;
      this.canvas.setAttribute("aria-label", `Genes in the Poincaré disk, coloured by ${spec.colourLabel}, sized by ${spec.sizeLabel}`);
      this.parent.querySelector("#how").textContent = describe(spec, this.points);
    }
    this.hint.textContent = spec.hint;
    this.neighbours = [];
    if (data.neighbours && spec.neighboursOf !== null) {
      const genes = data.neighbours.getChild("gene");
      const weights = data.neighbours.getChild("weight").toArray();
      for (let k = 0; k < weights.length; k++) {
        const i = this.points.index.get(genes.get(k));
        if (i !== undefined) this.neighbours.push([i, weights[k]]);
      }
    }
    const said = spec.selected === null ? -1 : this.points.index.get(spec.selected) ?? -1;
    if (spec.selectedAt >= this.selectedAt && said !== this.selected) {
      const first = this.frames === 0;
      this.selected = said;
      if (said >= 0) {
        this.announce();
        this.points.move(this.m);
        if (!this.inClearView(said)) this.centreOn(said, first);
      }
    }
    drawLegend(this.legend, spec, this.colours());
    this.resize();
    this.redraw();
  }

  inClearView(i) {
    const { u, v } = this.points;
    const [x, y] = this.positionOf(this.points.genes[i]);
    const inside = x > 20 && y > 20 && x < this.width - 20 && y < this.height - 20;
    return this.width > 0 && inside && Math.hypot(u[i], v[i]) < 0.6;
  }

  // --- moving ------------------------------------------------------------------------------------------------

  get isMoving() {
    return this.pointers.size > 0 || this.animation !== 0;
  }

  go(m) {
    const [x, y] = trueCentre(m);
    if (x * x + y * y < FARTHEST) this.m = m;
    this.redraw();
  }

  carry(from, before, to) {
    // What was under `from` in the view `before` comes under `to`; all else follows without stretching.
    const p = intoDisk(from[0], from[1]);
    const q = intoDisk(to[0], to[1]);
    this.go(compose(translationTaking(p[0], p[1], q[0], q[1]), before));
  }

  zoomAt(px, py, factor) {
    this.stop();
    const anchor = this.inDisk(px, py);
    const zoom = Math.max(1, Math.min(NEAREST_ZOOM, this.zoom * factor));
    if (zoom === this.zoom) return;
    this.zoom = zoom;
    if (Math.hypot(anchor[0], anchor[1]) < 1) this.carry(anchor, this.m, this.inDisk(px, py));
    else this.redraw();
  }

  stop() {
    cancelAnimationFrame(this.animation);
    this.animation = 0;
  }

  animate(step, instantly = false) {
    this.stop();
    if (instantly || this.still) {
      step(1);
      this.redraw();
      return;
    }
    const start = performance.now();
    const tick = (now) => {
      const t = Math.min(1, Math.max(0, now - start) / 520);
      this.animation = t < 1 ? requestAnimationFrame(tick) : 0;
      step(t < 0.5 ? 4 * t * t * t : 1 - Math.pow(2 - 2 * t, 3) / 2);
      this.redraw(true);
    };
    this.animation = requestAnimationFrame(tick);
  }

  centreOn(i, instantly = false) {
    const before = this.m;
    const [x, y] = moveTo(before, this.points.x[i], this.points.y[i]);
    const r = Math.min(Math.hypot(x, y), FARTHEST);
    if (r < 1e-9) return;
    const distance = Math.atanh(r);
    this.animate((t) => {
      const left = Math.tanh(distance * (1 - t)) / r;
      this.m = compose(translationTaking(x, y, x * left, y * left), before);
    }, instantly);
  }

  goHome() {
    const before = this.m;
    const zoom = this.zoom;
    this.animate((t) => {
      this.m = t === 1 ? IDENTITY.slice() : partOfTheWayHome(before, 1 - t);
      this.zoom = Math.pow(zoom, 1 - t);
    });
  }

  // --- choosing ----------------------------------------------------------------------------------------------

  choose(i) {
    if (i === this.selected) return;
    this.selected = i;
    this.neighbours = [];
    this.selectedAt = Math.max(Date.now(), this.selectedAt + 1);
    this.announce();
    this.redraw();
    this.say("picked", { gene: i < 0 ? null : this.points.genes[i], at: this.selectedAt });
  }

  announce() {
    this.live.textContent = this.selected < 0 ? "No gene selected." : `${this.points.genes[this.selected]} selected.`;
  }

  hover(i, x, y) {
    this.canvas.classList.toggle("over", i >= 0);
    if (i < 0 || (i === this.hovered && this.tip.hidden)) this.tip.hidden = true;
    else {
      const r = Math.min(Math.hypot(this.points.x[i], this.points.y[i]), 1 - 1e-12);
      const distance = (2 * Math.atanh(r)) / Math.sqrt(this.spec.curvature);
      showTip(this.tip, this.points, this.spec, i, x, y, this.width, distance);
    }
    if (i !== this.hovered) {
      this.hovered = i;
      this.redraw();
    }
  }

  // --- the hand ----------------------------------------------------------------------------------------------

  listen() {
    const { canvas } = this;
    const on = (node, name, act, more) => node.addEventListener(name, act, { signal: this.off.signal, ...more });
    on(canvas, "pointerdown", (event) => this.press(event));
    on(canvas, "pointermove", (event) => this.drag(event));
    on(canvas, "pointerup", (event) => this.release(event, true));
    on(canvas, "pointercancel", (event) => this.release(event, false));
    on(canvas, "pointerleave", () => this.hover(-1));
    on(canvas, "wheel", (event) => this.wheel(event), { passive: false });
    on(canvas, "keydown", (event) => this.key(event));
    on(this.homeButton, "click", () => this.goHome());
    on(this.parent.querySelector(".in"), "click", () => this.zoomAt(this.width / 2, this.height / 2, 1.4));
    on(this.parent.querySelector(".out"), "click", () => this.zoomAt(this.width / 2, this.height / 2, 1 / 1.4));
    on(this.probe, "transitionend", () => this.readTheme());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
    // Names are measured with the page's font; it may arrive after the first frame.
    document.fonts.ready.then(() => {
      if (this.labels) this.labels.font = "";
      this.redraw();
    });
  }

  press(event) {
    if (event.button !== 0) return;
    this.stop();
    const at = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    this.grip();
    this.moved = this.pointers.size > 1;
    this.pressed = at;
  }

  grip() {
    // From here on the hand's places are compared with where they are now.
    const places = [...this.pointers.values()];
    const middle = [0, 1].map((k) => places.reduce((sum, p) => sum + p[k], 0) / places.length);
    const spread = places.length > 1 ? Math.hypot(places[0][0] - places[1][0], places[0][1] - places[1][1]) : 0;
    this.held = { before: this.m, zoom: this.zoom, from: this.inDisk(middle[0], middle[1]), spread };
  }

  drag(event) {
    const at = this.place(event);
    if (!this.pointers.has(event.pointerId)) {
      if (event.pointerType !== "touch") this.hover(this.points.nearest(this.frame(), at[0], at[1], 6), at[0], at[1]);
      return;
    }
    this.pointers.set(event.pointerId, at);
    if (!this.moved && Math.hypot(at[0] - this.pressed[0], at[1] - this.pressed[1]) < 4) return;
    if (!this.moved) this.hover(-1);
    this.moved = true;
    this.canvas.classList.add("moving");
    const places = [...this.pointers.values()];
    const middle = [0, 1].map((k) => places.reduce((sum, p) => sum + p[k], 0) / places.length);
    if (places.length > 1 && this.held.spread > 0) {
      const spread = Math.hypot(places[0][0] - places[1][0], places[0][1] - places[1][1]);
      this.zoom = Math.max(1, Math.min(NEAREST_ZOOM, (this.held.zoom * spread) / this.held.spread));
    }
    const to = this.inDisk(middle[0], middle[1]);
    const { from, before } = this.held;
    if (Math.hypot(from[0], from[1]) < RIM) this.carry(from, before, to);
    else this.go(compose(rotation(Math.atan2(to[1], to[0]) - Math.atan2(from[1], from[0])), before)); // the rim turns
  }

  release(event, meant) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pointers.size) {
      this.grip();
      return;
    }
    this.canvas.classList.remove("moving");
    if (this.moved || !meant) {
      this.redraw();
      return;
    }
    const at = this.place(event);
    const hit = this.points.nearest(this.frame(), at[0], at[1], event.pointerType === "touch" ? 16 : 8);
    const now = performance.now();
    const twice = this.last && now - this.last.when < 350 && Math.hypot(at[0] - this.last.x, at[1] - this.last.y) < 12;
    clearTimeout(this.clearing);
    this.last = twice ? null : { when: now, x: at[0], y: at[1] };
    if (twice) {
      if (hit >= 0) this.centreOn(hit);
      else this.goHome();
    } else if (hit >= 0) {
      this.tip.hidden = true; // it would cover the names of the neighbours
      this.choose(hit);
    }
    else this.clearing = setTimeout(() => this.choose(-1), 360); // unless it becomes a double click
  }

  wheel(event) {
    const at = this.place(event);
    const [x, y] = this.inDisk(at[0], at[1]);
    // Off the disk, or at home and scrolling on: the page's own scrolling.
    if (x * x + y * y > 1 || (this.zoom <= 1 && event.deltaY > 0 && !event.ctrlKey)) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1);
    this.hover(-1);
    this.zoomAt(at[0], at[1], Math.exp(-Math.max(-240, Math.min(240, pixels)) * (event.ctrlKey ? 0.008 : 0.002)));
  }

  key(event) {
    const step = event.shiftKey ? 0.3 : 0.1;
    const pan = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (pan) {
      this.stop();
      this.go(compose(translationBy(pan[0] / this.zoom, pan[1] / this.zoom), this.m));
    } else if (event.key === "+" || event.key === "=") this.zoomAt(this.width / 2, this.height / 2, 1.25);
    else if (event.key === "-" || event.key === "_") this.zoomAt(this.width / 2, this.height / 2, 0.8);
    else if (event.key === "Home" || event.key === "0") this.goHome();
    else if (event.key === "Escape") this.choose(-1);
    else if (event.key === "Enter" || event.key === " ") {
      const hit = this.points.nearest(this.frame(), this.width / 2, this.height / 2, 40);
      if (hit >= 0) this.choose(hit);
    } else return;
    event.preventDefault();
  }

  leave() {
    REMEMBERED.set(this.spec.key, { layout: this.layout, m: this.m, zoom: this.zoom });
    this.stop();
    cancelAnimationFrame(this.pending);
    clearTimeout(this.clearing);
    this.observer.disconnect();
    this.off.abort();
  }
}

export default function (component) {
  const parent = component.parentElement;
  const token = {};
  let view = VIEWS.get(parent);
  if (!view || !view.root.isConnected) {
    if (view) view.leave();
    view = new View(parent, token);
    VIEWS.set(parent, view);
  }
  view.token = token;
  view.update(component);
  // Streamlit may clean up after a call that a newer one has overtaken; only the newest may end the view.
  return () => {
    if (view.token !== token || VIEWS.get(parent) !== view) return;
    VIEWS.delete(parent);
    view.leave();
  };
}
