"""Proteins: joined by name, in every file they come in; their effects are those of pandas, and the planted ones."""

from __future__ import annotations

import contextlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from hyperperturb.data import load_and_preprocess_perturbation_data, simulate_screen, write_simulation
from hyperperturb.data.effects import compute_effects, read_effects
from hyperperturb.data.preprocess import preprocess_data
from hyperperturb.data.protein_files import open_proteins
from hyperperturb.data.protein_names import match_cells, offers
from hyperperturb.data.proteins import clr, compute_protein_effects, look_at_proteins
from hyperperturb.data.screen import open_screen
from hyperperturb.errors import HyperPerturbError
from tests.data.conftest import moderated_variance

NAMES = ["CD86", "PDL1", "PDL2", "CD366"]
LABELS = {"column": "perturbation", "control": "control"}


@pytest.fixture
def counts(adata) -> pd.DataFrame:
    """Antibody counts of the cells of the small screen; PDL1 is lower in G0, one cell has none."""
    rng = np.random.default_rng(1)
    mean = np.tile([5.0, 40.0, 8.0, 60.0], (adata.n_obs, 1))
    mean[adata.obs["perturbation"] == "G0", 1] *= 0.4
    values = rng.poisson(mean)
    values[7] = 0
    return pd.DataFrame(values, index=adata.obs_names, columns=NAMES)


