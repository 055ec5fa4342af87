"""Small screens in every storage, and the real one."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from hyperperturb.data.effects import Effects
from hyperperturb.data.moderation import Moderation, shape_of_levels


def small_adata(n_cells: int = 240, n_genes: int = 30, seed: int = 0) -> ad.AnnData:
    """Counts of four perturbations and controls; G0, G1 and G2 are targets."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.lognormal(0.0, 1.0, n_genes), size=(n_cells, n_genes)).astype(np.float32)
    counts[:, :3] += rng.poisson(30, size=(n_cells, 3))
    labels = np.array(["control", "G0", "G1", "G0_G1", "G2"])[np.arange(n_cells) % 5]
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels),
            "batch": pd.Categorical(np.where(np.arange(n_cells) % 2, "b1", "b2")),
            "depth": counts.sum(axis=1),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])
    return ad.AnnData(X=sp.csr_matrix(counts), obs=obs, var=var)


@pytest.fixture
def adata() -> ad.AnnData:
    """A small screen in memory."""
    return small_adata()


@pytest.fixture
def papalexi(shared_data: Path) -> Path:
    """A real screen: ECCITE-seq, 25 knock-outs."""
    return shared_data / "screens" / "papalexi2021_thp1_299genes.h5ad"


def moderated_variance(mean, variance, seen, n):
    """Variances of labels, the controls first, shrunk towards those within all of them."""
    n = np.asarray(n)
    pooled = (n - 1) @ np.nan_to_num(variance) / (n - 1).sum()
    _, kurtosis = shape_of_levels(n @ mean / n.sum(), pooled, n @ seen / n.sum(), n.sum())
    moderate = Moderation.fit(variance, n, pooled, kurtosis)
    return np.array([moderate(row, m) for row, m in zip(variance, n, strict=True)])


def assert_same(a: Effects, b: Effects) -> None:
    """Two tables of effects are equal to the last bit."""
    for name in Effects.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype, name
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            assert x == y, name
