// Saves a figure of the page as a picture. The figure's own camera does the work; it is told the format, which
// the button of a plotly figure cannot be asked for.

function camera(key) {
  const plot = document.querySelector(`.st-key-${CSS.escape(key)} .js-plotly-plot`);
  const button = plot?.querySelector('.modebar-btn[data-title^="Download plot"]');
  return button ? { plot, button } : null;
}

function save(key, format) {
  const found = camera(key);
  if (!found) return false;
  const options = found.plot._context.toImageButtonOptions;
  const before = options.format;
  options.format = format;
  try {
    found.button.click();
  } finally {
    options.format = before;
  }
  return true;
}

export default function ({ parentElement, data }) {
  for (const button of parentElement.querySelectorAll("button")) {
    button.onclick = () => {
      if (!save(data.figure, button.dataset.format)) button.textContent = "The picture is not drawn yet";
    };
  }
}
