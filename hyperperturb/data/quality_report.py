"""What is said about the quality of a screen: the tables and the warnings, as they are stored and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from hyperperturb.data.effects import Mode
from hyperperturb.data.repairs import Repair

if TYPE_CHECKING:
    import pandas as pd

RATE = 0.05
"""False discovery rate under which genes and effects are called significant."""


class PerturbationQuality(BaseModel):
    """One perturbation; None stands for what cannot be known.

    Attributes
    ----------
    perturbation, targets, cells
        Label, target genes, number of cells.
    energy, energy_chance, energy_p, energy_q
        Energy distance of its cells to the controls on principal components, what permutations of the cells give on
        average, their p-value, and that adjusted for the number of perturbations.
    significant_genes
        Response genes (own targets left out) that differ from the controls at 5 % FDR
        (:meth:`~hyperperturb.data.effects.Effects.p_values`).
    target, target_effect, target_remaining, target_p
        The measured target that moved least in the wanted direction: natural-log effect, the share of the control's
        expression that is left, the p-value.
    target_visible
        Whether a change by half (or to double, for activation) would have shown with so many cells.
    guides, guide_agreement, guide_expected
        Guides of five or more cells, the mean correlation of their effects, and what noise would leave of it if all
        guides did the same.
    batch_distance, batch_p
        Total variation distance between its batches and the controls', and the chi-square p-value.
    """

    model_config = ConfigDict(frozen=True)

    perturbation: str
    targets: tuple[str, ...]
    cells: int
    energy: float | None
    energy_chance: float | None
    energy_p: float | None
    energy_q: float | None
    significant_genes: int | None
    target: str | None
    target_effect: float | None
    target_remaining: float | None
    target_p: float | None
    target_visible: bool
    guides: int
    guide_agreement: float | None
    guide_expected: float | None
    batch_distance: float | None
    batch_p: float | None


class GuideQuality(BaseModel):
    """One guide of a perturbation; `agreement` is its mean correlation with the perturbation's other guides."""

    model_config = ConfigDict(frozen=True)

    perturbation: str
    guide: str
    cells: int
    target_effect: float | None
    target_p: float | None
    agreement: float | None


class BatchQuality(BaseModel):
    """One batch: its cells, and the medians of their counts (None for log-normalised values) and detected genes."""

    model_config = ConfigDict(frozen=True)

    batch: str
    cells: int
    control_cells: int
    perturbed_cells: int
    perturbations: int
    median_counts: float | None
    median_genes: float | None


class Quality(BaseModel):
    """The quality of a screen.

    Attributes
    ----------
    column, control, mode, guide_column, batch_column
        What it was judged by; columns are None where there are none.
    n_cells, n_control_cells, n_left_out
        All cells, the controls, and those that are neither control nor perturbation.
    n_components, permutations
        Of the energy distances.
    doublets, doublets_left_out
        Cells with more guides than their perturbation plans, and cells whose label says so.
    control_batch_distance, control_batch_p
        Total variation distance between the batches of controls and of all perturbed cells; chi-square p-value.
    guides_within, guides_between
        Median correlation of effects of guides of one perturbation, and of different ones.
    perturbations, guides, batches
        The tables.
    warnings
        What a reviewer would raise, the gravest first.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    control: str
    mode: Mode
    guide_column: str | None
    batch_column: str | None
    n_cells: int
    n_control_cells: int
    n_left_out: int
    n_components: int
    permutations: int
    doublets: int
    doublets_left_out: int
    control_batch_distance: float | None
    control_batch_p: float | None
    guides_within: float | None
    guides_between: float | None
    perturbations: tuple[PerturbationQuality, ...]
    guides: tuple[GuideQuality, ...]
    batches: tuple[BatchQuality, ...]
    warnings: tuple[Repair, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Give the perturbations as a table, one row each; targets are joined with ``+``."""
        import pandas as pd

        rows = [p.model_dump() | {"targets": "+".join(p.targets)} for p in self.perturbations]
        return pd.DataFrame(rows, columns=list(PerturbationQuality.model_fields))
