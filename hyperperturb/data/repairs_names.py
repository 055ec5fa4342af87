"""Entries of the repair list about names: of cells, of genes, of labels that differ only in how they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hyperperturb.data.genes import short_list
from hyperperturb.data.labels import control_stem
from hyperperturb.data.repairs import Repair

_DATE = re.compile(r"^\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)$", re.IGNORECASE)
_GENOME = re.compile(r"^(GRC[hm]\d+|hg\d+|mm\d+)_+(?=.)", re.IGNORECASE)


def alike_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Find labels that differ only in case or in space around them.

    Parameters
    ----------
    counts
        Label → cells.

    Returns
    -------
    dict
        Each spelling → the most frequent one without stray space. Spellings of controls are left to whoever chooses the
        control.

    Examples
    --------
    >>> alike_labels({"STAT1": 40, "Stat1": 2, " STAT1": 1, "JAK2": 9})
    {'Stat1': 'STAT1', ' STAT1': 'STAT1'}
    """
    groups: dict[str, list[str]] = {}
    for label in counts:
        if control_stem(label) is None:
            groups.setdefault(" ".join(label.split()).casefold(), []).append(label)
    out = {}
    for labels in groups.values():
        best = min(labels, key=lambda label: (label != " ".join(label.split()), -counts[label], label))
        out.update({label: best for label in labels if label != best})
    return out


def strip_genome(name: str) -> str:
    """Take the name of a genome from the beginning of a gene's name.

    Examples
    --------
    >>> strip_genome("GRCh38_STAT1"), strip_genome("hg19___STAT1"), strip_genome("STAT1")
    ('STAT1', 'STAT1', 'STAT1')
    """
    return _GENOME.sub("", name)


def label_name_repairs(column: str, counts: Mapping[str, int]) -> list[Repair]:
    """Entries about labels of the proposed column."""
    alike = alike_labels(counts)
    if not alike:
        return []
    shown = short_list([f"'{rare}' and '{best}'" for rare, best in alike.items()], 3)
    return [
        Repair(
            code="labels-alike",
            severity="warning",
            what=f"{len(alike):,} label{'s differ' if len(alike) > 1 else ' differs'} from another only in case or "
            f"space: {shown} ({sum(counts[label] for label in alike):,} cells).",
            where=f"obs['{column}']",
            why="Cells of one perturbation are taken for those of two.",
            mend=f"adata.obs['{column}'] = adata.obs['{column}'].astype(object).str.strip().replace({alike!r})",
        )
    ]


def gene_name_repairs(genes: Sequence[str]) -> list[Repair]:
    """Entries about gene names that are not what networks know."""
    out = []
    dates = [gene for gene in genes if _DATE.match(gene)]
    if dates:
        out.append(
            Repair(
                code="genes-as-dates",
                severity="warning",
                what=f"{len(dates):,} gene name{'s were' if len(dates) > 1 else ' was'} turned into a date by a "
                f"spreadsheet ({short_list(dates)}).",
                where="var_names",
                why="Networks do not know them, and several genes may hide behind one date (MARCH1, MARC1).",
                mend=f"adata.var_names = [{{'{dates[0]}': 'THE GENE'}}.get(g, g) for g in adata.var_names]",
            )
        )
    prefixes = Counter(found[1] for found in map(_GENOME.match, genes) if found)
    n = sum(prefixes.values())
    if 2 * n > len(genes):
        many = len(prefixes) > 1
        out.append(
            Repair(
                code="genome-prefix",
                severity="warning",
                what=f"{n:,} of {len(genes):,} gene names begin with the name of a genome "
                f"({short_list(list(prefixes))}).",
                where="var_names",
                why="Networks and labels name genes without it"
                + ("; with two genomes, keep the genes and cells of one." if many else "."),
                mend="adata.var_names = adata.var_names.str.replace(r'^(GRC[hm]\\d+|hg\\d+|mm\\d+)_+', '', regex=True)",
            )
        )
    return out


def cell_name_repairs(names: Sequence[str]) -> list[Repair]:
    """Entries about names of cells."""
    n = len(names) - len(set(names))
    if not n:
        return []
    twice = [name for name, times in Counter(names).most_common(3) if times > 1]
    return [
        Repair(
            code="duplicate-cells",
            severity="note",
            what=f"{n:,} of {len(names):,} cell names stood before already ({short_list(twice)}).",
            where="obs_names",
            why="Effects do not use them, but tables and proteins are joined by the name of the cell. Where whole "
            "samples were put together the same cells may be in the file twice.",
            mend="adata.obs_names_make_unique()",
        )
    ]
