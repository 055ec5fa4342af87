"""Is a process still the one that was started? Process ids are reused, so the start time counts too."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_STATE, _START = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted after the name (proc(5))
_GONE = ("Z", "X", "x")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # the name in parentheses may itself hold spaces and parentheses


def start_time(pid: int) -> float | None:
    """When a process was started, in seconds since the machine's boot.

    Parameters
    ----------
    pid
        Process id.

    Returns
    -------
    float or None
        None where the system has no ``/proc`` or the process is gone.

    Examples
    --------
    >>> import os
    >>> start_time(os.getpid()) == start_time(os.getpid())
    True
    """
    fields = _stat(pid)
    if fields is None:
        return None
    return int(fields[_START]) / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int, started: float | None = None) -> bool:
    """Whether the process runs, and is the one that started then.

    Parameters
    ----------
    pid
        Process id.
    started
        What :func:`start_time` said when it was started; None skips that comparison.

    Returns
    -------
    bool
        False also for a process that ended and waits to be collected by its parent.

    Examples
    --------
    >>> import os
    >>> is_alive(os.getpid()), is_alive(os.getpid(), started=-1.0)
    (True, False)
    """
    fields = _stat(pid)
    if fields is not None:
        if fields[_STATE] in _GONE:
            return False
        return started is None or start_time(pid) == started
    if Path("/proc/self/stat").exists():
        return False
    try:  # no /proc on this system: the id alone has to do
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def stderr_into(path: Path | str) -> Iterator[None]:
    """Send what this process writes to stderr, compiled libraries included, to the end of a file.

    TensorFlow's first lines come before it reads its own log level; this is the only way to keep them from a
    person's terminal.

    Parameters
    ----------
    path
        The file; ``os.devnull`` drops everything.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(path).open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
