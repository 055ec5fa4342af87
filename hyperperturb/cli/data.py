"""Commands about data: simulate, inspect, effects, preprocess."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import json_only, print_json, print_table, show_progress
from hyperperturb.cli.inputs import check_rename, check_table_path, choose_controls
from hyperperturb.cli.options import (
    Batch,
    Column,
    Control,
    Data,
    Debug,
    Json,
    Layer,
    Mode,
    ProteinNames,
    ProteinPath,
    Screen,
    Tables,
)
from hyperperturb.errors import HyperPerturbError
from hyperperturb.machine import SCHEDULER

if TYPE_CHECKING:
    from hyperperturb.data.batches import BatchColumn


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to the command line."""
    app.command(epilog="Example: hyperperturb simulate demo.h5ad --seed 1")(simulate)
    app.command(epilog="Example: hyperperturb inspect screen.h5ad --json")(inspect)
    app.command(epilog="Example: hyperperturb effects screen.h5ad effects.parquet")(effects)
    app.command(epilog="Example: hyperperturb preprocess screen.h5ad processed.h5ad --max_cells 3000")(
        preprocess
    )


def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT.h5ad", help="Where to write the screen.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    cells: Annotated[int, typer.Option(help="Number of cells.")] = 12_000,
    proteins: Annotated[int, typer.Option(min=0, help="Number of antibodies beside the RNA.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a demo screen with a known network and known effects.

    Beside OUT.h5ad, OUT.network.csv (source, target, weight, sign) and OUT.true_effects.parquet are written; with
    --proteins also OUT.protein.h5ad and OUT.true_protein_effects.parquet.
    """
    if out.suffix.lower() != ".h5ad":
        raise HyperPerturbError(f"'{out}' is not the name of a screen.", hint="End it in .h5ad.")
    with json_only(as_json), show_progress() as progress:
        from hyperperturb.data.simulate import simulate_screen, write_simulation

        progress(0.1, "Simulating")
        simulation = simulate_screen(seed=seed, n_cells=cells, n_proteins=proteins)
        progress(0.7, "Writing")
        paths = write_simulation(simulation, out)
    adata = simulation.adata
    n = len(simulation.true_effects.perturbations)
    if as_json:
        files = {key: str(path) for key, path in paths.items()}
        print_json(
            {
                "seed": seed,
                "n_cells": adata.n_obs,
                "n_genes": adata.n_vars,
                "n_perturbations": n,
                "files": files,
            }
        )
        return
    print(f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {n} perturbations (seed {seed}):")
    for path in paths.values():
        print(f"  {path}")


def inspect(
    file: Data,
    layer: Layer = None,
    table: Tables = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Look at a screen or a table of effects: size, proposed controls, what to mend.

    The exit code is 1 when something must be mended before effects can be computed.
    """
    from hyperperturb.runs.incoming import existing_data

    path, kind = existing_data(file)
    with json_only(as_json):
        if kind == "effects":
            summary = _effects_summary(path)
            report = None
        else:
            from hyperperturb.data.screen import inspect_screen

            report, batches = inspect_screen(path, layer=layer, tables=table or ()), ()
            if report.proposal is not None:
                from hyperperturb.data.batches import find_batch_columns

                proposal = report.proposal
                batches = find_batch_columns(
                    path, column=proposal.column, control=proposal.label, tables=table or ()
                )
    if report is None:
        if as_json:
            print_json(summary)
            return
        print(
            f"{path}: {summary['n_perturbations']:,} perturbations x {summary['n_response_genes']:,} response genes"
        )
        return
    if as_json:
        found = [entry.model_dump(mode="json") | {"usable": entry.usable} for entry in batches]
        print_json(report.model_dump(mode="json") | {"usable": report.usable, "batch_columns": found})
    else:
        _print_report(report, batches)
    report.require_usable()


def _effects_summary(path: Path) -> dict[str, Any]:
    import numpy as np

    from hyperperturb.data.effects import read_effects

    table = read_effects(path)
    return {
        "path": str(path),
        "n_perturbations": len(table.perturbations),
        "n_response_genes": len(table.genes),
        "control": table.control,
        "mode": table.mode,
        "has_standard_errors": bool(np.isfinite(table.standard_error).any()),
        "perturbations": list(table.perturbations),
    }


def _print_report(report: Any, batches: Sequence[BatchColumn]) -> None:
    where = f"layer '{report.layer}'" if report.layer else "X"
    print(f"{report.path} ({report.format})")
    print(
        f"  {report.n_cells:,} cells x {report.n_genes:,} genes, {report.values} in {where} ({report.storage})"
    )
    for entry in batches:
        print(f"  batches: column '{entry.column}', {entry.sentence}")
    if report.other_features:
        print(f"  beside the genes: {', '.join(report.other_features)}")
    if report.proposal:
        proposal = report.proposal
        print(
            f"  proposed controls: '{proposal.label}' in column '{proposal.column}',"
            f" {proposal.n_control_cells:,} cells ({proposal.why})"
        )
        others = proposal.candidates[1:]
        if others:
            print("  other candidates:")
            print_table(
                ["    column", "label", "cells", "labels"],
                [[f"    {c.column}", c.label, c.n_control_cells, c.n_labels] for c in others[:10]],
            )
        labels = report.label_columns.get(proposal.column, {})
        shown = [f"{label} ({n:,})" for label, n in list(labels.items())[:8]]
        print(f"  {len(labels):,} labels: {', '.join(shown)}{' …' if len(labels) > 8 else ''}")
    for repair in report.repairs:
        print(f"  {repair.severity}: {repair.what} [{repair.where}]")
        print(f"    {repair.why}")
        print(f"    mend: {repair.mend}")


def effects(
    file: Screen,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where to write: .parquet (everything), .csv or .csv.gz.")
    ],
    column: Column = None,
    control: Control = None,
    layer: Layer = None,
    table: Tables = None,
    mode: Mode = "knockout",
    batch: Batch = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            envvar=SCHEDULER,
            help="Dask scheduler (tcp://HOST:8786) whose workers add up; they must find the file under the same path.",
            show_default="this process",
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute the effect of every perturbation on every gene, over all cells.

    An effect is the difference of means of log1p(CP10k) between the perturbed and the control cells, in
    natural-log units. The table has standard errors, numbers of cells and the share of cells in which a gene was
    detected too.
    """
    from hyperperturb.runs.config import existing_screen

    path = existing_screen(file)
    check_table_path(out)
    with json_only(as_json), show_progress() as progress:
        from hyperperturb.data.effects import compute_effects
        from hyperperturb.data.screen import inspect_screen

        report = inspect_screen(path, layer=layer, tables=table or ())
        column, control = choose_controls(report, column, control)
        found = compute_effects(
            path,
            column=column,
            control=control,
            layer=report.layer,
            tables=table or (),
            mode=mode,
            batch_column=batch,
            scheduler=scheduler,
            progress=progress,
        )
        found.save(out)
    summary = {
        "out": str(out),
        "column": column,
        "control": control,
        "batch": batch,
        "n_perturbations": len(found.perturbations),
        "n_response_genes": len(found.genes),
        "n_control_cells": int(found.n_control_cells),
        "cells": {label: int(n) for label, n in zip(found.perturbations, found.n_cells, strict=True)},
    }
    if as_json:
        print_json(summary)
        return
    print(
        f"{out}: {summary['n_perturbations']:,} perturbations x {summary['n_response_genes']:,} response genes,"
        f" against {summary['n_control_cells']:,} control cells ('{control}' in column '{column}')"
        + (f", each batch of '{batch}' by itself" if batch else "")
    )


def preprocess(
    file: Screen,
    out: Annotated[Path, typer.Argument(metavar="OUT.h5ad", help="Where to write the processed screen.")],
    max_cells: Annotated[
        int, typer.Option("--max_cells", "--max-cells", min=1, help="Most cells to keep, drawn at random.")
    ] = 3000,
    column: Column = None,
    control: Control = None,
    layer: Layer = None,
    table: Tables = None,
    protein_path: ProteinPath = None,
    protein_names: ProteinNames = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Filter, normalise, take logarithms, choose variable genes, and add PCA and neighbours.

    With --protein_path the proteins of the same cells are joined by name, as obsm["protein"]: centred log-ratios.
    """
    from hyperperturb.runs.config import existing_screen

    path = existing_screen(file)
    if out.suffix.lower() != ".h5ad":
        raise HyperPerturbError(f"'{out}' is not the name of a screen.", hint="End it in .h5ad.")
    with json_only(as_json), show_progress() as progress:
        from hyperperturb.data.preprocess import preprocess_data

        adata = preprocess_data(
            path,
            output_path=out,
            max_cells=max_cells,
            column=column,
            control=control,
            layer=layer,
            tables=table or (),
            protein_path=protein_path,
            protein_names=check_rename(protein_names, protein_path),
            seed=seed,
            progress=progress,
        )
    joined = adata.uns["hyperperturb"].get("protein_report")
    if as_json:
        summary = {"out": str(out), "n_cells": adata.n_obs, "n_genes": adata.n_vars}
        print_json(summary | ({} if joined is None else {"proteins": joined}))
        return
    print(f"{out}: {adata.n_obs:,} cells, {adata.n_vars:,} genes")
    if joined is not None:
        print(joined)
