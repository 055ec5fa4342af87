"""Commands that judge: evaluate (a run), benchmark (data)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import json_only, note, print_json, print_table, show_progress
from hyperperturb.cli.inputs import find_run, write_table
from hyperperturb.cli.options import (
    Batch,
    Coexpression,
    Column,
    Control,
    Data,
    Debug,
    Json,
    Layer,
    Mode,
    OutputDir,
    Preset,
    Run,
    Tables,
)
from hyperperturb.cli.train import make_settings, with_controls
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, time_left

if TYPE_CHECKING:
    from hyperperturb.evaluation.cross_validation import CrossValidation
    from hyperperturb.evaluation.report import HeldOut
    from hyperperturb.models.judging import Question

Folds = Annotated[int, typer.Option(min=2, help="Folds of genes or of combinations.")]
Split = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="HOW",
        help="What is held out: genes, combinations, leave-one-out, or a table with the columns perturbation and fold.",
    ),
]
Halves = Annotated[
    str,
    typer.Option(
        "--halves",
        metavar="HOW",
        help="The ceiling's halves: auto (guides where the screen names them, else cells), cells, a column of guides "
        "or batches, or none.",
    ),
]
Twin = Annotated[bool, typer.Option("--twin", help="Also train the flat twin of the model.")]
Full = Annotated[
    bool,
    typer.Option("--full", help="All variants: flat twin, rewired networks, genes dealt out at random."),
]


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to the command line."""
    app.command(epilog="Example: hyperperturb evaluate latest --seeds 5 --twin")(evaluate)
    app.command(
        epilog="Example: hyperperturb benchmark screen.h5ad --network string.csv --split genes --out benchmark"
    )(benchmark)


