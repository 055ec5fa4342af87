"""The event file: one JSON object a line, only ever appended to, so that pages can follow it by an offset."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def append_event(path: Path, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Append one event.

    Parameters
    ----------
    path
        The event file.
    kind
        ``log``, ``stage``, ``epoch`` or ``state``.
    values
        What is reported; NumPy values become plain ones, what is not finite becomes null.

    Returns
    -------
    dict
        The event as it was written, with ``time`` (ISO 8601, UTC) and ``kind``.
    """
    event = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
    event |= {key: _plain(value) for key, value in values.items()}
    line = json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n"
    with path.open("ab+", buffering=0) as handle:
        if handle.tell() and handle.seek(-1, os.SEEK_END) >= 0 and handle.read(1) != b"\n":
            line = "\n" + line  # a writer died within its line
        handle.write(line.encode())  # one write in append mode: lines of two writers never mix
    return event


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read the events after an offset.

    Parameters
    ----------
    path
        The event file; it need not exist yet.
    offset
        Where an earlier look ended, in bytes.

    Returns
    -------
    events : list of dict
        Whole lines only; a line that is not JSON is passed over.
    offset : int
        What to give next time.
    """
    try:
        with path.open("rb") as handle:
            handle.seek(offset)
            data = handle.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events, offset + len(whole)


def last_of_each_epoch(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each epoch of each stage, in the order in which they were first reported.

    A training that was interrupted and taken up again reports the epoch it was interrupted in once more: the last
    report counts.

    Parameters
    ----------
    events
        Events of every kind.

    Examples
    --------
    >>> epoch = {"kind": "epoch", "stage": "genes", "epoch": 1}
    >>> last_of_each_epoch([epoch | {"loss": 2.0}, epoch | {"loss": 1.0}])
    [{'stage': 'genes', 'epoch': 1, 'loss': 1.0}]
    """
    rows: dict[Any, dict[str, Any]] = {}
    for event in events:
        if event.get("kind") == "epoch":
            rows[event.get("stage"), event.get("epoch")] = {k: v for k, v in event.items() if k != "kind"}
    return list(rows.values())


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
