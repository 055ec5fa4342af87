"""Commands that use a run: predict, query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import (
    Debug,
    Json,
    OutputDir,
    json_only,
    note,
    print_json,
    print_table,
    show_progress,
)
from hyperperturb.cli.inputs import check_table_path, write_table
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperperturb.models.inference import EffectPrediction, HyperPerturbInference
    from hyperperturb.models.interactions import Interaction
    from hyperperturb.models.proteins import ProteinPrediction

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, its path, or latest.")]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="OUT",
        help="Write the whole table here (.csv, .csv.gz, .tsv, .parquet).",
        show_default=False,
    ),
]
_SHOWN = 20  # rows on a terminal
_BLOCK = 4096  # cells answered at a time


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to the command line."""
    app.command(epilog="Example: hyperperturb predict latest --gene JAK2 --gene IRF1 --csv effects.csv")(
        predict
    )
    app.command(epilog="Example: hyperperturb query latest cells.h5ad -k 5 --csv answers.csv")(query)


def _open(run: str, output_dir: Path | None) -> HyperPerturbInference:
    from hyperperturb.runs.directory import find_run
    from hyperperturb.runs.workspace import Workspace

    path = find_run(run, output_dir or Workspace().runs_dir).path
    from hyperperturb.models.inference import HyperPerturbInference

    return HyperPerturbInference(path)


