"""The command that asks which perturbations explain cells, or lead them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import SHOWN, json_only, print_json, print_table, show_progress
from hyperperturb.cli.inputs import label_reader, open_model, write_table
from hyperperturb.cli.options import Csv, Debug, Json, OutputDir, Run
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

_BLOCK = 4096  # cells answered at a time


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(epilog="Example: hyperperturb query latest cells.h5ad -k 5 --csv answers.csv")(query)


def query(
    run: Run,
    cells: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CELLS]",
            help="The cells to ask about: a screen of any format. Not needed with --up and --down.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many perturbations (of each cell).")] = 5,
    goal: Annotated[
        str,
        typer.Option(
            help="explain: which perturbation made each cell; revert: which leads these cells back to control; "
            "target: which leads them to another state."
        ),
    ] = "explain",
    together: Annotated[
        bool,
        typer.Option("--together", help="Explain the state that the cells share, not each cell by itself."),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="The wanted state: a label of the run's screen, or a file of cells.",
            show_default=False,
        ),
    ] = None,
    up: Annotated[
        list[str] | None,
        typer.Option(metavar="GENE", help="A gene that should rise; repeat it.", show_default=False),
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option(metavar="GENE", help="A gene that should fall; repeat it.", show_default=False),
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Consider a perturbation that the screen lacks too, A or A_B; repeat it.",
            show_default=False,
        ),
    ] = None,
    csv: Csv = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask which perturbations explain cells, bring them back to control, or lead them to another state.

    explain gives one row a cell and rank: cell, rank, perturbation, score (a probability), and the predicted strength.
    revert and target (and explain with --together) compare the state that the cells share with every effect and its
    opposite, one row a perturbation: sign (wrong where the opposite of what the screen did is needed), score (cosine
    with the effect), probability, evidence (cosine with the measured effect).
    """
    from hyperperturb.runs.config import existing_screen

    lists = bool(up or down)
    if goal not in ("explain", "revert", "target"):
        raise HyperPerturbError(f"'{goal}' is not a goal.", hint="Choose explain, revert or target.")
    if (goal == "target") != bool(to or lists):
        raise typer.BadParameter("--goal target goes with --to, or with --up and --down; no other goal does.")
    if to and lists:
        raise typer.BadParameter("Give either --to or lists with --up and --down.")
    if cells is None and not lists:
        raise typer.BadParameter("Name the file of the cells to ask about.")
    path = existing_screen(cells) if cells is not None else None
    shared = together or goal != "explain"
    adata = None
    with json_only(as_json), show_progress() as progress:
        inference = open_model(run, output_dir)
        sets = [*map(label_reader(inference), unseen or ())]
        if path is not None and not lists:
            progress(0.1, "Reading the cells")
            adata = _read_cells(path)
        if shared:
            progress(0.5, "Comparing with the effects")
            table = inference.rank_perturbations(
                None if adata is None else inference.align(adata),
                goal,
                target=None if to is None else _state(inference, to),
                up=up or (),
                down=down or (),
                unseen=sets,
            )
        else:
            table = _answer(inference, adata, k, sets, progress)
        if csv is not None:
            write_table(table, csv)
    n = 0 if adata is None else adata.n_obs
    if shared:
        _show_ranking(table, n, k, goal, csv, as_json)
    else:
        _show_cells(table, n, k, goal, csv, as_json)


def _show_ranking(table: Any, n: int, k: int, goal: str, csv: Path | None, as_json: bool) -> None:
    if as_json:
        rows = None if csv else table.to_dict("records")
        print_json({"n_cells": n, "goal": goal, "csv": csv, "ranking": rows})
        return
    print(f"{n:,} cells as one state ({goal}):" if n else "Lists of genes as a state:")
    shown = table.head(k)[["perturbation", "sign", "intervention", "score", "probability", "evidence"]]
    print_table(list(shown.columns), shown.to_numpy().tolist())
    print(f"{csv}: {len(table):,} rows" if csv else "The whole ranking with --csv OUT or --json")


def _show_cells(table: Any, n: int, k: int, goal: str, csv: Path | None, as_json: bool) -> None:
    first = table.loc[table["rank"] == table["rank"].min(), "perturbation"].value_counts()
    if as_json:
        print_json(
            {
                "n_cells": n,
                "k": k,
                "goal": goal,
                "csv": csv,
                "first": {str(label): int(count) for label, count in first.items()},
                "answers": None if csv else table.to_dict("records"),
            }
        )
        return
    print(f"{n:,} cells; ranked first ({goal}):")
    print_table(["perturbation", "cells"], [[str(label), int(c)] for label, c in first.head(SHOWN).items()])
    print(f"{csv}: {len(table):,} rows" if csv else "Every cell's answer with --csv OUT or --json")


def _state(inference: HyperPerturbInference, to: str) -> Any:
    """A label of the run's screen, or the cells of a file."""
    effects = inference.effects
    if to in (effects.control, *effects.perturbations):
        return to
    if Path(to).exists():
        return inference.align(_read_cells(Path(to)))
    raise HyperPerturbError(
        f"'{to}' is neither a label of the run's screen nor a file.",
        hint=f"Labels are such as {', '.join(effects.perturbations[:3])}.",
    )


def _answer(inference: Any, adata: Any, k: int, unseen: list[tuple[str, ...]], progress: Any) -> Any:
    import numpy as np
    import pandas as pd

    parts = []
    for start in range(0, adata.n_obs, _BLOCK):
        progress(0.2 + 0.8 * start / adata.n_obs, f"{start:,} of {adata.n_obs:,} cells")
        block = adata[start : start + _BLOCK]
        top, scores, strength = inference.predict_perturbations(inference.align(block), k=k, unseen=unseen)
        part = inference.interpret_perturbations(block, top, unseen=unseen)
        if "score" not in part:
            part["score"] = np.asarray(scores).ravel()
        if "strength" not in part:
            part["strength"] = np.repeat(np.asarray(strength), np.asarray(top).shape[1])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _read_cells(path: Path) -> Any:
    import numpy as np

    from hyperperturb.data.screen import open_screen

    with open_screen(path) as screen:
        adata = screen.take(np.arange(screen.n_cells))
    adata.obs_names_make_unique()
    return adata
