"""What 10x ``.h5`` files and folders have in common: kinds of features, and the tables beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperperturb.data.frames import Frame, PandasFrame
from hyperperturb.data.matrix import Matrix
from hyperperturb.data.selected import select_columns

EXPRESSION = "Gene Expression"
ANTIBODIES = "Antibody Capture"
OTHER_KINDS = frozenset(
    (
        ANTIBODIES,
        "Antigen Capture",
        "CRISPR Guide Capture",
        "Chromatin Accessibility",
        "Custom",
        "Multiplexing Capture",
        "Peaks",
    )
)
"""Feature types that are no genes: places of their own, never taken for the values of the screen."""

_KIND_COLUMNS = ("feature_types", "feature_type")
_CALLS = "protospacer_calls_per_cell.csv"
_REFERENCE = "feature_reference.csv"


def feature_places(kinds: np.ndarray | None, n_features: int) -> dict[str, np.ndarray]:
    """Which features make up which place of values.

    Parameters
    ----------
    kinds
        ``(n_features,)`` feature types, None where the file has none (all are genes).
    n_features
        Number of features.

    Returns
    -------
    dict
        ``"X"`` → mask of the genes; every other feature type (``"Antibody Capture"``) → its mask, so that it can be
        read as a layer.

    Examples
    --------
    >>> places = feature_places(np.array(["Gene Expression", "Antibody Capture"], dtype=object), 2)
    >>> {name: mask.tolist() for name, mask in places.items()}
    {'X': [True, False], 'Antibody Capture': [False, True]}
    """
    everything = np.ones(n_features, dtype=bool)
    if kinds is None or not (kinds == EXPRESSION).any():
        return {"X": everything}
    others = sorted({str(kind) for kind in kinds if kind != EXPRESSION})[:50]
    return {
        "X": kinds == EXPRESSION,
        **{kind: kinds == kind for kind in others if kind not in ("X", "raw", "")},
    }


def feature_kinds(var: Frame) -> np.ndarray | None:
    """The feature types of a table of genes, as scanpy reads them from 10x files; None where it has none."""
    for column in _KIND_COLUMNS:
        if column in var.columns:
            return var.labels(column).values()
    return None


def other_kinds(var: Frame | None) -> tuple[str, ...]:
    """The feature types beside the genes in a table of features."""
    if var is None:
        return ()
    kinds = feature_kinds(var)
    return () if kinds is None else tuple(name for name in feature_places(kinds, len(kinds)) if name != "X")


def one_kind(matrix: Matrix, var: Frame, kind: str = "X") -> tuple[Matrix, Frame]:
    """A matrix and its table of features, with the genes only (``"X"``) or with one other feature type only."""
    kinds = feature_kinds(var)
    places = {} if kinds is None else feature_places(kinds, len(kinds))
    if len(places) < 2 or len(kinds) != matrix.shape[1]:
        return matrix, var
    columns = places[kind]
    return select_columns(matrix, columns), PandasFrame(var.take(np.flatnonzero(columns)))


def tables_beside(folder: Path) -> tuple[Path, ...]:
    """Find Cell Ranger's guide calls and feature reference: in a folder, or in ``crispr_analysis`` beside it."""
    found = []
    for name in (_CALLS, _REFERENCE):
        places = (
            folder / name,
            folder / f"{name}.gz",
            folder / "crispr_analysis" / name,
            folder.parent / "crispr_analysis" / name,
        )
        found += [place for place in places if place.is_file()][:1]
    return tuple(found)
