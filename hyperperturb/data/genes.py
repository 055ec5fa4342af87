"""Names of genes: Ensembl ids replaced by the file's own symbols, duplicates made unique."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hyperperturb.data.frames import Frame
from hyperperturb.errors import HyperPerturbError

SYMBOL_COLUMNS = (
    "gene_symbol",
    "gene_symbols",
    "symbol",
    "symbols",
    "gene_name",
    "gene_names",
    "feature_name",
    "gene_short_name",
    "hgnc_symbol",
    "name",
    "gene",
    "genes",
)
"""Columns of ``var`` in which gene symbols are looked for."""

_ENSEMBL = re.compile(r"^ENS[A-Z]{0,6}G\d{8,}(\.\d+)?$")


def speller(known: Iterable[str]) -> Callable[[str], str | None]:
    """What spells a name as it is known: as it stands, else in another case; None where it is not known.

    Examples
    --------
    >>> spell = speller(["JAK2", "Stat1"])
    >>> spell("JAK2"), spell("STAT1"), spell("IRF1")
    ('JAK2', 'Stat1', None)
    """
    names = list(known)
    by_fold = {name.casefold(): name for name in names}
    there = frozenset(names)
    return lambda name: name if name in there else by_fold.get(name.casefold())


@dataclass(frozen=True)
class GeneNames:
    """The gene names of a screen as they are used.

    Attributes
    ----------
    genes
        ``(n_genes,)`` unique names.
    n_duplicates
        Names that had to be changed because they stood before already.
    duplicated
        The names that occur more than once, at most 20.
    n_ensembl
        Rows of ``var`` whose name is an Ensembl gene id.
    symbol_column
        The ``var`` column that the symbols were taken from, None when names are those of ``var``.
    symbol_columns
        Every ``var`` column that could hold symbols.
    symbol_table
        The table of a person that the symbols were taken from.
    """

    genes: tuple[str, ...]
    n_duplicates: int = 0
    duplicated: tuple[str, ...] = ()
    n_ensembl: int = 0
    symbol_column: str | None = None
    symbol_columns: tuple[str, ...] = ()
    symbol_table: str | None = None


def is_ensembl(name: str) -> bool:
    """Say whether a name is an Ensembl gene id.

    Examples
    --------
    >>> is_ensembl("ENSG00000115415"), is_ensembl("ENSMUSG00000026104.15"), is_ensembl("STAT1")
    (True, True, False)
    """
    return _ENSEMBL.match(name) is not None


def bare_ensembl(name: str) -> str:
    """Give an Ensembl id without its version; other names stay as they are.

    Examples
    --------
    >>> bare_ensembl("ENSG00000115415.20"), bare_ensembl("AC012.1")
    ('ENSG00000115415', 'AC012.1')
    """
    return name.split(".")[0] if is_ensembl(name) else name


def make_unique(names: list[str]) -> tuple[list[str], list[int]]:
    """Make names unique as anndata does: the second ``A`` becomes ``A-1``, the third ``A-2``.

    Parameters
    ----------
    names
        Names, in order.

    Returns
    -------
    tuple
        The unique names and the positions that were changed.

    Examples
    --------
    >>> make_unique(["A", "A", "A-1", "A"])
    (['A', 'A-2', 'A-1', 'A-3'], [1, 3])
    """
    taken = set(names)
    seen: set[str] = set()
    number: Counter[str] = Counter()
    out, changed = [], []
    for position, name in enumerate(names):
        new = name
        if name in seen:
            while new in taken:
                number[name] += 1
                new = f"{name}-{number[name]}"
            taken.add(new)
            changed.append(position)
        seen.add(new)
        out.append(new)
    return out, changed


def read_gene_names(
    var: Frame, symbols: Mapping[str, str] | None = None, table: str | None = None
) -> GeneNames:
    """Read the gene names of a screen.

    Ensembl ids (and plain row numbers) are replaced by the symbols of a ``var`` column when exactly one such column
    is there, or all of them say the same, and nearly all symbols are distinct; an id without a symbol stays.

    Parameters
    ----------
    var
        The ``var`` table.
    symbols, table
        Ensembl id → symbol as a person gave it, and the name of that table; it comes before the file's own columns.

    Returns
    -------
    GeneNames
        Unique names and what was done to get them.

    Raises
    ------
    HyperPerturbError
        The person's table has none of the names.
    """
    names = [str(name) for name in var.index()]
    n_ensembl = sum(map(is_ensembl, names))
    meaningless = 2 * n_ensembl > len(names) or all(name.isdigit() for name in names)
    column, columns = None, ()
    if symbols:
        given = [symbols.get(bare_ensembl(name)) for name in names]
        if not any(given):
            raise HyperPerturbError(
                f"The table '{table}' has none of the screen's genes, which are called like {short_list(names, 3)}.",
                hint="Give a table with these names and their symbols.",
            )
        names = [symbol or name for symbol, name in zip(given, names, strict=True)]
    elif names and meaningless:
        found = _symbols(var)
        columns = tuple(found)
        distinct = {tuple(symbols) for symbols in found.values()}
        if len(distinct) == 1:
            column = columns[0]
            names = [symbol or name for symbol, name in zip(found[column], names, strict=True)]
    unique, changed = make_unique(names)
    counts = Counter(names)
    duplicated = tuple(name for name in dict.fromkeys(names) if counts[name] > 1)
    return GeneNames(
        genes=tuple(unique),
        n_duplicates=len(changed),
        duplicated=duplicated[:20],
        n_ensembl=n_ensembl,
        symbol_column=column,
        symbol_columns=columns,
        symbol_table=table if symbols else None,
    )


def _symbols(var: Frame) -> dict[str, list[str]]:
    by_name = {column.casefold(): column for column in var.columns}
    found = {}
    for name in SYMBOL_COLUMNS:
        column = by_name.get(name)
        if column is None or var.kind(column) not in ("string", "categorical"):
            continue
        symbols = var.labels(column).values().tolist()
        present = [symbol for symbol in symbols if symbol]
        looks_right = present and sum(map(is_ensembl, present)) < 0.5 * len(present)
        if looks_right and len(set(present)) >= 0.9 * len(present) and 2 * len(present) >= len(symbols):
            found[column] = symbols
    return found


def short_list(names: list[str] | tuple[str, ...] | np.ndarray, most: int = 5) -> str:
    """Write names for a sentence, the first few of many.

    Examples
    --------
    >>> short_list(["A", "B", "C"], most=2)
    'A, B and 1 more'
    """
    names = [name if len(name) <= 60 else name[:57] + "..." for name in map(str, names)]
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"
