// The hand: how the space is moved, with mouse, fingers, wheel and keys, and what a click means.

const NEAREST_ZOOM = 12;

class Hand extends Picture {
  constructor(parent) {
    super(parent);
    this.off = new AbortController();
    this.pointers = new Map();
    this.lassoing = false; // the next drag gathers genes instead of moving the space
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
    on(this.lassoButton, "click", (event) => this.lasso(!this.lassoing, event.detail === 0));
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
    if (this.lassoing) {
      this.reach = 0;
      this.loop = [at];
    }
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
    if (this.lassoing) {
      this.loop.push(at);
      this.redraw();
      return;
    }
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
    const loop = this.loop;
    this.loop = [];
    if (this.moved || !meant) {
      if (this.lassoing && meant && loop.length > 2) this.gather((x, y) => withinLoop(loop, x, y));
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
      if (event.shiftKey) this.measureTo(hit);
      else this.choose(hit);
    } else this.clearing = setTimeout(() => this.choose(-1), 360); // unless it becomes a double click
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
    else if (event.key === "Escape") {
      if (this.lassoing) this.lasso(false);
      else if (this.second >= 0) this.measureTo(-1);
      else this.choose(-1);
    } else if (event.key === "l" || event.key === "L") this.lasso(!this.lassoing, true);
    else if (this.reach && (event.key === "[" || event.key === "]")) {
      const most = Math.min(this.width, this.height) / 2;
      this.reach = Math.max(12, Math.min(most, this.reach * (event.key === "]" ? 1.25 : 0.8)));
      this.redraw();
    } else if (event.key === "Enter" || event.key === " ") {
      const [x, y, reach] = [this.width / 2, this.height / 2, this.reach];
      const hit = reach ? -1 : this.points.nearest(this.frame(), x, y, 40);
      if (reach) this.gather((px, py) => Math.hypot(px - x, py - y) <= reach);
      else if (hit >= 0 && event.shiftKey) this.measureTo(hit);
      else if (hit >= 0) this.choose(hit);
    } else return;
    event.preventDefault();
  }

  // --- the lasso ---------------------------------------------------------------------------------------------

  lasso(on, byKeyboard = false) {
    // Whether the next drag gathers genes. Without a pointer it is a circle in the middle of the view.
    this.lassoing = on;
    this.loop = [];
    this.reach = on && byKeyboard ? Math.min(this.width, this.height) / 6 : 0;
    this.canvas.classList.toggle("lassoing", on);
    this.lassoButton.setAttribute("aria-pressed", String(on));
    if (on) {
      this.hover(-1);
      this.live.textContent = "Lasso: drag around genes; or move the circle over them with the arrow keys, size it with [ and ], and press Enter.";
      if (byKeyboard) this.canvas.focus();
    }
    this.redraw();
  }

  gather(holds) {
    const found = this.points.inside(this.frame(), holds);
    this.lasso(false);
    this.take(found);
  }
}

function withinLoop(loop, x, y) {
  // Even–odd rule; the last point is joined to the first.
  let inside = false;
  for (let k = 0, before = loop.length - 1; k < loop.length; before = k++) {
    const [ax, ay] = loop[k];
    const [bx, by] = loop[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
