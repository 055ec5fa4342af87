"""The repair list: what is wrong or unusual in a screen, why it matters, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hyperperturb.data.controls import ControlProposal
from hyperperturb.data.genes import GeneNames, is_ensembl, short_list
from hyperperturb.data.labels import control_codes, control_stem, is_unassigned, parse_targets
from hyperperturb.data.values import Values

FEW_CELLS_ERROR, FEW_CELLS = 10, 500
FEW_CONTROL_CELLS = 50
FEW_PERTURBATION_CELLS = 10


class Repair(BaseModel):
    """One entry of the repair list.

    Attributes
    ----------
    code
        A short name that stays the same, for programs.
    severity
        ``"error"``: nothing can be computed until it is mended; ``"warning"``: results suffer;
        ``"note"``: what was done.
    what
        What is the case, in one sentence.
    where
        The column, gene or part of the file.
    why
        Why it matters.
    mend
        A line of Python, or the action, that mends it.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Literal["error", "warning", "note"]
    what: str
    where: str
    why: str
    mend: str


def _repair(
    code: str, severity: Literal["error", "warning", "note"], what: str, where: str, why: str, mend: str
) -> Repair:
    return Repair(code=code, severity=severity, what=what, where=where, why=why, mend=mend)


def size_repairs(n_cells: int) -> list[Repair]:
    """Entries about the number of cells."""
    if n_cells >= FEW_CELLS:
        return []
    error = n_cells < FEW_CELLS_ERROR
    return [
        _repair(
            "few-cells",
            "error" if error else "warning",
            f"The screen has only {n_cells} cell{'s' if n_cells != 1 else ''}.",
            "obs",
            "Effects are differences of means over cells; with so few cells they are noise.",
            "Give the whole screen, not an excerpt of it.",
        )
    ]


def gene_repairs(genes: GeneNames) -> list[Repair]:
    """Entries about the names of genes."""
    out = []
    if genes.n_duplicates:
        out.append(
            _repair(
                "duplicate-genes",
                "warning",
                f"{genes.n_duplicates:,} gene name{'s' if genes.n_duplicates > 1 else ''} stood before already "
                f"({short_list(genes.duplicated)}); each later one was given a number: '{genes.duplicated[0]}-1'.",
                "var",
                "A name must mean one gene: only the first of each keeps the name that networks know.",
                "adata.var_names_make_unique()",
            )
        )
    if genes.symbol_column is not None:
        out.append(
            _repair(
                "gene-symbols-used",
                "note",
                f"The names of the genes are {'Ensembl ids' if genes.n_ensembl else 'numbers'}; the symbols in column "
                f"'{genes.symbol_column}' are used instead.",
                f"var['{genes.symbol_column}']",
                "Networks and labels name genes by symbol.",
                f"adata.var_names = adata.var['{genes.symbol_column}'].astype(str)",
            )
        )
    elif genes.symbol_table is not None:
        left = sum(map(is_ensembl, genes.genes))
        out.append(
            _repair(
                "gene-symbols-used",
                "note",
                f"Genes are named by the table '{genes.symbol_table}'"
                + (
                    f"; {left:,} of {len(genes.genes):,} are not in it and keep their Ensembl ids."
                    if left
                    else "."
                ),
                "var",
                "Networks and labels name genes by symbol.",
                "Nothing needs mending.",
            )
        )
    elif 2 * genes.n_ensembl > len(genes.genes):
        many = len(genes.symbol_columns) > 1
        out.append(
            _repair(
                "ensembl-ids",
                "warning",
                f"{genes.n_ensembl:,} of {len(genes.genes):,} gene names are Ensembl ids such as '{genes.genes[0]}'"
                + (
                    f", and columns {short_list(genes.symbol_columns)} disagree about the symbols."
                    if many
                    else "."
                ),
                "var",
                "Networks and labels name genes by symbol: perturbation targets will not be found among these genes.",
                f"adata.var_names = adata.var['{genes.symbol_columns[0]}'].astype(str)"
                if many
                else "Give a table of ids and symbols (--table), or add a column of symbols to adata.var.",
            )
        )
    return out


