// Tells the page of a double click in one of its figures. Presses are counted here: while a button is down plotly lays
// a sheet over the page, so that the browser sees no double click.

const SOON = 400; // milliseconds
const NEAR = 5; // pixels

export default function ({ data, setTriggerValue }) {
  const inside = ({ clientX: x, clientY: y }) =>
    data.figures.some((name) => {
      const plot = document.querySelector(`.st-key-${CSS.escape(name)} .nsewdrag`)?.getBoundingClientRect();
      return plot && x >= plot.left && x <= plot.right && y >= plot.top && y <= plot.bottom;
    });
  let last = null;
  const hear = (event) => {
    const again =
      last !== null &&
      event.timeStamp - last.timeStamp < SOON &&
      Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < NEAR;
    last = again ? null : event;
    if (again && inside(event)) setTriggerValue("twice", true);
  };
  document.addEventListener("pointerdown", hear, true);
  return () => document.removeEventListener("pointerdown", hear, true);
}
