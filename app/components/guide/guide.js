// The line that says which step comes next. Whether it was dismissed is this browser's own affair: it is kept in the
// browser, so that another user of the same server still sees the guide, and a reload does not bring it back.

const KEY = "hyperperturb-guide";

function dismissed() {
  try {
    return localStorage.getItem(KEY) === "dismissed";
  } catch {
    return false; // a browser that stores nothing
  }
}

function remember(isDismissed) {
  try {
    if (isDismissed) localStorage.setItem(KEY, "dismissed");
    else localStorage.removeItem(KEY);
  } catch {
    // as above: the choice holds until the page is left
  }
}

export default function ({ parentElement, data }) {
  const find = (selector) => parentElement.querySelector(selector);
  const guide = find(".guide");
  const back = find(".back");

  const show = (isDismissed) => {
    guide.hidden = isDismissed || !data.words;
    back.hidden = !(isDismissed && data.offer);
  };
  find(".count").textContent = data.count;
  find(".words").textContent = data.words;
  find(".dots").replaceChildren(
    ...data.steps.map((state) => Object.assign(document.createElement("i"), { className: state })),
  );
  const go = find(".go");
  go.textContent = data.go;
  go.hidden = !data.go;
  // a link of the page: the browser then knows at once that it is elsewhere
  go.onclick = () => document.querySelector(`.st-key-${CSS.escape(data.way)} a`)?.click();
  find(".close").onclick = () => {
    remember(true);
    show(true);
  };
  back.onclick = () => {
    remember(false);
    show(false);
  };
  show(dismissed());
}