def predict(
    run: Run,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            "--gene",
            "-g",
            metavar="GENE",
            help="A target gene; repeat it for a combination.",
            show_default=False,
        ),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="LIST", help="A list with one perturbation a line, A or A_B.", show_default=False
        ),
    ] = None,
    csv: Csv = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="OUT.h5ad",
            help="Write an AnnData of perturbations by response genes: effects, standard errors, what was measured, "
            "the perturbations' points, and what the run says of itself.",
            show_default=False,
        ),
    ] = None,
    protein_csv: Annotated[
        Path | None,
        typer.Option(
            "--protein_csv",
            "--protein-csv",
            metavar="OUT",
            help="Write the effects on proteins here, where the run knows any: one row a perturbation and protein.",
            show_default=False,
        ),
    ] = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict what perturbing genes does to every response gene.

    With --gene: one row a response gene (gene, effect, standard_error, measured; natural-log units). With
    --targets LIST and --csv OUT: one row a perturbation, one column a response gene. Empty lines and lines that
    start with # are passed over; a perturbation the model has no ground to predict is named on stderr (with
    --json also under "refused") and left out, and the exit code is 0 as long as one was predicted.
    """
    if bool(gene) == bool(targets):
        raise typer.BadParameter("Give either --gene (once or several times) or --targets LIST.")
    for path in filter(None, (csv, protein_csv)):
        check_table_path(path)
    if out is not None and out.suffix.lower() != ".h5ad":
        raise HyperPerturbError(
            f"'{out}' is no name of an AnnData file.", hint="End it in .h5ad, or write a table with --csv."
        )
    if gene:
        _predict_one(run, gene, csv, out, protein_csv, output_dir, as_json)
    else:
        if csv is None and out is None and protein_csv is None:
            raise typer.BadParameter("--targets needs --csv OUT or --out OUT.h5ad to write to.")
        _predict_list(run, targets, csv, out, protein_csv, output_dir, as_json)


def _write_proteins(
    inference: HyperPerturbInference, sets: Sequence[tuple[str, ...]], path: Path | None
) -> None:
    """Write the effects of some perturbations on proteins, where that was asked for."""
    if path is None:
        return
    if inference.proteins is None:
        raise HyperPerturbError(
            "This run knows no proteins, so there is nothing to write with --protein_csv.",
            hint="Train with --protein_path.",
        )
    write_table(inference.proteins.table(sets), path)


def _predict_one(
    run: str,
    genes: list[str],
    csv: Path | None,
    out: Path | None,
    protein_csv: Path | None,
    output_dir: Path | None,
    as_json: bool,
) -> None:
    from hyperperturb.models.predictions import predict_many, write_predictions

    with json_only(as_json):
        inference = _open(run, output_dir)
        answer = inference.predict_effects(genes)
        table = answer.table[["gene", "effect", "standard_error", "measured"]]
        if csv is not None:
            write_table(table, csv)
        if out is not None:
            write_predictions(inference, predict_many(inference, [answer.targets]), out)
        _write_proteins(inference, [answer.targets], protein_csv)
    if as_json:
        print_json(
            {
                "targets": list(answer.targets),
                "support": answer.support,
                "strength": float(answer.strength),
                "interaction": None if answer.interaction is None else _interaction(answer.interaction),
                "csv": str(csv) if csv else None,
                "out": str(out) if out else None,
                "protein_csv": str(protein_csv) if protein_csv else None,
                "effects": table.to_dict("records"),
                "proteins": None if answer.proteins is None else _proteins(answer.proteins),
            }
        )
        return
    print(f"{' + '.join(answer.targets)}: {answer.support.why}")
    if answer.interaction is not None:
        print(answer.interaction.sentence)
    for path in filter(None, (csv, out)):
        print(f"{path}: {len(table):,} response genes")
    if protein_csv:
        print(f"{protein_csv}: {len(inference.proteins.names):,} proteins")
    if csv or out or protein_csv:
        return
    if answer.proteins is not None:
        print("Proteins (centred log-ratios, natural-log units):" if _told(answer) else answer.proteins.why)
    if _told(answer):
        rows = answer.proteins.table[["protein", "effect", "standard_error", "measured"]]
        order = rows["effect"].abs().sort_values(ascending=False, kind="stable").index
        print_table(list(rows.columns), rows.reindex(order).head(_SHOWN).to_numpy().tolist())
        print("RNA:")
    top = table.reindex(table["effect"].abs().sort_values(ascending=False, kind="stable").index)
    print_table(list(top.columns), top.head(_SHOWN).to_numpy().tolist())
    if len(table) > _SHOWN:
        print(f"… the {_SHOWN} largest of {len(table):,}; the rest with --csv OUT or --json")


def _told(answer: EffectPrediction) -> bool:
    return answer.proteins is not None and answer.proteins.table is not None


def _proteins(proteins: ProteinPrediction) -> dict[str, object]:
    table = proteins.table
    return {"why": proteins.why, "effects": None if table is None else table.to_dict("records")}


def _interaction(interaction: Interaction) -> dict[str, object]:
    return {
        "found": interaction.found,
        "score": interaction.score,
        "standard_error": interaction.standard_error,
        "parts": interaction.table.to_dict("records"),
    }


def _predict_list(
    run: str,
    targets: Path,
    csv: Path | None,
    out: Path | None,
    protein_csv: Path | None,
    output_dir: Path | None,
    as_json: bool,
) -> None:
    import numpy as np
    import pandas as pd

    from hyperperturb.data.screen import parse_targets
    from hyperperturb.models.predictions import predict_many, write_predictions
    from hyperperturb.runs.config import existing_file

    path = existing_file(targets, what="list of perturbations")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise HyperPerturbError(
            f"'{targets}' is not a text file.", hint="Give one perturbation a line."
        ) from error
    wanted = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"]
    if not wanted:
        raise HyperPerturbError(
            f"'{targets}' names no perturbation.", hint="Give one a line, as in JAK2 or JAK2_IRF1."
        )
    with json_only(as_json), show_progress() as progress:
        inference = _open(run, output_dir)
        control = inference.effects.control
        known = frozenset(inference.genes["gene"]) | frozenset(inference.response_genes)
        rows: dict[str, Any] = {}
        sets: list[tuple[str, ...]] = []
        refused: list[dict[str, Any]] = []
        for n, (number, label) in enumerate(wanted):
            progress(n / len(wanted), f"Predicting {label}")
            try:
                genes = parse_targets(label, control=control, known_genes=known)
                if not genes:
                    raise HyperPerturbError(f"'{label}' names no gene to perturb.")
                rows[label] = inference.predict_effects(genes).table["effect"].to_numpy(dtype=np.float64)
                sets.append(genes)
            except HyperPerturbError as error:
                nearest = [str(name) for name in getattr(error, "nearest", ())]
                refused.append(
                    {"line": number, "perturbation": label, "reason": str(error), "nearest": nearest}
                )
                note(f"refused: line {number} of {targets}: {' '.join(str(error).split())}")
        if rows and out is not None:
            write_predictions(inference, predict_many(inference, sets), out)
        if rows:
            _write_proteins(inference, sets, protein_csv)
        if rows and csv is not None:
            table = pd.DataFrame.from_dict(rows, orient="index", columns=list(inference.response_genes))
            write_table(table.rename_axis("perturbation").reset_index(), csv)
    if not rows:
        raise HyperPerturbError(f"None of the {len(wanted):,} perturbations of '{targets}' can be predicted.")
    if as_json:
        print_json(
            {
                "csv": str(csv) if csv else None,
                "out": str(out) if out else None,
                "protein_csv": str(protein_csv) if protein_csv else None,
                "predicted": list(rows),
                "refused": refused,
            }
        )
        return
    if protein_csv:
        print(f"{protein_csv}: {len(rows):,} perturbations x {len(inference.proteins.names):,} proteins")
    for written in filter(None, (csv, out)):
        print(
            f"{written}: {len(rows):,} perturbations x {len(inference.response_genes):,} response genes,"
            f" {len(refused):,} refused"
        )


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
    if csv is not None:
        check_table_path(csv)
    shared = together or goal != "explain"
    adata = None
    with json_only(as_json), show_progress() as progress:
        inference = _open(run, output_dir)
        sets = [_targets(inference, label) for label in unseen or ()]
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
        print_json({"n_cells": n, "goal": goal, "csv": str(csv) if csv else None, "ranking": rows})
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
                "csv": str(csv) if csv else None,
                "first": {str(label): int(count) for label, count in first.items()},
                "answers": None if csv else table.to_dict("records"),
            }
        )
        return
    print(f"{n:,} cells; ranked first ({goal}):")
    print_table(["perturbation", "cells"], [[str(label), int(c)] for label, c in first.head(_SHOWN).items()])
    print(f"{csv}: {len(table):,} rows" if csv else "Every cell's answer with --csv OUT or --json")


def _targets(inference: HyperPerturbInference, label: str) -> tuple[str, ...]:
    from hyperperturb.data.screen import parse_targets

    known = frozenset(inference.genes["gene"]) | frozenset(inference.response_genes)
    genes = parse_targets(label, control=inference.effects.control, known_genes=known)
    if not genes:
        raise HyperPerturbError(f"'{label}' names no gene to perturb.")
    return genes


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
