"""The command that judges a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hyperperturb.cli.console import SHOWN, json_only, print_json, print_table, show_progress
from hyperperturb.cli.inputs import choose_controls, write_table
from hyperperturb.cli.options import Column, Control, Csv, Debug, Json, Layer, Mode, Screen, Tables

if TYPE_CHECKING:
    from hyperperturb.data.quality_report import Quality


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(epilog="Example: hyperperturb quality screen.h5ad --csv quality.csv")(quality)


def quality(
    file: Screen,
    csv: Csv = None,
    column: Column = None,
    control: Control = None,
    layer: Layer = None,
    table: Tables = None,
    mode: Mode = "knockout",
    batch: Annotated[
        str | None, typer.Option(help="Column of obs with the batches.", show_default="found by its name")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Column of obs with the guides.", show_default="found by its name")
    ] = None,
    permutations: Annotated[int, typer.Option(min=19, help="Permutations of each energy distance.")] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Seed of permutations and of drawing cells.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge a screen: effects beyond chance, targets, guides, batches, and what a reviewer would raise.

    Energy distances are between cells on principal components (Euclidean, not squared), with the p-value of a
    permutation test; significant genes are tested with moderated variances, at a false discovery rate of 5 %.
    """
    from hyperperturb.runs.config import existing_screen

    path = existing_screen(file)
    with json_only(as_json), show_progress() as progress:
        from hyperperturb.data.quality import assess_quality
        from hyperperturb.data.screen import inspect_screen

        report = inspect_screen(path, layer=layer, tables=table or ())
        column, control = choose_controls(report, column, control)
        found = assess_quality(
            path,
            column=column,
            control=control,
            layer=report.layer,
            tables=table or (),
            mode=mode,
            batch_column=batch or report.batch_column,
            guide_column=guide,
            permutations=permutations,
            seed=seed,
            progress=progress,
        )
    if csv is not None:
        write_table(found.to_frame(), csv)
    if as_json:
        print_json(found)
        return
    _print(found)
    if csv is not None:
        print(f"The table of all perturbations is in {csv}.")


def _print(found: Quality) -> None:
    print(
        f"{found.n_cells:,} cells, {found.n_control_cells:,} controls ('{found.control}' in column "
        f"'{found.column}'), {len(found.perturbations):,} perturbations"
    )
    for entry in found.warnings:
        print(f"{entry.severity}: {entry.what} [{entry.where}]")
        print(f"  {entry.why}")
        print(f"  {entry.mend}")
    if not found.warnings:
        print("Nothing that a reviewer would raise was found.")
    rows = sorted(found.perturbations, key=lambda row: -(row.energy or 0.0))
    print(f"The strongest of the {len(rows):,} perturbations:" if len(rows) > SHOWN else "Perturbations:")
    head = [
        "perturbation",
        "cells",
        "energy",
        "by chance",
        "p",
        "genes",
        "target left",
        "guides",
        "agreement",
    ]
    print_table(
        head,
        [
            [
                row.perturbation,
                row.cells,
                row.energy,
                row.energy_chance,
                row.energy_p,
                row.significant_genes,
                None if row.target_remaining is None else f"{row.target_remaining:.0%}",
                row.guides,
                row.guide_agreement,
            ]
            for row in rows[:SHOWN]
        ],
    )
    if found.guides_within is not None and found.guides_between is not None:
        print(
            f"Guides of one perturbation agree with a median correlation of {found.guides_within:.2f}, "
            f"guides of different ones {found.guides_between:.2f}."
        )
    if found.batches:
        print_table(
            ["batch", "cells", "controls", "perturbations", "median counts", "median genes"],
            [
                [b.batch, b.cells, b.control_cells, b.perturbations, b.median_counts, b.median_genes]
                for b in found.batches
            ],
        )
