"""The command that downloads: what it prints, and what it says when it cannot."""

from __future__ import annotations

import hashlib
import json

import pytest

from hyperperturb.cli import main
from hyperperturb.data.catalogue import catalogue

CATALOGUE = """
[[entry]]
name = "toy-screen"
kind = "screen"
title = "Toy screen"
citation = "Someone 2025"
label_column = "perturbation"
control = "non-targeting"
note = "A toy."
[[entry.file]]
name = "toy.h5ad"
url = "{url}/toy.h5ad"
size = {size}
checksum = "sha256:{digest}"
[[entry]]
name = "toy-network"
kind = "network"
title = "Toy network"
[[entry.file]]
name = "toy.csv"
url = "{url}/toy.csv"
"""


@pytest.fixture
def call(capsys, monkeypatch, tmp_path, file_server, small_screen):
    """Run the command on a server with a toy screen and a toy network: (exit code, stdout, stderr)."""
    body = small_screen.read_bytes()
    file_server.bodies |= {"/toy.h5ad": body, "/toy.csv": b"A,B,0.5\nB,C,1.0\n"}
    own = tmp_path / "own.toml"
    own.write_text(
        CATALOGUE.format(url=file_server.url, size=len(body), digest=hashlib.sha256(body).hexdigest())
    )
    monkeypatch.setenv("HYPERPERTURB_CATALOGUE", str(own))
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["download", *(str(a) for a in arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_screen_and_a_network(call, tmp_path):
    code, out, err = call("toy-screen", "toy-network", "--to", tmp_path / "files")
    assert code == 0, err
    assert str(tmp_path / "files" / "toy.h5ad") in out
    assert "cite: Someone 2025" in out
    assert "dataset 'toy-screen'; proposed controls: 'non-targeting' in column 'perturbation'" in out
    assert "confirm them on the page Controls" in out
    assert "note: A toy." in out
    assert f"network {tmp_path / 'home' / 'data' / 'networks' / 'toy-network.npz'}" in out


def test_json_is_all_there_is_on_stdout(call, tmp_path):
    code, out, _ = call("toy-screen", "toy-network", "--json")
    assert code == 0
    said = json.loads(out)
    screen, network = said["downloads"]
    assert said["failed"] == []
    assert screen["dataset"] == "toy-screen"
    assert screen["proposed"] == {"column": "perturbation", "control": "non-targeting"}
    assert screen["files"] == [str(tmp_path / "home" / "data" / "raw" / "toy.h5ad")]
    assert screen["bytes"] > 10_000
    assert network["network"].endswith("toy-network.npz")


def test_the_list_says_what_is_there(call):
    code, before, _ = call("--list")
    assert code == 0
    for entry in catalogue():
        assert f"  {entry.name} " in before
    assert "8.81 GB" in before
    call("toy-screen")
    listed = json.loads(call("--list", "--json")[1])
    assert {entry["name"] for entry in listed if entry["here"]} == {"toy-screen"}
    assert next(e for e in listed if e["name"] == "norman-2019")["perturbations"] == 236
    row = next(line for line in call("--list")[1].splitlines() if "toy-screen" in line)
    assert row.endswith("yes")


def test_one_that_fails_does_not_stop_the_others(call, file_server):
    del file_server.bodies["/toy.h5ad"]
    code, out, err = call("toy-screen", "toy-network", "--json")
    assert code == 1
    assert json.loads(out)["failed"] == ["toy-screen"]
    assert "toy-screen: The server has no such file (HTTP 404)" in err
    assert "hyperperturb: 1 of 2 could not be downloaded: toy-screen." in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say what to download. See: hyperperturb download --list"),
        (("toy",), "no entry 'toy'. Similar: toy-screen, toy-network"),
        (("toy-network", "nonsense"), "no entry 'nonsense'"),
        (("toy-screen", "--list"), "Give names or --list, not both"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked_for(call, file_server, arguments, said):
    code, out, err = call(*arguments)
    assert code == 1
    assert out == ""
    assert said in err
    assert file_server.requests == []


def test_a_wrong_file_is_one_sentence(call, file_server, tmp_path):
    file_server.bodies["/toy.h5ad"] = file_server.bodies["/toy.h5ad"][:-1] + b"?"
    code, _, err = call("toy-screen")
    assert code == 1
    assert "another checksum" in err
    assert len([line for line in err.splitlines() if line.startswith("hyperperturb:")]) == 1
    assert not (tmp_path / "home" / "data" / "raw" / "toy.h5ad").exists()
