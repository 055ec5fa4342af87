#!/usr/bin/env python3
"""JAK2 of the Papalexi screen, predicted without ever having seen its cells. Prints a Markdown table.

JAK2's cells are taken out before training (``--exclude JAK2``), STRING is the network; the prediction is compared with
the effect measured in those cells, over the other genes. Beside it the mean of the other perturbations and kernel ridge
on STRING's diffusion kernel.

Run: python benchmarks/papalexi_jak2.py SCREEN.h5ad STRING.csv [--target JAK2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import header

from hyperperturb import HyperPerturbInference
from hyperperturb.data import compute_effects, read_network
from hyperperturb.models.baselines import NetworkKernelRidge, training_mean
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.train import train_run
from hyperperturb.models.universe import build_universe
from hyperperturb.runs.config import NetworkSource, RunConfig
from hyperperturb.runs.directory import RunDirectory


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("screen", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--column", default="perturbation")
    parser.add_argument("--control", default="non-targeting")
    parser.add_argument("--target", default="JAK2")
    args = parser.parse_args()

    effects = compute_effects(args.screen, column=args.column, control=args.control)
    measured = effects.effect[effects.index(args.target)].astype(float)
    others = effects.select([p for p in effects.perturbations if args.target not in p.split("_")])
    keep = np.array([gene != args.target for gene in effects.genes])
    network = read_network(args.network)
    universe = build_universe(
        [network],
        targets={g for t in effects.targets for g in t},
        response_genes=effects.genes,
        max_genes=4000,
    )
    predictions = {
        "mean of the other perturbations": training_mean(others, [(args.target,)])[0],
        "network kernel ridge": NetworkKernelRidge(GeneKernels(universe.genes, universe.diffusion))(
            others, [(args.target,)]
        )[0],
    }
    for name, coexpression in (
        ("HyperPerturb, STRING and co-expression (the default)", True),
        ("HyperPerturb, STRING only", False),
    ):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = RunDirectory.create(
                folder,
                RunConfig(
                    screen=args.screen,
                    column=args.column,
                    control=args.control,
                    networks=(NetworkSource.from_path(args.network),),
                    coexpression=coexpression,
                    exclude=(args.target,),
                ),
            )
            run.begin()
            train_run(run)
            run.finish()
            answer = HyperPerturbInference(run.path).predict_effects([args.target])
        print(f"{name}: trained in {time.monotonic() - started:.0f} s", flush=True)
        predictions[name] = answer.table["effect"].to_numpy()

    print(f"\n{header()}")
    print(
        f"| {args.target} left out, {keep.sum()} genes | correlation with the measured effect | error / no change |"
    )
    print("| --- | --- | --- |")
    for name, predicted in predictions.items():
        r = np.corrcoef(predicted[keep], measured[keep])[0, 1]
        error = np.sum((predicted - measured)[keep] ** 2) / np.sum(measured[keep] ** 2)
        print(f"| {name} | {r:.3f} | {error:.3f} |")


if __name__ == "__main__":
    main()
