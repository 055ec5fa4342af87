"""What 10x ``.h5`` files and folders have in common: kinds of features, and the tables beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EXPRESSION = "Gene Expression"
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
