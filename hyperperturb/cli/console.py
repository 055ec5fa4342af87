"""What every command shares: JSON on stdout, progress and notes on stderr, tables."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from hyperperturb.progress import Progress

SHOWN = 20
"""Rows of a table on a terminal."""


@dataclass
class State:
    """What holds for the whole call."""

    debug: bool = False

    def reset(self, *, debug: bool) -> None:
        """Forget an earlier call in the same process."""
        self.debug = debug


STATE = State()


@contextlib.contextmanager
def json_only(wanted: bool) -> Iterator[None]:
    """Keep stdout for JSON: whatever else prints inside goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def print_json(value: Any) -> None:
    """Print a pydantic model or plain values; NaN becomes null."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="json"))
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def note(message: str) -> None:
    """Say something beside the result, on stderr."""
    print(message, file=sys.stderr)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns that are as wide as they need to be; numbers stand to the right."""
    text = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(h), *(len(row[i]) for row in text)]) for i, h in enumerate(header)]
    columns = [[row[i] for row in rows if row[i] is not None] for i in range(len(header))]
    right = [bool(column) and all(isinstance(cell, int | float) for cell in column) for column in columns]
    for line in [list(header), *text]:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@contextlib.contextmanager
def show_progress() -> Iterator[Progress]:
    """Show a long step's progress on stderr: a bar on a terminal, else a line every few seconds.

    Yields
    ------
    Progress
        To give to the long step.
    """
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, message: bar.update(task, completed=fraction, description=message)


def _lines(every: float = 3.0) -> Progress:
    last = time.monotonic()

    def report(fraction: float, message: str) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            note(f"{fraction:4.0%} {message}")

    return report


class EventPrinter:
    """Prints the events of a run as lines, not faster than a person reads.

    Parameters
    ----------
    stream
        Where to print.
    every
        Shortest time between two lines of one stage, in seconds; log lines and last epochs always appear.
    """

    def __init__(self, stream: TextIO, *, every: float = 1.0) -> None:
        self.stream = stream
        self.every = every
        self.started = time.monotonic()
        self.last = float("-inf")
        self.stage = ""

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "state":
            return
        now = time.monotonic()
        new = event.get("stage", self.stage) != self.stage
        final = kind == "epoch" and event["epoch"] >= event.get("epochs", 0)
        if kind != "log" and not new and not final and now - self.last < self.every:
            return
        self.stage = event.get("stage", self.stage)
        self.last = now
        print(f"[{now - self.started:6.1f} s] {_words(event)}", file=self.stream, flush=True)


def _words(event: dict[str, Any]) -> str:
    if event["kind"] != "epoch":
        return str(event["message"])
    losses = [
        f"{word} {event[key]:.4g}"
        for word, key in (("loss", "loss"), ("validation", "val_loss"))
        if event.get(key) is not None
    ]
    place = f"{event.get('stage', '')}: epoch {event['epoch']} of {event.get('epochs', '?')}".removeprefix(
        ": "
    )
    return ", ".join([place, *losses])
