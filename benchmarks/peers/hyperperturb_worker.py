"""HyperPerturb on a task folder, in the same form as a peer: fold by fold, with what it costs.

Run: ``python hyperperturb_worker.py TASK ANSWER.npz --network FILE …``. Settings are those of the standard preset; the
cell heads are not trained, because no effect comes from them. Co-expression in the control cells is always one of the
networks, as in a training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from exchange import Meter, read_task, write_answer


def main() -> None:
    """Place the genes once, fit the effect head fold by fold, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--network", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    meter = Meter()
    from hyperperturb.data import coexpression_network, compute_effects, read_network
    from hyperperturb.models.predictor import model_predictor
    from hyperperturb.models.settings import PRESETS
    from hyperperturb.models.universe import build_universe
    from hyperperturb.models.variants import trained_kernels

    task = read_task(args.task)
    labels = {"column": "perturbation", "control": task["control"]}
    meter.stage("imports")
    effects = compute_effects(args.task / "screen.h5ad", **labels)
    networks = [read_network(path) for path in args.network]
    networks.append(coexpression_network(args.task / "screen.h5ad", **labels, seed=task["seed"]))
    settings = PRESETS["standard"].model_copy(update={"seed": task["seed"]})
    targets = sorted({gene for genes in task["targets"].values() for gene in genes})
    universe = build_universe(
        networks, targets=targets, response_genes=effects.genes, max_genes=settings.max_genes
    )
    meter.stage("preparing")
    kernels = trained_kernels(universe, targets, settings)
    meter.stage("training")
    predictor = model_predictor(kernels, task["seed"])
    predicted = []
    for fold in task["folds"]:
        wanted = [tuple(task["targets"][p]) for p in fold["test"]]
        predicted.append(predictor(effects.select(fold["train"]), wanted)[0])
        meter.stage("training")  # fitting the head; an answer itself takes milliseconds
    write_answer(args.answer, predicted, meter, epochs=settings.epochs, about="")


if __name__ == "__main__":
    main()
