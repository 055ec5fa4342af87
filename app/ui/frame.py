"""The frame of every page: question, lead, failures as sentences, empty states that lead on."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.components.save_figure import save_buttons
from app.ui.routes import page as route_page
from app.ui.text import plain
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.workspace import Workspace

if TYPE_CHECKING:
    from app.ui.state import Current

_LOGGER = logging.getLogger("hyperperturb.app")


def question(title: str, lead: str = "") -> None:
    """The title of the page, which is the question it answers, and one quiet sentence under it."""
    st.title(title, anchor=False)
    if lead:
        st.markdown(f":gray[{lead}]")


def log_path() -> Path:
    """Where unexpected errors are written."""
    return Workspace().root / "data" / "app.log"


def _log(error: Exception) -> str:
    """Write an unexpected error with its traceback to the log file; returns the number of the entry."""
    entry = uuid.uuid4().hex[:6]
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=2_000_000, backupCount=2, encoding="utf-8")
    except OSError:  # a full or read-only disk must not turn one failure into two
        _LOGGER.exception("entry %s", entry)
        return entry
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _LOGGER.addHandler(handler)
    try:
        _LOGGER.error("entry %s", entry, exc_info=error)
    finally:
        _LOGGER.removeHandler(handler)
        handler.close()
    return entry


def sentence(error: Exception) -> str:
    """What a person reads about an error: its own sentence, or where the details of an unexpected one are."""
    if isinstance(error, HyperPerturbError):
        return plain(error)
    if isinstance(error, MemoryError):
        return "The server ran out of memory on this step. Close other work on it, or use a smaller file."
    if isinstance(error, OSError) and error.errno == 28:
        return "The server's disk is full, so nothing was saved. Free some space and try again."
    entry = _log(error)
    return (
        f"Something unexpected went wrong here; your data are unchanged. The details are entry `{entry}` in "
        f"`{log_path()}` on the server."
    )


@contextmanager
def guard() -> Iterator[None]:
    """Show what goes wrong inside as a sentence, never as a traceback.

    Streamlit's own control flow (rerun, stop, switch of page) passes through, as it does not derive from `Exception`.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the last line of defence of a page
        st.error(sentence(error), icon=None)


def complaints(found: Iterable[str]) -> None:
    """Quiet notes about names that do not exist (any more)."""
    for line in found:
        st.warning(plain(line))


def go(page_key: str, label: str, *, key: str, primary: bool = False, **params: str) -> None:
    """A link that leads to another page, dressed as a button.

    A real button would change the page on the server. Where a part of the old page renews itself by a clock, its next
    request may then overtake the new page on its way to the browser, and Streamlit shows neither.
    """
    with st.container(key=f"{'go_primary' if primary else 'go_plain'}_{key}", width="content"):
        st.page_link(route_page(page_key), label=label, query_params=params or None, width="content")


def empty_state(title: str, why: str, *, to: str, label: str, key: str) -> None:
    """What a page shows when there is nothing to show yet: why, and the one step that changes it."""
    with st.container(border=True, key=f"empty_{key}"):
        st.subheader(title, anchor=False)
        st.markdown(f":gray[{why}]")
        go(to, label, key=f"{key}_go", primary=True)


def no_model(now: Current, why: str, *, key: str) -> None:
    """The empty state of a page that needs a trained model."""
    ready = now.dataset is not None and now.dataset.confirmed
    empty_state(
        "No model yet",
        why,
        to="train" if ready else "home",
        label="Train a model" if ready else "See the next step",
        key=key,
    )


def section(title: str, *, help: str | None = None) -> None:  # noqa: A002 - Streamlit's own word
    """A heading inside a page."""
    st.markdown(f"#### {title}", help=help)


def fold(label: str, show: Callable[[], None], *, key: str) -> None:
    """A folded part of a page. `show` builds it once it is opened, and nothing else of the page is built anew then."""

    @st.fragment
    def part() -> None:
        box = st.expander(label, key=key, on_change="rerun")
        if box.open:
            with box, guard():
                show()

    part()


def draw(figure: Any, name: str, *, key: str, alt: str, wide: bool = False, **options: Any) -> Any:
    """A figure, and under it the small menu that saves it: as a picture, as a vector picture, its numbers.

    The camera in the figure's corner saves it too; every file has the name `name`.

    `alt` is what a screen reader says instead of the picture: what is plotted against what, and what it shows, with
    the names and numbers that a glance would take from it. The table beside the figure has the rest. One that is `wide`
    keeps a width on a phone and is scrolled there.
    """
    config = {"toImageButtonOptions": {"filename": name, "scale": 2}}
    with st.container(key=f"wide_{key}") if wide else nullcontext():
        drawn = st.plotly_chart(figure, key=key, alt=alt, config=config, **options)
    _save_menu(figure, name, key)
    return drawn


def table(shown: Any, name: str, *, key: str, data: Any = None, **options: Any) -> Any:
    """A table, and under it a small button that saves it as a CSV file of that name.

    `data` is what the file holds where that is more than what is shown. Returns what Streamlit's table does.
    """
    drawn = st.dataframe(shown, hide_index=True, placeholder="–", key=f"table_{key}", **options)
    saved = shown if data is None else data
    with st.container(key=f"table_menu_{key}", horizontal_alignment="right"):
        st.download_button(
            "Save",
            data=lambda: saved.to_csv(index=False).encode(),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"save_table_{key}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            help="This table as CSV.",
        )
    return drawn


def _save_menu(figure: Any, name: str, key: str) -> None:
    with (
        st.container(key=f"figure_menu_{key}", horizontal_alignment="right"),
        st.popover("Save", type="tertiary", icon=":material/download:", key=f"save_menu_{key}"),
    ):
        save_buttons(key, key=f"save_picture_{key}")
        st.download_button(
            "Numbers (CSV)",
            data=lambda: _numbers(figure),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"save_numbers_{key}",
            on_click="ignore",
            width="stretch",
        )


def _numbers(figure: Any) -> bytes:
    from hyperperturb.plots.numbers import figure_numbers

    return figure_numbers(figure).to_csv(index=False).encode()


def facts(values: list[tuple[str, str, str | None]], *, stacked: bool = False) -> None:
    """A row of figures, or a stack of them beside a picture: label, value, help."""
    with st.container(horizontal=not stacked, gap="medium", key="stacked_facts" if stacked else None):
        for label, value, help_text in values:
            st.metric(label, value, help=help_text, width="content")