def expected(adata, counts) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects and standard errors on centred log-ratios, the slow way."""
    some = counts[counts.sum(axis=1) > 0]
    logs = np.log(some + 1)
    levels = logs.sub(logs.mean(axis=1), axis=0)
    groups = levels.groupby(adata.obs["perturbation"].astype(str).reindex(levels.index))
    mean, variance, n = groups.mean(), groups.var(), groups.size()
    order = ["control", *(label for label in mean.index if label != "control")]
    mean, variance, n = mean.loc[order], variance.loc[order], n.loc[order]
    shown = np.ones(mean.shape)  # centred ratios are not zero where nothing was counted
    error = pd.DataFrame(
        moderated_variance(mean.to_numpy(), variance.to_numpy(), shown, n) / n.to_numpy()[:, None],
        index=mean.index,
        columns=mean.columns,
    )
    return mean - mean.loc["control"], np.sqrt(error + error.loc["control"])


def check(effects, adata, counts) -> None:
    mean, error = expected(adata, counts)
    assert list(effects.genes) == list(counts.columns)
    assert set(effects.perturbations) == set(mean.index) - {"control"}
    for i, label in enumerate(effects.perturbations):
        np.testing.assert_allclose(effects.effect[i], mean.loc[label], atol=1e-6)
        np.testing.assert_allclose(effects.standard_error[i], error.loc[label], rtol=1e-5)
        own = counts[(adata.obs["perturbation"] == label).to_numpy() & (counts.sum(axis=1) > 0).to_numpy()]
        np.testing.assert_allclose(effects.detected[i], (own > 0).mean(), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["p.h5ad", "dense.h5ad", "csc.h5ad", "p.csv", "turned.tsv.gz", "p.parquet", "r.txt"]
)
def test_every_file_gives_the_same_effects(adata, counts, tmp_path, name):
    path = tmp_path / name
    shuffled = counts.sample(frac=1.0, random_state=0)
    if name.endswith(".h5ad"):
        X = shuffled.to_numpy(np.float32)
        X = {"dense.h5ad": X, "csc.h5ad": sp.csc_matrix(X)}.get(name, sp.csr_matrix(X))
        obs, var = pd.DataFrame(index=shuffled.index), pd.DataFrame(index=NAMES)
        ad.AnnData(X, obs=obs, var=var).write_h5ad(path)
    elif name == "p.csv":
        shuffled.to_csv(path)
    elif name == "p.parquet":
        shuffled.to_parquet(path)
    elif name == "r.txt":  # R's write.table leaves the name of the first column out
        rows = ["\t".join(NAMES)]
        rows += [
            "\t".join(map(str, (cell, *row)))
            for cell, row in zip(shuffled.index, shuffled.to_numpy(), strict=True)
        ]
        path.write_text("\n".join(rows) + "\n")
    else:
        shuffled.T.to_csv(path, sep="\t")
    effects, report = compute_protein_effects(adata, path, **LABELS)
    check(effects, adata, counts)
    assert (report.n_matched, report.n_empty, report.values) == (240, 1, "counts")
    assert report.sentence.startswith("4 antibodies in 240 of 240 cells of the screen.")


@pytest.mark.parametrize("storage", ["csr", "csc", "dense", "memory"])
def test_antibodies_in_the_screen_itself_are_no_genes(adata, counts, tmp_path, storage):
    kinds = ["Gene Expression"] * adata.n_vars + ["Antibody Capture"] * 4
    var = pd.DataFrame({"feature_types": pd.Categorical(kinds)}, index=[*adata.var_names, *NAMES])
    X = sp.hstack([adata.X, sp.csr_matrix(counts.to_numpy(np.float32))], format="csr")
    both = ad.AnnData(X, obs=adata.obs, var=var)
    both = both[:, np.r_[30, 0:20, 31, 20:30, 32, 33]].copy()  # antibodies among the genes
    both.X = {"csc": both.X.tocsc(), "dense": both.X.toarray()}.get(storage, both.X)
    source = both
    if storage != "memory":
        source = tmp_path / "both.h5ad"
        both.write_h5ad(source)
    alone = compute_effects(adata, **LABELS)
    found = compute_effects(source, **LABELS)
    assert found.genes == alone.genes  # and the totals of the cells do not count antibodies either
    np.testing.assert_allclose(found.effect, alone.effect, atol=1e-6)
    with open_screen(source) as screen:
        np.testing.assert_array_equal(
            screen.matrix.take(np.array([3, 200])).toarray(), adata.X[[3, 200]].toarray()
        )
    check(compute_protein_effects(source, source, **LABELS)[0], adata, counts)
    view = preprocess_data(
        source, max_cells=60, n_pcs=5, min_genes=1, protein_path=source if storage != "memory" else None
    )
    assert not set(NAMES) & set(view.var_names)


def test_cells_are_told_apart_from_those_that_are_missing(adata, counts, tmp_path):
    some = pd.concat([counts.iloc[30:], counts.iloc[:5].rename(lambda cell: f"other{cell}")])
    some.to_csv(tmp_path / "p.csv")
    report = look_at_proteins(adata, tmp_path / "p.csv")
    assert (report.n_matched, report.n_screen, report.n_file) == (210, 240, 215)
    assert report.sentence == (
        "4 antibodies in 210 of 240 cells of the screen; 30 have none, and 5 cells of the file are not in the screen."
    )
    only = counts[(adata.obs["perturbation"].isin(["control", "G0"])).to_numpy()]
    only.to_csv(tmp_path / "two.csv")
    effects, _ = compute_protein_effects(adata, tmp_path / "two.csv", **LABELS)
    assert effects.perturbations == ("G0",)  # the others have no cell with proteins


def test_a_mend_of_names_is_offered_and_works(adata, counts, tmp_path):
    named = counts.rename(lambda cell: f"lane1_{cell}-1")
    named.to_csv(tmp_path / "p.csv")
    with pytest.raises(HyperPerturbError, match=r"'cell0' and 'cell1'.*'lane1_cell0-1'") as told:
        look_at_proteins(adata, tmp_path / "p.csv")
    assert "240 of 240 match: choose 'both' for the names" in told.value.hint
    effects, report = compute_protein_effects(adata, tmp_path / "p.csv", rename="both", **LABELS)
    check(effects, adata, counts)
    assert report.rename == "both"
    assert offers(np.array(["AAA-1", "AAC-1"]), np.array(["AAA", "AAC"])) == [("suffix", 2)]
    # a mend that makes two cells one is not offered
    assert offers(np.array(["AAA-1", "AAA-2"]), np.array(["AAA", "AAC"])) == []
    with pytest.raises(HyperPerturbError, match="'AAA' is in the screen more than once, once its names"):
        match_cells(
            np.array(["AAA-1", "AAA-2"]), np.array(["AAA"]), "suffix", screen="the screen", proteins="P"
        )


def test_what_is_no_table_of_proteins_is_refused(adata, counts, tmp_path):
    path = tmp_path / "p.csv"
    for change, said in (
        (lambda t: t.assign(CD86=[*t["CD86"][:-1], "many"]), "column 'CD86' holds 'many'"),
        (lambda t: t.assign(PDL1=[None, *t["PDL1"][1:]]), "value of 'PDL1' for 'cell0' is missing"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "'cell0' is in .* more than once"),
        (lambda t: t[["CD86"]], "has 1 antibody; levels are ratios"),
    ):
        change(counts.copy()).to_csv(path)
        with pytest.raises(HyperPerturbError, match=said):
            compute_protein_effects(adata, path, **LABELS)
    rna = ad.AnnData(sp.csr_matrix((240, 3000), dtype=np.float32), obs=adata.obs)
    rna.write_h5ad(tmp_path / "rna.h5ad")
    with pytest.raises(HyperPerturbError, match="3,000 features, which no panel of antibodies has"):
        look_at_proteins(adata, tmp_path / "rna.h5ad")
    with pytest.raises(HyperPerturbError, match="no file"):
        look_at_proteins(adata, tmp_path / "none.csv")
    counts[(adata.obs["perturbation"] != "control").to_numpy()].to_csv(path)
    with pytest.raises(HyperPerturbError, match="0 control cell"):
        compute_protein_effects(adata, path, **LABELS)


def test_levels_that_somebody_normalised_are_used_as_they_are(adata, counts, tmp_path):
    levels = pd.DataFrame(clr(counts.to_numpy()) * 2, index=counts.index, columns=NAMES)
    levels.to_csv(tmp_path / "levels.csv")
    effects, report = compute_protein_effects(adata, tmp_path / "levels.csv", **LABELS)
    mean = levels.groupby(adata.obs["perturbation"].astype(str)).mean()
    np.testing.assert_allclose(effects.effect[0], mean.loc["G0"] - mean.loc["control"], atol=1e-6)
    assert report.values == "levels"
    assert effects.detected is None


def test_preprocessing_keeps_levels_and_counts_beside_the_cells(adata, counts, tmp_path):
    counts.iloc[:230].to_csv(tmp_path / "p.csv")
    adata.write_h5ad(tmp_path / "rna.h5ad")
    view, _ = load_and_preprocess_perturbation_data(
        tmp_path / "rna.h5ad", tmp_path / "p.csv", max_cells=None, min_genes=1, n_pcs=5
    )
    assert view.n_obs == 230
    same = counts.loc[view.obs_names].to_numpy()
    np.testing.assert_array_equal(view.obsm["protein_counts"], same)
    np.testing.assert_allclose(view.obsm["protein"], clr(same), atol=1e-6)
    np.testing.assert_allclose(view.obsm["protein"].mean(axis=1), 0, atol=1e-6)
    assert list(view.uns["hyperperturb"]["protein_names"]) == NAMES
    assert "230 of 240" in view.uns["hyperperturb"]["protein_report"]
    with open_proteins(view) as file:  # training takes them from there
        assert (file.names, file.is_counts) == (tuple(NAMES), False)


def test_planted_effects_on_proteins_come_back(tmp_path):
    sizes = {"n_genes": 120, "n_regulators": 18, "n_single": 20, "n_double": 4, "n_cells": 4000}
    simulated = simulate_screen(seed=3, **sizes, n_proteins=8)
    plain = simulate_screen(seed=3, **sizes)
    assert (simulated.adata.X != plain.adata.X).nnz == 0  # the RNA is the same with and without
    paths = write_simulation(simulated, tmp_path / "s.h5ad")
    truth = read_effects(paths["true_protein_effects"])
    found, _ = compute_protein_effects(
        paths["screen"], paths["proteins"], column="perturbation", control="non-targeting", mode="knockdown"
    )
    assert found.perturbations == truth.perturbations
    assert np.abs(truth.effect).max() > 0.3
    z = (found.effect - truth.effect) / found.standard_error
    assert 0.85 < np.sqrt(np.mean(z**2)) < 1.15  # the errors are of the size that they say
    assert np.corrcoef(found.effect.ravel(), truth.effect.ravel())[0, 1] > 0.9


def test_damaged_tables_are_refused_with_a_sentence(adata, counts, tmp_path):
    path = tmp_path / "p.csv"
    for text, said in (
        ("", "is empty"),
        ("cell,A,B\n", "no rows beside its header"),
        ("cell0\ncell1\n", "one column"),
        ("cell,A,B\ncell0,1,inf\ncell5,1,1\ncell10,2,2\n", "the value inf for 'B' in cell 'cell0'"),
    ):
        path.write_text(text)
        with pytest.raises(HyperPerturbError, match=said):
            compute_protein_effects(adata, path, **LABELS)
    counts.to_parquet(tmp_path / "p.parquet")
    counts.to_csv(tmp_path / "p.tsv.gz", sep="\t")
    rng = np.random.default_rng(0)
    for name in ("p.parquet", "p.tsv.gz"):
        whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(25):
            damaged = whole.copy()
            damaged[rng.integers(len(whole), size=12)] = rng.integers(256, size=12)
            (tmp_path / f"x_{name}").write_bytes(damaged[: rng.integers(1, len(whole) + 1)].tobytes())
            with contextlib.suppress(HyperPerturbError):  # anything else fails the test
                compute_protein_effects(adata, tmp_path / f"x_{name}", **LABELS)


def test_every_batch_against_its_own_controls(adata, counts, tmp_path):
    """One batch alone gives what the whole gives for perturbations that are in no other."""
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    batch = np.where(
        (labels == "G2") | ((labels == "control") & (np.arange(adata.n_obs) % 2 == 0)), "b1", "b2"
    )
    adata.obs["batch"] = batch
    table = tmp_path / "protein.csv"
    counts.to_csv(table)
    by = {"column": "perturbation", "control": "control"}
    whole, _ = compute_protein_effects(adata, table, **by, batch_column="batch")
    plain, _ = compute_protein_effects(adata, table, **by)
    for name in ("b1", "b2"):
        own, _ = compute_protein_effects(adata[batch == name].copy(), table, **by)
        for label in own.perturbations:
            np.testing.assert_allclose(
                whole.effect[whole.index(label)], own.effect[own.index(label)], atol=1e-6
            )
    assert np.abs(whole.effect - plain.effect).max() > 1e-3
    lone = counts.drop(adata.obs_names[(batch == "b1") & (labels == "control")])
    lone.to_csv(table)
    with pytest.raises(HyperPerturbError, match="no control cell of their batch"):
        compute_protein_effects(adata, table, **by, batch_column="batch")
