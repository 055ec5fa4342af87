"""The command that asks what a set of genes has in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import SHOWN, json_only, note, print_json, print_table
from hyperperturb.cli.inputs import find_run, read_lines, write_table
from hyperperturb.cli.options import Csv, Debug, Json, OutputDir, Run
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

_SURE = 0.05
_GENES = 60  # characters of the genes of a term on a terminal


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(
        epilog="Example: hyperperturb terms latest --genes STAT1,JAK2,IRF1 --terms ReactomePathways.gmt"
    )(terms)


def terms(
    run: Run,
    genes: Annotated[
        list[str] | None,
        typer.Option(
            "--genes", metavar="A,B,C", help="The genes, separated by commas; repeatable.", show_default=False
        ),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="LIST",
            help="A file of genes, one a line or separated by commas.",
            show_default=False,
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--terms",
            metavar="FILE",
            help="Gene sets (.gmt), pairs of gene and term, or GO annotation (GAF); repeatable.",
            show_default=False,
        ),
    ] = None,
    csv: Csv = None,
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask which terms a set of genes is rich in, among the genes of a run.

    One row a term that the set has (file, term, in_set, in_background, expected, fold, p_value, q_value, genes):
    Fisher's exact test, one-sided, against the genes of the run that have any term in the file; q_value is the false
    discovery rate over all terms of the file that were tested. Genes that the run does not know are named on stderr
    (with --json also under "unknown") and left out.
    """
    if bool(genes) == bool(listed):
        raise typer.BadParameter("Give the genes either with --genes A,B,C or with --list FILE.")
    if not files:
        raise typer.BadParameter("Name at least one file of terms with --terms FILE.")
    asked = _names(genes or [line for _, line in read_lines(listed, what="gene", mend="Give one a line.")])
    with json_only(as_json):
        known, unknown, background = _among(run, output_dir, asked)
        if unknown:
            note(f"not among the genes of the run, and left out: {', '.join(unknown)}")
        if not known:
            raise HyperPerturbError(
                "The run knows none of these genes.",
                hint="Use the kind of names (symbols or Ensembl ids) that its screen has.",
            )
        tables = [_tested(path, known, background) for path in files]
        if csv is not None:
            import pandas as pd

            write_table(pd.concat(tables, ignore_index=True), csv)
    if as_json:
        print_json(
            {
                "genes": known,
                "unknown": unknown,
                "csv": csv,
                "files": [
                    {"file": str(path), **table.attrs, "terms": None if csv else table.to_dict("records")}
                    for path, table in zip(files, tables, strict=True)
                ],
            }
        )
        return
    for table in tables:
        _show(table, shown=not csv)
    print(f"{csv}: {sum(map(len, tables)):,} rows" if csv else "All terms with --csv OUT or --json")


def _names(texts: Iterable[str]) -> list[str]:
    words = (word for text in texts for word in text.replace(",", " ").replace(";", " ").split())
    return list(dict.fromkeys(words))


def _among(
    run: str, output_dir: Path | None, asked: list[str]
) -> tuple[list[str], list[str], frozenset[str]]:
    """The genes as the run spells them, those it does not know, and all that it does."""
    import pandas as pd

    from hyperperturb.data.genes import speller

    found = find_run(run, output_dir)
    if not found.usable:
        raise HyperPerturbError(
            f"The run '{found.name}' is not finished.", hint="Choose another, or wait for it."
        )
    own = pd.read_parquet(found.file("genes.parquet"), columns=["gene"])["gene"].astype(str)
    spell = speller(own)
    names = {word: spell(word) for word in asked}
    known = list(dict.fromkeys(filter(None, names.values())))
    return known, [word for word, name in names.items() if not name], frozenset(own)


def _tested(path: Path, genes: list[str], background: frozenset[str]) -> pd.DataFrame:
    from hyperperturb.data.network_readers import read_terms
    from hyperperturb.evaluation.enrichment import enrichment
    from hyperperturb.runs.config import existing_file

    table = enrichment(genes, read_terms(existing_file(path, what="file of terms")), background=background)
    attributes = table.attrs
    table.insert(0, "file", path.name)
    table.attrs = attributes
    return table


def _show(table: pd.DataFrame, *, shown: bool) -> None:
    numbers: Any = table.attrs
    sure = int((table["q_value"] < _SURE).sum())
    name = table["file"].iloc[0]
    print(
        f"{name}: {sure:,} of {numbers['n_tested']:,} terms below a false discovery rate of 5 %; "
        f"{numbers['n_set']:,} genes of the set and {numbers['n_background']:,} of the run have a term"
    )
    if not shown:
        return
    top = table.head(SHOWN)
    columns = ["term", "in_set", "in_background", "fold", "p_value", "q_value"]
    rows = [
        [*row, genes if len(genes) <= _GENES else f"{genes[: _GENES - 1]}…"]
        for row, genes in zip(top[columns].to_numpy().tolist(), top["genes"], strict=True)
    ]
    print_table([*columns, "genes"], rows)
