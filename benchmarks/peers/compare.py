#!/usr/bin/env python3
"""A published method beside ours: same cells, same folds, same judge. Prints a Markdown table for each screen.

The peer runs in a Python of its own (``make_environment.sh`` makes one) and knows nothing of hyperperturb: it gets a
task folder and answers with predicted effects (``exchange.py``). Its answers, ours and those of the simple baselines
are scored by the same metrics. Every worker has one thread; times are processor seconds over all folds, with imports.

All methods see log1p of counts scaled to the median depth, the scale that peers are made for, and are judged on it. On
``papalexi`` the peer's gene graph is made of GO annotations, on ``demo`` of the simulated network (a gene's "terms" are
itself and its neighbours).

Run: ``python benchmarks/peers/compare.py [--screen papalexi demo] [--peer gears] [--epochs 3] [--peer-python PATH]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks._report import header
from benchmarks.peers.exchange import THREADS, read_answer
from hyperperturb.data import coexpression_network, compute_effects, read_network, simulate_screen
from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.cross_validation import CrossValidation, cross_validate
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.splits import Split, gene_folds
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.universe import build_universe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT.parent / "shared" / "data"
PEERS = {"gears": "gears_worker.py"}
CONTROL, SEED, FOLDS = "non-targeting", 0, 5
RENAMED = {"MARCH8": "MARCHF8"}  # today's symbol of a target that the screen names as it was in 2021
SHOWN = ("error", "pearson_control", "pearson_mean", "cosine_discrimination", "sign_agreement")
NAMES = {
    "hyperperturb": "HyperPerturb, knowing what the peer knows",
    "hyperperturb_string": "HyperPerturb, STRING and co-expression",
}


def median_log(screen):
    """The screen with log1p of counts scaled to the median depth; labels only."""
    import anndata
    from scipy import sparse

    counts = sparse.csr_matrix(screen.X, dtype=np.float64)
    depth = np.asarray(counts.sum(axis=1)).ravel()
    scaled = sparse.diags_array(np.median(depth) / np.maximum(depth, 1.0)) @ counts
    return anndata.AnnData(
        X=sparse.csr_matrix(scaled.log1p(), dtype=np.float32),
        obs=screen.obs[["perturbation"]].astype(str),
        var=pd.DataFrame(index=screen.var_names),
    )


def write_papalexi(folder: Path, data: Path) -> dict[str, list[Path]]:
    """Papalexi 2021 and GO; returns the networks of each of our rows."""
    import anndata

    screen = anndata.read_h5ad(data / "screens" / "papalexi2021_thp1_299genes.h5ad")
    median_log(screen).write_h5ad(folder / "screen.h5ad")
    terms = pd.read_csv(data / "networks" / "gene_go.csv.gz", header=0, names=["gene", "term"])
    older = [terms[terms["gene"] == new].assign(gene=old) for old, new in RENAMED.items()]
    pd.concat([terms, *older]).to_csv(folder / "terms.csv", index=False)
    return {
        "hyperperturb": [folder / "terms.csv"],
        "hyperperturb_string": [data / "networks" / "string_high_confidence.csv"],
    }


def write_demo(folder: Path, data: Path) -> dict[str, list[Path]]:
    """The simulated screen and its network; returns the networks of each of our rows."""
    screen = simulate_screen(seed=SEED)
    median_log(screen.adata).write_h5ad(folder / "screen.h5ad")
    edges = screen.network.adjacency.tocoo()
    genes = np.array(screen.network.genes, dtype=object)
    pairs = pd.DataFrame({"gene": genes[edges.row], "term": genes[edges.col]})
    itself = pd.DataFrame({"gene": genes, "term": genes})
    pd.concat([pairs, itself]).to_csv(folder / "terms.csv", index=False)
    pairs.assign(weight=edges.data).to_csv(
        folder / "network.csv", index=False, header=["gene", "other", "weight"]
    )
    return {"hyperperturb": [folder / "network.csv"]}


SCREENS = {"papalexi": write_papalexi, "demo": write_demo}


def write_task(folder: Path, effects: Effects, splits: Sequence[Split]) -> None:
    """Folds and targets as labels, for workers that know nothing of our classes."""
    label = np.array(effects.perturbations, dtype=object)
    task = {
        "control": CONTROL,
        "seed": SEED,
        "targets": dict(zip(effects.perturbations, map(list, effects.targets), strict=True)),
        "folds": [{"train": label[s.train].tolist(), "test": label[s.test].tolist()} for s in splits],
    }
    (folder / "task.json").write_text(json.dumps(task))


def work(
    python: str, script: str, folder: Path, name: str, *options: object
) -> tuple[list[np.ndarray], dict]:
    """Run a worker on one thread, unless its answer lies there already; return the answer."""
    answer = folder / f"{name}.npz"
    if not answer.exists():
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | dict.fromkeys(THREADS, "1")
        if python == sys.executable:
            environment["PYTHONPATH"] = str(ROOT)
        command = [python, str(HERE / script), str(folder), str(answer), *map(str, options)]
        with (folder / f"{name}.log").open("w") as log:
            done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            last = (folder / f"{name}.log").read_text().strip().splitlines()[-20:]
            raise SystemExit(
                "\n".join([f"{script} ended with {done.returncode}. The end of what it said:", *last])
            )
    return read_answer(answer)


class Recorded:
    """A predictor that answers from what a worker has written, by the perturbations it is given to learn from."""

    def __init__(self, effects: Effects, splits: Sequence[Split], folds: Sequence[np.ndarray]) -> None:
        self.folds = {
            frozenset(effects.perturbations[i] for i in split.train): (
                [effects.targets[i] for i in split.test],
                predicted,
            )
            for split, predicted in zip(splits, folds, strict=True)
        }

    def __call__(self, training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        """The recorded (Q, R) effects of a fold."""
        there, predicted = self.folds[frozenset(training.perturbations)]
        if [tuple(t) for t in there] != [tuple(t) for t in targets]:
            raise ValueError("The judge asks for other perturbations than the worker was asked for.")
        return predicted


def compare(name: str, folder: Path, args: argparse.Namespace) -> tuple[CrossValidation, dict[str, dict]]:
    """Run all methods on one screen; return the scores and what each worker cost."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = SCREENS[name](folder, args.data)
    screen = {"source": folder / "screen.h5ad", "column": "perturbation", "control": CONTROL}
    effects = compute_effects(**screen)
    splits = gene_folds(effects.targets, folds=FOLDS, seed=SEED)
    write_task(folder, effects, splits)
    answers = {
        ours: work(sys.executable, "hyperperturb_worker.py", folder, ours, "--network", *files)
        for ours, files in networks.items()
    }
    for peer in args.peer:
        answers[peer] = work(args.peer_python, PEERS[peer], folder, peer, "--epochs", args.epochs)
    universe = build_universe(
        [*map(read_network, networks["hyperperturb"]), coexpression_network(**screen, seed=SEED)],
        targets={g for t in effects.targets for g in t},
        response_genes=effects.genes,
        max_genes=4000,
    )
    recorded = {method: Recorded(effects, splits, folds) for method, (folds, _) in answers.items()}
    scores = cross_validate(
        effects,
        {**recorded, **simple_baselines(GeneKernels(universe.genes, universe.diffusion))},
        splits=splits,
    )
    return scores, {method: cost for method, (_, cost) in answers.items()}


