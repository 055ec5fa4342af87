"""GEARS on a task folder; run by ``compare.py`` in a Python that has cell-gears. Nothing of hyperperturb is imported.

Run: ``python gears_worker.py TASK ANSWER.npz --epochs 3``. Architecture, batch size, step size and losses are GEARS'
own defaults. Its download of GO annotations is replaced by the task's ``terms.csv``; a tenth of the training
perturbations (at least two) choose the best epoch. A prediction starts from 300 random control cells; the effect is its
mean minus that of the same cells, so that their draw adds little noise.
"""

from __future__ import annotations

import argparse
import csv
import os
import pickle
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from exchange import Meter, read_task, write_answer

BATCH, TEST_BATCH, STARTS = 32, 128, 300


def condition(targets: list[str]) -> str:
    """GEARS' name of a perturbation of one or two genes."""
    return "+".join(targets if len(targets) > 1 else [*targets, "ctrl"])


def read_terms(path: Path) -> dict[str, set[str]]:
    """Gene → its terms."""
    terms: dict[str, set[str]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            terms.setdefault(row["gene"], set()).add(row["term"])
    return terms


def prepare(task: dict, folder: Path):
    """The task's screen as GEARS' data, its cell graphs made."""
    import anndata
    from gears import PertData

    screen = anndata.read_h5ad(folder / "screen.h5ad")
    label = screen.obs["perturbation"].astype(str)
    names = {task["control"]: "ctrl", **{p: condition(t) for p, t in task["targets"].items()}}
    screen.obs = screen.obs.assign(condition=label.map(names).to_numpy(), cell_type="cell")
    screen.var["gene_name"] = screen.var_names.astype(str)
    # GEARS looks for these by relative names: the worker's own working directory keeps screens apart.
    Path("data").mkdir()
    with Path("data/gene2go_all.pkl").open("wb") as file:
        pickle.dump(read_terms(folder / "terms.csv"), file)
    np.random.seed(task["seed"])  # noqa: NPY002 - GEARS draws a control cell for every perturbed one
    data = PertData("data", default_pert_graph=False)
    data.new_data_process(dataset_name="screen", adata=screen)
    return data


def fit_fold(data, task: dict, fold: dict, number: int, epochs: int):
    """Train GEARS on the training perturbations of a fold."""
    import torch
    from gears import GEARS

    seed = task["seed"] + number
    np.random.seed(seed)  # noqa: NPY002 - the generator that GEARS draws from
    torch.manual_seed(seed)
    order = np.random.default_rng(seed).permutation(fold["train"]).tolist()
    n_val = max(2, round(0.1 * len(order)))
    split = {
        "train": ["ctrl", *(condition(task["targets"][p]) for p in order[n_val:])],
        "val": [condition(task["targets"][p]) for p in order[:n_val]],
        "test": [condition(task["targets"][p]) for p in fold["test"]],
    }
    with Path("split.pkl").open("wb") as file:
        pickle.dump(split, file)
    # The seed is part of the name under which GEARS keeps the co-expression of the training cells.
    data.prepare_split(split="custom", split_dict_path="split.pkl", seed=seed)
    data.get_dataloader(batch_size=BATCH, test_batch_size=TEST_BATCH)
    data.dataloader.pop("test_loader")  # its own report on the test cells would only cost time
    model = GEARS(data, device="cpu")
    model.model_initialize()
    model.train(epochs=epochs)
    return model


def predict(model, task: dict, fold: dict) -> np.ndarray:
    """Effects of the held-out perturbations, (perturbations, genes)."""
    effects = []
    for number, label in enumerate(fold["test"]):
        np.random.seed(number)  # noqa: NPY002 - GEARS draws the cells it starts from here
        answer = model.predict([task["targets"][label]])["_".join(task["targets"][label])]
        np.random.seed(number)  # noqa: NPY002 - and the same draw again
        cells = model.ctrl_adata.X[np.random.randint(0, model.ctrl_adata.n_obs, STARTS)]  # noqa: NPY002
        effects.append(answer - np.asarray(cells.mean(axis=0)).ravel())
    return np.array(effects)


def main() -> None:
    """Train and predict fold by fold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    folder, path = args.task.resolve(), args.answer.resolve()
    meter = Meter()
    import torch

    torch.set_num_threads(1)
    task = read_task(folder)
    meter.stage("imports")
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        data = prepare(task, folder)
        meter.stage("preparing")
        effects = []
        for number, fold in enumerate(task["folds"]):
            model = fit_fold(data, task, fold, number, args.epochs)
            meter.stage("training")
            effects.append(predict(model, task, fold))
            meter.stage("predicting")
        os.chdir(folder)
    about = f"cell-gears {version('cell-gears')}, torch {version('torch')}"
    write_answer(path, effects, meter, epochs=args.epochs, about=about)


if __name__ == "__main__":
    main()
