"""How long a training will take, from what trainings took on two cores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from app.ui.text import count, duration
from hyperperturb.evaluation.splits import MOST_GENES

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects
    from hyperperturb.data.network import Network
    from hyperperturb.models.settings import TrainingSettings

# Fitted to four trainings on two cores (quick and standard, the demo and the Papalexi screen with STRING: 600 to 4,000
# genes, 8,000 to 18,000 cells; 50 to 95 s): loading TensorFlow, compiling and writing take 35 s whatever the size.
FIXED = 35.0
PER_EPOCH, PER_EPOCH_AND_GENE, PER_EPOCH_AND_CELL = 0.95, 6e-5, 2e-5
PER_MILLION_PAIRS = 0.3
# Of benchmarks/genome_scale.py: a million entries of the table of effects, once, and in each fold that is scored.
PER_MILLION_ENTRIES, PER_FOLD, PER_FOLD_AND_MILLION_ENTRIES = 1.4, 1.0, 1.9


def universe(settings: TrainingSettings, effects: Effects, networks: Iterable[Network]) -> int:
    """How many genes the model will place: the screen's and the networks', up to the limit."""
    named = set(effects.genes).union(*effects.targets, *(network.genes for network in networks))
    return min(settings.max_genes, len(named))


def seconds(settings: TrainingSettings, effects: Effects, *, n_genes: int, cells: bool) -> float:
    """Seconds from the click to a usable run.

    Parameters
    ----------
    settings
        What the training is told.
    effects
        The effects it learns from.
    n_genes
        Genes of the universe.
    cells
        Whether there are cells for the cell heads.
    """
    n_cells = min(settings.max_cells, int(effects.n_cells.sum())) if cells and settings.cell_heads else 0
    epoch = PER_EPOCH + PER_EPOCH_AND_GENE * n_genes + PER_EPOCH_AND_CELL * n_cells
    millions = effects.effect.size / 1e6
    n_targets = len({gene for target in effects.targets for gene in target})
    folds = min(settings.folds, -(-MOST_GENES * settings.folds // max(n_targets, 1)))
    scores = folds * (PER_FOLD + PER_FOLD_AND_MILLION_ENTRIES * millions)
    effect_head = PER_MILLION_ENTRIES * millions
    pairs = PER_MILLION_PAIRS * (n_genes / 1000) ** 2
    return FIXED + settings.epochs * epoch + scores + effect_head + pairs


def estimate(
    settings: TrainingSettings, effects: Effects, networks: Iterable[Network], *, cells: bool
) -> str:
    """The sentence beside the button."""
    n_genes = universe(settings, effects, networks)
    wait = duration(seconds(settings, effects, n_genes=n_genes, cells=cells))
    return f"About {wait} on two idle cores, for {count(n_genes)} genes."
