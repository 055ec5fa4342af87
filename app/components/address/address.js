// The browser's way back, and links that are followed without a hand.

// Streamlit adds a stop to the way back for every change of the address: one for the new page, one more for what the
// page then adds to its address. A reader expects one for each thing they did. So what follows without an act of theirs
// takes the place of the stop before it.
function keepHistory() {
  if (window.__hyperperturbHistory) return;
  window.__hyperperturbHistory = true;
  let acted = false;
  for (const act of ["pointerdown", "keydown"]) {
    window.addEventListener(act, () => (acted = true), true);
  }
  const push = window.history.pushState;
  window.history.pushState = function (...change) {
    if (!acted) return this.replaceState(...change);
    acted = false;
    return push.apply(this, change);
  };
}

// A link in a passing message would open a second tab. It leads where a link of the page leads, if there is one, which
// keeps the session; else to its address, which says all that is needed.
function stayInTab() {
  if (window.__hyperperturbLinks) return;
  window.__hyperperturbLinks = true;
  const follow = (event) => {
    const link = event.target.closest?.('[data-testid="stToast"] a[href]');
    if (!link || new URL(link.href).origin !== location.origin) return;
    event.preventDefault();
    event.stopPropagation();
    const same = [...document.querySelectorAll('a[data-testid="stPageLink-NavLink"]')];
    const found = same.find((other) => other.href === link.href);
    if (found) found.click();
    else location.assign(link.href);
  };
  window.addEventListener("click", follow, true);
}

const followed = new Set();
const STEP = 50; // milliseconds between looks
const PATIENCE = 3000;

// A change of page that the server makes can be overtaken by the next request of a part of the old page that renews
// itself: the browser does not know yet that it is elsewhere. A link that is clicked stops those first.
function lead({ follow, name }) {
  if (!follow || followed.has(name)) return undefined;
  let waited = 0;
  const timer = setInterval(() => {
    waited += STEP;
    const link = document.querySelector(`.st-key-${CSS.escape(follow)} a`);
    const running = document.querySelector(".stApp")?.dataset.testScriptState === "running";
    if (!link || (running && waited < PATIENCE)) return;
    clearInterval(timer);
    followed.add(name);
    link.click();
  }, STEP);
  return () => clearInterval(timer);
}

export default function ({ data, setStateValue }) {
  keepHistory();
  stayInTab();
  if (data.tell) setStateValue("kept", true);
  return lead(data);
}
