"""``hyperperturb terms``: what genes have in common, tested against the genes of a finished run."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hyperperturb.cli import main
from hyperperturb.data import compute_effects
from hyperperturb.data.network_readers import read_terms
from hyperperturb.evaluation.enrichment import enrichment


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_simulation, finished_run):
    effects = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    return finished_run(tmp_path_factory.mktemp("runs"), effects, small_simulation.network)


@pytest.fixture(scope="module")
def genes(run) -> list[str]:
    return pd.read_parquet(run.file("genes.parquet"))["gene"].tolist()


@pytest.fixture(scope="module")
def sets(tmp_path_factory, genes):
    """Ten terms: the first has the first five genes of the run and one that it does not know."""
    lines = [f"T{k}\tsomewhere\t" + "\t".join(genes[5 * k : 5 * k + 5]) for k in range(10)]
    lines[0] += "\tELSEWHERE"
    path = tmp_path_factory.mktemp("terms") / "sets.gmt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_terms_are_those_of_the_package(run, genes, sets, tmp_path, capsys):
    out = tmp_path / "terms.csv"
    words = ["terms", str(run.path), "--genes", f"{genes[0].lower()},{genes[1]}", "--genes", genes[7]]
    assert main([*words, "--genes", "NOBODY", "--terms", str(sets), "--json"]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["genes"], said["unknown"]) == ([genes[0], genes[1], genes[7]], ["NOBODY"])
    assert "left out: NOBODY" in captured.err
    wanted = enrichment(said["genes"], read_terms(sets), background=genes)
    (found,) = said["files"]
    assert (found["file"], found["n_background"], found["n_tested"]) == (str(sets), 50, 10)
    assert [row["term"] for row in found["terms"]] == wanted["term"].tolist() == ["T0", "T1"]
    assert [row["q_value"] for row in found["terms"]] == pytest.approx(wanted["q_value"].tolist())

    assert main([*words, "--terms", str(sets), "--terms", str(sets), "--csv", str(out)]) == 0
    assert "2 genes of the set" not in (printed := capsys.readouterr().out)
    assert f"{out}: 4 rows" in printed
    written = pd.read_csv(out)
    assert written["file"].tolist() == ["sets.gmt"] * 4
    assert written["genes"][0] == ", ".join(sorted(genes[:2]))


def test_genes_from_a_list(run, genes, sets, tmp_path, capsys):
    path = tmp_path / "genes.txt"
    path.write_text("# of the screen\n" + "\n".join(genes[:5]))
    assert main(["terms", str(run.path), "--list", str(path), "--terms", str(sets)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("sets.gmt: 1 of 10 terms below a false discovery rate of 5 %")
    assert printed[2].split()[:3] == ["T0", "5", "5"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "Give the genes either"),
        (["--genes", "A"], 2, "at least one file"),
        (["--genes", "NOBODY", "--terms", "{sets}"], 1, "knows none of these genes"),
        (["--genes", "{gene}", "--terms", "nowhere.gmt"], 1, "nowhere.gmt"),
        (["--genes", "{gene}", "--terms", "{sets}", "--csv", "out.doc"], 1, "in which format"),
        (["--list", "{empty}", "--terms", "{sets}"], 1, "names no gene"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    run, genes, sets, tmp_path, capsys, words, code, sentence
):
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    filled = [word.format(sets=sets, gene=genes[0], empty=empty) for word in words]
    assert main(["terms", str(run.path), *filled]) == code
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert not captured.out
