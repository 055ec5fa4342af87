"""The command that draws the cells of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from hyperperturb.cli.console import SHOWN, json_only, print_json, print_table, show_progress
from hyperperturb.cli.inputs import find_run, write_table
from hyperperturb.cli.options import Csv, Debug, Json, OutputDir, Run


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(epilog="Example: hyperperturb cells latest --max_cells 20000 --csv cells.csv")(cells)


def cells(
    run: Run,
    max_cells: Annotated[
        int, typer.Option("--max_cells", min=10, help="Cells to draw, at random within each label.")
    ] = 5000,
    everything: Annotated[bool, typer.Option("--all", help="Draw all cells, through Dask.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of drawing and layout.")] = 0,
    csv: Csv = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw the cells of a run: UMAP, place in the policy head's space, named perturbation, likeness to controls.

    The view is kept in the run as cells.h5ad (scanpy reads it), which the page Cells of the app shows. For every
    perturbation that can be told from the controls, the share of its cells that look like controls is given.
    """
    with json_only(as_json), show_progress() as progress:
        found = find_run(run, output_dir)
        from hyperperturb.models.cell_view import CellView, draw_view
        from hyperperturb.models.inference import HyperPerturbInference
        from hyperperturb.runs.cell_views import VIEW_FILE

        path = found.file(VIEW_FILE)
        draw_view(
            HyperPerturbInference(found.path),
            path,
            max_cells=None if everything else max_cells,
            seed=seed,
            progress=progress,
        )
        view = CellView(path)
        if csv is not None:
            write_table(view.cells, csv)
    table = view.escapers
    if as_json:
        print_json(
            {
                "view": str(path),
                "csv": csv,
                "drawn": view.about["drawn"],
                "n_cells": view.about["n_cells"],
                "escapers": table.to_dict("records"),
            }
        )
        return
    print(f"{view.about['drawn']:,} of {view.about['n_cells']:,} cells drawn")
    judged = table[table["judged"]].sort_values("share", ascending=False)
    print(
        f"Cells that look like controls ({len(judged):,} of {len(table):,} perturbations can be told from "
        "the controls):"
    )
    print_table(
        ["perturbation", "cells", "share", "standard error", "separation"],
        judged[["perturbation", "cells", "share", "error", "separation"]].head(SHOWN).to_numpy().tolist(),
    )
    print(path)
