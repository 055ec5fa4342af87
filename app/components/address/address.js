// The browser's way back, and ways between pages that are sure to lead there.

const LINKS = 'a[data-testid="stSidebarNavLink"], a[data-testid="stPageLink-NavLink"]';
const SHOWN = 'a[data-testid="stSidebarNavLink"][aria-current="page"]';
const STEP = 50; // milliseconds between looks
const LEAVING = 15000; // that a page may take to come
const IDLE = 1000; // without work, after which a click is taken to be lost: more than a message takes
const TRIES = 3;

// One for each tab, though the component may be loaded again.
const tab = (window.__hyperperturb ??= {
  // whether a person did something since the last stop on the way back, or before this was here
  acted: navigator.userActivation?.hasBeenActive ?? false,
  way: null, // to the page that was asked for: { href, back, until, tries, idle }
  followed: new Set(),
  ready: false,
});

const path = (href) => new URL(href, location.href).pathname;
const working = () => document.querySelector(".stApp")?.dataset.testScriptState === "running";
const onTheWay = () => tab.way !== null && performance.now() < tab.way.until;

// Streamlit adds a stop to the way back for every change of the address: one for the new page, one more for what the
// page then adds to its address. A reader expects one for each thing they did. So what follows without an act of theirs
// takes the place of the stop before it.
function keepHistory() {
  for (const act of ["pointerdown", "keydown"]) {
    window.addEventListener(act, () => (tab.acted = true), true);
  }
  const push = window.history.pushState;
  window.history.pushState = function (...change) {
    if (tab.acted) {
      tab.acted = false;
      return push.apply(this, change);
    }
    if (onTheWay() && tab.way.back && path(change[2]) !== path(tab.way.href)) return undefined; // see below
    return this.replaceState(...change);
  };
}

// Who follows a link or goes back is sure to arrive. While parts of a page renew themselves, two things can undo it:
// - Each part asks for itself by a clock, and the request names the page it comes from. Streamlit stops the clocks when
//   a link is followed; but what was still on its way from the server starts them again, and one request more brings
//   the old page back or leaves neither. So clocks stand still until the new page is there.
// - An old page that is just being drawn anew says once more that it is wanted: the new one is asked for, the old one
//   comes. So whoever is still on it when all work is done goes the same way once more.
function arrive() {
  const there = () => {
    const shown = document.querySelector(SHOWN);
    return path(tab.way.href) === location.pathname && (!shown || path(shown.href) === location.pathname);
  };
  const again = ({ back, href }) => {
    if (!back) {
      [...document.querySelectorAll(LINKS)].find((link) => link.href === href)?.click();
      return;
    }
    window.history.replaceState(window.history.state, "", href);
    window.dispatchEvent(new PopStateEvent("popstate", { state: window.history.state }));
  };
  const look = () => {
    if (!onTheWay() || (!working() && there())) {
      tab.way = null;
      return;
    }
    if (working()) {
      tab.way.idle = 0;
      return;
    }
    tab.way.idle += STEP;
    if (tab.way.idle < IDLE || tab.way.tries >= TRIES) return;
    tab.way.tries += 1;
    tab.way.idle = 0;
    again(tab.way);
  };
  const go = (href, back) => {
    tab.way = { href, back, until: performance.now() + LEAVING, tries: 0, idle: 0 };
  };

  const start = window.setInterval;
  window.setInterval = (work, ...rest) =>
    start(typeof work === "function" ? (...given) => onTheWay() || work(...given) : work, ...rest);
  start(look, STEP);
  window.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.(LINKS);
      if (link && link.href === tab.way?.href) return; // once more
      tab.way = null; // whoever presses something else has changed their mind
      if (link && path(link.href) !== location.pathname) go(link.href, false);
    },
    true,
  );
  window.addEventListener("popstate", (event) => event.isTrusted && go(location.href, true), true);
}

// A link in a passing message would open a second tab. It leads where a link of the page leads, if there is one, which
// keeps the session; else to its address, which says all that is needed.
function stayInTab() {
  const follow = (event) => {
    const link = event.target.closest?.('[data-testid="stToast"] a[href]');
    if (!link || new URL(link.href).origin !== location.origin) return;
    event.preventDefault();
    event.stopPropagation();
    const same = [...document.querySelectorAll(LINKS)].find((other) => other.href === link.href);
    if (same) same.click();
    else location.assign(link.href);
  };
  window.addEventListener("click", follow, true);
}

// The app leads on by itself. A change of page that the server makes can be overtaken by the clocks: the browser does not
// know yet that it is elsewhere. So a link of the page is followed.
function lead({ follow, name, instead }) {
  if (!follow || tab.followed.has(name)) return undefined;
  const timer = setInterval(() => {
    const link = document.querySelector(`.st-key-${CSS.escape(follow)} a`);
    if (!link) return;
    clearInterval(timer);
    tab.followed.add(name);
    if (instead) tab.acted = false; // whatever was done to come to the page that is passed over
    link.click();
  }, STEP);
  return () => clearInterval(timer);
}

export default function ({ data, setStateValue }) {
  if (!tab.ready) {
    tab.ready = true;
    keepHistory();
    arrive();
    stayInTab();
  }
  if (data.tell) setStateValue("kept", true);
  return lead(data);
}
