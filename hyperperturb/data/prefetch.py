"""Reading the next block while the last one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any


def prefetch(jobs: Iterator[Callable[[], Any]]) -> Iterator[Any]:
    """Run jobs one ahead of their consumer, in one reader thread.

    Parameters
    ----------
    jobs
        Functions without arguments; each reads and decodes one block.

    Yields
    ------
    Any
        What the jobs return, in order. At most three results exist at a time: one in use, one waiting, one being
        made. When the consumer stops, the thread stops after the block it is reading.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def put(item: tuple[str, Any]) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for job in jobs:
                if stopped.is_set():
                    return
                put(("block", job()))
            put(("end", None))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            put(("error", error))

    thread = threading.Thread(target=work, name="hyperperturb-reader", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        stopped.set()
        thread.join()
