"""The options and arguments that several commands have, each declared once.

What is wrong with a value is said before the command begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperperturb.cli.inputs import check_table_path
from hyperperturb.errors import HyperPerturbError


def _mode(value: str) -> str:
    if value not in ("knockout", "knockdown", "activation"):
        raise HyperPerturbError(f"'{value}' is not a mode.", hint="Choose knockout, knockdown or activation.")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Column = Annotated[
    str | None, typer.Option("--column", help="Column of obs with the labels.", show_default="as proposed")
]
Control = Annotated[
    str | None, typer.Option("--control", help="Label of the control cells.", show_default="as proposed")
]
Batch = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of obs with the batches: compare every cell with the controls of its own batch.",
        show_default="all controls alike",
    ),
]
Layer = Annotated[
    str | None, typer.Option("--layer", help="Layer with the counts.", show_default="X, or where counts are")
]
Tables = Annotated[
    list[Path] | None,
    typer.Option(
        "--table",
        help="A table that belongs to the screen (guide calls of cells, genes of guides, symbols of Ensembl ids); "
        "repeatable.",
        show_default="Cell Ranger's, beside the file",
    ),
]
ProteinPath = Annotated[
    Path | None,
    typer.Option(
        "--protein_path",
        "--protein-path",
        metavar="FILE",
        help="Antibody counts of the same cells: .h5ad, 10x, or a table of cells by antibodies. May be the screen "
        "itself, where it holds both.",
        show_default=False,
    ),
]
ProteinNames = Annotated[
    str,
    typer.Option(
        "--protein_names",
        "--protein-names",
        metavar="MEND",
        help="How cells are matched where names differ: suffix (without -1), prefix (without SAMPLE_) or both.",
        show_default="as they are",
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output_dir",
        "--output-dir",
        help="Folder of the runs.",
        show_default="models/saved of the workspace",
    ),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, its path, or latest.")]
Screen = Annotated[Path, typer.Argument(metavar="FILE", help="The screen, of any format.")]
Data = Annotated[Path, typer.Argument(metavar="FILE", help="A screen of any format or a table of effects.")]
Mode = Annotated[str, typer.Option("--mode", callback=_mode, help="knockout, knockdown or activation.")]
Preset = Annotated[str, typer.Option("--preset", help="quick, standard or thorough.")]
Coexpression = Annotated[
    bool,
    typer.Option(
        "--coexpression/--no_coexpression",
        help="Also make a network from the control cells of the screen.",
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="OUT",
        callback=check_table_path,
        help="Write the whole table here (.csv, .csv.gz, .tsv, .parquet).",
        show_default=False,
    ),
]
