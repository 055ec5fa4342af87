"""How long steps say where they are: one callback type, and a helper that adds rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""``progress(fraction, message)``: fraction done (0 to 1) and what is being done.

An exception raised by the callback stops the work and reaches the caller; nothing half-written stays.
"""


def no_progress(fraction: float, message: str) -> None:
    """Report to nobody: the default where a caller wants no progress.

    Parameters
    ----------
    fraction
        Part of the work that is done, 0 to 1.
    message
        What is being done.
    """


def scaled(progress: Progress | None, start: float, stop: float) -> Progress:
    """Give a sub-step its share of a larger step's progress.

    Parameters
    ----------
    progress
        The larger step's callback; None reports to nobody.
    start, stop
        The part of the larger step (fractions) that the sub-step fills.

    Returns
    -------
    Progress
        A callback that takes the sub-step's own fraction.

    Examples
    --------
    >>> seen = []
    >>> half = scaled(lambda fraction, message: seen.append(fraction), 0.5, 1.0)
    >>> half(0.5, "reading")
    >>> seen
    [0.75]
    """
    if progress is None:
        return no_progress
    return lambda fraction, message: progress(start + (stop - start) * fraction, message)


class RateMeter:
    """Turns counts of finished items into messages with a rate and the time left.

    Parameters
    ----------
    progress
        Where to report; None reports to nobody.
    total
        Number of items in all; None when nobody knows.
    what
        Words before the counts, e.g. ``"Reading cells"``.
    unit
        What is counted, in the plural; empty when `words` says it.
    every
        Shortest time between two reports, in seconds; the last item is always reported.
    begin
        Items that were there before: they count as done, not as work of this time.
    words
        Writes a number of items, e.g. :func:`~hyperperturb.files.file_size`; by default with commas.

    Examples
    --------
    >>> seen = []
    >>> meter = RateMeter(lambda f, m: seen.append((f, m)), 10, "Reading", "cells", every=0.0)
    >>> meter(10)
    >>> seen[-1][0], seen[-1][1].startswith("Reading: 10 of 10 cells")
    (1.0, True)
    """

    def __init__(
        self,
        progress: Progress | None,
        total: int | None,
        what: str,
        unit: str,
        *,
        every: float = 0.2,
        begin: int = 0,
        words: Callable[[float], str] = "{:,.0f}".format,
    ) -> None:
        self.progress = progress or no_progress
        self.total = None if total is None else max(int(total), 1)
        self.begin = begin
        self.words = words
        self.what = what
        self.unit = unit
        self.every = every
        self.started = time.monotonic()
        self.reported = float("-inf")

    def __call__(self, done: int) -> None:
        """Report that `done` items are finished (in all, not since the last call).

        Parameters
        ----------
        done
            Number of items finished so far.
        """
        now = time.monotonic()
        finished = self.total is not None and done >= self.total
        if not finished and now - self.reported < self.every:
            return
        self.reported = now
        of = "" if self.total is None else f" of {self.words(self.total)}"
        message = f"{self.what}: {self.words(done)}{of} {self.unit}".rstrip()
        elapsed, here = now - self.started, done - self.begin
        if elapsed > 0.5 and here > 0:
            message += f", {self.words(here / elapsed)} a second"
            if self.total is not None and not finished:
                message += f", {time_left(elapsed * (self.total - done) / here)} left"
        self.progress(0.0 if self.total is None else min(done / self.total, 1.0), message)


def time_left(seconds: float) -> str:
    """Write a duration the way a person says it.

    Parameters
    ----------
    seconds
        Duration in seconds, not negative.

    Returns
    -------
    str
        For example ``"40 s"``, ``"3 min"``, ``"2 h 5 min"``.

    Examples
    --------
    >>> time_left(12.3), time_left(200), time_left(7500)
    ('12 s', '3 min', '2 h 5 min')
    """
    seconds = max(float(seconds), 0.0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
