"""The Predict page asked about two genes that interact."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from hyperperturb.data import compute_effects, simulate_screen

ROOT = Path(__file__).resolve().parents[2]


def test_a_combination_is_shown_beside_the_sum_of_its_genes(
    tmp_path, monkeypatch: pytest.MonkeyPatch, finished_run
):
    screen = simulate_screen(
        seed=0, n_genes=150, n_regulators=40, n_single=36, n_double=80, n_cells=9000, epistasis=0.6
    )
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    run = finished_run(tmp_path / "models" / "saved", effects, screen.network)
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path))
    app = AppTest.from_file(str(ROOT / "app" / "Home.py"), default_timeout=60)
    app.query_params["run"] = run.name
    pair = next(iter(screen.epistasis))
    app.query_params["genes"] = ",".join(pair)
    app.run()
    app.switch_page("../pages/predict.py").run()
    assert not app.exception
    assert not app.error
    said = " ".join(element.value for element in app.markdown)
    assert "of the sum over the genes" in said or "than the sum over the genes" in said
    assert "Interaction" in [metric.label for metric in app.metric] or "Interaction" in said
