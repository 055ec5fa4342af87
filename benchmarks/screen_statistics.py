"""Statistics of whole screens: time and peak memory beside the plain reading of the file, and beside scanpy in memory.

Every row is a process of its own, from its start to its end (imports included), the median of the repeats; files are in
the system's cache. The screen has 23,712 genes, 249 labels and 1,650 genes a cell; ``--screen`` takes another one with
the labels ``perturbation`` and ``control``.

This process imports next to nothing and leaves all work to others: a process counts the memory of the one that started
it as its own peak.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _report import header

STORAGES = ("csr", "csc", "dense")
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu: float
    peak: float  # MB

    @property
    def times(self) -> str:
        """Seconds, and those of the processor, which others on the machine do not lengthen as much."""
        return f"{self.seconds:.1f} s ({self.cpu:.1f})"

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s | {self.cpu:.1f} s | {self.peak:,.0f} MB"


def run(command: list[str], repeats: int) -> Cost:
    """Run a command so many times; the median of what it took, and the highest peak."""
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH", ""))))
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        process.returncode = 0
        found.append(
            Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        )
    return Cost(
        statistics.median(cost.seconds for cost in found),
        statistics.median(cost.cpu for cost in found),
        max(cost.peak for cost in found),
    )


def task(name: str, *arguments: object, repeats: int = 1) -> Cost:
    """Run one of the tasks of ``_big_screen.py``."""
    return run([sys.executable, str(HERE / "_big_screen.py"), name, *map(str, arguments)], repeats)


def made(path: Path, n_cells: int) -> Path:
    """Make a screen."""
    task("make", path, n_cells)
    return path


def whole_screen(path: Path, repeats: int, *, workers: int, quality: bool, peer: bool) -> None:
    """Print what one screen takes."""
    print(f"{path.stat().st_size / 1e9:.2f} GB.\n")
    print("| | time | processor | peak memory | times decoding |\n| --- | --- | --- | --- | --- |")
    floor = task("decode", path, repeats=repeats)
    print(f"| decoding the arrays, nothing else | {floor} | 1.0 |", flush=True)
    cost = task("effects", path, repeats=repeats)
    print(f"| `compute_effects` | {cost} | {cost.seconds / floor.seconds:.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "effects.parquet"
        command = [sys.executable, "-m", "hyperperturb", "effects", str(path), str(out)]
        cost = run(command, repeats)
        size = out.stat().st_size / 1e6
    print(
        f"| `hyperperturb effects`, table of {size:.0f} MB included | {cost} | {cost.seconds / floor.seconds:.2f} |",
        flush=True,
    )
    if workers:
        cost = task("cluster", path, workers, repeats=repeats)
        print(
            f"| on a Dask cluster of {workers} workers here, its start included (peak of a worker) | {cost} | "
            f"{cost.seconds / floor.seconds:.2f} |",
            flush=True,
        )
    if quality:
        cost = run([sys.executable, "-m", "hyperperturb", "quality", str(path)], 1)
        print(f"| `hyperperturb quality` | {cost} | {cost.seconds / floor.seconds:.2f} |", flush=True)
    if peer:
        cost = task("scanpy", path)
        print(f"| scanpy in memory | {cost} | {cost.seconds / floor.seconds:.2f} |", flush=True)
    print()


def sizes(folder: Path, numbers: list[int], repeats: int) -> None:
    """Print time and memory of screens of several sizes, and what follows for two million cells."""
    print(
        "| cells | decoding (processor) | `compute_effects` (processor) | ratio | peak memory |\n"
        "| --- | --- | --- | --- | --- |"
    )
    found = []
    for n_cells in numbers:
        path = made(folder / "size.h5ad", n_cells)
        floor, cost = task("decode", path, repeats=repeats), task("effects", path, repeats=repeats)
        found.append((n_cells, cost))
        print(
            f"| {n_cells:,} | {floor.times} | {cost.times} | {cost.seconds / floor.seconds:.2f} | "
            f"{cost.peak:,.0f} MB |",
            flush=True,
        )
        path.unlink()
    (small, first), (large, last) = found[0], found[-1]
    per_cell = (last.seconds - first.seconds) / (large - small)
    more = (last.peak - first.peak) * 1e6 / (large - small)
    at = last.seconds + per_cell * (2_000_000 - large)
    print(
        f"\nBetween the smallest and the largest: {per_cell * 1e6:.0f} s and {more:.0f} MB more for each million "
        f"cells. Two million cells: {at:.0f} s.\n"
    )


def formats(folder: Path, n_cells: int, repeats: int, storages: Sequence[str]) -> None:
    """Print what the same cells take in these storages."""
    print(
        "| | file | decoding (processor) | `compute_effects` (processor) | ratio | peak memory |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    source = made(folder / "plain.h5ad", n_cells)
    for storage in storages:
        for compression in ("lzf", "gzip", "none", "zarr"):
            path = folder / ("a.zarr" if compression == "zarr" else "a.h5ad")
            task("convert", source, path, storage, compression)
            files = [file for file in path.rglob("*") if file.is_file()] or [path]
            size = sum(file.stat().st_size for file in files)
            floor, cost = task("decode", path, repeats=repeats), task("effects", path, repeats=repeats)
            kind = {"none": "not compressed"}.get(compression, compression)
            name = "`.zarr`" if compression == "zarr" else f"`.h5ad`, {kind}"
            print(
                f"| {storage}, {name} | {size / 1e6:,.0f} MB | {floor.times} | {cost.times} | "
                f"{cost.seconds / floor.seconds:.2f} | {cost.peak:,.0f} MB |",
                flush=True,
            )
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=218_331)
    parser.add_argument("--screen", type=Path, help="a screen that is there already")
    parser.add_argument("--scanpy", action="store_true", help="also in memory (9 GB)")
    parser.add_argument("--cluster", type=int, default=0, help="also on so many workers")
    parser.add_argument("--quality", action="store_true", help="also the quality of the screen")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of cells (7 KB of disk each)")
    parser.add_argument("--formats", type=int, help="number of cells in every storage")
    parser.add_argument("--storages", nargs="+", default=STORAGES, choices=STORAGES, help="of --formats")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(header("numpy", "numba", "h5py", "scanpy"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = asked.screen or made(folder / "screen.h5ad", asked.cells)
        whole_screen(path, asked.repeats, workers=asked.cluster, quality=asked.quality, peer=asked.scanpy)
        (folder / "screen.h5ad").unlink(missing_ok=True)
        if asked.sizes:
            sizes(folder, asked.sizes, asked.repeats)
        if asked.formats:
            formats(folder, asked.formats, asked.repeats, asked.storages)


if __name__ == "__main__":
    main()
