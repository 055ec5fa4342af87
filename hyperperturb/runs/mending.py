"""Mending an entry of a dataset's repair list by a button: a mended copy takes the place of the file."""

from __future__ import annotations

import secrets

from hyperperturb.data.mending import MENDS
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.progress import Progress, scaled
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.datasets import SILENCE, Dataset, get_dataset, replace_screen
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.workspace import Workspace


def mend_dataset(ws: Workspace, name: str, code: str, *, progress: Progress | None = None) -> Dataset:
    """Mend one entry of the repair list of a dataset.

    Parameters
    ----------
    ws
        Workspace.
    name
        The dataset.
    code
        The entry, one of :data:`~hyperperturb.data.mending.MENDS`.
    progress
        Called with the fraction done and what is being done; an exception raised by it cancels.

    Returns
    -------
    Dataset
        On a mended copy in its own folder, its controls to be confirmed anew. A file that was registered by its path
        stays as it is.

    Raises
    ------
    HyperPerturbError
        The dataset has no such entry, or none that a button mends; or what
        :func:`~hyperperturb.data.mending.mend_screen` refuses. Nothing is changed then.
    """
    dataset = get_dataset(ws, name)
    report = dataset.report
    listed = report is not None and any(entry.code == code for entry in report.repairs)
    if report is None or report.proposal is None or not listed or code not in MENDS:
        raise HyperPerturbError(
            f"The repair list of '{name}' has no entry '{code}' that can be mended here.",
            hint="Do what the entry says, and load the file again.",
        )
    source = existing_screen(dataset.source)
    target = ws.datasets_dir / name / f"mended-{secrets.token_hex(4)}.h5ad"
    with atomic_path(target) as temporary:
        guarded(
            "mend",
            about=source,
            seconds=SILENCE,
            memory=None,
            progress=scaled(progress, 0.0, 0.95),
            path=str(source),
            target=str(temporary),
            code=code,
            column=report.proposal.column,
            control=report.proposal.label,
            layer=report.layer,
            tables=[str(table) for table in dataset.tables],
        )
    try:
        return replace_screen(ws, name, target, note=f"Mended here: {MENDS[code].done}.")
    except HyperPerturbError:
        target.unlink(missing_ok=True)
        raise
