"""Proteins of a dataset's cells: a file that a person attaches, or the screen's own."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from hyperperturb.data.protein_files import PROTEIN_SUFFIXES
from hyperperturb.data.protein_names import Rename
from hyperperturb.data.proteins import ProteinReport
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.dataset_record import Dataset, dataset_folder, get_dataset, write_record
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.incoming import UPLOAD_LIMIT, copy_incoming
from hyperperturb.runs.workspace import Workspace

UPLOADED = tuple(end for end in PROTEIN_SUFFIXES if not end.startswith((".mtx", ".zarr")))
"""What names of uploaded files of proteins end in: those that are one file."""


def look_at(
    screen: Path, proteins: Path, *, tables: Sequence[Path] = (), rename: Rename = ""
) -> ProteinReport:
    """Say how a file of proteins and a screen fit together, in a process that strangers' files may end.

    Raises
    ------
    HyperPerturbError
        What :func:`~hyperperturb.data.proteins.look_at_proteins` refuses.
    """
    answer = guarded(
        "proteins",
        about=proteins,
        path=str(screen),
        proteins=str(proteins),
        tables=[str(table) for table in tables],
        rename=rename,
    )
    return ProteinReport.model_validate(answer)


def own_proteins(screen: Path, tables: Sequence[Path] = ()) -> dict[str, Any]:
    """What a dataset says of antibodies in its screen's own file; nothing where they are of no use."""
    try:
        return {"proteins": screen, "protein_report": look_at(screen, screen, tables=tables)}
    except HyperPerturbError:
        return {}


def attach_proteins(
    ws: Workspace,
    name: str,
    source: IO[bytes] | Path | str,
    filename: str | None = None,
    *,
    rename: Rename = "",
    limit: int = UPLOAD_LIMIT,
) -> Dataset:
    """Attach proteins of the same cells to a dataset: trainings learn from them too.

    Parameters
    ----------
    ws, name
        The dataset.
    source
        An uploaded file, which is copied, or a path on this machine, which stays where it is.
    filename
        The upload's name.
    rename
        How names of cells are mended to match.
    limit
        Largest size of an upload in bytes.

    Returns
    -------
    Dataset
        With ``proteins`` and ``protein_report``.

    Raises
    ------
    HyperPerturbError
        It is a table of effects; or what :func:`look_at` refuses. The dataset then stays as it was.
    """
    dataset = get_dataset(ws, name)
    if dataset.kind == "effects":
        raise HyperPerturbError(
            f"The dataset '{name}' is a table of effects: it has no cells that proteins could belong to.",
            hint="Bring the screen itself.",
        )
    screen = existing_screen(dataset.source)
    if isinstance(source, Path | str):
        path = existing_screen(source, what="proteins")
        return _attached(ws, dataset, path, look_at(screen, path, tables=dataset.tables, rename=rename))
    end = next((e for e in UPLOADED if (filename or "").lower().endswith(e)), None)
    if end is None:
        raise HyperPerturbError(
            f"'{filename}' is no file of proteins.", hint=f"Its name should end in {', '.join(UPLOADED)}."
        )
    target = dataset_folder(ws, name) / f"proteins-{secrets.token_hex(4)}{end}"
    copy_incoming(source, target, filename=filename or "", limit=limit)
    try:
        return _attached(ws, dataset, target, look_at(screen, target, tables=dataset.tables, rename=rename))
    except HyperPerturbError:
        target.unlink(missing_ok=True)
        raise


def detach_proteins(ws: Workspace, name: str) -> Dataset:
    """Take the proteins of a dataset away; an uploaded file is removed, another stays where it is."""
    return _attached(ws, get_dataset(ws, name), None, None)


def _attached(ws: Workspace, dataset: Dataset, path: Path | None, report: ProteinReport | None) -> Dataset:
    folder, before = dataset_folder(ws, dataset.name), get_dataset(ws, dataset.name)
    found = before.model_copy(
        update={
            "proteins": path,
            "protein_report": report,
            "protein_names": "" if report is None else report.rename,
        }
    )
    write_record(found, folder)
    old = before.proteins
    if old is not None and old not in (path, before.source) and old.is_relative_to(folder):
        old.unlink(missing_ok=True)
    return found
