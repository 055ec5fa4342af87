"""Effects: what each perturbation does to each gene, with its error; computed from a screen or read from a table."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hyperperturb.data.assignment import assign_cells, split_controls
from hyperperturb.data.genes import short_list
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, scaled

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Mode = Literal["knockout", "knockdown", "activation"]
Statistic = Literal["effect", "standard_error", "mean", "detected"]
_BY_GENE = ("effect", "standard_error", "control_mean", "control_variance", "detected", "control_detected")


@dataclass(frozen=True)
class Effects:
    """A table of effects: perturbations x response genes.

    Attributes
    ----------
    perturbations
        ``(P,)`` labels as in the screen, without the control.
    targets
        ``(P,)`` target genes of each.
    genes
        ``(R,)`` response genes.
    effect
        ``(P, R)`` float32: mean of log1p(CP10k) over the cells of a perturbation minus that over control cells (of the
        same batches, where effects were computed so); natural-log units.
    standard_error
        ``(P, R)`` float32: sqrt(var_p / n_p + var_c / n_c) with variances that are moderated, because few cells tell
        theirs badly (:mod:`hyperperturb.data.moderation`); NaN where unknown (tables without errors).
    n_cells
        ``(P,)`` int64; 0 where unknown.
    control
        The control label.
    control_mean, control_variance
        ``(R,)`` float32 over control cells, or None where unknown.
    n_control_cells
        0 where unknown.
    mode
        What the perturbations do to their targets.
    detected
        ``(P, R)`` float32: share of a perturbation's cells in which the gene was seen at all, or None where unknown.
    control_detected
        ``(R,)`` float32: the same of the control cells.
    """

    perturbations: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    genes: tuple[str, ...]
    effect: np.ndarray
    standard_error: np.ndarray
    n_cells: np.ndarray
    control: str
    control_mean: np.ndarray | None = None
    control_variance: np.ndarray | None = None
    n_control_cells: int = 0
    mode: Mode = "knockout"
    detected: np.ndarray | None = None
    control_detected: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.perturbations), len(self.genes))
        wrong = (
            len(self.targets) != shape[0]
            or self.effect.shape != shape
            or self.standard_error.shape != shape
            or self.n_cells.shape != shape[:1]
            or any(
                x is not None and x.shape != shape[1:]
                for x in (self.control_mean, self.control_variance, self.control_detected)
            )
            or (self.detected is not None and self.detected.shape != shape)
        )
        if wrong:
            raise HyperPerturbError(
                f"The parts of the effects do not fit together: {shape[0]} perturbations, {shape[1]} genes, "
                f"effect {self.effect.shape}, standard error {self.standard_error.shape}."
            )

    @property
    def mean(self) -> np.ndarray:
        """Mean log1p(CP10k) of each perturbation, ``(P, R)``: effect plus control mean.

        Raises
        ------
        HyperPerturbError
            The control mean is not known.
        """
        if self.control_mean is None:
            raise HyperPerturbError(
                "These effects come without the mean of the control cells, so expression itself is not known.",
                hint="Compute the effects from the screen.",
            )
        return self.effect + self.control_mean

    def p_values(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Test effects against none, two-sided.

        Effect over standard error, with the skewness that the gene's levels in the control cells leave to a mean of so
        few cells (:func:`~hyperperturb.data.moderation.two_sided`); normal where the table does not tell the levels.

        Parameters
        ----------
        rows
            ``(Q,)`` numbers of perturbations; None tests all.

        Returns
        -------
        numpy.ndarray
            ``(Q, R)`` float64; NaN where there is no standard error or it is 0 (a gene that no cell expresses).
        """
        from hyperperturb.data.moderation import skewness_of_difference, two_sided

        rows = np.arange(len(self.perturbations)) if rows is None else rows
        p = np.full((len(rows), len(self.genes)), np.nan)
        for at, row in enumerate(rows):
            error = self.standard_error[row]
            there = np.isfinite(error) & (error > 0)
            few = skewness_of_difference(self._skewness[there], int(self.n_cells[row]), self.n_control_cells)
            p[at, there] = two_sided(self.effect[row, there].astype(np.float64) / error[there], few)
        return p

    @cached_property
    def _skewness(self) -> np.ndarray:
        """Of the genes' levels in the control cells, (R,); zeros where the table does not tell them."""
        from hyperperturb.data.moderation import shape_of_levels

        levels = (self.control_mean, self.control_variance, self.control_detected)
        if any(known is None for known in levels):
            return np.zeros(len(self.genes))
        return shape_of_levels(*levels, self.n_control_cells)[0]

    def index(self, label: str) -> int:
        """Give the row of a perturbation.

        Parameters
        ----------
        label
            Its label.

        Returns
        -------
        int
            The row.

        Raises
        ------
        HyperPerturbError
            There is no such perturbation; the nearest names are given.
        """
        try:
            return self.perturbations.index(label)
        except ValueError:
            raise _unknown("perturbation", label, self.perturbations) from None

    def select(self, labels: Sequence[str]) -> Effects:
        """Keep some perturbations, in the order given.

        Parameters
        ----------
        labels
            Their labels.

        Returns
        -------
        Effects
            With these rows.

        Raises
        ------
        HyperPerturbError
            One is not there.
        """
        place = {label: row for row, label in enumerate(self.perturbations)}
        for label in labels:
            if label not in place:
                raise _unknown("perturbation", label, self.perturbations)
        rows = np.array([place[label] for label in labels], dtype=np.intp)
        return replace(
            self,
            perturbations=tuple(labels),
            targets=tuple(self.targets[row] for row in rows),
            effect=self.effect[rows],
            standard_error=self.standard_error[rows],
            n_cells=self.n_cells[rows],
            detected=None if self.detected is None else self.detected[rows],
        )

    def restrict_genes(self, genes: Sequence[str]) -> Effects:
        """Keep some response genes, in the order given.

        Parameters
        ----------
        genes
            Their names.

        Returns
        -------
        Effects
            With these columns.

        Raises
        ------
        HyperPerturbError
            One is not there.
        """
        place = {gene: column for column, gene in enumerate(self.genes)}
        for gene in genes:
            if gene not in place:
                raise _unknown("response gene", gene, self.genes)
        columns = np.array([place[gene] for gene in genes], dtype=np.intp)
        by_gene = {
            name: value[..., columns] for name in _BY_GENE if (value := getattr(self, name)) is not None
        }
        return replace(self, genes=tuple(genes), **by_gene)

    def to_frame(self, statistic: Statistic = "effect") -> pd.DataFrame:
        """Give one statistic as a table.

        Parameters
        ----------
        statistic
            ``"effect"``, ``"standard_error"``, ``"mean"`` or ``"detected"``.

        Returns
        -------
        pandas.DataFrame
            Rows (index ``perturbation``) are perturbations, columns are response genes; NaN where it is not known.
        """
        import pandas as pd

        index = pd.Index(self.perturbations, name="perturbation")
        values = getattr(self, statistic)
        if values is None:
            values = np.full(self.effect.shape, np.nan, dtype=np.float32)
        return pd.DataFrame(values, index=index, columns=list(self.genes))

    def save(self, path: str | Path) -> Path:
        """Write everything to one table; :func:`read_effects` gives the same back, to the last bit.

        The layout is wide: the columns ``perturbation``, ``targets`` (joined with ``+``), ``mode``, ``n_cells`` and
        ``statistic``, then one column a response gene. ``statistic`` is ``effect``, ``standard_error`` or ``detected``
        (one row each a perturbation; what is not known at all is left out), ``control_mean``, ``control_variance`` or
        ``control_detected`` (one row each, named after the control).

        Parameters
        ----------
        path
            Ends in ``.parquet``, ``.csv`` or ``.csv.gz``; written atomically.

        Returns
        -------
        Path
            The path.

        Raises
        ------
        HyperPerturbError
            Another ending, or the file cannot be written.
        """
        from hyperperturb.data.effects_table import write_table

        return write_table(self, Path(path))


