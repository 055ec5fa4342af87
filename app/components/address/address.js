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

const LINKS = 'a[data-testid="stSidebarNavLink"], a[data-testid="stPageLink-NavLink"]';
const LEAVING = 10000; // milliseconds that a page may take to come
const RETURNING = 2000; // where the address tells nothing, as it is the new one at once

// Parts of a page that renew themselves ask for it by a clock, and each request names the page it comes from. Streamlit
// stops the clocks when a link is followed; but what was still on its way from the server starts them again, and one
// request more brings the old page back or leaves neither. So clocks stand still until the new page is there.
function holdClocks() {
  if (window.__hyperperturbClocks) return;
  window.__hyperperturbClocks = true;
  let held = () => false;
  const hold = (milliseconds, still) => {
    const until = performance.now() + milliseconds;
    held = () => performance.now() < until && still();
  };
  window.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.(LINKS);
      const path = location.pathname;
      if (!link || new URL(link.href).pathname === path) return;
      hold(LEAVING, () => location.pathname === path);
    },
    true,
  );
  window.addEventListener("popstate", () => hold(RETURNING, () => true), true);
  const start = window.setInterval;
  window.setInterval = (work, ...rest) =>
    start(typeof work === "function" ? (...given) => held() || work(...given) : work, ...rest);
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
  holdClocks();
  if (data.tell) setStateValue("kept", true);
  return lead(data);
}
