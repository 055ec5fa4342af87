"""The log of a run as people read it: what it reported, and what its process printed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperperturb.runs.directory import RunDirectory

_MOST_PRINTED = 200_000  # bytes from the end: a library may have printed gigabytes


def lines(events: Iterable[dict[str, Any]], last: int | None = None) -> str:
    """What a run reported beside its epochs, a line each with the time of day.

    Parameters
    ----------
    events
        Events of every kind.
    last
        Only so many lines from the end; all when None.
    """
    out: list[str] = []
    for event in events:
        message = event.get("message")
        if event.get("kind") == "epoch" or not message:
            continue
        clock = datetime.fromisoformat(event["time"]).astimezone() if "time" in event else datetime.now(UTC)
        line = f"{clock:%H:%M:%S}  {message}"
        if not out or out[-1] != line:
            out.append(line)
    return "\n".join(out if last is None else out[-last:])


def printed(run: RunDirectory) -> str:
    """What the process and its libraries printed, tracebacks included; the end of it where it is long."""
    try:
        with run.file("log.txt").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _MOST_PRINTED, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text if size <= _MOST_PRINTED else f"[the beginning is left out]\n{text.partition(chr(10))[2]}"


def whole_log(run: RunDirectory) -> str:
    """Reports and printed lines in one text, to keep or to send to somebody who can help."""
    status = run.status
    parts = [f"{run.name}: {status.state}" + (f" while {status.stage}" if status.stage else "")]
    parts += [status.error or "", lines(run.events()[0])]
    if text := printed(run).strip():
        parts += ["Printed by the process:", text]
    return "\n\n".join(part for part in parts if part) + "\n"
