"""The event file: one JSON object a line, only ever appended to, so that pages can follow it by an offset."""

from __future__ import annotations

import json
import math
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
    with path.open("ab", buffering=0) as handle:
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
