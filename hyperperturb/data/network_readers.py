"""Networks from the files that people have.

==========  ===================================================================================================
kind        what it reads
==========  ===================================================================================================
`edges`     two columns of gene names, or three with a weight; CSV, TSV or spaces, gzipped or not, with or without
            a header, each edge listed once or in both directions
`string`    STRING ``protein.links`` (also ``.full`` and ``.detailed``) with ``protein.info``
`regulons`  source, target and a sign or signed weight (CollecTRI, TRRUST)
`terms`     pairs of gene and term (Gene Ontology annotation): genes that share terms are joined
`gmt`       gene sets, one a line: name, description, genes; also zipped (``.gmt.zip``)
`gaf`       Gene Ontology annotation as published (GAF 2)
`omnipath`  interactions with gene symbols, as OmniPath's web service gives them
`saved`     a network that :func:`~hyperperturb.data.network_store.save_network` wrote (``.npz``)
`auto`      whichever of these the first rows look like, see :func:`read_network`
==========  ===================================================================================================
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.data.network_public import public_kind, read_omnipath, terms_of_gaf, terms_of_gmt
from hyperperturb.data.network_store import load_network
from hyperperturb.data.network_string import is_string_file, read_string
from hyperperturb.data.network_terms import Terms, network_from_terms
from hyperperturb.data.text_table import TextTable, is_missing, is_number, numbers, open_table
from hyperperturb.errors import HyperPerturbError

NETWORK_KINDS = ("auto", "edges", "string", "regulons", "terms", "gmt", "gaf", "omnipath", "saved")

# headers are recognised by these names; ID1 and TF in capitals are genes
_NAME = re.compile(
    r"(gene|node|protein|entity|source|target|symbol|interactor|partner|regulator|from|to|official_symbol"
    r"|(?-i:id|tf|a|b|x|y|u|v))[ _.-]?(symbol|name|id|[ab12])?",
    re.IGNORECASE,
)
_TERM = re.compile(
    r"(go|term|pathway|gene_?set|set|annotation|category)([ _.-]?(id|name|term))?", re.IGNORECASE
)
_TERM_ID = re.compile(r"[A-Za-z]+(:\d{4,}|-[A-Z]{3}-\d+)|[A-Z]+(_[A-Z0-9]+){2,}")
_WEIGHT = re.compile(
    r"(edge|interaction|combined)?[ _.-]?(weight|score|confidence|strength|similarity|correlation|mi)|value|w",
    re.IGNORECASE,
)
_SIGN = re.compile(
    r"sign|mor|mode_?of_?regulation|effect|regulation|direction|interaction_?type|type|mode", re.IGNORECASE
)
_SIGNS = {
    **dict.fromkeys(
        ("activation", "activates", "activator", "positive", "stimulation", "up", "+", "+1", "1"), 1
    ),
    **dict.fromkeys(("repression", "represses", "repressor", "inhibition", "inhibits", "negative"), -1),
    **dict.fromkeys(("down", "-", "−", "-1", "−1"), -1),
    **dict.fromkeys(("unknown", "", "?", "0", "na", "nan", "unspecified"), 0),
}


def read_network(
    path: Path | str,
    *,
    info: Path | str | None = None,
    kind: str = "auto",
    name: str | None = None,
    min_score: float | None = None,
) -> Network:
    """Read a gene network from a file.

    ``kind="auto"`` decides by the file's name and first rows, in this order: a name ending in ``.npz`` is a saved
    network, one ending in ``.gmt``(``.gz``, ``.zip``) is gene sets; GAF and OmniPath say so in their first line;
    proteins named like ``9606.ENSP…`` are STRING; a second (or first) column of identifiers like ``GO:0006412`` or
    ``R-HSA-166658``, or one headed ``go_id``, ``term``, ``pathway`` …, is gene–term pairs; a third column of words
    like ``Activation`` or headed ``sign``, ``mor`` …, or numbers of which some are negative, is regulons;
    everything else is an edge list.

    In an edge list with a header the weight is the column named ``weight``, ``score``, ``combined_score`` and the
    like; other columns are ignored and named in the provenance. Without a header it is the third column. An edge
    listed several times or in both directions counts once with its largest weight; self loops are dropped.

    Parameters
    ----------
    path
        The file, gzipped or not.
    info
        STRING's ``protein.info``; found by itself when it lies beside the links under its usual name.
    kind
        One of ``NETWORK_KINDS``.
    name
        Short name of the network; default: the file's name without suffixes.
    min_score
        Edges with a smaller weight are left out, on the scale of the file; for STRING the combined score, 0 to 1000,
        default 400.

    Returns
    -------
    Network
        Genes sorted by name; what was left out is told in ``provenance[0].note``.

    Raises
    ------
    HyperPerturbError
        If the file is missing, empty, no text, has one column or a weight that makes no sense; the row is named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "pairs.tsv"
    ...     _ = file.write_text("gene1\\tgene2\\nJAK2\\tSTAT1\\nSTAT1\\tJAK2\\nSTAT1\\tIRF1\\n")
    ...     network = read_network(file)
    >>> network.name, network.genes, network.n_edges
    ('pairs', ('IRF1', 'JAK2', 'STAT1'), 2)
    """
    path = Path(path)
    if kind not in NETWORK_KINDS:
        raise HyperPerturbError(
            f"There is no kind of network called '{kind}'.", hint=f"Use one of {', '.join(NETWORK_KINDS)}."
        )
    if kind == "saved" or (kind == "auto" and path.suffix.lower() == ".npz"):
        return load_network(path)
    name = name or _name(path)
    if kind == "auto":
        kind = public_kind(path) or ("string" if is_string_file(path) else _kind_by_name(path))
    if kind == "omnipath":
        return read_omnipath(path, name=name)
    if kind == "string":
        return read_string(path, info=None if info is None else Path(info), name=name, min_score=min_score)
    if kind in _TERM_FILES:
        return _joined(_TERM_FILES[kind](path), path, name=name, min_score=min_score)
    table = open_table(
        path, what={"terms": "table of terms", "regulons": "table of regulons"}.get(kind, "edge list")
    )
    layout = _Layout(table)
    if kind == "auto":
        kind = layout.kind()
    if kind == "terms":
        return _joined(_terms_of_table(layout), path, name=name, min_score=min_score)
    return _read_edges(layout, name=name, signed=kind == "regulons", min_score=min_score)


def read_terms(path: Path | str) -> Terms:
    """Read which gene has which term: gene sets (``.gmt``), pairs of gene and term, GO annotation (GAF).

    Parameters
    ----------
    path
        The file, gzipped or not.

    Raises
    ------
    HyperPerturbError
        If the file cannot be read, or joins genes with genes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "sets.gmt"
    ...     _ = file.write_text("JAK-STAT\\tpathway\\tJAK2\\tSTAT1\\n")
    ...     read_terms(file).genes.tolist()
    ['JAK2', 'STAT1']
    """
    path = Path(path)
    kind = public_kind(path) or _kind_by_name(path)
    if kind in _TERM_FILES:
        return _TERM_FILES[kind](path)
    if kind == "auto" and path.suffix.lower() != ".npz" and not is_string_file(path):
        layout = _Layout(open_table(path, what="table of terms"))
        if layout.kind() == "terms":
            return _terms_of_table(layout)
    raise HyperPerturbError(
        f"'{path.name}' joins genes with genes and names no terms.",
        hint="Give gene sets (.gmt), pairs of gene and term, or GO annotation (GAF).",
    )


_TERM_FILES = {"gaf": terms_of_gaf, "gmt": terms_of_gmt}


def _kind_by_name(path: Path) -> str:
    return "gmt" if re.search(r"\.gmt(\.gz|\.zip)?$", path.name, re.IGNORECASE) else "auto"


def _joined(terms: Terms, path: Path, *, name: str, min_score: float | None) -> Network:
    return network_from_terms(
        terms.genes,
        terms.terms,
        name=name,
        kind=terms.kind,
        path=str(path),
        min_score=min_score,
        notes=terms.notes,
    )


def _name(path: Path) -> str:
    return (
        re.sub(
            r"\.(csv|tsv|txt|gmt|gaf|edges|edgelist|sif|tab|dat)$", "", re.sub(r"\.(gz|zip)$", "", path.name)
        )
        or path.name
    )


class _Layout:
    """Which column of a table is what."""

    def __init__(self, table: TextTable) -> None:
        self.table = table
        n = table.n_columns
        first = table.rows[0][1]
        commented = table.commented
        self.header = False
        self.names: tuple[str, ...] = ()
        if len(commented) == n and _headed(commented):
            self.names = commented
        elif _headed(first) or self._numbers_below(first):
            self.header, self.names = True, first
        self.body = [cells for _, cells in table.rows[int(self.header) :] if len(cells) == n]
        if not self.body:
            if len(table.rows) > 1:
                # rows there are, but of another length than the header
                table.columns([0, 1], header=self.header)
            raise table.error(
                f"The {table.what} has a header but no rows", hint="Give one pair of names a row."
            )
        self.weight = self._named(_WEIGHT)
        self.sign = self._named(_SIGN)
        if not self.names and n > 2:
            self.weight = 2

    def _numbers_below(self, first: tuple[str, ...]) -> bool:
        """A row of words above a column of numbers is a header, whatever its words are."""
        rest = [cells for _, cells in self.table.rows[1:] if len(cells) == len(first)]
        return bool(rest) and any(
            not is_number(first[k]) and first[k] != "" and all(is_number(cells[k]) for cells in rest)
            for k in range(2, len(first))
        )

    def _named(self, pattern: re.Pattern[str]) -> int | None:
        return next((k for k, name in enumerate(self.names) if k > 1 and pattern.fullmatch(name)), None)

    def cells(self, column: int) -> list[str]:
        return [cells[column] for cells in self.body]

    @property
    def term(self) -> int | None:
        """The column of terms in a table of gene–term pairs, or None."""
        for column in (1, 0):
            if self.names and _TERM.fullmatch(self.names[column]):
                return column
            cells = self.cells(column)
            if sum(_TERM_ID.fullmatch(cell) is not None for cell in cells) > 0.9 * len(cells):
                return column
        return None

    def kind(self) -> str:
        if self.term is not None:
            return "terms"
        if self.sign is not None and all(cell.lower() in _SIGNS for cell in self.cells(self.sign)):
            return "regulons"
        column = self.weight if self.weight is not None else (2 if self.table.n_columns > 2 else None)
        if column is not None:
            cells = [cell.lower() for cell in self.cells(column)]
            words = [cell for cell in cells if cell and not is_number(cell)]
            if words and all(cell in _SIGNS for cell in cells):
                return "regulons"
            # the negative ones may come late in the file
            if self.weight is not None and _has_negative(self.table, column, header=self.header):
                return "regulons"
        return "edges"


def _headed(cells: tuple[str, ...]) -> bool:
    named = [bool(_NAME.fullmatch(cell)) for cell in cells[:2]]
    terms = [bool(_TERM.fullmatch(cell)) for cell in cells[:2]]
    return len(cells) > 1 and (all(named) or (any(named) and any(terms)))


def _has_negative(table: TextTable, column: int, *, header: bool) -> bool:
    import pyarrow.compute as pc

    (cells,) = table.arrow_columns([column], header=header)
    return bool(pc.any(pc.match_substring_regex(cells, r"^[-−]\s*[0-9.]*[1-9]")).as_py())


def _read_edges(layout: _Layout, *, name: str, signed: bool, min_score: float | None) -> Network:
    import pyarrow as pa
    import pyarrow.compute as pc

    table, notes = layout.table, []
    sign_column = layout.sign if signed else None
    weight_column = layout.weight
    if signed and sign_column is None and weight_column is None and table.n_columns > 2:
        sign_column = 2
    if signed and sign_column is None and weight_column is not None:
        column = layout.cells(weight_column)
        if any(not is_number(cell) for cell in column) and all(cell.lower() in _SIGNS for cell in column):
            sign_column, weight_column = weight_column, None
    if signed and sign_column is None and weight_column is None:
        raise table.error(
            f"The {table.what} has no column of signs",
            hint="Give a third column with Activation, Repression, +1, −1 or a signed weight.",
        )
    extra = [c for c in (weight_column, sign_column) if c is not None]
    columns = table.arrow_columns([0, 1, *extra], header=layout.header)
    parts = dict(zip(extra, columns[2:], strict=True))
    ends = pa.chunked_array(columns[:2]).dictionary_encode().unify_dictionaries()
    names = ends.chunk(0).dictionary.to_numpy(zero_copy_only=False)
    i, j = (chunk.indices.to_numpy() for chunk in ends.chunks)
    if (empty := np.flatnonzero(names == "")).size:
        row = int(np.flatnonzero((i == empty[0]) | (j == empty[0]))[0])
        raise table.one_column(table.row_number(row, header=layout.header))

    weight = np.ones(i.size)
    if weight_column is not None:
        cells = parts[weight_column].to_numpy(zero_copy_only=False)
        weight = numbers(table, cells, header=layout.header, signed=signed)
    sign = None
    if signed:
        if sign_column is not None:
            sign = _signs(layout, pc.utf8_lower(parts[sign_column]).to_numpy(zero_copy_only=False))
        else:
            sign = np.sign(weight).astype(np.int64)
        weight = np.where(weight == 0, 1.0, np.abs(weight))  # a weight of zero: an edge of unknown sign
    keep = ~(is_missing(names)[i] | is_missing(names)[j])
    if not keep.all():
        notes.append(f"{int((~keep).sum()):,} rows with a missing name dropped")
    if min_score is not None:
        low = keep & (weight < min_score)
        notes.append(f"{int(low.sum()):,} edges with a weight below {min_score:g} left out")
        keep &= ~low
    used = {0, 1, *extra}
    ignored = [label for k, label in enumerate(layout.names) if k not in used]
    if ignored:
        notes.append("columns not used: " + ", ".join(ignored))
    return network_from_codes(
        i[keep],
        j[keep],
        weight[keep],
        names.tolist(),
        name=name,
        sign=None if sign is None else sign[keep],
        kind="regulons" if signed else "edges",
        path=str(table.path),
        notes=notes,
    )


def _signs(layout: _Layout, cells: np.ndarray) -> np.ndarray:
    words, where = np.unique(cells.astype(str), return_inverse=True)
    values = []
    for word in words.tolist():
        value = _SIGNS.get(word)
        if value is None and is_number(word) and np.isfinite(float(word)):
            value = int(np.sign(float(word)))
        if value is None:
            row = layout.table.row_number(int(np.flatnonzero(cells == word)[0]), header=layout.header)
            raise layout.table.error(
                f"Row {row} of the {layout.table.what} has the sign '{word}'",
                hint="Use Activation, Repression, Unknown, +1, −1 or a signed weight.",
            )
        values.append(value)
    return np.array(values, dtype=np.int64)[where]


def _terms_of_table(layout: _Layout) -> Terms:
    term = layout.term
    term = 1 if term is None else term
    genes, terms = layout.table.columns([1 - term, term], header=layout.header)
    keep = (genes != "") & (terms != "")
    keep &= ~is_missing(genes)
    notes = () if keep.all() else (f"{int((~keep).sum()):,} rows with a missing name dropped",)
    return Terms(genes[keep], terms[keep], "terms", notes)
