"""The repair list: what stands out in a file, why it matters, and what mends it."""

from __future__ import annotations

import streamlit as st

from app.ui.frame import section
from app.ui.text import plain, plural
from hyperperturb.data.screen import Repair

SEVERITY = {"error": "Must be mended", "warning": "Worth knowing", "note": "Note"}


def show(found: tuple[Repair, ...]) -> None:
    """The repair list: what, where, why it matters, and what mends it."""
    section("Repair list", help="What stands out in the file, why it matters, and what mends it.")
    if not found:
        st.markdown(":gray[Nothing to repair.]")
        return
    st.caption(plural(len(found), "entry", "entries"))
    entries(found)


def entries(found: tuple[Repair, ...]) -> None:
    """Entries of a repair list or of a screen's quality, to be opened one by one."""
    for repair in found:
        with st.expander(
            f"**{SEVERITY[repair.severity]}** · {plain(repair.what)}", expanded=repair.severity == "error"
        ):
            st.markdown(f"**Where** {plain(repair.where)}  \n**Why it matters** {plain(repair.why)}")
            if "adata" in repair.mend:
                st.code(repair.mend, language="python", wrap_lines=True)
            else:
                st.markdown(f"**What to do** {plain(repair.mend)}")
