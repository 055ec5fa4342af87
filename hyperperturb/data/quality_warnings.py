"""What a reviewer would raise about a screen, from the figures of its quality."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperperturb.data.genes import short_list
from hyperperturb.data.quality_measures import adjusted
from hyperperturb.data.quality_report import RATE, PerturbationQuality, Quality
from hyperperturb.data.repairs import FEW_CONTROL_CELLS, FEW_PERTURBATION_CELLS, Repair

_UNBALANCED = 0.1  # total variation distance of the controls' batches from the others' that shifts effects
_PERTURBATION_UNBALANCED = 0.25  # the same of one perturbation, whose few cells differ by chance
_DOUBLET_SHARE = 0.01
_EXPECTED = 0.2  # correlation of guides below which noise decides it
_GUIDE_PAIRS = 5  # with fewer perturbations their median says nothing about the screen


def find_warnings(
    quality: Quality, *, guides_left_out: bool = False, within_batches: bool = False
) -> tuple[Repair, ...]:
    """List what a reviewer would raise, the gravest first.

    Parameters
    ----------
    quality
        The figures; warnings that it already holds are not looked at.
    guides_left_out
        Whether guides were not compared for want of memory.
    within_batches
        Whether effects are computed within batches.

    Returns
    -------
    tuple of Repair
        Warnings before notes.
    """
    found = [
        *_controls(quality),
        *_batches(quality, within_batches),
        *_perturbations(quality),
        *_targets(quality),
        *_guides(quality),
    ]
    if guides_left_out:
        found.append(
            Repair(
                code="guides-not-compared",
                severity="note",
                what="The guides were not compared: there are too many for the memory that their sums may take (1 GB).",
                where="guides",
                why="Whether the guides of a perturbation agree is not known.",
                mend="Judge a part of the perturbations, or fewer genes.",
            )
        )
    return tuple(sorted(found, key=lambda entry: entry.severity != "warning"))


def _named(rows: list[PerturbationQuality], limit: int = 6) -> str:
    return short_list([row.perturbation for row in rows], limit)


def _controls(quality: Quality) -> Iterator[Repair]:
    n = quality.n_control_cells
    if n < FEW_CONTROL_CELLS:
        yield Repair(
            code="few-control-cells",
            severity="warning",
            what=f"Only {n} cell{'s are controls' if n != 1 else ' is a control'}.",
            where=f"obs['{quality.column}']",
            why="Every effect is compared with the same control cells: their noise is in all of them.",
            mend=f"Use a screen with at least {FEW_CONTROL_CELLS} control cells, or add controls of another kind.",
        )


def _batches(quality: Quality, within_batches: bool) -> Iterator[Repair]:
    where = f"obs['{quality.batch_column}']"
    within, severity = (
        f"Compare within batches: choose '{quality.batch_column}' where the controls are confirmed, or on the command "
        f"line --batch {quality.batch_column} of effects and train",
        "warning",
    )
    if within_batches:
        within, severity = "Nothing needs mending: effects are computed within batches", "note"
    bare = [batch for batch in quality.batches if batch.perturbed_cells and not batch.control_cells]
    if bare:
        yield Repair(
            code="batches-without-controls",
            severity="warning",
            what=f"{len(bare)} of {len(quality.batches)} batches have no control cell "
            f"({short_list([batch.batch for batch in bare])}).",
            where=where,
            why="What sets such a batch apart looks like an effect of the perturbations that are in it.",
            mend="Leave the cells of these batches out.",
        )
    distance, p = quality.control_batch_distance, quality.control_batch_p
    if distance is not None and p is not None and distance > _UNBALANCED and p < RATE:
        yield Repair(
            code="controls-unbalanced",
            severity=severity,
            what=f"Controls and perturbed cells are spread differently over the batches: {100 * distance:.0f} % of the "
            f"controls would have to be in another batch (chi-square p = {p:.2g}).",
            where=where,
            why="Differences between batches then show up as effects of all perturbations alike.",
            mend=f"{within}.",
        )
    q = adjusted(np.array([np.nan if r.batch_p is None else r.batch_p for r in quality.perturbations]))
    apart = [
        row
        for row, value in zip(quality.perturbations, q, strict=True)
        if value < RATE and (row.batch_distance or 0) > _PERTURBATION_UNBALANCED
    ]
    if apart:
        apart.sort(key=lambda row: -(row.batch_distance or 0))
        yield Repair(
            code="perturbations-unbalanced",
            severity=severity,
            what=f"{len(apart)} of {len(quality.perturbations)} perturbations are spread over the batches otherwise "
            f"than the controls ({_named(apart)}).",
            where=where,
            why="A part of their effect may be the batch's.",
            mend=f"{within}; the table gives distance and p-value of each.",
        )


def _perturbations(quality: Quality) -> Iterator[Repair]:
    rows = quality.perturbations
    few = [row for row in rows if row.cells < FEW_PERTURBATION_CELLS]
    if few:
        yield Repair(
            code="few-perturbation-cells",
            severity="warning",
            what=f"{len(few):,} of {len(rows):,} perturbations have fewer than {FEW_PERTURBATION_CELLS} cells "
            f"({_named(few)}).",
            where=f"obs['{quality.column}']",
            why="Their effects have large errors, and no test can tell them from the controls.",
            mend="Leave them out, or read their effects with their standard errors.",
        )
    silent = [row for row in rows if row.energy_q is not None and row.energy_q >= RATE]
    if silent:
        yield Repair(
            code="no-effect",
            severity="warning" if 2 * len(silent) > len(rows) else "note",
            what=f"{len(silent):,} of {len(rows):,} perturbations cannot be told from the controls by the energy "
            f"distance (false discovery rate {100 * RATE:.0f} %).",
            where="cells",
            why="Their measured effects are mostly noise, and a model can learn little from them.",
            mend="More cells for each would show smaller effects; a null result is a result, too.",
        )


def _targets(quality: Quality) -> Iterator[Repair]:
    up = quality.mode == "activation"
    seen = [row for row in quality.perturbations if row.target_visible and row.target_effect is not None]
    still = [row for row in seen if (row.target_p or 0) >= RATE or (row.target_effect > 0) != up]
    if still:
        word = "up" if up else "down"
        knockout = quality.mode == "knockout"
        yield Repair(
            code="targets-not-moved",
            severity="note" if knockout else "warning",
            what=f"The target is not {word} in {len(still):,} of {len(seen):,} perturbations whose cells would "
            f"show a change by {'the double' if up else 'half'} ({_named(still)}).",
            where="target genes",
            why="A knock-out need not lower the messenger of its gene, but where it does not, only the effects on "
            "other genes say that it worked."
            if knockout
            else "Their guides may not work: what is measured as their effect is then none.",
            mend="Check the guides of these targets, and leave out those that do not work.",
        )


def _guides(quality: Quality) -> Iterator[Repair]:
    used = quality.n_cells - quality.n_left_out
    if quality.doublets > _DOUBLET_SHARE * used:
        yield Repair(
            code="guide-doublets",
            severity="warning",
            what=f"{quality.doublets:,} of {used:,} cells carry more guides than most cells of their perturbation.",
            where=f"obs['{quality.guide_column}']" if quality.guide_column else "obs",
            why="Two cells in one droplet, or two guides in one cell: they show the effect of both.",
            mend="Leave them out: keep the cells with the number of guides that was planned.",
        )
    if quality.doublets_left_out:
        yield Repair(
            code="doublets-left-out",
            severity="note",
            what=f"{quality.doublets_left_out:,} cells are labelled as doublets and are left out.",
            where=f"obs['{quality.column}']",
            why="They show the effects of several perturbations at once.",
            mend="Nothing needs mending.",
        )
    several = [row for row in quality.perturbations if row.guide_agreement is not None]
    between = quality.guides_between
    if between is None or quality.guides_within is None:
        return
    apart = [
        row
        for row in several
        if (row.guide_expected or 0) > _EXPECTED and row.guide_agreement < 0.5 * row.guide_expected
    ]
    if apart:
        yield Repair(
            code="guides-disagree",
            severity="warning",
            what=f"The guides of {len(apart):,} of {len(several):,} perturbations agree less than half as well as the "
            f"size of the effect and the noise would let them ({_named(apart)}).",
            where=f"obs['{quality.guide_column}']",
            why="An effect that only one guide has may be an effect of that guide elsewhere in the genome.",
            mend="Look at the table of guides: which of them moves its target, and which does not.",
        )
    if len(several) >= _GUIDE_PAIRS and quality.guides_within <= between:
        yield Repair(
            code="guides-agree-by-chance",
            severity="warning",
            what=f"Guides of one perturbation agree no better (median correlation {quality.guides_within:.2f}) than "
            f"guides of different ones ({between:.2f}).",
            where=f"obs['{quality.guide_column}']",
            why="What is measured is then mostly noise, or common to all perturbations.",
            mend="Check that the column of guides belongs to these labels; more cells a guide would help.",
        )
