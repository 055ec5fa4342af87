"""The few styles that the theme cannot say, in one place."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_LOGO = Path(__file__).resolve().parents[2] / "assets" / "logo.svg"
_LOGO_GREEN = "#15897D"
ICON = str(_LOGO) if _LOGO.exists() else None

# Colours come from the theme, so that light and dark need no second copy. The exception is below.
_CSS = """
<style>
[data-testid="stMainBlockContainer"] { max-width: 1360px; padding-top: 4.2rem; padding-bottom: 4rem; }
[data-testid="stMainBlockContainer"] h1 { font-size: 2.1rem; letter-spacing: -0.015em; padding-bottom: 0.1rem; }
[data-testid="stMainBlockContainer"] [data-testid="stHeading"]:has(h1) { margin-bottom: 0.35rem; }
.st-key-dataset_list button, .st-key-run_list button,
.st-key-dataset_list button div, .st-key-run_list button div { justify-content: flex-start; text-align: left; }
.st-key-dataset_list, .st-key-run_list { gap: 0.25rem; }
.st-key-refused, .st-key-refused_versus, .st-key-refused_card {
  background: repeating-linear-gradient(135deg, transparent 0 7px, rgba(128, 134, 142, 0.1) 7px 9px);
}
[class*="st-key-figure_menu_"] { margin-top: -0.9rem; }
[class*="st-key-table_menu_"] { margin-top: -0.7rem; }
[class*="st-key-save_menu_"] button, [class*="st-key-save_table_"] button {
  min-height: 1.6rem; padding: 0 0.4rem; opacity: 0.7;
}
[class*="st-key-save_menu_"] button p, [class*="st-key-save_table_"] button p { font-size: 0.85rem; }
[class*="st-key-save_"] button:is(:hover, :focus-visible, [aria-expanded="true"]) { opacity: 1; }
[class*="st-key-unseen_"] { display: none; }
.st-key-gene_card { gap: 0.55rem; }
[class*="st-key-chips_"] { row-gap: 0; }
.st-key-refused_card { padding: 0.7rem 0.9rem; border-radius: 6px; }
/* Links that are followed by others, and what has nothing to show */
:is(.st-key-guide_way, .st-key-lead, .st-key-address) { display: none; }
[data-testid="stLayoutWrapper"]:has(> :is(.st-key-guide_way, .st-key-lead, .st-key-address)) { display: none; }
/* The guide takes no room where it was dismissed */
.st-key-guide { margin-bottom: -1rem; }
[data-testid="stMainBlockContainer"] h3 { font-size: 1.35rem; }
[data-testid="stMainBlockContainer"] h4 { font-size: 1.08rem; padding-top: 0.7rem; }
[data-testid="stSidebarContent"] { display: flex; flex-direction: column; }
[data-testid="stSidebarUserContent"] { flex: 1; display: flex; flex-direction: column; padding-bottom: 1.2rem; }
[data-testid="stSidebarUserContent"] > div { flex: 1; display: flex; flex-direction: column; }
[data-testid="stSidebarUserContent"] > div > div { flex: 1; }
[data-testid="stSidebarUserContent"] [data-testid="stLayoutWrapper"]:has(> .st-key-foot) { margin-top: auto; }
.st-key-foot, .st-key-foot [data-testid="stVerticalBlock"] { gap: 0; }
.st-key-foot [data-testid="stMarkdownContainer"] { margin-bottom: 0; }
.st-key-foot [data-testid="stPageLink-NavLink"] { padding: 0.1rem 0.5rem; margin-left: -0.5rem; }
.st-key-foot [data-testid="stPageLink-NavLink"]:not(:hover) { background: transparent; }
.st-key-foot [data-testid="stElementContainer"]:has([data-testid="stMarkdown"]) { margin: 0.7rem 0 -0.65rem; }
.st-key-foot [data-testid="stElementContainer"]:has([data-testid="stCaptionContainer"]) { margin-top: -0.2rem; }
/* Links to the next step look like the buttons beside them */
[class*="st-key-go_"] [data-testid="stPageLink-NavLink"] {
  min-height: 2.5rem; padding: 0.25rem 0.75rem; margin: 0; border-radius: 6px;
  border: 1px solid rgba(128, 134, 142, 0.45); background: transparent; justify-content: center;
}
[class*="st-key-go_"] [data-testid="stPageLink-NavLink"] p { font-weight: 400; white-space: normal; }
[class*="st-key-go_plain_"] [data-testid="stPageLink-NavLink"]:hover { border-color: ACCENT; }
[class*="st-key-go_plain_"] [data-testid="stPageLink-NavLink"]:hover p { color: ACCENT; }
[class*="st-key-go_primary_"] [data-testid="stPageLink-NavLink"] { background: ACCENT; border-color: ACCENT; }
[class*="st-key-go_primary_"] [data-testid="stPageLink-NavLink"]:hover { filter: brightness(0.92); }
[class*="st-key-go_primary_"] [data-testid="stPageLink-NavLink"] :is(p, span) { color: INK !important; }
/* Streamlit shows at buttons where the keyboard is, but not at links */
a:focus-visible { outline: 2px solid currentColor !important; outline-offset: 1px; border-radius: 6px; }
/* Streamlit's faded captions have a contrast of 4.3, below the 4.5 that small text needs */
[data-testid="stCaptionContainer"] { color: inherit; opacity: 0.74; }
[data-testid="stMetricValue"] { font-size: 1.7rem; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
@media (max-width: 640px) {
  [class*="st-key-wide_"] { overflow-x: auto; }
  .st-key-stacked_facts { flex-flow: row wrap; }
  .st-key-stacked_facts > div { width: auto; }
  [class*="st-key-wide_"] > div { min-width: 600px; }
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  [data-testid="stMainBlockContainer"] h1 { font-size: 1.6rem; }
}
</style>
"""

# Streamlit writes white on the accent colour in either theme; on the light accent of the dark theme white has a
# contrast of 2, this ink one of 8.
_DARK_INK = "#08201D"
_DARK_CSS = f"""
<style>
[kind="primary"], [kind="primaryFormSubmit"], [data-tag] {{ color: {_DARK_INK} !important; }}
[kind="primary"]:disabled, [kind="primaryFormSubmit"]:disabled {{ color: inherit !important; }}
</style>
"""


def apply() -> None:
    """Put the styles and the logo into the page."""
    dark = st.context.theme.type == "dark"
    accent = st.get_option(f"theme.{'dark' if dark else 'light'}.primaryColor")
    if ICON:  # on the dark page the logo's own green would be lost
        drawing = _LOGO.read_text(encoding="utf-8")
        st.logo(drawing.replace(_LOGO_GREEN, accent) if dark else drawing, size="large")
    st.html(_CSS.replace("ACCENT", accent).replace("INK", _DARK_INK if dark else "#FFFFFF"))
    if dark:
        st.html(_DARK_CSS)
