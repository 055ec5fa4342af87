"""How long a training will take, from what trainings took on two cores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.ui.text import count, duration

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects
    from hyperperturb.models.settings import TrainingSettings

START = 25.0
"""Seconds until TensorFlow is loaded and the data are read."""


def genes(settings: TrainingSettings, effects: Effects) -> int:
    """Genes that the screen itself brings into the universe; the network adds some more."""
    named = set(effects.genes).union(*effects.targets)
    return min(settings.max_genes, len(named))


def seconds(settings: TrainingSettings, effects: Effects, *, cells: bool) -> float:
    """Seconds from the click to a usable run.

    Parameters
    ----------
    settings
        What the training is told.
    effects
        The effects it learns from.
    cells
        Whether there are cells for the cell heads.
    """
    n_genes = genes(settings, effects)
    n_cells = min(settings.max_cells, int(effects.n_cells.sum())) if cells and settings.cell_heads else 0
    per_epoch = 4e-5 * n_genes + 4e-5 * n_cells
    scoring = 2e-3 * len(effects.perturbations) * settings.folds
    return START + settings.epochs * per_epoch + scoring + (n_genes / 1000) ** 2


def estimate(settings: TrainingSettings, effects: Effects, *, cells: bool) -> str:
    """The sentence beside the button."""
    n_genes = genes(settings, effects)
    return f"About {duration(seconds(settings, effects, cells=cells))} on two cores, for about {count(n_genes)} genes."
