"""The command that asks what perturbing genes does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hyperperturb.cli.console import SHOWN, json_only, note, print_json, print_table, show_progress
from hyperperturb.cli.inputs import check_table_path, label_reader, open_model, read_lines, write_table
from hyperperturb.cli.options import Csv, Debug, Json, OutputDir, Run
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from pandas import DataFrame

    from hyperperturb.models.inference import EffectPrediction, HyperPerturbInference
    from hyperperturb.models.interactions import Interaction
    from hyperperturb.models.proteins import ProteinPrediction


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(epilog="Example: hyperperturb predict latest --gene JAK2 --gene IRF1 --csv effects.csv")(
        predict
    )


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
            callback=check_table_path,
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
    if out is not None and out.suffix.lower() != ".h5ad":
        raise HyperPerturbError(
            f"'{out}' is no name of an AnnData file.", hint="End it in .h5ad, or write a table with --csv."
        )
    files = _Files(csv, out, protein_csv)
    if gene:
        _predict_one(run, gene, files, output_dir, as_json)
    elif not files:
        raise typer.BadParameter("--targets needs --csv OUT or --out OUT.h5ad to write to.")
    else:
        _predict_list(run, targets, files, output_dir, as_json)


class _Files(NamedTuple):
    """Where what is predicted is written."""

    csv: Path | None
    out: Path | None
    proteins: Path | None

    def __bool__(self) -> bool:
        return any(self)

    def summary(self) -> dict[str, Path | None]:
        """For JSON."""
        return {"csv": self.csv, "out": self.out, "protein_csv": self.proteins}

    def write(self, model: HyperPerturbInference, sets: Sequence[tuple[str, ...]], table: DataFrame) -> None:
        """Write the effects of some perturbations: ``table`` as it is, and what else was asked for."""
        from hyperperturb.models.predictions import predict_many, write_predictions

        if self.csv is not None:
            write_table(table, self.csv)
        if self.out is not None:
            write_predictions(model, predict_many(model, sets), self.out)
        if self.proteins is None:
            return
        if model.proteins is None:
            raise HyperPerturbError(
                "This run knows no proteins, so there is nothing to write with --protein_csv.",
                hint="Train with --protein_path.",
            )
        write_table(model.proteins.table(sets), self.proteins)


def _predict_one(run: str, genes: list[str], files: _Files, output_dir: Path | None, as_json: bool) -> None:
    with json_only(as_json):
        model = open_model(run, output_dir)
        answer = model.predict_effects(genes)
        table = answer.table[["gene", "effect", "standard_error", "measured"]]
        files.write(model, [answer.targets], table)
    if as_json:
        print_json(
            {
                "targets": list(answer.targets),
                "support": answer.support,
                "strength": float(answer.strength),
                "interaction": None if answer.interaction is None else _interaction(answer.interaction),
                **files.summary(),
                "effects": table.to_dict("records"),
                "proteins": None if answer.proteins is None else _proteins(answer.proteins),
            }
        )
        return
    print(f"{' + '.join(answer.targets)}: {answer.support.why}")
    if answer.interaction is not None:
        print(answer.interaction.sentence)
    for path in filter(None, (files.csv, files.out)):
        print(f"{path}: {len(table):,} response genes")
    if files.proteins:
        print(f"{files.proteins}: {len(model.proteins.names):,} proteins")
    if files:
        return
    if answer.proteins is not None:
        print("Proteins (centred log-ratios, natural-log units):" if _told(answer) else answer.proteins.why)
    if _told(answer):
        _print_largest(answer.proteins.table[["protein", "effect", "standard_error", "measured"]])
        print("RNA:")
    _print_largest(table)
    if len(table) > SHOWN:
        print(f"… the {SHOWN} largest of {len(table):,}; the rest with --csv OUT or --json")


def _print_largest(table: DataFrame) -> None:
    order = table["effect"].abs().sort_values(ascending=False, kind="stable").index
    print_table(list(table.columns), table.reindex(order).head(SHOWN).to_numpy().tolist())


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


def _predict_list(run: str, targets: Path, files: _Files, output_dir: Path | None, as_json: bool) -> None:
    import numpy as np
    import pandas as pd

    wanted = read_lines(targets, what="perturbation", mend="Give one a line, as in JAK2 or JAK2_IRF1.")
    with json_only(as_json), show_progress() as progress:
        model = open_model(run, output_dir)
        genes_of = label_reader(model)
        rows: dict[str, np.ndarray] = {}
        sets: list[tuple[str, ...]] = []
        refused: list[dict[str, Any]] = []
        for n, (number, label) in enumerate(wanted):
            progress(n / len(wanted), f"Predicting {label}")
            try:
                genes = genes_of(label)
                rows[label] = model.predict_effects(genes).table["effect"].to_numpy(dtype=np.float64)
                sets.append(genes)
            except HyperPerturbError as error:
                nearest = [str(name) for name in getattr(error, "nearest", ())]
                refused.append(
                    {"line": number, "perturbation": label, "reason": str(error), "nearest": nearest}
                )
                note(f"refused: line {number} of {targets}: {' '.join(str(error).split())}")
        if rows:
            table = pd.DataFrame.from_dict(rows, orient="index", columns=list(model.response_genes))
            files.write(model, sets, table.rename_axis("perturbation").reset_index())
    if not rows:
        raise HyperPerturbError(f"None of the {len(wanted):,} perturbations of '{targets}' can be predicted.")
    if as_json:
        print_json({**files.summary(), "predicted": list(rows), "refused": refused})
        return
    if files.proteins:
        print(f"{files.proteins}: {len(rows):,} perturbations x {len(model.proteins.names):,} proteins")
    for written in filter(None, (files.csv, files.out)):
        print(
            f"{written}: {len(rows):,} perturbations x {len(model.response_genes):,} response genes,"
            f" {len(refused):,} refused"
        )
