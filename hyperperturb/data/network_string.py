"""STRING: ``protein.links`` with the gene names of ``protein.info``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.data.text_table import read_text
from hyperperturb.errors import HyperPerturbError

MIN_SCORE = 400  # STRING calls a combined score of 400 and more "medium confidence"
_LINKS = re.compile(
    r"(?P<taxon>.*?)protein\.(physical\.)?links(\.full|\.detailed)?(?P<rest>.*)", re.IGNORECASE
)
_PROTEIN = re.compile(r"\d+\.\S+")


def is_string_file(path: Path) -> bool:
    """Whether a file is STRING's ``protein.links``, by its first line or first protein."""
    import gzip
    import zlib

    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as file:
                lines = [file.readline(4096).decode("utf-8", errors="replace").split() for _ in range(2)]
    except (OSError, EOFError, zlib.error):
        return False  # what is wrong with it is said by whoever reads it
    if lines[0][:2] == ["protein1", "protein2"]:
        return not lines[1] or bool(_PROTEIN.fullmatch(lines[1][0]))
    return len(lines[0]) > 2 and all(re.fullmatch(r"\d+\.ENS[A-Z]*P\d+", cell) for cell in lines[0][:2])


def find_info(path: Path) -> Path | None:
    """The ``protein.info`` that belongs to a file of links: beside it, under STRING's name, gzipped or not."""
    match = _LINKS.fullmatch(path.name)
    if match is None:
        return None
    usual = f"{match['taxon']}protein.info{match['rest']}"
    plain = usual.removesuffix(".gz")
    for candidate in (usual, plain, f"{plain}.gz"):
        if (path.parent / candidate).is_file():
            return path.parent / candidate
    return None


def read_info(path: Path) -> dict[str, str]:
    """Protein identifiers and their gene names (``preferred_name``).

    Raises
    ------
    HyperPerturbError
        If the file is no ``protein.info``.
    """
    lines = read_text(path, what="STRING protein info").decode("utf-8", errors="replace").splitlines()
    names = {}
    for line in lines:
        protein, _, rest = line.partition("\t")
        symbol = rest.partition("\t")[0].strip()
        if symbol and not line.startswith("#") and protein != "string_protein_id":
            names[protein.strip()] = symbol
    if not any(_PROTEIN.fullmatch(protein) for protein in names):
        raise HyperPerturbError(
            f"'{path.name}' is not STRING's protein info: it names no protein like 9606.ENSP00000000233.",
            hint="Give the file 9606.protein.info.v12.0.txt.gz (or that of your species and version).",
        )
    return names


def read_string(
    path: Path, *, info: Path | None = None, name: str | None = None, min_score: float | None = None
) -> Network:
    """Read STRING's links, with genes instead of proteins.

    The file is streamed: the links of a species with 14 million rows need little memory.

    Parameters
    ----------
    path
        ``9606.protein.links.v12.0.txt.gz``, also ``.full`` and ``.detailed``, unpacked or not.
    info
        ``9606.protein.info.v12.0.txt.gz``; looked for beside `path` if None.
    name
        Short name of the network.
    min_score
        Smallest combined score, 0 to 1000; default 400. A number of at most 1 is read as a fraction.

    Returns
    -------
    Network
        Weight = combined score / 1000.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if not path.is_file():
        raise HyperPerturbError(f"There is no file '{path}'.", hint="Check the path.")
    info = info or find_info(path)
    if info is None:
        raise HyperPerturbError(
            f"The gene names of the STRING network '{path.name}' are missing: it names proteins, and its protein.info "
            "file is not beside it.",
            hint="Put 9606.protein.info.v12.0.txt.gz (of the same species and version) into the same folder.",
        )
    threshold = float(MIN_SCORE if min_score is None else min_score)
    threshold = threshold * 1000 if 0 < threshold <= 1 else threshold
    symbols = read_info(info)
    genes = sorted(set(symbols.values()))
    position = {gene: k for k, gene in enumerate(genes)}
    of_protein = {protein: position[symbol] for protein, symbol in symbols.items()}
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    text = pa.dictionary(pa.int32(), pa.string())
    i, j, score, unknown, n_low = [], [], [], set(), 0

    def codes(column: pa.DictionaryArray) -> np.ndarray:
        proteins = column.dictionary.to_pylist()
        table = np.array([of_protein.get(protein, -1) for protein in proteins], dtype=np.int64)
        unknown.update(protein for protein, k in zip(proteins, table, strict=True) if k < 0)
        return table[column.indices.to_numpy()]

    try:
        with (
            pa.input_stream(str(path), compression="gzip" if packed else None) as stream,
            arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(block_size=16 << 20),
                parse_options=arrow_csv.ParseOptions(delimiter=" "),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=["protein1", "protein2", "combined_score"],
                    column_types={"protein1": text, "protein2": text, "combined_score": pa.float64()},
                ),
            ) as reader,
        ):
            for batch in reader:
                value = batch["combined_score"].to_numpy(zero_copy_only=False)
                keep = np.flatnonzero(value >= threshold)
                n_low += value.size - keep.size
                i.append(codes(batch["protein1"])[keep])
                j.append(codes(batch["protein2"])[keep])
                score.append(value[keep])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise HyperPerturbError(
            f"'{path.name}' cannot be read as STRING's protein links; it may have been cut short: "
            f"{str(error).splitlines()[0][:200]}.",
            hint="Download it again (protein.links, protein.links.detailed or protein.links.full).",
        ) from error
    first, second, weight = (np.concatenate(part) if part else np.empty(0) for part in (i, j, score))
    known = (first >= 0) & (second >= 0)
    if weight.size == 0 or not known.any():
        why = (
            "is for another species or version"
            if weight.size
            else f"has no link of score {threshold:g} or more"
        )
        which = f"'{info.name}' next to '{path.name}'" if weight.size else f"'{path.name}'"
        raise HyperPerturbError(f"The STRING file {which} {why}.", hint="Use files that belong together.")
    notes = [f"combined score of at least {threshold:g}; {n_low:,} rows below it"]
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows left out, {len(unknown):,} proteins without a gene name")
    return network_from_codes(
        first[known].astype(np.int64),
        second[known].astype(np.int64),
        np.clip(weight[known] / 1000.0, 0.0, 1.0),
        genes,
        name=name or path.name,
        kind="string",
        path=str(path),
        notes=notes,
    )