def _unknown(kind: str, name: str, known: Sequence[str]) -> HyperPerturbError:
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    hint = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"There are {len(known):,}: {short_list(list(known))}."
    )
    return HyperPerturbError(f"There is no {kind} '{name}' in these effects.", hint=hint)


def compute_effects(
    source: str | Path | AnnData | Screen,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    mode: Mode = "knockout",
    batch_column: str | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Effects:
    """Compute the effects of every perturbation of a screen, over all cells, in one streaming pass.

    Equal to scanpy's ``normalize_total(target_sum=1e4)``, ``log1p`` and ``get.aggregate`` (mean, variance, share of
    cells above zero), with sums in float64; the matrix is never loaded. CSC files are read twice. Cells without a
    label, and labels that are controls of another kind or mean "not assigned", are left out.

    Parameters
    ----------
    source
        A file or folder of any format, an AnnData, or an open screen.
    column
        The ``obs`` column of labels.
    control
        The control label, or the stem of numbered control guides (``NTC`` for ``NTC_1``, ``NTC_2``).
    layer, tables
        As in :func:`~hyperperturb.data.screen.open_screen`; an open screen has its own.
    mode
        What the perturbations do to their targets.
    batch_column
        The ``obs`` column of batches: every perturbed cell is then compared with the controls of its own batch, so that
        a perturbation whose cells are not spread over the batches as the controls are does not show their difference.
        None compares with all controls.
    scheduler
        Address of a Dask scheduler whose workers read the file, under the same path, and add up; None for this process.
    progress
        Told the rate and the time left; an exception it raises stops the work.

    Returns
    -------
    Effects
        Perturbations in alphabetical order.

    Raises
    ------
    HyperPerturbError
        No such column or control label, no perturbations, negative or non-finite values, a damaged file; what
        :func:`~hyperperturb.data.cluster.cluster_sums` refuses.
    """
    if isinstance(source, Screen):
        if layer is not None and layer != (source.layer or "X"):
            raise HyperPerturbError(f"The open screen reads {source.where}, not '{layer}'.")
        return _compute(source, column, control, mode, batch_column, scheduler, tables, progress)
    with open_screen(source, layer=layer, tables=tables) as screen:
        return _compute(screen, column, control, mode, batch_column, scheduler, tables, progress)


def _compute(
    screen: Screen,
    column: str,
    control: str,
    mode: Mode,
    batch_column: str | None,
    scheduler: str | None,
    tables: Sequence[str | Path],
    progress: Progress | None,
) -> Effects:
    from hyperperturb.data.statistics import label_sums
    from hyperperturb.data.sums import effects_of_sums

    assigned = assign_cells(screen, column, control)
    if progress is not None:
        progress(0.0, "Starting to read the screen")
    strata = split_controls(screen, assigned, batch_column)
    codes, cells = strata.codes, strata.cells
    report, n_labels = scaled(progress, 0.0, 0.98), sum(cells.shape) - 1
    if scheduler is None:
        sums = label_sums(screen, codes, n_labels, progress=report)
    else:
        from hyperperturb.data.cluster import cluster_sums

        sums = cluster_sums(screen, codes, n_labels, scheduler=scheduler, tables=tables, progress=report)
    if progress is not None:
        progress(0.98, "Computing effects and their errors")
    effects = effects_of_sums(sums, assigned, screen.genes, control=control, mode=mode, cells=cells)
    if progress is not None:
        progress(1.0, "Effects computed")
    return effects


def read_effects(path: str | Path, *, mode: Mode | None = None) -> Effects:
    """Read effects from a table: one saved by :meth:`Effects.save`, or any wide CSV or parquet of effects.

    The first column of a foreign table holds the perturbations, every other column a response gene or component; a
    row of the control (a known control spelling, or all zeros) is dropped.

    Parameters
    ----------
    path
        ``.parquet``, ``.csv``, ``.tsv`` or ``.txt``, also ``.gz``.
    mode
        What the perturbations do to their targets; None takes what the table says, else ``"knockout"``.

    Returns
    -------
    Effects
        Without errors and cell counts (NaN, 0) where the table has none.

    Raises
    ------
    HyperPerturbError
        No such file; empty; a cell that is no number or is missing; a label or gene twice; genes in rows.
    """
    from hyperperturb.data.effects_table import read_table

    return read_table(Path(path), mode)
