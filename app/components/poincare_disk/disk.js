// The view: what Python says of it and what is chosen in it.

const VIEWS = new WeakMap(); // one view per place in the page; it outlives Streamlit's reruns
const REMEMBERED = new Map(); // where a view stood when its page was left

class View extends Hand {
  constructor(parent, token) {
    super(parent);
    this.token = token; // the newest call of this module that has a right to end the view
    this.listen();
    this.offerFiles();
    this.readTheme();
    this.selectedAt = 0; // when the reader last clicked: older words from Python do not undo it
    this.canvas.__positions = (gene) => this.positionOf(gene);
    this.canvas.__view = () => ({ isometry: this.m.slice(), zoom: this.zoom });
    this.canvas.__times = () => {
      // Of the last frames, the newest last.
      const newest = this.frames % this.times.length;
      return [...this.times.slice(newest), ...this.times.slice(0, newest)];
    };
    this.canvas.__gathered = () => this.gathered.map((i) => this.points.genes[i]);
    this.canvas.__labels = () => (this.labels ? this.labels.shown.map((i) => this.points.genes[i]) : []);
  }

  // --- what Python says --------------------------------------------------------------------------------------

  update(component) {
    const { data } = component;
    const spec = data.spec;
    this.say = component.setStateValue;
    this.spec = spec;
    this.shell = data.shell || null; // what this component is made of, for a page that stands alone
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
    this.lassoButton.hidden = Boolean(spec.alone);
    this.menu.querySelector('[data-kind="html"]').hidden = this.shell === null;
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
    const place = (gene) => (gene === null ? -1 : this.points.index.get(gene) ?? -1);
    this.second = place(spec.second) === this.selected ? -1 : place(spec.second);
    this.gathered = spec.gathered.map(place).filter((i) => i >= 0).sort((a, b) => a - b);
    if (spec.view) Object.assign(this, { m: spec.view.m, zoom: spec.view.zoom });
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

  // --- choosing ----------------------------------------------------------------------------------------------

  choose(i) {
    if (i === this.selected) return;
    this.selected = i;
    this.second = -1;
    this.neighbours = [];
    this.selectedAt = Math.max(Date.now(), this.selectedAt + 1);
    this.announce();
    this.redraw();
    this.say("picked", { gene: i < 0 ? null : this.points.genes[i], at: this.selectedAt });
  }

  measureTo(i) {
    // Python knows the distance in the model's space; until it has answered the geodesic has no number.
    if (this.selected < 0) return this.choose(i);
    if (i === this.second || i === this.selected) return;
    this.second = i;
    this.live.textContent = i < 0 ? "Measuring ended." : `Measured to ${this.points.genes[i]}.`;
    this.redraw();
    this.say("measured", { gene: i < 0 ? null : this.points.genes[i], at: Date.now() });
  }

  take(found) {
    this.gathered = found;
    this.live.textContent = `${found.length} genes taken.`;
    this.redraw();
    this.say("taken", { genes: found.map((i) => this.points.genes[i]), at: Date.now() });
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

  // --- files -------------------------------------------------------------------------------------------------

  offerFiles() {
    const on = (node, name, act) => node.addEventListener(name, act, { signal: this.off.signal });
    const open = (shown) => {
      this.menu.hidden = !shown;
      this.saveButton.setAttribute("aria-expanded", String(shown));
      if (shown) this.menu.querySelector("button").focus();
    };
    on(this.saveButton, "click", () => open(this.menu.hidden));
    on(this.menu, "click", (event) => {
      const { kind } = event.target.dataset;
      if (!kind) return;
      open(false);
      saveDisk(this, kind);
    });
    on(this.menu, "keydown", (event) => {
      if (event.key !== "Escape") return;
      open(false);
      this.saveButton.focus();
    });
    on(this.menu, "focusout", (event) => {
      if (!this.menu.contains(event.relatedTarget) && event.relatedTarget !== this.saveButton) open(false);
    });
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
