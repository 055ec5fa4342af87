"""By which columns the effects of a dataset can be computed within batches."""

from __future__ import annotations

from hyperperturb.data.batches import BatchColumn
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.datasets import SILENCE, Dataset
from hyperperturb.runs.guarded import guarded


def batch_columns(dataset: Dataset, column: str, control: str) -> tuple[BatchColumn, ...]:
    """Find the columns that may name batches of a dataset's screen, read by the helper process.

    Parameters
    ----------
    dataset
        A screen.
    column, control
        A choice of label column and control label, confirmed or not.

    Returns
    -------
    tuple of BatchColumn

    Raises
    ------
    HyperPerturbError
        The file is gone, or what :func:`~hyperperturb.data.batches.find_batch_columns` refuses.
    """
    source = existing_screen(dataset.source)
    found = guarded(
        "batches",
        about=source,
        seconds=SILENCE,
        memory=None,
        path=str(source),
        column=column,
        control=control,
        tables=[str(table) for table in dataset.tables],
    )
    return tuple(BatchColumn.model_validate(entry) for entry in found)
