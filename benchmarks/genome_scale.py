"""What a training costs on a genome-scale table of effects: time by stage, peak memory, growth with the table.

The table is made here: a scale-free network with modules (each gene joins six earlier ones, drawn by degree as in
Barabási & Albert 1999, four in five of them in its own module of about 150 genes), 60 hidden programmes that are
carried along its edges, effects as programmes times loadings plus a part of each gene's own, and measurement noise of
known standard error that falls with the number of cells. ``P`` genes are perturbed, one a perturbation, ``R`` genes
respond, and the network has a fifth more genes than are perturbed.

Each size is trained in a process of its own, by :func:`hyperperturb.models.train.train_model` with the default
settings (``max_genes`` raised to hold the targets); its wall time, processor time and peak memory include the imports,
the reading of the table and the writing of the run. The second table is processor time. The size of a run is written
``PxR``.

Run: ``python benchmarks/genome_scale.py [--sizes 2000x8000 5000x8000 10000x8000] [--epochs N] [--keep FOLDER]``
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._report import header
from benchmarks.graph_common import peak_memory
from hyperperturb.data.effects import Effects
from hyperperturb.data.network import load_network, network_from_adjacency, save_network

EDGES, MODULE, WITHIN, PROGRAMMES = 6, 150, 0.8, 60
BLOCK = 512


def scale_free(n: int, seed: int, *, within: float = WITHIN) -> sparse.csr_array:
    """Return the symmetric adjacency of ``n`` nodes that each joined six earlier ones, drawn by degree.

    A share ``within`` of the edges stays in the node's own module, where that has members already.
    """
    rng = np.random.default_rng(seed)
    n_modules = max(n // MODULE, 1)
    module = rng.integers(n_modules, size=n)
    everywhere, inside = [0], [[] for _ in range(n_modules)]
    inside[module[0]].append(0)
    rows, columns = [], []
    for node in range(1, n):
        mine = inside[module[node]]
        chosen = set()
        for draw, stay in zip(rng.random(EDGES), rng.random(EDGES) < within, strict=True):
            ends = mine if stay and mine else everywhere  # an end of an edge at random: by degree
            chosen.add(ends[int(draw * len(ends))])
        for other in chosen:
            rows.append(node)
            columns.append(other)
            everywhere += [node, other]
            inside[module[other]].append(other)
            mine.append(node)
    matrix = sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(n, n)).tocsr()
    return sparse.csr_array(((matrix + matrix.T) > 0).astype(np.float32))


def make(folder: Path, n_perturbations: int, n_response: int, seed: int = 0) -> None:
    """Write ``effects.parquet`` and ``network.npz`` of one size into a folder."""
    rng = np.random.default_rng(seed)
    n = max(n_perturbations + n_perturbations // 5, n_response)
    genes = np.array([f"GENE{i:05d}" for i in range(n)])
    adjacency = scale_free(n, seed)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    step = sparse.diags_array(1.0 / degree) @ adjacency
    programme = rng.normal(size=(n, PROGRAMMES))
    for _ in range(2):  # what a gene does is half its own, half its neighbours'
        programme = 0.5 * programme + 0.5 * (step @ programme)
    programme = (programme / programme.std()).astype(np.float32)
    loading = (0.05 * rng.standard_t(4, size=(PROGRAMMES, n_response)) / np.sqrt(PROGRAMMES)).astype(
        np.float32
    )
    common = (0.03 * rng.normal(size=n_response)).astype(np.float32)
    hit = np.sort(rng.choice(n, n_perturbations, replace=False))
    response = np.sort(rng.choice(n, n_response, replace=False))
    level = rng.gamma(0.6, 0.6, size=n_response).astype(np.float32)
    cells = rng.negative_binomial(3, 3 / 153, size=n_perturbations) + 20
    effect = np.empty((n_perturbations, n_response), np.float32)
    error = np.empty_like(effect)
    spread = 0.1 + 0.4 * np.sqrt(level)
    for start in range(0, n_perturbations, BLOCK):
        rows = slice(start, min(start + BLOCK, n_perturbations))
        size = (rows.stop - start, n_response)
        error[rows] = spread / np.sqrt(cells[rows, None])
        effect[rows] = common + programme[hit[rows]] @ loading
        effect[rows] += 0.02 * rng.standard_normal(size, np.float32)
        effect[rows] += error[rows] * rng.standard_normal(size, np.float32)
    place = {gene: column for column, gene in enumerate(response)}
    for row, gene in enumerate(hit):  # the target itself goes down
        if gene in place:
            effect[row, place[gene]] = -0.8 * level[place[gene]]
    labels = tuple(genes[hit].tolist())
    effects = Effects(
        perturbations=labels,
        targets=tuple((label,) for label in labels),
        genes=tuple(genes[response].tolist()),
        effect=effect,
        standard_error=error,
        n_cells=cells.astype(np.int64),
        control="non-targeting",
        control_mean=level,
        control_variance=(spread**2).astype(np.float32),
        n_control_cells=50_000,
        mode="knockdown",
    )
    effects.save(folder / "effects.parquet")
    save_network(network_from_adjacency(adjacency, genes.tolist(), name="grown"), folder / "network.npz")


def one(folder: Path, epochs: int) -> dict:
    """Train in this process; return what was measured."""
    from hyperperturb.models.train import train_model

    events: list[tuple[float, dict]] = []
    network = load_network(folder / "network.npz")
    model, _ = train_model(
        folder / "effects.parquet",
        networks=[network],
        epochs=epochs,
        max_genes=len(network.genes),
        model_dir=folder / "runs",
        on_event=lambda event: events.append((time.process_time(), event)),
    )
    run = Path(model.run)
    metrics = json.loads((run / "metrics.json").read_text())
    stages: dict[str, float] = {"start": events[0][0]}
    name = "start"
    for (at, event), (end, _) in zip(events, [*events[1:], (time.process_time(), {})], strict=True):
        name = event["stage"] if event["kind"] == "stage" else name
        stages[name] = stages.get(name, 0.0) + end - at
    methods = {m["name"]: m for m in metrics["methods"]}
    return {
        "genes": len(network.genes),
        "stages": stages,
        "cpu": time.process_time(),
        "peak": peak_memory(),
        "run_mb": sum(f.stat().st_size for f in run.rglob("*") if f.is_file()) / 1e6,
        "held_out": metrics["n_perturbations"],
        "error": methods["hyperperturb"]["error"],
        "baseline": metrics["best_baseline"],
        "baseline_error": methods[metrics["best_baseline"]]["error"],
    }


def main() -> None:
    """Print the tables; with ``--one`` measure in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["2000x8000", "5000x8000", "10000x8000"], metavar="PxR")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="folder for tables and runs; a temporary one if not given")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.epochs)))
        return
    print(header("numpy", "scipy", "keras", "tensorflow"))
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.keep) as temporary:
        for size in arguments.sizes:
            folder = Path(temporary if arguments.keep is None else arguments.keep) / size
            if not (folder / "network.npz").exists():
                folder.mkdir(parents=True, exist_ok=True)
                make(folder, *map(int, size.split("x")))
            command = [sys.executable, __file__, "--one", str(folder), "--epochs", str(arguments.epochs)]
            started = time.monotonic()
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            wall = time.monotonic() - started
            rows.append((size, wall, json.loads(done.stdout.strip().splitlines()[-1])))
            print(size, f"{wall:.0f} s", file=sys.stderr, flush=True)
    print(
        "| size | genes | wall, s | processor, s | peak memory, MB | run, MB | held out | error | best baseline |\n"
        + "|---" * 9
        + "|"
    )
    for size, wall, r in rows:
        about = f"{r['genes']:,} | {wall:.0f} | {r['cpu']:.0f} | {r['peak']:,.0f} | {r['run_mb']:,.0f}"
        best = f"{r['baseline_error']:.3f} ({r['baseline']})"
        print(f"| {size} | {about} | {r['held_out']:,} | {r['error']:.3f} | {best} |")
    names = list(dict.fromkeys(name for _, _, r in rows for name in r["stages"]))
    print(
        "\nProcessor seconds by stage:\n\n| size | "
        + " | ".join(names)
        + " |\n"
        + "|---" * (len(names) + 1)
        + "|"
    )
    for size, _, r in rows:
        print(f"| {size} | " + " | ".join(f"{r['stages'].get(name, 0.0):.0f}" for name in names) + " |")


if __name__ == "__main__":
    main()
