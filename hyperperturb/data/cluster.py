"""The sums of a screen on a Dask cluster: past what one machine reads in a time that anybody waits for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.statistics import add_cells, add_genes, empty_sums, total_genes
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, RateMeter

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 3
"""Times that a part which failed is tried again."""
_PART_VALUES = 64 << 20  # stored values of a part: what is lost with a worker, and read in some seconds
_LEAST_VALUES = 1 << 20  # smaller parts cost more to hand out than to add up
_PARTS_A_THREAD = 4
_CONNECT = 10.0  # seconds
_LOOK = 1.0  # seconds between two looks at the parts; as long takes a cancelling


@dataclass(frozen=True)
class _Source:
    """A screen as a worker opens it."""

    path: Path
    layer: str
    tables: tuple[str, ...]
    shape: tuple[int, int]

    @contextmanager
    def open(self) -> Iterator[Screen]:
        if not self.path.exists():
            import platform

            raise HyperPerturbError(
                f"The worker on {platform.node()} has no file '{self.path}'.",
                hint="Put it where every worker finds it under this path, on a disk that they share.",
            )
        with open_screen(self.path, layer=self.layer, tables=self.tables) as screen:
            if screen.matrix.shape != self.shape:
                raise HyperPerturbError(
                    f"A worker sees another file under '{self.path}': {screen.n_cells:,} cells x "
                    f"{screen.n_genes:,} genes, not {self.shape[0]:,} x {self.shape[1]:,}.",
                    hint="Put the file where every worker finds it under this path.",
                )
            yield screen


def cluster_sums(
    screen: Screen,
    codes: np.ndarray,
    n_labels: int,
    *,
    scheduler: str,
    tables: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> np.ndarray:
    """Add up as :func:`~hyperperturb.data.statistics.label_sums` does, on the workers of a Dask cluster.

    Every worker opens the file itself. A part that fails is tried three times more; what a worker had when it was
    lost, others do again. When this ends, however it does, the cluster keeps nothing of it.

    Parameters
    ----------
    screen
        An open screen that came from a file.
    codes, n_labels
        As for ``label_sums``.
    scheduler
        Address of the scheduler, e.g. ``"tcp://10.0.0.5:8786"``.
    tables
        The tables the screen was opened with.
    progress
        Told the rate and the time left, every second; an exception it raises cancels what was not begun.

    Returns
    -------
    np.ndarray
        ``(n_labels, n_genes, 3)``: equal to the local ones but for the order in which they are added.

    Raises
    ------
    HyperPerturbError
        What ``label_sums`` refuses; no scheduler answers, it has no workers, they cannot read the file, or they come
        to an end again and again.
    """
    if screen.path is None:
        raise HyperPerturbError(
            "A cluster can only read a screen from a file, not from memory.",
            hint="Write it with write_h5ad where every worker finds it.",
        )
    codes = np.ascontiguousarray(codes, dtype=np.int32)
    source = _Source(
        Path(screen.path).absolute(),
        screen.layer or "X",
        tuple(str(Path(table).absolute()) for table in tables),
        screen.matrix.shape,
    )
    with _connected(scheduler) as client:
        n_threads = sum(client.nthreads().values())
        nnz = screen.matrix.nnz
        most = max(nnz // _PART_VALUES + 1, min(_PARTS_A_THREAD * n_threads, nnz // _LEAST_VALUES), 1)
        parts = screen.matrix.cuts(most)
        job = _Job(client, scheduler)
        if screen.storage == "csc":
            meter = RateMeter(progress, 2 * screen.n_genes, "Adding up genes, read twice", "genes")
            return _genes(job, source, codes, n_labels, parts, meter)
        meter = RateMeter(progress, screen.n_cells, "Adding up cells", "cells")
        return _cells(job, source, codes, n_labels, parts, meter)


def _cells(
    job: _Job,
    source: _Source,
    codes: np.ndarray,
    n_labels: int,
    parts: list[tuple[int, int]],
    meter: RateMeter,
) -> np.ndarray:
    """Sums of parts, added in pairs while others are still read."""
    leaves = {}
    waiting: list[tuple[int, Future]] = []  # sums not yet added, each of twice as many parts as the next
    for first, last in parts:
        size, total = 1, job.submit(_sum_cells, source, codes[first:last], n_labels, first, last)
        leaves[total] = last - first
        while waiting and waiting[-1][0] == size:
            total = job.submit(_add, waiting.pop()[1], total, priority=1)
            size *= 2
        waiting.append((size, total))
    while len(waiting) > 1:
        last_size, last_total = waiting.pop()
        size, total = waiting.pop()
        waiting.append((size + last_size, job.submit(_add, total, last_total, priority=1)))
    ((_, whole),) = waiting
    del waiting, total
    job.watch(leaves, meter)
    job.watch({whole: 0}, meter)
    return whole.result()


def _genes(
    job: _Job,
    source: _Source,
    codes: np.ndarray,
    n_labels: int,
    parts: list[tuple[int, int]],
    meter: RateMeter,
) -> np.ndarray:
    """Totals of all cells first; then every part has the sums of its own genes."""
    shares = [job.submit(_total_genes, source, first, last) for first, last in parts]
    job.watch({share: last - first for share, (first, last) in zip(shares, parts, strict=True)}, meter)
    totals, disordered = np.zeros(source.shape[0]), set()
    for share in shares:
        more, starts = share.result()
        totals += more
        disordered |= starts
    del share, shares
    given = job.spread((codes, totals, disordered))
    pieces = [job.submit(_sum_genes, source, given, n_labels, first, last) for first, last in parts]
    job.watch({piece: last - first for piece, (first, last) in zip(pieces, parts, strict=True)}, meter)
    sums = empty_sums(n_labels, source.shape[1])
    for piece, (first, last) in zip(pieces, parts, strict=True):
        sums[:, first:last] = piece.result()
    return sums


def _sum_cells(source: _Source, codes: np.ndarray, n_labels: int, first: int, last: int) -> np.ndarray:
    with source.open() as screen:
        sums = empty_sums(n_labels, screen.n_genes)
        add_cells(screen, codes, sums, first, last)
    return sums


def _total_genes(source: _Source, first: int, last: int) -> tuple[np.ndarray, set[int]]:
    with source.open() as screen:
        return total_genes(screen, first, last)


def _sum_genes(
    source: _Source, given: tuple[np.ndarray, np.ndarray, set[int]], n_labels: int, first: int, last: int
) -> np.ndarray:
    codes, totals, disordered = given
    with source.open() as screen:
        sums = empty_sums(n_labels, last - first)
        add_genes(screen, codes, totals, disordered, sums, first, last)
    return sums


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b  # never in place: should one of them be lost, the other is needed again as it was


@dataclass
class _Job:
    """Work on a cluster: hands it out, waits for it, and says what went wrong."""

    client: Client
    address: str
    done: int = 0

    def submit(self, function: Any, *arguments: Any, priority: int = 0) -> Future:
        return self.client.submit(function, *arguments, pure=False, retries=RETRIES, priority=priority)

    def spread(self, values: Any) -> Future:
        """Put values on the cluster once; made by a task, so that they come again should their worker be lost."""
        return self.submit(_same, values)

    def watch(self, futures: dict[Future, int], meter: RateMeter) -> None:
        """Wait for futures, each of so many items; they are let go of one by one (`futures` is emptied)."""
        from distributed import wait

        while futures:
            try:
                with self.client.as_current():
                    ready = wait(list(futures), timeout=_LOOK, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                ready = ()
            for future in ready:
                self.done += futures.pop(future)
                if future.status != "finished":
                    self._fail(future)
            meter(self.done)
            if not ready and not self.client.nthreads():
                meter.progress(self.done / (meter.total or 1), "Waiting: the cluster has no workers left")

    def _fail(self, future: Future) -> None:
        from distributed import KilledWorker

        if future.status == "cancelled":
            raise HyperPerturbError(
                f"The connection to the scheduler at {self.address} was lost.",
                hint="Start it again and repeat the command.",
            )
        error = future.exception()
        if isinstance(error, HyperPerturbError):
            raise error
        if isinstance(error, KilledWorker):
            raise HyperPerturbError(
                "Workers of the cluster came to an end again and again over the same part of the screen.",
                hint="Most often their memory is too small: start them with fewer threads or a higher limit.",
            ) from error
        if isinstance(error, ImportError):
            raise HyperPerturbError(
                f"The workers of the cluster lack a package ({error}).",
                hint="Install the same version of hyperperturb on each of them.",
            ) from error
        reason = (str(error).splitlines() or [""])[0][:200]
        raise HyperPerturbError(
            f"A part of the screen failed on the cluster, {RETRIES + 1} times ({type(error).__name__}: {reason}).",
            hint="The workers' logs say more.",
        ) from error


def _same(values: Any) -> Any:
    return values


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise HyperPerturbError(
            f"No Dask scheduler answers at '{address}'.",
            hint="Start one with 'dask scheduler' and give the address it prints, like tcp://10.0.0.5:8786.",
        ) from error
    log = logging.getLogger("distributed")
    level = log.level
    try:
        try:
            client.wait_for_workers(1, timeout=_CONNECT)
        except TimeoutError:
            raise HyperPerturbError(
                f"The Dask scheduler at {address} has no workers.",
                hint=f"Start some: dask worker {address} --nworkers 4 --nthreads 1.",
            ) from None
        yield client
    finally:
        log.setLevel(logging.CRITICAL)  # what is cancelled here is no news to the person who cancelled it
        client.close()
        log.setLevel(level)
