"""The co-expression network: control cells only, the strongest neighbours only."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from hyperperturb.data.network import coexpression_network
from hyperperturb.data.screen import open_screen
from hyperperturb.errors import HyperPerturbError

SHARED = Path(__file__).parents[2].parent / "shared"


def screen(*, n_control: int = 600, n_other: int = 600, seed: int = 0) -> anndata.AnnData:
    """Two groups of four genes that vary together in controls; in the perturbed cells all eight do."""
    rng = np.random.default_rng(seed)
    n = n_control + n_other
    state = rng.normal(size=(n, 2))
    state[n_control:, 1] = state[n_control:, 0]
    rate = np.full((n, 40), 20.0)
    rate[:, :4] *= np.exp(0.6 * state[:, :1])
    rate[:, 4:8] *= np.exp(0.6 * state[:, 1:])
    x = rng.poisson(rate * rng.lognormal(0, 0.4, (n, 1)))
    obs = pd.DataFrame(
        {"perturbation": ["control"] * n_control + ["X"] * n_other}, index=[f"c{k}" for k in range(n)]
    )
    var = pd.DataFrame(index=[f"G{k:02d}" for k in range(40)])
    return anndata.AnnData(sparse.csr_matrix(x.astype(np.float32)), obs=obs, var=var)


def pairs(network) -> set[tuple[str, str]]:
    matrix = network.adjacency.tocoo()
    return {
        (network.genes[i], network.genes[j]) for i, j in zip(matrix.row, matrix.col, strict=True) if i < j
    }


def test_only_what_goes_together_in_controls():
    network = coexpression_network(screen(), column="perturbation", control="control", neighbours=3)
    found = pairs(network)
    groups = ({f"G{k:02d}" for k in range(4)}, {f"G{k:02d}" for k in range(4, 8)})
    inside = {(a, b) for group in groups for a in group for b in group if a < b}
    assert inside <= found
    across = [(a, b) for a, b in found if (a in groups[0] and b in groups[1])]
    assert not across  # only the perturbed cells tie the two groups together
    entry = network.provenance[0]
    assert entry.kind == "coexpression"
    assert entry.note.startswith("600 control cells, 40 genes")


def test_weights_are_the_correlations():
    adata = screen()
    network = coexpression_network(adata, column="perturbation", control="control")
    x = adata.X[:600].toarray().astype(float)
    r = np.corrcoef(np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)).T)
    matrix = network.adjacency.tocoo()
    index = [int(gene[1:]) for gene in network.genes]
    for i, j, w in zip(matrix.row, matrix.col, matrix.data, strict=True):
        assert w == pytest.approx(abs(r[index[i], index[j]]), abs=1e-5)


def test_log_normalised_values_are_used_as_they_are():
    adata = screen()
    counts = coexpression_network(adata, column="perturbation", control="control")
    x = adata.X.toarray()
    adata.X = sparse.csr_matrix(np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)))
    logged = coexpression_network(adata, column="perturbation", control="control")
    assert logged.genes == counts.genes
    assert np.abs((logged.adjacency - counts.adjacency).toarray()).max() < 1e-4


def test_open_screen_file_and_object_agree(tmp_path):
    adata = screen()
    adata.write_h5ad(tmp_path / "screen.h5ad")
    options = {"column": "perturbation", "control": "control"}
    one = coexpression_network(adata, **options)
    two = coexpression_network(tmp_path / "screen.h5ad", **options)
    with open_screen(tmp_path / "screen.h5ad") as opened:
        three = coexpression_network(opened, **options)
        with pytest.raises(HyperPerturbError, match="already open"):
            coexpression_network(opened, layer="counts", **options)
    assert one.genes == two.genes == three.genes
    assert (one.adjacency != two.adjacency).nnz == (one.adjacency != three.adjacency).nnz == 0


def test_sampling_genes_neighbours_and_progress():
    adata, seen = screen(), []
    options = {"column": "perturbation", "control": "control"}
    network = coexpression_network(
        adata, max_cells=200, neighbours=1, progress=lambda f, m: seen.append((f, m)), **options
    )
    assert network.provenance[0].note.startswith("200 control cells sampled from 600")
    again = coexpression_network(adata, max_cells=200, neighbours=1, **options)
    assert (network.adjacency != again.adjacency).nnz == 0
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    chosen = coexpression_network(adata, genes=["G01", "G00", "nothing", "G30"], **options)
    assert set(chosen.genes) <= {"G00", "G01", "G30"}
    assert ("G00", "G01") in pairs(chosen)
    few = coexpression_network(adata, max_genes=8, **options)
    assert set(few.genes) <= {f"G{k:02d}" for k in range(8)}  # the most variable ones


def test_exception_from_progress_stops_the_work():
    class StopError(Exception):
        pass

    def stop(fraction: float, message: str) -> None:
        raise StopError

    with pytest.raises(StopError):
        coexpression_network(screen(), column="perturbation", control="control", progress=stop)


@pytest.mark.parametrize(
    ("adata", "options", "sentence"),
    [
        (screen(n_control=12), {}, "has 12 cells with the control label 'control'"),
        (screen(), {"control": "ctrl-x"}, "has 0 cells with the control label 'ctrl-x'"),
        (screen(), {"column": "guide"}, "no obs column 'guide'"),
        (screen(), {"genes": ["A", "B"]}, r"None of the 2 genes .* like G00, G01, G02"),
    ],
)
def test_mistakes(adata, options, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        coexpression_network(adata, **{"column": "perturbation", "control": "control"} | options)


def test_noise_gives_no_network():
    rng = np.random.default_rng(0)
    adata = screen()
    adata.X = sparse.csr_matrix(rng.poisson(20.0, adata.shape).astype(np.float32))
    with pytest.raises(HyperPerturbError, match="No two genes correlate beyond chance"):
        coexpression_network(adata, column="perturbation", control="control")


@pytest.mark.skipif(not SHARED.exists(), reason="the real screen in ../shared is not on this machine")
def test_real_screen():
    path = SHARED / "data" / "screens" / "papalexi2021_thp1_299genes.h5ad"
    network = coexpression_network(path, column="perturbation", control="non-targeting")
    assert network.n_genes > 100
    assert network.n_edges > 300
    assert network.adjacency.data.max() <= 1
