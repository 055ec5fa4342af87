"""Networks as the public archives publish them: GO's annotation (GAF), OmniPath's interactions, zipped gene sets."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.data.network_terms import Terms
from hyperperturb.data.text_table import open_table, read_text
from hyperperturb.errors import HyperPerturbError

_LIMIT = 1 << 30  # bytes of unpacked gene sets: more is a mistake or an attack
_OMNIPATH = ("source_genesymbol", "target_genesymbol")
_TRUE = ("1", "true")


def public_kind(path: Path) -> str | None:
    """``"gaf"`` or ``"omnipath"`` by the first line of a file, else None.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.gaf"
    ...     _ = file.write_text("!gaf-version: 2.2\\n")
    ...     public_kind(file)
    'gaf'
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as file:
                line = file.readline(4096).decode("utf-8", errors="replace").strip()
    except (OSError, EOFError, zlib.error):
        return None  # what is wrong with it is said by whoever reads it
    if line.lower().startswith("!gaf-version"):
        return "gaf"
    return "omnipath" if set(_OMNIPATH) <= set(line.split("\t")) else None


def terms_of_gaf(path: Path) -> Terms:
    """Read a GO annotation file (GAF 2, https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/).

    Annotations that say NOT, and those without evidence (code ND), are left out. Terms are taken as they stand: a gene
    does not get the terms above its own.

    Parameters
    ----------
    path
        The file, gzipped or not.

    Raises
    ------
    HyperPerturbError
        If it holds no annotation in 15 columns or more.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    data = read_text(path, what="GO annotation")
    body = re.sub(rb"(?m)^!.*\n?", b"", data)
    columns = [f"c{k}" for k in range(17)]
    wanted = {"c2": pa.string(), "c3": pa.string(), "c4": pa.string(), "c6": pa.string()}
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(column_names=columns, block_size=8 << 20),
            parse_options=arrow_csv.ParseOptions(
                delimiter="\t", quote_char=False, invalid_row_handler=lambda row: "skip"
            ),
            convert_options=arrow_csv.ConvertOptions(include_columns=list(wanted), column_types=wanted),
        )
    except pa.ArrowInvalid:
        table = None
    if table is None or table.num_rows == 0:
        raise HyperPerturbError(
            f"The GO annotation '{path.name}' has no rows of 17 columns.",
            hint="Give a file in the format GAF 2, such as goa_human.gaf.gz.",
        )
    said = pc.and_(
        pc.invert(pc.match_substring_regex(table["c3"], r"(^|\|)NOT(\||$)")), pc.not_equal(table["c6"], "ND")
    )
    kept = table.filter(said)
    left_out = table.num_rows - kept.num_rows
    notes = (f"{left_out:,} annotations that say NOT or have no evidence left out",) if left_out else ()
    return Terms(kept["c2"].to_numpy(), kept["c4"].to_numpy(), "gaf", notes)


def terms_of_gmt(path: Path) -> Terms:
    """Read gene sets, one a line (name, description, genes, separated by tabs), gzipped, zipped or neither.

    Raises
    ------
    HyperPerturbError
        If no set has a gene.
    """
    zipped = path.suffix.lower() == ".zip"
    data = unzipped_gene_sets(path) if zipped else read_text(path, what="file of gene sets")
    genes: list[str] = []
    terms: list[str] = []
    n_empty = 0
    for line in data.decode("utf-8", errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        label, *rest = line.split("\t")
        # some tools write "gene,1.0": the name, then a membership
        members = [cell.split(",")[0].strip().strip('"') for cell in rest[1:]]
        members = [cell for cell in members if cell]
        n_empty += not members
        genes += members
        terms += [label] * len(members)
    if not genes:
        raise HyperPerturbError(
            f"The file of gene sets '{path.name}' holds no set with genes.",
            hint="A .gmt line is: name, description, genes, separated by tabs.",
        )
    notes = (f"{n_empty:,} sets without genes",) if n_empty else ()
    return Terms(np.array(genes, dtype=object), np.array(terms, dtype=object), "gmt", notes)


def read_omnipath(path: Path, *, name: str) -> Network:
    """Read a table of OmniPath's interactions as regulons.

    It comes from https://omnipathdb.org/interactions with ``genesymbols=1``. The sign is that of the consensus where
    the table has it, else stimulation minus inhibition.

    Parameters
    ----------
    path
        The table.
    name
        Short name of the network.

    Raises
    ------
    HyperPerturbError
        If it lacks the columns, or holds no interaction of two genes.
    """
    table = open_table(path, what="table of interactions")
    header = table.rows[0][1]
    try:
        ends = [header.index(column) for column in _OMNIPATH]
        prefix = "consensus" if "consensus_stimulation" in header else "is"
        signs = [header.index(f"{prefix}_{word}") for word in ("stimulation", "inhibition")]
    except ValueError as error:
        raise table.error(
            "The table of interactions lacks columns of OmniPath",
            hint="Ask for genesymbols=1; is_stimulation and is_inhibition must be there.",
        ) from error
    source, target, up, down = table.columns([*ends, *signs], header=True)
    up, down = (np.isin(np.char.lower(column.astype(str)), _TRUE) for column in (up, down))
    names, codes = np.unique(np.concatenate([source, target]).astype(str), return_inverse=True)
    i, j = codes[: source.size], codes[source.size :]
    return network_from_codes(
        i,
        j,
        np.ones(i.size),
        names.tolist(),
        name=name,
        sign=up.astype(np.int64) - down.astype(np.int64),
        kind="regulons",
        path=str(path),
    )


def unzipped_gene_sets(path: Path) -> bytes:
    """The text of the one ``.gmt`` in a zip archive, as Reactome publishes it.

    Raises
    ------
    HyperPerturbError
        If the archive is damaged, holds no or several such files, or unpacks to more than 1 GB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if info.filename.lower().endswith(".gmt")]
            if len(found) != 1:
                raise HyperPerturbError(
                    f"The archive '{path.name}' holds {len(found)} files of gene sets (.gmt), one is needed.",
                    hint="Unpack it and give the file.",
                )
            with archive.open(found[0]) as file:
                data = file.read(_LIMIT + 1)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise HyperPerturbError(
            f"The archive '{path.name}' cannot be unpacked.", hint="Download it again."
        ) from error
    if len(data) > _LIMIT:
        raise HyperPerturbError(
            f"The archive '{path.name}' unpacks to more than 1 GB.", hint="Unpack it first."
        )
    return data