def value_repairs(values: Values, *, where: str, layer: str | None, chosen: bool) -> list[Repair]:
    """Entries about the values.

    Parameters
    ----------
    values
        What the matrix holds.
    where
        The place in words, e.g. ``"X"`` or ``"layer 'counts'"``.
    layer
        The layer the values are taken from, None for X.
    chosen
        Whether a person named the layer.
    """
    out = []
    if layer is not None and not chosen:
        out.append(
            _repair(
                "counts-in-layer",
                "note",
                f"X does not hold raw counts; the counts in {where} are used.",
                where,
                "Effects are computed from counts, so that the normalisation is known.",
                f"adata.X = adata.layers['{layer}'].copy()"
                if layer != "raw"
                else "adata = adata.raw.to_adata()",
            )
        )
    if values.processed:
        out.append(
            _repair(
                "preprocessed",
                "note",
                f"{where} was normalised by preprocess_data (log1p of counts brought to 10,000) and is used as it is.",
                where,
                "Only the cells and genes that were kept are in it: effects of the whole screen need the whole file.",
                "Nothing needs mending; for all cells and genes load the original file.",
            )
        )
    elif values.kind == "log-normalised":
        depth = "the common depth cannot be seen (perhaps some genes were left out after normalising)"
        if values.target_sum is not None:
            base = {2.0: "log2(1 + x)", 10.0: "log10(1 + x)"}.get(values.log_base or 0.0, "log(1 + x)")
            depth = f"{base} of counts brought to {values.target_sum:,.0f} a cell"
        rescaled = " They are turned into natural logarithms." if values.log_base in (2.0, 10.0) else ""
        out.append(
            _repair(
                "log-normalised",
                "warning",
                f"{where} holds log-normalised values and there are no raw counts; {depth}. They are used as they are."
                if not rescaled
                else f"{where} holds log-normalised values and there are no raw counts; {depth}.{rescaled}",
                where,
                "Effects and their errors depend on the normalisation; compare only screens that were treated alike.",
                "adata.layers['counts'] = RAW_COUNTS  # put the raw counts beside them and load the file again",
            )
        )
    elif values.kind == "normalised":
        out.append(
            _repair(
                "normalised-counts",
                "note",
                f"{where} holds counts brought to one depth ({values.target_sum:,.0f} a cell) without a logarithm; "
                "they are brought to 10,000 and log1p is taken.",
                where,
                "The depth of each cell is lost, the effects are the same.",
                "Nothing needs mending.",
            )
        )
    elif values.kind == "fractional":
        out.append(
            _repair(
                "estimated-counts",
                "note",
                f"{where} holds values that are not whole numbers, as corrected or estimated counts are; "
                "they are treated as counts.",
                where,
                "If these are not counts, the effects are wrong.",
                "adata.layers['counts'] = RAW_COUNTS  # when raw counts exist",
            )
        )
    return out


def empty_cell_repairs(n_empty: int, n_cells: int, *, looked_at: int) -> list[Repair]:
    """Entries about cells without any count."""
    if not n_empty:
        return []
    of = f"{n_cells:,} cells" if looked_at >= n_cells else f"the {looked_at:,} cells looked at"
    return [
        _repair(
            "empty-cells",
            "warning",
            f"{n_empty:,} of {of} have no counts at all.",
            "X",
            "They count as cells with every gene silent and pull effects towards less expression.",
            "sc.pp.filter_cells(adata, min_counts=1)",
        )
    ]


