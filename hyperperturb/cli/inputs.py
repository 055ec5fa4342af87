"""From what a person typed to what the package wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from hyperperturb.data.protein_names import Rename
    from hyperperturb.data.screen import ScreenReport
    from hyperperturb.models.inference import HyperPerturbInference
    from hyperperturb.runs.directory import RunDirectory

TABLE_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def choose_controls(report: ScreenReport, column: str | None, control: str | None) -> tuple[str, str]:
    """Complete a choice of controls by the proposal.

    Parameters
    ----------
    report
        What a look at the screen showed.
    column, control
        What a person said; None leaves it to the proposal.

    Returns
    -------
    tuple of str
        Column and control label.

    Raises
    ------
    HyperPerturbError
        When the choice does not occur in the file, or nothing was said and nothing is proposed.
    """
    if column is None and control is None:
        proposal = report.require_usable()
        return proposal.column, proposal.label
    candidates = report.proposal.candidates if report.proposal else ()
    if column is None:
        named = [c.column for c in candidates if c.label == control]
        named += [name for name, labels in report.label_columns.items() if control in labels]
        if not named:
            raise HyperPerturbError(
                f"No label column has the label '{control}'.",
                hint=f"Columns with labels: {', '.join(report.label_columns) or 'none'}.",
            )
        column = named[0]
    if column not in report.obs_columns:
        raise HyperPerturbError(
            f"The file has no obs column '{column}'.",
            hint=f"Columns with labels: {', '.join(report.label_columns) or 'none'}.",
        )
    if control is None:
        control = next((c.label for c in candidates if c.column == column), None)
        if control is None:
            labels = list(report.label_columns.get(column, {}))[:8]
            raise HyperPerturbError(
                f"No label of column '{column}' looks like a control.",
                hint=f"Name it with --control. The most frequent labels are: {', '.join(labels)}.",
            )
    if not report.n_control_cells(column, control):
        labels = list(report.label_columns.get(column, {}))[:8]
        raise HyperPerturbError(
            f"Column '{column}' has no cells with the label '{control}'.",
            hint=f"The most frequent labels are: {', '.join(labels)}.",
        )
    return column, control


def check_rename(rename: str, proteins: Path | None) -> Rename:
    """Refuse what is no way to match cells, or would do nothing.

    Raises
    ------
    HyperPerturbError
        When it is none of the ways, or no proteins are given.
    """
    from hyperperturb.data.protein_names import RENAMES

    if rename not in RENAMES:
        known = ", ".join(filter(None, RENAMES))
        raise HyperPerturbError(f"--protein_names {rename} is not known.", hint=f"Choose one of {known}.")
    if rename and proteins is None:
        raise HyperPerturbError(
            f"--protein_names {rename} would do nothing.", hint="It belongs to --protein_path."
        )
    return rename


def check_table_path(path: Path | None) -> Path | None:
    """Refuse, before any work is done, an output path whose format is not known; None is none.

    Raises
    ------
    HyperPerturbError
        When the suffix is none of ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz`` and ``.parquet``.
    """
    if path is not None and not path.name.lower().endswith(TABLE_SUFFIXES):
        raise HyperPerturbError(
            f"'{path}' does not say in which format to write.", hint=f"End it in {', '.join(TABLE_SUFFIXES)}."
        )
    return path


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in the format its suffix names, whole or not at all."""
    from hyperperturb.files import atomic_path

    with atomic_path(check_table_path(path)) as temporary:
        if path.name.lower().endswith(".parquet"):
            table.to_parquet(temporary, index=False)
        else:
            separator = "\t" if ".tsv" in path.name.lower() else ","
            table.to_csv(temporary, index=False, sep=separator, float_format="%.6g")


def find_run(run: str, output_dir: Path | None) -> RunDirectory:
    """Find the run that a person means, in the folder that they named or that of the workspace.

    Raises
    ------
    HyperPerturbError
        When there is none.
    """
    from hyperperturb.runs import folder
    from hyperperturb.runs.workspace import Workspace

    return folder.find_run(run, output_dir or Workspace().runs_dir)


def open_model(run: str, output_dir: Path | None) -> HyperPerturbInference:
    """Open the model of a run, found as by :func:`find_run`."""
    path = find_run(run, output_dir).path
    from hyperperturb.models.inference import HyperPerturbInference

    return HyperPerturbInference(path)


def label_reader(model: HyperPerturbInference) -> Callable[[str], tuple[str, ...]]:
    """What reads the genes out of a label (A or A_B), as the run knows them; it refuses a label that names none."""
    from hyperperturb.data.screen import parse_targets

    known = frozenset(model.genes["gene"]) | frozenset(model.response_genes)

    def read(label: str) -> tuple[str, ...]:
        genes = parse_targets(label, control=model.effects.control, known_genes=known)
        if not genes:
            raise HyperPerturbError(f"'{label}' names no gene to perturb.")
        return genes

    return read


def read_lines(path: Path, *, what: str, mend: str) -> list[tuple[int, str]]:
    """The lines of a list that a person wrote, numbered from 1; without empty ones and comments (#).

    Parameters
    ----------
    path
        A text file.
    what
        What a line names, such as ``gene``.
    mend
        What to do where there is none.

    Raises
    ------
    HyperPerturbError
        No such file, no text, or nothing in it.
    """
    from hyperperturb.runs.config import existing_file

    try:
        lines = existing_file(path, what=f"list of {what}s").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise HyperPerturbError(f"'{path}' is not a text file.", hint=f"Give one {what} a line.") from error
    stripped = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    found = [(number, line) for number, line in stripped if line and not line.startswith("#")]
    if not found:
        raise HyperPerturbError(f"'{path}' names no {what}.", hint=mend)
    return found
