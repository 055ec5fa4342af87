"""Tables that belong to a screen: guides of its cells, genes of its guides, symbols of its genes.

Which of the three a table is shows in its first row, so that one option (``--table``, or files uploaded together)
takes them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hyperperturb.data.frames import Frame, Labels, MemoryFrame, WiderFrame, factorise
from hyperperturb.data.genes import bare_ensembl, is_ensembl, short_list
from hyperperturb.data.labels import control_stem
from hyperperturb.data.text_table import TextTable, is_number, open_table
from hyperperturb.errors import HyperPerturbError

Role = Literal["cells", "guides", "symbols"]

TARGET_COLUMN = "gene_target"
"""The column that is made of guides and the genes they target, named as 10x names it."""

_CELLS = frozenset(
    ("cellbarcode", "barcode", "barcodes", "cell", "cells", "cellid", "cellname", "cellbc", "index", "")
)
_GUIDES = frozenset(
    (
        "guide",
        "guideid",
        "guidename",
        "sgrna",
        "sgrnaid",
        "sgrnaname",
        "sgid",
        "grna",
        "grnaid",
        "grnaname",
        "protospacer",
        "id",
    )
)
_GENES = frozenset(
    (
        "targetgenename",
        "gene",
        "genename",
        "target",
        "targetgene",
        "genesymbol",
        "genetarget",
        "symbol",
        "targetname",
    )
)
_SEPARATORS = re.compile(r"\s*[+,|;&/]\s*")
_MOST_COLUMNS = 200


@dataclass
class Tables:
    """What the tables of a screen say.

    Attributes
    ----------
    cells
        One row a cell: names of the cells and their columns.
    guide_genes
        Guide → target gene.
    symbols
        Ensembl id (without version) → gene symbol.
    names
        The files, by what they are.
    """

    cells: MemoryFrame | None = None
    guide_genes: dict[str, str] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    names: dict[Role, str] = field(default_factory=dict)


def _bare(name: str) -> str:
    return re.sub(r"[\s_\-.:]+", "", name.casefold()).removeprefix("unnamed0")


def table_role(table: TextTable) -> tuple[Role, int, int] | None:
    """Tell what a table is by its first rows.

    Parameters
    ----------
    table
        An open table.

    Returns
    -------
    tuple or None
        The role, the column of cells, guides or ids, and the column of genes or symbols (−1 for cells); None where
        the table says none of the three.
    """
    header = [_bare(name) for name in table.rows[0][1]]
    second = table.rows[1][1] if len(table.rows) > 1 else table.rows[0][1]
    ids = [column for column, value in enumerate(second) if is_ensembl(value)]
    guide = next((column for column, name in enumerate(header) if name in _GUIDES), None)
    gene = next((header.index(name) for name in _GENES_IN_ORDER if name in header), None)
    if header and header[0] in _CELLS - {""} and len(header) > 1:
        return "cells", 0, -1
    cell = next((column for column, name in enumerate(header) if name in _CELLS - {"", "index"}), None)
    if cell is not None and len(header) > 1:
        return "cells", cell, -1
    if guide is not None and gene is not None and guide != gene and not (ids and ids[0] == guide):
        return "guides", guide, gene
    if ids:
        other = [c for c in range(len(second)) if c not in ids and second[c] and not is_number(second[c])]
        named = [c for c in other if c < len(header) and header[c] in _GENES | {"name"}]
        if named or other:
            return "symbols", ids[0], (named or other)[0]
    if header and header[0] == "" and len(header) > 1:
        return "cells", 0, -1
    return None


_GENES_IN_ORDER = (
    "targetgenename",
    "genetarget",
    "targetgene",
    "target",
    "genesymbol",
    "symbol",
    "genename",
    "gene",
    "targetname",
)


def read_tables(paths: Sequence[Path]) -> Tables:
    """Read the tables of a screen.

    Parameters
    ----------
    paths
        CSV or TSV files, also gzipped. One row a cell with its guide (Cell Ranger's
        ``protospacer_calls_per_cell.csv``); guides and their genes (Cell Ranger's feature reference, a library);
        Ensembl ids and gene symbols.

    Returns
    -------
    Tables

    Raises
    ------
    HyperPerturbError
        A table is none of the three, two are the same, or a name occurs twice with different meanings.
    """
    out = Tables()
    for path in paths:
        table = open_table(Path(path), what="table of the screen")
        role = table_role(table)
        if role is None:
            raise table.error(
                f"It is not clear what this table is: its columns are {short_list(list(table.rows[0][1]), 8)}",
                hint="Name the columns cell_barcode and feature_call (guides of cells), guide and gene (genes of "
                "guides), or give Ensembl ids with a column symbol.",
            )
        kind, key, value = role
        if kind in out.names:
            raise table.error(
                f"Two tables say the same thing: '{out.names[kind]}' and '{Path(path).name}'",
                hint="Give one.",
            )
        out.names[kind] = Path(path).name
        if kind == "cells":
            out.cells = _cells(table, key)
        else:
            header = not is_ensembl(table.rows[0][1][key])
            keys, values = table.columns([key, value], header=header)
            if kind == "symbols":
                out.symbols = _mapping(table, [bare_ensembl(name) for name in keys], values, strict=False)
            else:
                out.guide_genes = _mapping(table, keys.tolist(), values, strict=True)
    return out


def _mapping(table: TextTable, keys: list[str], values: np.ndarray, *, strict: bool) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, value in zip(keys, values.tolist(), strict=True):
        if not key or not value:
            continue
        if out.setdefault(key, value) != value and strict:
            raise table.error(
                f"'{key}' has two meanings: '{out[key]}' and '{value}'", hint="Give each name one row."
            )
    return out


def _cells(table: TextTable, key: int) -> MemoryFrame:
    header = list(table.rows[0][1])
    rest = [column for column in range(min(len(header), _MOST_COLUMNS)) if column != key]
    names, *columns = table.columns([key, *rest], header=True)
    if len(set(names.tolist())) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names.tolist() if name in seen or seen.add(name))
        raise table.error(
            f"Cell '{twice}' has more than one row",
            hint="Give one row a cell; several guides of a cell stand in one row, separated by |.",
        )
    kept = {}
    for column, values in zip(rest, columns, strict=True):
        if header[column] and not _measures(values):
            kept[header[column]] = values
    return MemoryFrame(names, kept)


def _measures(values: np.ndarray) -> bool:
    """Whether a column holds measurements, not labels: numbers, or lists of them (UMIs of several guides)."""
    some = [value for value in values[:2000].tolist() if value]
    if not some or len(set(values.tolist())) <= 50:
        return False
    return all(is_number(part) for value in some for part in value.split("|"))


def join_tables(
    obs: Frame, tables: Tables, guide_genes: Mapping[str, str], *, name: str
) -> tuple[Frame, tuple[str, ...]]:
    """Add to a table of cells what the tables say about them.

    Parameters
    ----------
    obs
        The table of cells.
    tables
        What was read.
    guide_genes
        What the screen's file itself says about guides; the tables come first.
    name
        The screen in words, for messages.

    Returns
    -------
    tuple
        The wider table and the columns that were added, the ones to look for labels in first.

    Raises
    ------
    HyperPerturbError
        No cell of the table is in the screen; no column holds the guides of the table.
    """
    added: dict[str, Labels] = {}
    if tables.cells is not None:
        added = _aligned(obs.index(), tables.cells, tables.names["cells"], name)
    wider: Frame = WiderFrame(obs, MemoryFrame(np.empty(obs.n_rows(), dtype=object), added)) if added else obs
    genes = {**guide_genes, **tables.guide_genes}
    if genes:
        found = _targets(wider, genes)
        if found is not None:
            added = {TARGET_COLUMN: found, **added}
            wider = WiderFrame(obs, MemoryFrame(np.empty(obs.n_rows(), dtype=object), added))
        elif tables.guide_genes:
            raise HyperPerturbError(
                f"No column of {name} holds the guides of '{tables.names['guides']}' (such as "
                f"{short_list(list(tables.guide_genes), 3)}).",
                hint=f"Its columns are: {', '.join(wider.columns[:20]) or 'none'}. Check how the guides are spelled.",
            )
    return wider, tuple(added)


def _aligned(cells: np.ndarray, table: MemoryFrame, table_name: str, name: str) -> dict[str, Labels]:
    place = {cell: row for row, cell in enumerate(table.names.tolist())}
    rows = np.array([place.get(cell, -1) for cell in cells.tolist()], dtype=np.int64)
    if not (rows >= 0).any():  # one side without the number of the well: AAAC-1
        short = {re.sub(r"-\d+$", "", cell): row for cell, row in place.items()}
        bare = [re.sub(r"-\d+$", "", cell) for cell in cells.tolist()]
        if len(short) == len(place) and len(set(bare)) == len(bare):
            rows = np.array([short.get(cell, -1) for cell in bare], dtype=np.int64)
    if not (rows >= 0).any():
        raise HyperPerturbError(
            f"No cell of '{table_name}' is in {name}: its cells are called like '{table.names[0]}', the screen's "
            f"like '{cells[0] if len(cells) else ''}'.",
            hint="Give the table of this screen, with the same names of cells.",
        )
    out = {}
    for column in table.columns:
        labels = table.labels(column)
        out[column] = replace(labels, codes=np.where(rows >= 0, labels.codes[rows], -1).astype(np.int32))
    return out


def _targets(obs: Frame, genes: Mapping[str, str]) -> Labels | None:
    """The labels of the column that holds the guides, with each guide replaced by its gene."""
    best: tuple[int, Labels, list[str]] | None = None
    for column in obs.columns:
        if obs.kind(column) not in ("string", "categorical"):
            continue
        labels = obs.labels(column)
        targets = [_target(label, genes) for label in labels.categories]
        n = int(sum(n for n, target in zip(_counts(labels), targets, strict=True) if target is not None))
        if n and (best is None or n > best[0]):
            best = (
                n,
                labels,
                [label if t is None else t for label, t in zip(labels.categories, targets, strict=True)],
            )
    if best is None:
        return None
    _, labels, names = best
    codes, known = factorise(np.array([*names, ""], dtype=object))
    return Labels(codes[labels.codes], tuple(known))


def _counts(labels: Labels) -> np.ndarray:
    return np.bincount(labels.codes[labels.codes >= 0], minlength=len(labels.categories))


def _target(label: str, genes: Mapping[str, str]) -> str | None:
    """The genes of a label of guides, joined with ``+``; None where one of its parts is no guide of the table.

    Examples
    --------
    >>> genes = {"A-1": "A", "A-2": "A", "B-1": "B", "NT-1": "Non-Targeting"}
    >>> [_target(label, genes) for label in ("A-1|A-2", "B-1|A-1", "A-1|NT-1", "NT-1", "C-1")]
    ['A', 'A+B', 'A', 'Non-Targeting', None]
    """
    if label in genes:
        return genes[label]
    parts = [part for part in _SEPARATORS.split(label) if part]
    if len(parts) < 2 or any(part not in genes for part in parts):
        pair = label.split("__") if "__" in label else label.split("_") if label.count("_") == 1 else []
        parts = pair if pair and all(part in genes for part in pair) else []
    if not parts:
        return None
    named = sorted({genes[part] for part in parts})
    targets = [gene for gene in named if control_stem(gene) is None]
    return "+".join(targets) if targets else named[0]