def label_repairs(
    proposal: ControlProposal | None,
    counts: Mapping[str, Mapping[str, int]],
    *,
    n_cells: int,
    genes: frozenset[str],
) -> list[Repair]:
    """Entries about the proposed controls and the perturbations beside them.

    Parameters
    ----------
    proposal
        The proposed controls; None when nothing looks like a control.
    counts
        Column → label → number of cells.
    n_cells
        Cells in the screen.
    genes
        The measured genes.
    """
    if proposal is None:
        columns = short_list([f"'{column}'" for column in counts])
        example = next(iter(counts), "perturbation")
        labels = short_list([f"'{label}'" for label in counts.get(example, {})], 4)
        return [
            _repair(
                "no-control",
                "error",
                f"No label looks like a control: columns {columns} were searched ('{example}' has {labels}).",
                "obs",
                "An effect is a difference from control cells; without controls there is none.",
                "Choose the control label yourself, or rename it: "
                f"adata.obs['{example}'] = adata.obs['{example}'].replace('YOUR LABEL', 'control')",
            )
        ]
    column, control = proposal.column, proposal.label
    labels = counts[column]
    where = f"obs['{column}']"
    out = []
    unlabelled = n_cells - sum(labels.values())
    if unlabelled:
        out.append(
            _repair(
                "missing-labels",
                "warning",
                f"{unlabelled:,} of {n_cells:,} cells have no label in column '{column}'; they are left out.",
                where,
                "It is not known what happened to these cells.",
                f"adata = adata[adata.obs['{column}'].notna()].copy()",
            )
        )
    if proposal.n_control_cells < FEW_CONTROL_CELLS:
        n = proposal.n_control_cells
        out.append(
            _repair(
                "few-control-cells",
                "error" if n < 2 else "warning",
                f"Only {n} cell{'s are controls' if n != 1 else ' is a control'} ('{control}' in column '{column}').",
                where,
                "Every effect is compared with the same control cells: their noise is in all of them.",
                f"Use a screen with at least {FEW_CONTROL_CELLS} control cells.",
            )
        )
    is_control = dict(zip(labels, control_codes(labels, control).tolist(), strict=True))
    rest = [label for label in labels if not is_control[label]]
    targets = {label: parse_targets(label, control=control, known_genes=genes) for label in rest}
    perturbations = [label for label in rest if targets[label]]
    if not perturbations:
        out.append(
            _repair(
                "no-perturbations",
                "error",
                f"Column '{column}' has controls but no perturbations.",
                where,
                "There is nothing to compare with the controls.",
                "Choose another column.",
            )
        )
    left_out = [label for label in rest if not targets[label]]
    if left_out:
        cells = sum(labels[label] for label in left_out)
        kinds = (
            "controls of another kind"
            if any(control_stem(x) for x in left_out)
            else "cells that are not assigned"
        )
        if any(control_stem(x) for x in left_out) and any(is_unassigned(x) for x in left_out):
            kinds = "controls of another kind or cells that are not assigned"
        out.append(
            _repair(
                "labels-left-out",
                "note",
                f"{cells:,} cells with the labels {short_list(left_out)} look like {kinds}; they are left out.",
                where,
                "They are neither the chosen controls nor perturbations of a gene.",
                f"adata.obs['{column}'] = adata.obs['{column}'].replace('{left_out[0]}', '{control}')  # if controls",
            )
        )
    few = [label for label in perturbations if labels[label] < FEW_PERTURBATION_CELLS]
    if few:
        shown = short_list([f"{label}: {labels[label]}" for label in few])
        out.append(
            _repair(
                "few-perturbation-cells",
                "warning",
                f"{len(few):,} of {len(perturbations):,} perturbations have fewer than {FEW_PERTURBATION_CELLS} cells "
                f"({shown}).",
                where,
                "Their effects have large errors; one cell gives no error at all.",
                f"n = adata.obs['{column}'].value_counts(); "
                f"adata = adata[adata.obs['{column}'].isin(n.index[n >= {FEW_PERTURBATION_CELLS}])].copy()",
            )
        )
    named = sorted({gene for label in perturbations for gene in targets[label]})
    missing = [gene for gene in named if gene not in genes]
    if missing:
        out.append(
            _repair(
                "targets-not-measured",
                "note",
                f"{len(missing):,} of {len(named):,} target genes are not among the measured genes "
                f"({short_list(missing)}).",
                "var",
                "Whether the perturbation reached them cannot be checked; they are still used as targets.",
                "Nothing needs mending, unless the names differ (aliases, Ensembl ids).",
            )
        )
    return out
