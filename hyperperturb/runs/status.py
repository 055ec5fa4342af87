"""Where a run is, and how long it will still take."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["queued", "running", "finished", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("finished", "failed", "cancelled")


class RunStatus(BaseModel):
    """Where a run is; ``memory`` is the most bytes that its process had held when it last reported.

    Examples
    --------
    >>> RunStatus(updated="2026-01-31T12:00:00Z").done
    False
    """

    model_config = ConfigDict(frozen=True)

    state: State = "queued"
    stage: str = ""
    message: str = ""
    epoch: int = 0
    epochs: int = 0
    fraction: float = 0.0
    seconds_left: float | None = None
    started: datetime | None = None
    updated: datetime
    pid: int | None = None
    pid_started: float | None = None
    error: str | None = None
    device: str = ""
    memory: int | None = None

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in FINAL

    @property
    def seconds(self) -> float:
        """Seconds from the start to the last sign of life (0 before the start)."""
        return (self.updated - self.started).total_seconds() if self.started else 0.0


class Pace:
    """Estimates the time left from how fast the finished fraction has grown lately.

    Parameters
    ----------
    window
        Seconds to look back.

    Examples
    --------
    >>> pace = Pace()
    >>> pace.at(0.2, now=0.0)
    >>> pace.at(0.4, now=10.0)
    >>> pace.seconds_left()
    30.0
    """

    def __init__(self, window: float = 30.0) -> None:
        self.window = window
        self._points: deque[tuple[float, float]] = deque()

    def at(self, fraction: float, *, now: float | None = None) -> None:
        """Note that a fraction (0 to 1) is done, now or at a given monotonic time in seconds."""
        now = time.monotonic() if now is None else now
        if self._points and now - self._points[-1][0] < 0.1 and len(self._points) > 1:
            self._points.pop()  # callers may report thousands of times a second
        self._points.append((now, fraction))
        while len(self._points) > 2 and now - self._points[1][0] > self.window:
            self._points.popleft()

    def seconds_left(self) -> float | None:
        """Seconds until the fraction is 1; None while there is too little to go by."""
        if len(self._points) < 2:
            return None
        (t0, f0), (t1, f1) = self._points[0], self._points[-1]
        if f1 <= f0 or t1 - t0 < 1.0:
            return None
        return round((1.0 - f1) * (t1 - t0) / (f1 - f0), 1)
