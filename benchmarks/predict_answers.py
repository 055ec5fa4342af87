#!/usr/bin/env python3
"""How long a person waits on the page Predict, from the question to the picture, on the server; a Markdown table.

Every row is timed on a finished run, opened once: what the page asks of the run and the figure as JSON, as it goes to
the browser. Genes are drawn among those with support. The first call of each kind is left out, as it loads libraries.

Run: python benchmarks/predict_answers.py RUN [--genes 50]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _report import header

from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.comparison import compare
from hyperperturb.models.inference import SUPPORT_WEAK, HyperPerturbInference
from hyperperturb.models.predictions import Predictions, cluster_order, predict_many, write_predictions
from hyperperturb.models.response_network import response_network
from hyperperturb.plots.effects import ranked_bars, volcano
from hyperperturb.plots.held_out import left_out_scatter
from hyperperturb.plots.network import response_graph
from hyperperturb.plots.predictions import effect_map, effects_compared, interventions
from hyperperturb.runs.folder import find_run
from hyperperturb.runs.workspace import Workspace

MANY, SHOWN = 200, 60
LISTED = 10


def timed(ask: Callable[[str], object], genes: list[str]) -> list[float]:
    """Seconds of a question about every gene but the first."""
    seconds = []
    for gene in genes:
        start = time.perf_counter()
        ask(gene)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def ordered_map(answer: Predictions) -> pd.DataFrame:
    """The effects as the page draws them: the genes moved most, like beside like."""
    columns = answer.strongest_genes(SHOWN)
    response = answer.response[:, columns]
    rows, across = cluster_order(response), cluster_order(response.T)
    return pd.DataFrame(
        response[np.ix_(rows, across)],
        index=np.array(answer.names)[rows],
        columns=np.array(answer.genes)[columns[across]],
    )


def questions(inference: HyperPerturbInference, genes: list[str]) -> dict[str, list[float]]:
    """What is asked, and the seconds of each repetition."""
    other, several = genes[0], [[gene] for gene in genes]
    labels = list(inference.perturbations)[: len(genes)]
    up, down = inference.compared_genes[:LISTED], inference.compared_genes[LISTED : 2 * LISTED]
    untested = [[gene] for gene in inference.untested]

    def answer(gene: str):
        return inference.predict_effects([gene])

    def network(gene: str) -> str:
        found = response_network(inference, answer(gene))
        return response_graph(found.nodes, found.links).to_json()

    def many(_: str) -> str:
        return effect_map(ordered_map(predict_many(inference, several[:MANY]))).to_json()

    def h5ad(gene: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_predictions(inference, predict_many(inference, [[gene]]), Path(folder) / "out.h5ad")

    def wanted(unseen: list[list[str]]) -> str:
        return interventions(
            inference.rank_perturbations(goal="target", up=up, down=down, unseen=unseen)
        ).to_json()

    few = genes[:11]
    timings = {
        "one gene: effects and their certainty": timed(lambda g: volcano(answer(g).table).to_json(), genes),
        "one gene: largest effects": timed(lambda g: ranked_bars(answer(g).table, n=24).to_json(), genes),
        "one gene: the network around it": timed(network, genes),
        "two compared": timed(
            lambda g: effects_compared(compare(inference, [g], [other]).table, (g, other)).to_json(), genes
        ),
        f"{min(MANY, len(several))} one by one, as a map": timed(many, few),
        f"a wanted change, {len(inference.perturbations)} candidates": timed(lambda _: wanted([]), few),
        f"a wanted change, {len(inference.perturbations) + len(untested)} candidates": timed(
            lambda _: wanted(untested), few
        ),
        "an AnnData file of one gene": timed(h5ad, few),
    }
    try:
        inference.left_out(labels[0])
    except HyperPerturbError:
        return timings  # very many target genes
    return timings | {
        "one perturbation as if not measured": timed(
            lambda label: left_out_scatter(inference.left_out(label)).to_json(), labels
        )
    }


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a finished run with cells: its name, its path, or latest")
    parser.add_argument("--genes", type=int, default=MANY, help="how many genes are asked about")
    arguments = parser.parse_args()
    inference = HyperPerturbInference(find_run(arguments.run, Workspace().runs_dir).path)
    table = inference.genes[inference.genes["support"] >= SUPPORT_WEAK]
    genes = table["gene"].sample(min(arguments.genes, len(table)), random_state=0).astype(str).tolist()
    size = f"{len(inference.genes):,} genes, {len(inference.response_genes):,} of them measured"
    print(header("numpy", "plotly", note=size))
    print("| question | median, ms | 95th percentile, ms | repetitions |\n| --- | --- | --- | --- |")
    for question, seconds in questions(inference, genes).items():
        middle, slow = 1000 * np.percentile(seconds, [50, 95])
        print(f"| {question} | {middle:.0f} | {slow:.0f} | {len(seconds)} |")


if __name__ == "__main__":
    main()
