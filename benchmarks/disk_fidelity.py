"""How true the disk is to the distances in the model, beside UMAP: ``python benchmarks/disk_fidelity.py RUN ...``.

RUN is the name of a finished run of the workspace (`HYPERPERTURB_HOME`). What is measured is what the app prints under
the disk of that run, see :mod:`hyperperturb.evaluation.fidelity`.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

from _report import header

from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.fidelity import measure_fidelity
from hyperperturb.runs.workspace import Workspace


def main() -> None:
    """Measure every run that is named and print a table."""
    print(header("umap-learn", "numpy"))
    print("| run on | genes | picture | rank correlation | trustworthiness | neighbours kept |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:]:
        run = RunDirectory.open(Workspace().runs_dir / name)
        found = measure_fidelity(run)
        for picture, values in (("disk", found.disk), ("UMAP", found.umap)):
            if values is not None:
                numbers = " | ".join(f"{value:.2f}" for value in asdict(values).values())
                print(f"| {run.config.title} | {found.n_genes:,} | {picture} | {numbers} |")


if __name__ == "__main__":
    main()
