"""The peers' side of metric_agreement.py: runs where cell-eval and pertpy are installed, prints a line of JSON."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import anndata
import numpy as np
import pandas as pd
import polars as pl


def discrimination(given) -> list[float]:
    """cell-eval's discrimination score by cosine, on one profile a perturbation."""
    from cell_eval._types import PerturbationAnndataPair
    from cell_eval.metrics._anndata import discrimination_score

    labels, genes = given["labels"], given["genes"]

    def profiles(effect: np.ndarray) -> anndata.AnnData:
        values = np.vstack([np.zeros(effect.shape[1]), effect])
        obs = pd.DataFrame({"perturbation": ["control", *labels]}, index=[str(i) for i in range(len(values))])
        return anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=genes))

    pair = PerturbationAnndataPair(
        real=profiles(given["measured"]),
        pred=profiles(given["predicted"]),
        pert_col="perturbation",
        control_pert="control",
    )
    found = discrimination_score(pair, metric="cosine")
    return [found[label] for label in labels]


def significant(given) -> tuple[list[float], list[float]]:
    """cell-eval's overlap at N and direction match; NaN for a perturbation without significant genes."""
    from cell_eval._types._de import initialize_de_comparison
    from cell_eval.metrics._de import DEDirectionMatch, de_overlap_metric

    labels, genes = given["labels"], given["all_genes"]

    def table(effect: np.ndarray, fdr: np.ndarray) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "target": np.repeat(labels, len(genes)).tolist(),
                "feature": np.tile(genes, len(labels)).tolist(),
                "log2_fold_change": effect.ravel(),
                "abs_log2_fold_change": np.abs(effect).ravel(),
                "p_value": fdr.ravel(),
                "fdr": fdr.ravel(),
            }
        )

    fdr = given["fdr"]
    compared = initialize_de_comparison(
        real=table(given["all_measured"], fdr), pred=table(given["all_predicted"], np.zeros_like(fdr))
    )
    overlap, direction = de_overlap_metric(compared, k=None), DEDirectionMatch()(compared)
    some = (fdr < 0.05).any(axis=1)
    return (
        [overlap[label] if there else float("nan") for label, there in zip(labels, some, strict=True)],
        [direction.get(label, float("nan")) for label in labels],
    )


def edistance(given) -> list[float]:
    """pertpy's E-distance between the shifted controls and the perturbed cells."""
    import pertpy

    distance = pertpy.tools.Distance(metric="edistance")
    shifts = given["predicted_cells"]
    return [
        float(distance(given["control"] + shifts[row], given[f"cells_{row}"])) for row in range(len(shifts))
    ]


def main() -> None:
    """Read what is given and print what the peers make of it."""
    with np.load(sys.argv[1]) as given:
        overlap, direction = significant(given)
        values = {
            "discrimination": discrimination(given),
            "overlap": overlap,
            "direction": direction,
            "edistance": edistance(given),
        }
    print(json.dumps({"values": values, "versions": {n: version(n) for n in ("cell-eval", "pertpy")}}))


if __name__ == "__main__":
    main()
