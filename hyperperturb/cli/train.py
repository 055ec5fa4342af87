"""The command that trains."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperperturb.cli.console import EventPrinter, json_only, note, print_json
from hyperperturb.cli.inputs import check_rename, choose_controls, find_run
from hyperperturb.cli.options import (
    Batch,
    Coexpression,
    Column,
    Control,
    Debug,
    Json,
    Layer,
    Mode,
    OutputDir,
    Preset,
    ProteinNames,
    ProteinPath,
    Tables,
)
from hyperperturb.errors import HyperPerturbError

_OF_PRESET = "the preset's"
_FLAGS = {"jit_compile": "xla"}  # settings whose flag has another name
_QUICK_NETWORK = 20 << 20  # bytes; reading so much takes a second or two


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to the command line."""
    app.command(
        epilog="Example: hyperperturb train --rna_path screen.h5ad --network string.csv --exclude JAK2 --preset quick"
    )(train)


def train(
    context: typer.Context,
    rna_path: Annotated[
        Path | None,
        typer.Option(
            "--rna_path",
            "--rna-path",
            metavar="FILE",
            help="The screen, of any format.",
            show_default=False,
        ),
    ] = None,
    effects: Annotated[
        Path | None,
        typer.Option(
            "--effects",
            metavar="TABLE",
            help="A table of effects instead of, or beside, the screen.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        list[Path] | None,
        typer.Option(
            "--network",
            "--network_path",
            "--network-path",
            metavar="FILE",
            help="A network; repeatable.",
            show_default=False,
        ),
    ] = None,
    network_info: Annotated[
        Path | None,
        typer.Option(
            "--network_info",
            "--network-info",
            metavar="FILE",
            help="STRING's protein.info, where it does not lie beside protein.links.",
            show_default=False,
        ),
    ] = None,
    coexpression: Coexpression = True,
    column: Column = None,
    control: Control = None,
    layer: Layer = None,
    table: Tables = None,
    protein_path: ProteinPath = None,
    protein_names: ProteinNames = "",
    mode: Mode = "knockout",
    batch: Batch = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label to take out before training; repeatable.", show_default=False
        ),
    ] = None,
    preset: Preset = "standard",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data.", show_default=f"{_OF_PRESET}, 30 in standard")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch_size", "--batch-size", help="Cells in a step.", show_default=_OF_PRESET),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning_rate", "--learning-rate", help="Step size.", show_default=_OF_PRESET),
    ] = None,
    embedding_dim: Annotated[
        int | None,
        typer.Option(
            "--embedding_dim", "--embedding-dim", help="Dimensions of the space.", show_default="16"
        ),
    ] = None,
    hidden_dim: Annotated[
        int | None,
        typer.Option("--hidden_dim", "--hidden-dim", help="Width of the cell encoder.", show_default="32"),
    ] = None,
    curvature: Annotated[
        float | None, typer.Option(help="Curvature magnitude to start from.", show_default="1.0")
    ] = None,
    max_genes: Annotated[
        int | None,
        typer.Option("--max_genes", "--max-genes", help="Most genes to place.", show_default=_OF_PRESET),
    ] = None,
    max_cells: Annotated[
        int | None,
        typer.Option(
            "--max_cells",
            "--max-cells",
            help="Most cells for the cell heads; effects always use all.",
            show_default=_OF_PRESET,
        ),
    ] = None,
    cell_heads: Annotated[
        bool, typer.Option("--cell_heads/--no_cell_heads", help="Learn from cells to perturbations too.")
    ] = True,
    annealing: Annotated[
        float | None,
        typer.Option(
            metavar="FIELD",
            help="Quantum-inspired annealing of the gene points: the field it starts from; 0 is off.",
            show_default="0",
        ),
    ] = None,
    stdp: Annotated[
        float | None,
        typer.Option(
            metavar="STRENGTH",
            help="STDP-inspired rule that thins the cell encoder; 0 is off.",
            show_default="0",
        ),
    ] = None,
    curriculum: Annotated[
        bool | None,
        typer.Option(
            "--curriculum/--no_curriculum",
            help="Show the cell heads easy perturbations first.",
            show_default=_OF_PRESET,
        ),
    ] = None,
    jit_compile: Annotated[
        bool | None,
        typer.Option("--xla/--no_xla", help="Compile the training steps with XLA.", show_default=_OF_PRESET),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Devices that train: auto, default (one), mirrored (all of this machine) or multiworker (the "
            "machines in TF_CONFIG).",
            show_default="auto",
        ),
    ] = None,
    output_dir: OutputDir = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that failed, was cancelled or was killed: its path, its name, or last.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="What you call the run.", show_default=False)] = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a model and say how good it is on genes it has not seen.

    Give a screen with --rna_path, or effects with --effects and a network. What is trained is a run: a folder
    that predict, query and the app use. Ctrl-C cancels; --resume goes on with a run that stopped, from its last
    whole epoch and to the same result. With --protein_path it learns what perturbations do to proteins too.
    """
    from hyperperturb.runs.config import NetworkSource, RunConfig
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.workers import folder_of_worker
    from hyperperturb.runs.workspace import Workspace

    if resume is not None:
        _resume(context, resume, output_dir, as_json=as_json, debug=debug)
        return

    _refuse_idle(
        {
            "--column": column,
            "--control": control,
            "--layer": layer,
            "--table": " ".join(map(str, table or ())) or None,
            "--protein_path": protein_path,
            "--batch": batch,
        },
        rna_path is not None,
        "belongs to a screen: give it with --rna_path",
    )
    links = [path for path in network or () if "protein.links" in path.name]
    _refuse_idle(
        {"--network_info": network_info},
        bool(links),
        "belongs to STRING's protein.links: give that with --network",
    )
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "embedding_dim": embedding_dim,
        "hidden_dim": hidden_dim,
        "curvature": curvature,
        "max_genes": max_genes,
        "max_cells": max_cells,
        "annealing": annealing,
        "stdp": stdp,
        "curriculum": curriculum,
        "jit_compile": jit_compile,
        "strategy": strategy,
    }
    settings = make_settings(preset, {**given, "seed": seed, "cell_heads": cell_heads})
    with json_only(as_json):
        config = RunConfig(
            screen=rna_path,
            effects=effects,
            networks=tuple(_network(NetworkSource, path, network_info) for path in network or ()),
            coexpression=coexpression and rna_path is not None,
            exclude=tuple(exclude or ()),
            tables=tuple(table or ()),
            proteins=protein_path,
            protein_names=check_rename(protein_names, protein_path),
            mode=mode,
            batch_column=batch,
            settings=settings,
            title=title or (rna_path or effects or Path()).name,
        )
        if rna_path is not None:
            config = with_controls(config, column, control, layer)
        config = config.checked()
        for source in config.networks:
            if source.path.stat().st_size < _QUICK_NETWORK:
                source.read()  # a file that is not a network is told now, not when TensorFlow is loaded
    with folder_of_worker(settings.strategy, output_dir or Workspace().runs_dir) as folder:
        _execute(RunDirectory.create(folder, config), as_json=as_json, debug=debug)


_BESIDE_RESUME = ("resume", "output_dir", "as_json", "debug")


def _resume(
    context: typer.Context, reference: str, output_dir: Path | None, *, as_json: bool, debug: bool
) -> None:
    """Go on with a run, as it was told when it was started."""
    from hyperperturb.nn.cluster import Cluster
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.folder import find_resumable
    from hyperperturb.runs.workers import folder_of_worker
    from hyperperturb.runs.workspace import Workspace

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in _BESIDE_RESUME and source is not None and source.name == "COMMANDLINE":
            raise HyperPerturbError(
                f"--{name} would do nothing beside --resume: the run goes on with what it was told at first.",
                hint="Leave it out, or start a new run.",
            )
    runs_dir = output_dir or Workspace().runs_dir
    if os.environ.get("TF_CONFIG") and reference != "last":
        run = find_run(reference, output_dir)
        if run.config.settings.strategy == "multiworker" and not Cluster.from_environment().chief:
            # the first worker takes the run up; this one only needs to know what to do
            with folder_of_worker("multiworker", runs_dir) as folder:
                _execute(RunDirectory.create(folder, run.config), as_json=as_json, debug=debug)
            return
    run = find_resumable(reference, runs_dir)
    run.requeue()
    _execute(run, as_json=as_json, debug=debug)


def _execute(run: Any, *, as_json: bool, debug: bool) -> None:
    """Train a queued run in this process, report its progress, and say how it ended."""
    from hyperperturb.runs.worker import execute

    report_to = sys.stderr if as_json else sys.stdout
    with json_only(as_json):
        print(f"Run {run.path}", file=report_to, flush=True)
        run.listeners.append(EventPrinter(report_to))
        state = execute(run)
    if state == "cancelled":
        raise KeyboardInterrupt
    if state == "failed":
        if debug and run.file("log.txt").exists():
            note(run.file("log.txt").read_text(encoding="utf-8"))
        raise HyperPerturbError(run.status.error or "The training failed.")
    metrics = run.metrics()
    if as_json:
        print_json({"run": str(run.path), "name": run.name, "state": state, "metrics": metrics})
        return
    print(metrics.get("verdict", "There is no verdict: too few perturbations were left to hold some out."))
    if metrics.get("proteins"):
        print(f"On proteins: {metrics['proteins']['verdict']}")
    print(run.path)


def make_settings(preset: str, given: dict[str, Any]) -> Any:
    """Put a preset and what a person gave together.

    Parameters
    ----------
    preset
        Name of the preset.
    given
        Settings by name; None leaves the preset's value.

    Returns
    -------
    hyperperturb.models.settings.TrainingSettings

    Raises
    ------
    HyperPerturbError
        No such preset, or a value out of its limits.
    """
    from pydantic import ValidationError

    from hyperperturb.models.settings import PRESETS, TrainingSettings

    if preset not in PRESETS:
        raise HyperPerturbError(
            f"There is no preset '{preset}'.", hint=f"Choose one of {', '.join(PRESETS)}."
        )
    values = PRESETS[preset].model_dump() | {key: value for key, value in given.items() if value is not None}
    try:
        return TrainingSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise HyperPerturbError(
            f"--{_FLAGS.get(name, name)} {first['input']} is out of its limits.", hint=f"{first['msg']}."
        ) from error


def with_controls(config: Any, column: str | None, control: str | None, layer: str | None) -> Any:
    """Look at the screen of a configuration and complete its column, control and layer.

    Parameters
    ----------
    config
        A :class:`hyperperturb.runs.config.RunConfig` with a screen.
    column, control, layer
        What a person said; None leaves it to the proposal.

    Returns
    -------
    hyperperturb.runs.config.RunConfig
    """
    from hyperperturb.data.screen import inspect_screen
    from hyperperturb.runs.config import existing_screen

    screen = existing_screen(config.screen)
    report = inspect_screen(screen, layer=layer, tables=config.tables)
    column, control = choose_controls(report, column, control)
    note(f"Controls: '{control}' in column '{column}', {report.n_control_cells(column, control):,} cells")
    if config.proteins is not None:  # told now, not when TensorFlow is loaded
        from hyperperturb.data.proteins import look_at_proteins

        proteins = existing_screen(config.proteins, what="proteins")
        note(look_at_proteins(screen, proteins, tables=config.tables, rename=config.protein_names).sentence)
    known = report.label_columns.get(column, {})
    for label in config.exclude:
        if known and label not in known:
            raise HyperPerturbError(
                f"--exclude {label}: column '{column}' has no such label.",
                hint="See: hyperperturb inspect FILE",
            )
    if config.batch_column is not None:  # told now, too
        from hyperperturb.data.assignment import assign_cells, split_controls
        from hyperperturb.data.opening import open_screen

        with open_screen(screen, tables=config.tables) as opened:
            split_controls(opened, assign_cells(opened, column, control), config.batch_column)
    update = {"screen": screen, "column": column, "control": control, "layer": report.layer}
    return config.model_copy(update=update)


def _refuse_idle(options: dict[str, Any], used: bool, why: str) -> None:
    for name, value in options.items():
        if value is not None and not used:
            raise HyperPerturbError(f"{name} {value} would do nothing.", hint=f"It {why}.")


def _network(source: Any, path: Path, info: Path | None) -> Any:
    return source.from_path(path, info=info if "protein.links" in path.name else None)
