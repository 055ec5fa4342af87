"""The quality of a dataset's screen, judged once and kept beside its effects."""

from __future__ import annotations

import secrets

from pydantic import ValidationError

from hyperperturb.data.quality_report import Quality
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.progress import Progress
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.datasets import SILENCE, Dataset, add_quality, get_dataset
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.workspace import Workspace


def judge_dataset(ws: Workspace, name: str, *, progress: Progress | None = None) -> Dataset:
    """Judge the screen of a confirmed dataset, by the controls that were confirmed, and keep what was found.

    Parameters
    ----------
    ws
        Workspace.
    name
        The dataset.
    progress
        Called with the fraction done and what is being done; an exception raised by it cancels.

    Returns
    -------
    Dataset
        With ``quality_path``.

    Raises
    ------
    HyperPerturbError
        It is a table of effects, or its controls are not confirmed; they were confirmed anew meanwhile; the screen
        cannot be read.
    """
    dataset = get_dataset(ws, name)
    if dataset.kind == "effects":
        raise HyperPerturbError(
            f"The dataset '{name}' is a table of effects: the cells that its quality shows in are not there.",
            hint="Bring the screen itself.",
        )
    if not dataset.confirmed or dataset.effects_path is None:
        raise HyperPerturbError(
            f"The controls of the dataset '{name}' are not confirmed yet.",
            hint="Confirm which cells are the controls first.",
        )
    source = existing_screen(dataset.source)
    target = dataset.effects_path.with_name(f"quality-{secrets.token_hex(4)}.json")
    with atomic_path(target) as temporary:
        guarded(
            "quality",
            about=source,
            seconds=SILENCE,
            memory=None,
            progress=progress,
            path=str(source),
            target=str(temporary),
            column=dataset.column,
            control=dataset.control,
            layer=dataset.report.layer if dataset.report else None,
            tables=[str(table) for table in dataset.tables],
            mode=dataset.mode,
            batch_column=dataset.batch_column,
            within_batches=dataset.batch_column is not None,
        )
    judged = add_quality(ws, dataset, target)
    if judged is None:
        target.unlink(missing_ok=True)
        raise HyperPerturbError(
            f"The controls of '{name}' were confirmed anew while its quality was judged.",
            hint="Judge it again.",
        )
    return judged


def load_quality(dataset: Dataset) -> Quality | None:
    """Read the quality of a dataset; None when it was not judged yet, or by a version that wrote it otherwise."""
    if dataset.quality_path is None:
        return None
    try:
        return Quality.model_validate_json(dataset.quality_path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
