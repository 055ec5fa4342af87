"""The entry of the web app: ``streamlit run app/Home.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # Streamlit puts only this file's folder on the path
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from app.ui import address, guide, style  # noqa: E402
from app.ui.frame import complaints, guard  # noqa: E402
from app.ui.routes import ROUTES, moved, navigation  # noqa: E402
from app.ui.sidebar import foot  # noqa: E402
from app.ui.state import complaints as told  # noqa: E402
from app.ui.state import current, publish, sync  # noqa: E402

st.set_page_config(page_title="HyperPerturb", page_icon=style.ICON, layout="wide")
chosen, page_key = navigation()
st.session_state["page_key"] = page_key
style.apply()
if (instead := moved(page_key)) is not None:
    kept = {name: st.query_params[name] for name in ROUTES[instead].carries if name in st.query_params}
    address.lead(instead, kept, instead=True)
    address.follow(page_key)
    st.stop()
busy = False
with guard():
    sync(page_key)
    address.keep(publish)
    now = current()
    busy = bool(now.active)
    complaints(told(page_key))
    if page_key != "home":
        guide.line(now, page_key)
    chosen.run()
    if page_key == "home":
        guide.line(now, page_key)
with guard():
    address.follow(page_key)
with guard():
    # Last, so that what the page has just changed is told here at once.
    foot(busy=busy)
