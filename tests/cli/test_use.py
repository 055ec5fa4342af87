"""predict and query on a stand-in for a model."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.interactions import split_effect

GENES = ["STAT1", "IRF1", "MYC"]


class RefusedError(HyperPerturbError):
    nearest = ("STAT1",)


class StandIn:
    """Answers like a finished run, without one."""

    genes = pd.DataFrame({"gene": [*GENES, "JAK2"]})
    response_genes = tuple(GENES)
    asked: ClassVar[list] = []
    proteins = None
    effects = SimpleNamespace(
        control="non-targeting",
        perturbations=("P0", "P1"),
    )

    def predict_effects(self, targets):
        if "NOSUCHGENE" in targets:
            raise RefusedError(
                "There is no ground to predict NOSUCHGENE.", hint="The nearest genes are STAT1."
            )
        effect = np.array([1.0, -2.0, 0.5]) * len(targets)
        table = pd.DataFrame(
            {"gene": GENES, "effect": effect, "standard_error": 0.1, "measured": [1.0, np.nan, 0.4]}
        ).assign(measured_standard_error=0.2)
        support = SimpleNamespace(
            why="measured", model_dump=lambda mode: {"level": "measured", "why": "measured"}
        )
        interaction = None
        if len(targets) > 1:
            parts = np.array([0.0, 2.0, 0.0]), np.array([0.1, 0.1, 0.1])
            interaction = split_effect(GENES, targets, effect, *parts, found=True)
        return SimpleNamespace(
            targets=tuple(targets),
            table=table,
            support=support,
            strength=2.5,
            interaction=interaction,
            proteins=None,
        )

    def align(self, adata):
        return np.zeros((adata.n_obs, len(GENES)))

    def predict_perturbations(self, expression, k=5, unseen=()):
        n = len(expression)
        return np.tile(np.arange(k), (n, 1)), np.full((n, k), 1 / k), np.full(n, 3.0)

    def rank_perturbations(self, expression, goal, *, target=None, up=(), down=(), unseen=()):
        self.asked.append((None if expression is None else expression.shape, goal, target, up, down, unseen))
        return pd.DataFrame(
            {
                "perturbation": ["P0", "P1"],
                "targets": ["STAT1", "IRF1"],
                "sign": ["wrong", "right"],
                "intervention": ["activation", "knockdown"],
                "score": [-0.9, 0.2],
                "probability": [0.8, 0.01],
                "evidence": [-0.8, np.nan],
            }
        )

    def interpret_perturbations(self, adata, top, unseen=()):
        n, k = top.shape
        return pd.DataFrame(
            {
                "cell": np.repeat(np.asarray(adata.obs_names), k),
                "rank": np.tile(np.arange(1, k + 1), n),
                "perturbation": [f"P{i}" for i in top.ravel()],
            }
        )


@pytest.fixture
def stand_in(monkeypatch):
    for command in ("predict", "query"):
        monkeypatch.setattr(f"hyperperturb.cli.{command}.open_model", lambda run, output_dir: StandIn())


def test_predict_gives_one_row_a_response_gene(call, stand_in, tmp_path):
    code, out, _ = call("predict", "any", "--gene", "JAK2", "--gene", "IRF1", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["targets"] == ["JAK2", "IRF1"]
    assert said["strength"] == 2.5
    assert said["interaction"]["found"]
    assert said["interaction"]["parts"][1]["additive"] == -6.0
    assert "of the sum over the genes" in call("predict", "any", "--gene", "JAK2", "--gene", "IRF1")[1]
    assert said["effects"][1] == {"gene": "IRF1", "effect": -4.0, "standard_error": 0.1, "measured": None}
    csv = tmp_path / "effects.csv"
    assert call("predict", "any", "--gene", "JAK2", "--csv", csv)[0] == 0
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["gene", "effect", "standard_error", "measured"]
    assert frame["effect"].tolist() == [1.0, -2.0, 0.5]
    code, out, _ = call("predict", "any", "--gene", "JAK2")
    assert out.splitlines()[2].split()[0] == "IRF1", "the largest effect first"


def test_predict_refuses_with_the_reason(call, stand_in, tmp_path):
    code, out, err = call("predict", "any", "--gene", "NOSUCHGENE", "--csv", tmp_path / "no.csv", "--json")
    assert (code, out) == (1, "")
    assert "The nearest genes are STAT1" in err
    assert not (tmp_path / "no.csv").exists()


def test_a_list_is_predicted_line_by_line_and_says_what_it_left_out(call, stand_in, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("# my genes\nJAK2\n\nJAK2_IRF1\nNOSUCHGENE\nnon-targeting\n")
    csv = tmp_path / "all.csv"
    code, out, err = call("predict", "any", "--targets", listed, "--csv", csv, "--json")
    assert code == 0
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["perturbation", *GENES]
    assert frame["perturbation"].tolist() == ["JAK2", "JAK2_IRF1"]
    assert frame["IRF1"].tolist() == [-2.0, -4.0]
    said = json.loads(out)
    assert [(r["line"], r["perturbation"], r["nearest"]) for r in said["refused"]] == [
        (5, "NOSUCHGENE", ["STAT1"]),
        (6, "non-targeting", []),
    ]
    assert err.count("refused: line") == 2


def test_a_list_of_which_nothing_can_be_predicted_fails(call, stand_in, tmp_path):
    listed = tmp_path / "list.txt"
    for content, says in (("NOSUCHGENE\n", "None of the 1"), ("# nothing\n", "names no perturbation")):
        listed.write_text(content)
        code, out, err = call("predict", "any", "--targets", listed, "--csv", tmp_path / "no.csv")
        assert (code, out) == (1, "")
        assert says in err
    listed.write_bytes(b"\xff\xfe\x00J")
    assert call("predict", "any", "--targets", listed, "--csv", tmp_path / "no.csv")[0] == 1
    assert not (tmp_path / "no.csv").exists()


@pytest.mark.parametrize(
    "words", [[], ["--gene", "A", "--targets", "list.txt"], ["--targets", "list.txt"], ["--gene"]]
)
def test_predict_wants_genes_or_a_list(call, stand_in, words):
    assert call("predict", "any", *words)[0] == 2


def test_query_answers_for_every_cell(call, stand_in, small_screen, tmp_path):
    csv = tmp_path / "answers.csv"
    code, out, _ = call("query", "any", small_screen, "-k", 2, "--csv", csv, "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["n_cells"], said["k"], said["first"]) == (1500, 2, {"P0": 1500})
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["cell", "rank", "perturbation", "score", "strength"]
    assert len(frame) == 3000
    code, _, err = call("query", "any", small_screen, "--goal", "guess")
    assert code == 1
    assert "'guess' is not a goal" in err


def test_query_ranks_for_a_state_that_cells_share(call, stand_in, small_screen, tmp_path):
    StandIn.asked.clear()
    code, out, _ = call("query", "any", small_screen, "--goal", "revert", "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["n_cells"], said["goal"]) == (1500, "revert")
    assert said["ranking"][0]["intervention"] == "activation"
    assert said["ranking"][1]["evidence"] is None
    assert StandIn.asked[-1][:2] == ((1500, 3), "revert")
    code, out, _ = call("query", "any", small_screen, "--together", "-k", 1)
    assert code == 0
    assert "1,500 cells as one state (explain):" in out
    assert "P1" not in out
    csv = tmp_path / "ranking.csv"
    code, _, _ = call("query", "any", small_screen, "--goal", "target", "--to", "P1", "--csv", csv)
    assert code == 0
    assert StandIn.asked[-1][2] == "P1"
    assert pd.read_csv(csv)["sign"].tolist() == ["wrong", "right"]
    code, _, _ = call("query", "any", small_screen, "--goal", "target", "--to", small_screen)
    assert StandIn.asked[-1][2].shape == (1500, 3)
    code, out, _ = call(
        *("query", "any", "--goal", "target", "--up", "MYC", "--down", "IRF1", "--unseen", "JAK2_STAT1")
    )
    assert code == 0
    assert StandIn.asked[-1] == (None, "target", None, ["MYC"], ["IRF1"], [("JAK2", "STAT1")])
    assert "Lists of genes as a state:" in out
    code, _, err = call("query", "any", small_screen, "--goal", "target", "--to", "P7")
    assert code == 1
    assert "'P7' is neither a label of the run's screen nor a file" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--goal", "target"],
        ["--up", "MYC"],
        ["--goal", "target", "--to", "P1", "--up", "MYC"],
        ["--goal", "revert", "--to", "P1"],
    ],
)
def test_query_wants_a_state_for_a_target_and_only_then(call, stand_in, small_screen, words):
    assert call("query", "any", small_screen, *words)[0] == 2
    assert call("query", "any", *words)[0] == 2


def test_a_run_without_proteins_says_so(call, stand_in, tmp_path):
    out = tmp_path / "proteins.csv"
    code, _, said = call("predict", "any", "--gene", "JAK2", "--protein_csv", out)
    assert code == 1
    assert "knows no proteins" in said
    assert not out.exists()