def table(scores: CrossValidation, costs: dict[str, dict]) -> str:
    """The scores with 95 % intervals over genes, and what each worker cost, in Markdown."""
    lines = [
        f"| method | {' | '.join(METRICS[m].label for m in SHOWN)} | processor time | peak memory |",
        "| --- " * (len(SHOWN) + 3) + "|",
    ]
    for row in scores.summary():
        method = row["name"]
        cells = [
            "–" if row[m] is None else f"{row[m]:.3f} ({row[m + '_low']:.2f} to {row[m + '_high']:.2f})"
            for m in SHOWN
        ]
        cost = costs.get(method)
        spent = ["", ""]
        if cost is not None:
            spent = [f"{sum(cost['seconds'].values()):.0f} s", f"{cost['peak_mb']:,.0f} MB"]
        label = NAMES.get(
            method, f"{method.upper()}, {cost['epochs']} epochs" if method in PEERS else row["label"]
        )
        lines.append(f"| {' | '.join([label, *cells, *spent])} |")
    return "\n".join(lines)


def main() -> None:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screen", nargs="+", choices=SCREENS, default=list(SCREENS))
    parser.add_argument("--peer", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--peer-python", default=str(HERE / ".venv" / "bin" / "python"))
    parser.add_argument("--epochs", type=int, default=3, help="of the peer; its own default is 20")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with screens/ and networks/")
    parser.add_argument(
        "--keep", type=Path, help="keep tasks and answers here; answers found are not made again"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work_folder = (args.keep or Path(scratch)).resolve()
        for number, name in enumerate(args.screen):
            scores, costs = compare(name, work_folder / name, args)
            if number == 0:
                print(header())
            size = f"{len(scores.perturbations)} perturbations held out gene by gene in {scores.folds} folds"
            print(f"\n## {name}: {size}\n\n{table(scores, costs)}\n")
            for peer in args.peer:
                stages = ", ".join(
                    f"{stage} {seconds:.0f} s" for stage, seconds in costs[peer]["seconds"].items()
                )
                print(f"{peer}: {costs[peer]['about']}; {stages}.")
                for ours in (m for m in costs if m not in PEERS):
                    lead, low, high = scores.lead(peer, method=ours)
                    print(
                        f"Error of {peer} minus that of {ours}: {lead:.3f} (95 % interval {low:.3f} to {high:.3f})."
                    )


if __name__ == "__main__":
    main()
