"""How long the STRING reader takes, and how much memory, on a network of the size of STRING v12, human.

The real file has 13.7 million rows (each link twice) over some 19,600 proteins and cannot be shipped. A file of that
size is made here: degrees with a heavy tail, most scores (86 %) below the 400 that the reader keeps by default, rows
sorted by protein, gzipped. It is read in a process of its own; time and peak memory stand beside what the same file
costs to unpack, and beside pandas.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import header

PROTEINS, LINKS = 19_622, 6_857_702  # each link is listed in both directions
LINKS_NAME, INFO_NAME = "9606.protein.links.v12.0.txt.gz", "9606.protein.info.v12.0.txt.gz"


def write_string(folder: Path, *, proteins: int = PROTEINS, links: int = LINKS, seed: int = 0) -> Path:
    """Write protein.links and protein.info in STRING's format; returns the path of the links."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    random = np.random.default_rng(seed)
    weight = random.lognormal(sigma=0.9, size=proteins)
    weight /= weight.sum()
    keys = np.empty(0, dtype=np.int64)
    while keys.size < links:
        i, j = random.choice(proteins, size=(2, int(1.3 * (links - keys.size)) + 1000), p=weight)
        pairs = np.minimum(i, j).astype(np.int64) * proteins + np.maximum(i, j)
        keys = np.unique(np.concatenate([keys, pairs[i != j]]))
    keys = np.sort(random.permutation(keys)[:links])
    low, high = keys // proteins, keys % proteins
    score = np.minimum(150 + random.exponential(127.0, size=links), 999).astype(np.int64)
    first, second = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((second, first))
    names = np.array([f"9606.ENSP{k:011d}" for k in range(233, 233 + proteins)])
    table = pa.table(
        {
            "protein1": pa.DictionaryArray.from_arrays(first[order], names).cast(pa.string()),
            "protein2": pa.DictionaryArray.from_arrays(second[order], names).cast(pa.string()),
            "combined_score": np.tile(score, 2)[order],
        }
    )
    path = folder / LINKS_NAME
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(b"protein1 protein2 combined_score\n")
        options = arrow_csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
        arrow_csv.write_csv(table, file, write_options=options)
    with gzip.open(folder / INFO_NAME, "wt") as file:
        file.write("#string_protein_id\tpreferred_name\tprotein_size\tannotation\n")
        file.writelines(f"{name}\tGENE{k}\t{100 + k}\tsome words about it\n" for k, name in enumerate(names))
    return path


_READERS = {
    "unpacking alone (zlib)": "import gzip\nf = gzip.open(path)\nwhile f.read(1 << 22): pass\nprint(0)",
    "pandas.read_csv, filter, map": (
        "import pandas as pd\n"
        "links = pd.read_csv(path, sep=' ')\n"
        "info = pd.read_csv(info, sep='\\t')\n"
        "names = dict(zip(info.iloc[:, 0], info.iloc[:, 1]))\n"
        "links = links[links.combined_score >= 400]\n"
        "links = links.assign(a=links.protein1.map(names), b=links.protein2.map(names)).dropna()\n"
        "links = links[links.a < links.b]\n"
        "print(len(links))"
    ),
    "read_network": "from hyperperturb.data.network import read_network\nprint(read_network(path).n_edges)",
}


def measure(code: str, path: Path) -> tuple[float, float, int]:
    """Run a reader in a process of its own: seconds after the imports of the process, peak memory in GB, edges."""
    script = (
        "import re, sys, time\nfrom pathlib import Path\n"
        "import numpy, scipy.sparse, pyarrow.csv, pyarrow.compute, pandas\n"
        f"path, info = Path({str(path)!r}), Path({str(path.with_name(INFO_NAME))!r})\n"
        f"start = time.perf_counter()\n{code}\n"
        # not getrusage: its peak is inherited from the parent
        "print(time.perf_counter() - start, re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    edges, rest = done.stdout.strip().splitlines()[-2:]
    seconds, kilobytes = rest.split()
    return float(seconds), float(kilobytes) / 1024**2, int(edges)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the files here and use them again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LINKS_NAME
        if not path.exists():
            start = time.perf_counter()
            write_string(folder)
            print(f"made in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        print(header("pyarrow", "numpy", "pandas", note=f"{2 * LINKS:,} rows, best of {arguments.repeats}"))
        print("| reader | seconds | peak memory, GB | edges |")
        print("| --- | --- | --- | --- |")
        for name, code in _READERS.items():
            runs = [measure(code, path) for _ in range(arguments.repeats)]
            print(
                f"| {name} | {min(r[0] for r in runs):.1f} | {max(r[1] for r in runs):.2f} | {runs[0][2]:,} |"
            )


if __name__ == "__main__":
    main()
