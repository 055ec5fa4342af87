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
const STEP = 50; // milliseconds between looks
const LEAVING = 15000; // that a page may take to come
const RETURNING = 2000; // where the address tells nothing, as it is the new one at once
const IDLE = 1000; // without work, after which a click is taken to be lost: more than a message takes
const TRIES = 3;

function working() {
  return document.querySelector(".stApp")?.dataset.testScriptState === "running";
}

// A click on a link is sure to lead to its page. While parts of a page renew themselves, two things can undo it:
// - Each part asks for itself by a clock, and the request names the page it comes from. Streamlit stops the clocks when
//   a link is followed; but what was still on its way from the server starts them again, and one request more brings
//   the old page back or leaves neither. So clocks stand still until the new page is there.
// - The old page, about to be drawn anew when the click arrives, says once more which page is wanted: the new one is
//   asked for, the old one is drawn (seen in 3 of 24 clicks on a busy server). So who is still on the old page when all
//   work is done follows the link once more.
function arrive() {
  if (window.__hyperperturbArrive) return;
  window.__hyperperturbArrive = true;
  const start = window.setInterval;
  let way = null; // { from, href, until, tries, idle }
  let heldUntil = 0;

  const onTheWay = () => way !== null && location.pathname === way.from && performance.now() < way.until;
  const held = () => onTheWay() || performance.now() < heldUntil;
  const look = () => {
    if (!onTheWay()) {
      way = null;
      return;
    }
    way.idle = working() ? 0 : way.idle + STEP;
    if (way.idle < IDLE || way.tries >= TRIES) return;
    way.tries += 1;
    way.idle = 0;
    [...document.querySelectorAll(LINKS)].find((link) => link.href === way.href)?.click();
  };
  start(look, STEP);
  window.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.(LINKS);
      if (way !== null && link?.href === way.href) return;
      way = null; // whoever presses something else has changed their mind
      if (!link || new URL(link.href).pathname === location.pathname) return;
      way = { from: location.pathname, href: link.href, until: performance.now() + LEAVING, tries: 0, idle: 0 };
    },
    true,
  );
  window.addEventListener("popstate", () => (heldUntil = performance.now() + RETURNING), true);
  window.setInterval = (work, ...rest) =>
    start(typeof work === "function" ? (...given) => held() || work(...given) : work, ...rest);
}

const followed = new Set();
const PATIENCE = 3000;

// A change of page that the server makes can be overtaken by the next request of a part of the old page that renews
// itself: the browser does not know yet that it is elsewhere. A link that is clicked stops those first.
function lead({ follow, name }) {
  if (!follow || followed.has(name)) return undefined;
  let waited = 0;
  const timer = setInterval(() => {
    waited += STEP;
    const link = document.querySelector(`.st-key-${CSS.escape(follow)} a`);
    if (!link || (working() && waited < PATIENCE)) return;
    clearInterval(timer);
    followed.add(name);
    link.click();
  }, STEP);
  return () => clearInterval(timer);
}

export default function ({ data, setStateValue }) {
  keepHistory();
  stayInTab();
  arrive();
  if (data.tell) setStateValue("kept", true);
  return lead(data);
}
