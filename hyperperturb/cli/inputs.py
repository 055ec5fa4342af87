"""From what a person typed to what the package wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd

    from hyperperturb.data.protein_names import Rename
    from hyperperturb.data.screen import ScreenReport

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


def check_table_path(path: Path) -> Path:
    """Refuse, before any work is done, an output path whose format is not known.

    Raises
    ------
    HyperPerturbError
        When the suffix is none of ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz`` and ``.parquet``.
    """
    if not path.name.lower().endswith(TABLE_SUFFIXES):
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
