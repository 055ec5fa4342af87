"""The shell scripts: labels of a screen, and the downloads of the reference data."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"

CATALOGUE = """
[[entry]]
name = "string-human"
kind = "network"
title = "STRING"
[[entry.file]]
name = "9606.protein.links.v12.0.txt.gz"
url = "{url}/links"
[[entry.file]]
name = "9606.protein.info.v12.0.txt.gz"
url = "{url}/info"
[[entry]]
name = "frangieh-2021-protein"
kind = "protein"
title = "Proteins"
[[entry.file]]
name = "FrangiehIzar2021_protein.h5ad"
url = "{url}/protein"
[[entry]]
name = "frangieh-2021"
kind = "screen"
title = "RNA"
[[entry.file]]
name = "FrangiehIzar2021_RNA.h5ad"
url = "{url}/rna"
"""


def test_download_brings_the_reference_data(file_server, small_screen, tmp_path):
    screen = small_screen.read_bytes()
    links = b"protein1 protein2 combined_score\n9606.ENSP1 9606.ENSP2 900\n"
    file_server.bodies |= {
        "/links": gzip.compress(links),
        "/info": gzip.compress(b"#string_protein_id\tpreferred_name\n9606.ENSP1\tA\n9606.ENSP2\tB\n"),
        "/protein": screen,
        "/rna": screen,
    }
    file_server.drops["/rna"] = 1
    own = tmp_path / "own.toml"
    own.write_text(CATALOGUE.format(url=file_server.url))
    environment = os.environ | {"HYPERPERTURB_HOME": str(tmp_path), "HYPERPERTURB_CATALOGUE": str(own)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPTS / "download_string_and_test_data.sh"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )

    done = run()
    assert done.returncode == 0, done.stderr
    names = {
        "9606.protein.links.v12.0.txt.gz",
        "9606.protein.info.v12.0.txt.gz",
        "FrangiehIzar2021_protein.h5ad",
        "FrangiehIzar2021_RNA.h5ad",
    }
    assert {path.name for path in (tmp_path / "data" / "raw").iterdir()} == names
    assert (tmp_path / "data" / "raw" / "FrangiehIzar2021_RNA.h5ad").read_bytes() == screen
    assert (tmp_path / "data" / "networks" / "string-human.npz").is_file()
    asked = len(file_server.requests)
    del file_server.bodies["/protein"]  # what is there is not asked for again
    assert run().returncode == 0
    assert len(file_server.requests) == asked


def inspect(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "inspect_labels.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )


def test_inspect_labels(small_screen, small_simulation):
    cells = (small_simulation.adata.obs["perturbation"] == "non-targeting").sum()
    done = inspect(small_screen)
    assert done.returncode == 0, done.stderr
    assert "obs columns: perturbation, guide, batch" in done.stdout
    assert "perturbation: 25 labels" in done.stdout
    assert re.search(rf"^ +{cells}  non-targeting$", done.stdout, re.MULTILINE)
    assert "perturbation_type: no such column" in done.stdout
    assert "perturbation_2: no such column" in done.stdout
    assert "'non-targeting' in column 'perturbation'" in done.stdout


def test_inspect_labels_of_the_real_screen(shared_data):
    done = inspect(shared_data / "screens" / "papalexi2021_thp1_299genes.h5ad")
    assert done.returncode == 0, done.stderr
    assert "perturbation: 26 labels" in done.stdout
    assert re.search(r"^ +2,386  non-targeting$", done.stdout, re.MULTILINE)


def test_inspect_labels_says_what_is_wrong(tmp_path):
    done = inspect(cwd=tmp_path)
    if not (ROOT / "data" / "raw" / "FrangiehIzar2021_RNA.h5ad").exists():
        assert done.returncode == 1
        assert "run scripts/download_string_and_test_data.sh first" in done.stderr
    (tmp_path / "text.h5ad").write_text("hello")
    done = inspect(tmp_path / "text.h5ad")
    assert done.returncode == 1
    assert "text.h5ad" in done.stderr
    assert "Traceback" not in done.stderr
