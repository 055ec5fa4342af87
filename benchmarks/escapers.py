"""Do shares of cells that look like controls come out right? Controls dealt out as perturbed cells, on finished runs.

``python benchmarks/escapers.py RUN [RUN …]``

Half of the controls of a run's screen are donors: some are given the label of a perturbation, so that a known share of
its cells is like controls; the other half stays what the cells are compared with. On simulated screens no cell has
escaped beforehand; on a real one the share that is found without donors stands for what is there already.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from _report import header

from hyperperturb.data.labels import control_codes
from hyperperturb.data.opening import open_screen
from hyperperturb.models.cells import screen_values
from hyperperturb.models.escapers import FOLDS, Axes, deal_folds, judge_escapers
from hyperperturb.models.inference import HyperPerturbInference

SHARES = (0.0, 0.2, 0.4, 0.6)
BINS = (1.5, 2.0, 3.0, 4.0, np.inf)


def inputs_of(run: HyperPerturbInference) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, H) of the cells that the run knows, and their perturbation; the last number is the control."""
    heads, config, names = run.cell_heads, run.config, run.perturbations
    with open_screen(config.screen, layer=config.layer, tables=config.tables) as screen:
        labels = screen.label_codes(config.column)
        number = {name: i for i, name in enumerate(names)}
        of = np.array([number.get(str(name), -1) for name in labels.categories] + [-1])
        of[np.flatnonzero(control_codes(labels.categories, config.control))] = len(names)
        group = of[labels.codes]
        rows = np.flatnonzero(group >= 0)
        position = {gene: i for i, gene in enumerate(screen.genes)}
        values = screen_values(screen, rows, np.array([position[gene] for gene in heads.genes]))
    return heads.inputs(values).astype(np.float32), group[rows]


def judge(cells: np.ndarray, controls: np.ndarray, precision: np.ndarray, seed: int) -> pd.Series:
    """What is said of one perturbation's cells beside these controls."""
    inputs = np.vstack([cells, controls])
    label = np.repeat([0, 1], [len(cells), len(controls)])
    fold = deal_folds(label, seed=seed)
    sums, counts = np.zeros((2, FOLDS, inputs.shape[1])), np.zeros((2, FOLDS), dtype=int)
    np.add.at(sums, (label, fold), inputs)
    np.add.at(counts, (label, fold), 1)
    axes = Axes.learn(sums, counts, precision, control=1)
    n = len(cells)
    place = axes.of_labelled(cells, label[:n], fold[:n])
    table, _ = judge_escapers(place, label[:n], axes.of_controls(controls, fold[n:]), ("it",), seed)
    return table.iloc[0]


def measure(run: HyperPerturbInference, seeds: int) -> pd.DataFrame:
    """One row a perturbation, share and seed: what was put in and what came out."""
    inputs, group = inputs_of(run)
    precision = run.cell_heads.directions.rule.precision.astype(np.float64)
    controls = np.flatnonzero(group == len(run.perturbations))
    rows = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(controls)
        kept, donors = order[: len(order) // 2], order[len(order) // 2 :]
        for number, name in enumerate(run.perturbations):
            own = np.flatnonzero(group == number)
            before = judge(inputs[own], inputs[kept], precision, seed)
            if not before["judged"]:
                continue
            for share in SHARES:
                given = min(round(share / (1.0 - share) * len(own)), len(donors))
                real = given / (given + len(own))
                mixed = inputs[np.concatenate([own, donors[:given]])]
                found = judge(mixed, inputs[kept], precision, seed)
                rows.append(
                    {
                        "perturbation": name,
                        "seed": seed,
                        "put_in": real,
                        "before": before["share"],
                        "separation": before["separation"],
                        "judged": bool(found["judged"]),
                        "found": found["share"],
                        "error": found["error"],
                    }
                )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame, *, simulated: bool) -> pd.DataFrame:
    """Error of the share by how far the changed cells stand off, and how often the 95 % interval holds."""
    there = 0.0 if simulated else table["before"]
    wanted = table["put_in"] + (1.0 - table["put_in"]) * there
    table = table.assign(
        miss=table["found"] - wanted, held=(table["found"] - wanted).abs() < 1.96 * table["error"]
    )
    table = table[table["judged"] & (simulated | (table["put_in"] > 0))]
    by = table.groupby(pd.cut(table["separation"], BINS, right=False), observed=True)
    return pd.DataFrame(
        {
            "answers": by.size(),
            "mean error": by["miss"].mean(),
            "mean absolute error": by["miss"].apply(lambda miss: miss.abs().mean()),
            "interval holds": by["held"].mean(),
        }
    )


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(header("scikit-learn", "scipy"))
    for path in arguments.runs:
        run = HyperPerturbInference(path)
        table = measure(run, arguments.seeds)
        simulated = run.config.dataset == "demo"
        shown = summary(table, simulated=simulated)
        title = run.config.title or run.run.name
        print(
            f"\n**{title}** ({table['perturbation'].nunique()} of {len(run.perturbations)} perturbations judged)\n"
        )
        print(
            "| changed cells stand off (controls' standard deviations) | " + " | ".join(shown.columns) + " |"
        )
        print("| --- |" + " --- |" * len(shown.columns))
        for interval, row in shown.iterrows():
            high = "and more" if np.isinf(interval.right) else f"to {interval.right:g}"
            print(
                f"| {interval.left:g} {high} | {row['answers']:.0f} | {row['mean error']:+.3f} | "
                f"{row['mean absolute error']:.3f} | {row['interval holds']:.2f} |"
            )


if __name__ == "__main__":
    main()
