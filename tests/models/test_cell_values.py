"""Cells as the cell heads see them: values, draw, spread, strength."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from hyperperturb.data.effects import Effects, compute_effects
from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.opening import open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cells import (
    MAX_HEAD_GENES,
    _even_draw,
    control_spread,
    head_genes,
    read_cells,
    screen_values,
)
from hyperperturb.models.strength import energy_distance

LABELS = ("control", "G0", "G1", "G0_G1")


def screen_of(n_cells: int = 400, n_genes: int = 25) -> ad.AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(0, 1, n_genes), size=(n_cells, n_genes)).astype(np.float32)
    counts[:, :2] += rng.poisson(20, size=(n_cells, 2))
    labels = rng.choice(LABELS, size=n_cells, p=[0.5, 0.3, 0.15, 0.05])
    return ad.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"perturbation": labels}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"G{i}" for i in range(n_genes)]),
    )


@pytest.fixture(scope="module")
def screen() -> ad.AnnData:
    return screen_of()


@pytest.fixture(scope="module")
def effects(screen) -> Effects:
    return compute_effects(screen, column="perturbation", control="control")


def direct(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def test_log_normalise_equals_scanpy(screen):
    import scanpy as sc

    other = screen.copy()
    sc.pp.normalize_total(other, target_sum=1e4)
    sc.pp.log1p(other)
    got = log_normalise(screen.X)
    assert got.dtype == np.float32
    assert got.toarray() == pytest.approx(other.X.toarray(), rel=1e-5)
    assert screen.X.max() == np.rint(screen.X.max()), "the counts themselves are left alone"


def test_log_normalise_leaves_empty_cells_empty():
    block = sparse.csr_matrix(np.array([[0, 0, 0], [3, 0, 1.0]]))
    assert log_normalise(block).toarray()[0].tolist() == [0, 0, 0]
    assert log_normalise(sparse.csr_matrix((2, 3))).nnz == 0


@pytest.mark.parametrize("storage", ["csr", "csc", "dense", "file"])
@pytest.mark.parametrize("values", ["counts", "log", "log2"])
def test_screen_values_equal_the_direct_computation(screen, tmp_path, storage, values):
    counts = screen.X.toarray()
    want = direct(counts)
    matrix = {"counts": counts, "log": want, "log2": want / np.log(2.0)}[values].astype(np.float32)
    store = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(storage, np.asarray)
    source = ad.AnnData(store(matrix), obs=screen.obs.copy(), var=screen.var.copy())
    if values == "log2":
        source.uns["log1p"] = {"base": 2.0}
    if storage == "file":
        source.X = sparse.csr_matrix(matrix)
        source.write_h5ad(tmp_path / "screen.h5ad")
        source = tmp_path / "screen.h5ad"
    rows, columns = np.array([0, 3, 4, 399]), np.array([7, 2, 24])
    with open_screen(source) as opened:
        got = screen_values(opened, rows, columns)
        everything = screen_values(opened, np.arange(400), np.arange(25))
    assert got.dtype == np.float32
    assert got == pytest.approx(want[np.ix_(rows, columns)], rel=1e-4, abs=1e-5)
    assert everything == pytest.approx(want, rel=1e-4, abs=1e-5)


def test_screen_values_across_blocks(screen, monkeypatch):
    from hyperperturb.data.opening import Screen

    whole = Screen.blocks
    monkeypatch.setattr(Screen, "blocks", lambda self: whole(self, rows=37))
    rows = np.array([1, 36, 37, 38, 200, 398, 399])
    with open_screen(screen) as opened:
        got = screen_values(opened, rows, np.arange(25))
    assert got == pytest.approx(direct(screen.X.toarray())[rows], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("sizes", "limit"), [([100, 100, 100], 30), ([3, 100, 50], 43), ([1, 1, 1000], 500), ([7, 0, 9], 8)]
)
def test_the_draw_is_as_even_as_the_groups_allow(sizes, limit):
    group = np.repeat(np.arange(len(sizes)), sizes)
    group = np.random.default_rng(0).permutation(np.concatenate([group, np.full(20, -1)]))
    chosen = _even_draw(group, limit, np.random.default_rng(1))
    assert (np.diff(chosen) > 0).all()
    assert (group[chosen] >= 0).all()
    counts = np.bincount(group[chosen], minlength=len(sizes))
    largest = counts.max()
    assert all(c == min(s, largest) for c, s in zip(counts, sizes, strict=True))
    assert limit - len(sizes) < len(chosen) <= limit


def test_the_draw_takes_all_when_there_is_room_and_some_of_each_when_there_is_little():
    group = np.array([-1, 0, 1, 2, -1, 0, 1, 2])
    assert _even_draw(group, 6, np.random.default_rng(0)).tolist() == [1, 2, 3, 5, 6, 7]
    few = _even_draw(np.repeat(np.arange(9), 5), 4, np.random.default_rng(0))
    assert len(few) == 4
    assert len({i // 5 for i in few}) == 4
    assert not len(_even_draw(np.full(5, -1), 4, np.random.default_rng(0)))


def test_the_draw_is_random_within_a_group():
    group = np.repeat(np.arange(2), 100)
    a, b, again = (_even_draw(group, 40, np.random.default_rng(s)) for s in (0, 1, 0))
    assert (a == again).all()
    assert (a != b).any()
    assert a.max() > 150, "not the first rows of each"


def test_read_cells(screen, effects):
    cells = read_cells(screen, effects, column="perturbation", max_cells=60, seed=0)
    labels = screen.obs["perturbation"].to_numpy()
    counts = np.bincount(cells.perturbation, minlength=3)
    sizes = [int((labels == p).sum()) for p in effects.perturbations]
    assert len(cells.values) <= 60
    assert all(c == min(s, counts.max()) for c, s in zip(counts, sizes, strict=True))
    everything = read_cells(screen, effects, column="perturbation", max_cells=10_000, seed=0)
    names = np.array(effects.perturbations)[everything.perturbation]
    rows = np.flatnonzero(labels != "control")
    assert (names == labels[rows]).all(), "control cells are no cells of a perturbation"
    assert everything.values == pytest.approx(direct(screen.X.toarray())[rows], rel=1e-4, abs=1e-5)


def test_cells_and_effects_agree(screen, effects):
    """The mean of the drawn cells of a perturbation, all of them, is the control mean plus its effect."""
    cells = read_cells(screen, effects, column="perturbation", max_cells=10_000, seed=0)
    for row in range(len(effects.perturbations)):
        assert cells.values[cells.perturbation == row].mean(axis=0) == pytest.approx(
            effects.mean[row], abs=1e-4
        )


def test_read_cells_refuses_other_screens(screen, effects):
    renamed = screen.copy()
    renamed.obs["perturbation"] = "elsewhere"
    with pytest.raises(HyperPerturbError, match=r"No cell of .* has one of the perturbations"):
        read_cells(renamed, effects, column="perturbation", max_cells=50, seed=0)
    with pytest.raises(HyperPerturbError, match=r"1 response genes \(such as G3\) are not in"):
        read_cells(
            screen[:, screen.var_names != "G3"].copy(), effects, column="perturbation", max_cells=50, seed=0
        )


def wide(n_genes: int) -> Effects:
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(6, n_genes)).astype(np.float32) * 0.01
    effect[:, 5::7] *= 100
    return Effects(
        perturbations=tuple(f"P{i}" for i in range(6)),
        targets=tuple((f"P{i}",) for i in range(6)),
        genes=tuple(f"R{i}" for i in range(n_genes)),
        effect=effect,
        standard_error=np.full(effect.shape, 0.1, dtype=np.float32),
        n_cells=np.full(6, 30),
        control="control",
    )


def test_head_genes_are_those_that_tell_perturbations_apart():
    assert head_genes(wide(50)) == wide(50).genes
    many = wide(MAX_HEAD_GENES + 1000)
    chosen = head_genes(many)
    assert len(chosen) == MAX_HEAD_GENES
    assert set(many.genes[5::7]) <= set(chosen)
    position = [many.genes.index(g) for g in chosen]
    assert position == sorted(position)


def test_control_spread(screen, effects):
    mean, spread = control_spread(effects, ["G3", "G1"])
    control = direct(screen.X.toarray())[screen.obs["perturbation"] == "control"][:, [3, 1]]
    assert mean == pytest.approx(control.mean(axis=0), rel=1e-4)
    assert spread == pytest.approx(control.std(axis=0, ddof=1), rel=1e-3)
    with pytest.raises(HyperPerturbError, match="do not say what the control cells look like"):
        control_spread(wide(5), ["R1"])


def test_energy_distance_equals_its_definition():
    """Over all pairs of cells, squared Euclidean: twice the squared distance of the means."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(1.0, 1.0, (30, 4)), rng.normal(0.0, 2.0, (40, 4))

    def mean_square(a, b):
        return np.mean([((p - q) ** 2).sum() for p in a for q in b])

    pairs = 2 * mean_square(x, y) - mean_square(x, x) - mean_square(y, y)
    effect = (x.mean(axis=0) - y.mean(axis=0))[None].astype(np.float32)
    effects = Effects(("P",), (("P",),), tuple("abcd"), effect, 0 * effect, np.array([30]), "control")
    assert energy_distance(effects) == pytest.approx([pairs], rel=1e-5)
    noisy = Effects(("P",), (("P",),), tuple("abcd"), effect, effect + 9, np.array([30]), "control")
    assert energy_distance(noisy).tolist() == [0.0], "all of it can be sampling"