def evaluate(
    run: Run,
    split: Split = "genes",
    folds: Folds = 5,
    seeds: Annotated[int, typer.Option(min=1, help="How often the folds are dealt.")] = 1,
    halves: Halves = "auto",
    twin: Twin = False,
    full: Full = False,
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge a run: held-out scores beside all baselines and the ceiling; the verdict comes first.

    The scores are written into the run (metrics.json, card.md). What is learned from effects is learned anew in each
    fold; the gene points are the run's own, made of networks and control cells only.
    """
    with json_only(as_json), show_progress() as progress:
        found_run = find_run(run, output_dir)
        from hyperperturb.models.judging import evaluate_run

        first = found_run.config.settings.seed
        question = _question(split, folds, range(first, first + seeds), twin, full)
        _, found = evaluate_run(found_run, question, halves=halves, progress=with_time_left(progress))
    if as_json:
        print_json({"run": str(found_run.path), "metrics": found.model_dump(mode="json")})
        return
    _print_found(found)
    print(found_run.path)


def benchmark(
    file: Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")],
    network: Annotated[
        list[Path] | None,
        typer.Option("--network", metavar="FILE", help="A network; repeatable.", show_default=False),
    ] = None,
    coexpression: Coexpression = True,
    column: Column = None,
    control: Control = None,
    layer: Layer = None,
    table: Tables = None,
    mode: Mode = "knockout",
    batch: Batch = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Only cells of one batch or condition.", show_default=False
        ),
    ] = None,
    split: Split = "genes",
    folds: Folds = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Each deals the folds and places the genes anew.")] = 5,
    halves: Halves = "auto",
    twin: Twin = False,
    full: Full = False,
    preset: Preset = "standard",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare the model with all baselines on a screen or a table of effects, without making a run.

    DIR gets report.md (the verdict in its first line), metrics.json, methods.csv, scores.csv (every perturbation under
    every method), and pictures as HTML.
    """
    _check_folder(out)
    started = time.monotonic()
    with json_only(as_json), show_progress() as progress:
        settings = make_settings(preset, {})
        question = _question(split, folds, range(seeds), twin, full)
        progress = with_time_left(progress)
        config = _config(
            file, network or [], coexpression, column, control, layer, table or [], mode, batch, settings
        )
        scores, found, made_from = _judge(config, question, halves, _pair(within), progress)
        files = write_report(out, scores, found, made_from, seconds=time.monotonic() - started)
    if as_json:
        print_json(
            {
                "out": str(out),
                "files": [str(path) for path in files],
                "metrics": found.model_dump(mode="json"),
            }
        )
        return
    _print_found(found)
    print(out / "report.md")


def _check_folder(out: Path) -> None:
    """Refuse, before any work is done, a folder that cannot be written to."""
    there = next((path for path in (out, *out.absolute().parents) if path.exists()), out)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise HyperPerturbError(
            f"The results cannot be written to '{out}'.", hint="Choose a folder you may write to with --out."
        )


def _question(split: str, folds: int, seeds: range, twin: bool, full: bool) -> Question:
    from hyperperturb.evaluation.verdict import HELD_OUT, VARIANTS
    from hyperperturb.models.judging import Question

    if split not in HELD_OUT or split == "file":
        from hyperperturb.runs.config import existing_file

        if "." not in Path(split).name and not Path(split).exists():
            raise HyperPerturbError(
                f"--split {split}: there is no such split.",
                hint="Choose genes, combinations, leave-one-out or the path of a table of folds.",
            )
        split = str(existing_file(split, what="folds"))
    variants = VARIANTS if full else (("flat_twin",) if twin else ())
    return Question(held_out=split, folds=folds, seeds=tuple(seeds), variants=variants)


def _pair(within: str | None) -> tuple[str, str] | None:
    if within is None:
        return None
    name, equals, value = within.partition("=")
    if not (name and equals and value):
        raise HyperPerturbError(f"--within {within} is no column and value.", hint="Write COLUMN=VALUE.")
    return name, value


def _config(
    file: Path,
    network: list[Path],
    coexpression: bool,
    column: str | None,
    control: str | None,
    layer: str | None,
    tables: list[Path],
    mode: str,
    batch: str | None,
    settings: Any,
) -> Any:
    from hyperperturb.runs.config import NetworkSource, RunConfig
    from hyperperturb.runs.incoming import existing_data

    path, kind = existing_data(file)
    screen = kind != "effects"
    if batch is not None and not screen:
        raise HyperPerturbError(f"--batch {batch} would do nothing: a table of effects has no cells.")
    config = RunConfig(
        screen=path if screen else None,
        effects=None if screen else path,
        networks=tuple(NetworkSource.from_path(one) for one in network),
        coexpression=coexpression and screen,
        tables=tuple(tables),
        mode=mode,
        batch_column=batch,
        settings=settings,
        title=path.name,
    )
    return (with_controls(config, column, control, layer) if screen else config).checked()


def _judge(
    config: Any, question: Question, halves: str, within: tuple[str, str] | None, progress: Progress
) -> tuple[CrossValidation, HeldOut, dict[str, Any]]:
    """Read what the configuration names and judge it; what it was made from is told with it."""
    from dataclasses import replace

    from hyperperturb.data.effects import read_effects
    from hyperperturb.models.judging import gather, judge
    from hyperperturb.models.sources import CellSource, gather_networks
    from hyperperturb.progress import scaled

    cells = CellSource.of(config)
    if within is not None and cells is None:
        raise HyperPerturbError("--within would do nothing: a table of effects has no cells.")
    progress(0.0, f"reading {config.title}")
    effects = None if config.effects is None else read_effects(config.effects, mode=config.mode)
    material = gather(
        effects,
        cells,
        control=str(config.control),
        halves=halves,
        within=within,
        mode=config.mode,
        progress=scaled(progress, 0.0, 0.05),
    )
    networks = gather_networks(
        config.networks,
        cells if config.coexpression else None,
        material.effects,
        seed=config.settings.seed,
        report=scaled(progress, 0.05, 0.1),
        note=note,
    )
    material = replace(material, networks=tuple(networks))
    scores, found = judge(material, question, config.settings, progress=scaled(progress, 0.1, 1.0))
    made_from = {
        "data": config.title,
        "perturbations": len(material.effects.perturbations),
        "response genes": len(material.effects.genes),
        "control": material.effects.control,
        "within": "–" if within is None else "=".join(within),
        "networks": ", ".join(
            f"{one.name} ({one.n_genes:,} genes, {one.n_edges:,} edges)" for one in networks
        ),
        "split": Path(question.held_out).name,
        "seeds": len(question.seeds),
        "settings": config.settings.model_dump_json(),
    }
    return scores, found, made_from


def write_report(
    folder: Path, scores: CrossValidation, found: HeldOut, made_from: dict[str, Any], *, seconds: float
) -> list[Path]:
    """Write a benchmark's files, each whole or not at all; their paths."""
    from hyperperturb import __version__
    from hyperperturb.evaluation.report import held_out_lines, method_frame
    from hyperperturb.files import atomic_path, write_json
    from hyperperturb.plots.document import report_figures

    write_json(folder / "metrics.json", found)
    write_table(method_frame(found), folder / "methods.csv")
    write_table(scores.scores, folder / "scores.csv")
    figures = report_figures(found.model_dump(mode="json"))
    for name, figure in figures.items():
        with atomic_path(folder / f"{name}.html") as temporary:
            figure.write_html(temporary, include_plotlyjs="directory")
    lines = [
        found.verdict,
        "",
        *held_out_lines(found),
        "Pictures: " + ", ".join(f"[{name.replace('_', ' ')}]({name}.html)" for name in figures) + ".",
        "",
        *(f"- {name}: {value}" for name, value in made_from.items()),
        f"- HyperPerturb {__version__}, {seconds:.0f} s",
        "",
    ]
    with atomic_path(folder / "report.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    names = ["report.md", "metrics.json", "methods.csv", "scores.csv", *(f"{name}.html" for name in figures)]
    return [folder / name for name in names]


def _print_found(found: HeldOut) -> None:
    from hyperperturb.evaluation.metrics import METRICS
    from hyperperturb.evaluation.report import variant_sentences

    print(found.verdict)
    rows = [row.model_dump() for row in found.methods]
    shown = [m for m in METRICS.values() if any(row.get(m.name) is not None for row in rows)]
    print_table(
        ["method", *(m.label for m in shown)], [[r["label"], *(r.get(m.name) for m in shown)] for r in rows]
    )
    for sentence in variant_sentences(found):
        print(sentence)


def with_time_left(progress: Progress) -> Progress:
    """Add to a progress's messages how long the rest takes at the pace so far."""
    started = time.monotonic()

    def report(fraction: float, message: str) -> None:
        elapsed = time.monotonic() - started
        if elapsed > 3 and 0.02 < fraction < 1:
            message += f", {time_left(elapsed * (1 - fraction) / fraction)} left"
        progress(fraction, message)

    return report
