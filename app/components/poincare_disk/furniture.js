// What stands around the picture in HTML: legend, tooltip, the inset, and the words for those who do not see it.

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text; // never innerHTML: names come from files
  return node;
}

function figure(value) {
  // Three significant digits, thin spaces between thousands, a true minus sign.
  if (value === null || value === undefined || !Number.isFinite(Number(value))) return "–";
  const number = Number(value);
  const size = Math.abs(number);
  let text;
  if (Number.isInteger(number) && size < 1e6) text = String(size);
  else if (size >= 1e-4 && size < 1e6) text = size.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  else text = size.toExponential(2).replace(/e\+?(-?\d+)/, (_, e) => ` × 10^${e}`).replace("-", "−");
  const [whole, rest] = text.split(".");
  const spaced = whole.replace(/^\d{5,}$|^\d{4,}$/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "\u202f"));
  return (number < 0 ? "−" : "") + spaced + (rest === undefined ? "" : `.${rest}`);
}

function drawLegend(legend, spec, colours) {
  legend.replaceChildren();
  if (spec.kind === "categorical") {
    const group = element("div");
    const chips = element("div", "chips");
    chips.append(element("span", "name", spec.colourLabel));
    spec.categories.forEach(([name, count], i) => {
      if (!count) return;
      const chip = element("span", "chip");
      const dot = element("i");
      dot.style.background = colours[i];
      chip.append(dot, element("span", "", name), element("small", "", figure(count)));
      chips.append(chip);
    });
    group.append(chips);
    legend.append(group);
  } else {
    const group = element("div", "scale");
    const bar = element("div", "bar");
    const ramp = element("div", "ramp");
    ramp.style.background = `linear-gradient(to right, ${colours.slice(0, -1).join(", ")})`;
    const ticks = element("div", "ticks");
    for (const [at, text] of spec.ticks) {
      const tick = element("span", "", text);
      tick.style.left = `${at * 100}%`;
      ticks.append(tick);
    }
    bar.append(ramp, ticks);
    group.append(element("span", "name", spec.colourLabel), bar);
    if (spec.missing) {
      const none = element("span", "chip none");
      const dot = element("i");
      dot.style.background = colours[colours.length - 1];
      none.append(dot, element("span", "", `no value (${figure(spec.missing)})`));
      group.append(none);
    }
    legend.append(group);
  }
  if (spec.sizeLabel !== spec.colourLabel) {
    const size = element("span", "chip");
    size.append(element("span", "name", "size"), element("span", "", spec.sizeLabel));
    legend.append(size);
  }
}

function showTip(tip, points, spec, i, x, y, width, distance) {
  tip.replaceChildren(element("b", "", points.genes[i]));
  const row = (name, value) => {
    const line = element("span");
    line.append(element("i", "", name), element("span", "", value));
    tip.append(line);
  };
  const colour = points.colourText ? points.colourText.get(i) || "–" : figure(points.colourValue[i]);
  row(spec.colourLabel, colour);
  if (spec.sizeLabel !== spec.colourLabel) row(spec.sizeLabel, figure(points.sizeValue[i]));
  row("distance from the middle", figure(distance));
  tip.hidden = false;
  const right = x + 16 + tip.offsetWidth < width;
  tip.style.transform = `translate(${right ? x + 16 : Math.max(0, x - 16 - tip.offsetWidth)}px, ${Math.max(0, y - 12 - tip.offsetHeight / 2)}px)`;
}

function drawInset(button, x, y, away) {
  button.hidden = !away;
  if (!away) return;
  const line = button.querySelector("line");
  const centre = button.querySelector(".centre");
  line.setAttribute("x2", x);
  line.setAttribute("y2", y);
  centre.setAttribute("cx", x);
  centre.setAttribute("cy", y);
}

function describe(spec, points) {
  const central = points.genes.slice(0, 5).join(", ");
  return (
    `${points.n} genes in a disk: hubs in the middle, periphery at the rim. The most central: ${central}. ` +
    "Arrow keys move, plus and minus zoom, Home goes back to the middle, Enter selects the gene nearest to the " +
    "middle of the view, Shift and Enter measures from the selected gene to it, L starts a lasso, Escape takes back."
  );
}
