"""The quality of a dataset: judged by the confirmed controls, kept beside the effects, forgotten with them."""

from __future__ import annotations

import pandas as pd
import pytest

from hyperperturb.data.quality import assess_quality
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import datasets
from hyperperturb.runs import guarded as guarded_module
from hyperperturb.runs import quality as module
from hyperperturb.runs.quality import judge_dataset, load_quality
from hyperperturb.runs.workspace import Workspace

BY = {"column": "perturbation", "control": "non-targeting", "mode": "knockdown"}


@pytest.fixture
def ws(ws, small_screen) -> Workspace:
    datasets.register_dataset(ws, small_screen, title="small")
    return ws


def test_judged_once_kept_and_gone_with_the_choice(ws, small_screen):
    with pytest.raises(HyperPerturbError, match="not confirmed yet"):
        judge_dataset(ws, "small")
    confirmed = datasets.confirm_controls(ws, "small", **BY)
    assert load_quality(confirmed) is None
    told = []
    judged = judge_dataset(ws, "small", progress=lambda fraction, message: told.append(fraction))
    assert told == sorted(told)
    found = load_quality(datasets.get_dataset(ws, "small"))
    want = assess_quality(small_screen, **BY)
    assert found.perturbations[0].energy == pytest.approx(want.perturbations[0].energy, rel=1e-6)
    assert [p.significant_genes for p in found.perturbations] == [
        p.significant_genes for p in want.perturbations
    ]
    assert (found.warnings, found.guide_column, len(found.batches)) == (want.warnings, "guide", 2)
    assert judged.quality_path.parent == judged.effects_path.parent
    again = judge_dataset(ws, "small")
    assert not judged.quality_path.exists()
    assert load_quality(again) == found
    anew = datasets.confirm_controls(ws, "small", column="perturbation", control="non-targeting")
    assert anew.quality_path is None
    assert not again.quality_path.exists()


def test_a_choice_that_changes_meanwhile_wins(ws, monkeypatch):
    datasets.confirm_controls(ws, "small", **BY)

    def slow(task, **arguments):
        found = guarded_module.guarded(task, **arguments)
        datasets.confirm_controls(ws, "small", column="perturbation", control="non-targeting")
        return found

    monkeypatch.setattr(module, "guarded", slow)
    with pytest.raises(HyperPerturbError, match="confirmed anew"):
        judge_dataset(ws, "small")
    assert load_quality(datasets.get_dataset(ws, "small")) is None
    assert not list(ws.datasets_dir.rglob("quality-*"))


def test_effects_have_no_cells_and_old_files_are_judged_anew(ws, tmp_path):
    table = tmp_path / "effects.csv"
    pd.DataFrame({"perturbation": ["A", "B"], "G": [1.0, 2.0]}).to_csv(table, index=False)
    name = datasets.register_dataset(ws, table).name
    with pytest.raises(HyperPerturbError, match="table of effects"):
        judge_dataset(ws, name)
    datasets.confirm_controls(ws, "small", **BY)
    judged = judge_dataset(ws, "small")
    judged.quality_path.write_text('{"column": "perturbation"}')
    assert load_quality(judged) is None
