"""Questions about cells that a run answers: which perturbation explains a state, undoes it, or leads to another."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import softmax

from hyperperturb.data.genes import short_list
from hyperperturb.data.normalise import log_normalise
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cells import control_spread, screen_values
from hyperperturb.models.export import CellHeadArrays

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.data.effects import Effects
    from hyperperturb.models.effect_head import EffectHead
    from hyperperturb.runs.config import RunConfig
    from hyperperturb.runs.directory import RunDirectory

Goal = Literal["explain", "revert", "target"]
State = np.ndarray | sparse.spmatrix | str
"""Cells (m, R), one cell (R,), or a label of the run's screen."""

_MIN_MATCHED = 0.2
_OPPOSITE = {"knockout": "activation", "knockdown": "activation", "activation": "knockdown"}


class CellQuestions:
    """The part of :class:`~hyperperturb.models.inference.HyperPerturbInference` that looks at cells."""

    run: RunDirectory
    config: RunConfig
    effects: Effects
    perturbations: tuple[str, ...]
    response_genes: tuple[str, ...]
    _head: EffectHead
    _cells: CellHeadArrays | None

    def align(self, data: AnnData | str | Path) -> np.ndarray:
        """Expression of any screen over this run's response genes, ready for :meth:`predict_perturbations`.

        Parameters
        ----------
        data
            An AnnData or an ``.h5ad`` file with counts or log-normalised values.

        Returns
        -------
        numpy.ndarray
            (cells, response genes) float32, log1p(CP10k); genes that the data lack get the control mean (no shift).

        Raises
        ------
        HyperPerturbError
            When fewer than a fifth of the genes that the cell heads look at are in the data.
        """
        from hyperperturb.data.opening import open_screen

        with open_screen(data) as screen:
            position = {g: i for i, g in enumerate(screen.genes)}
            have = np.array([g in position for g in self.response_genes])
            looked_at = self._cells.genes if self._cells is not None else self.response_genes
            matched = sum(g in position for g in looked_at)
            if matched < _MIN_MATCHED * len(looked_at):
                raise HyperPerturbError(
                    f"Only {matched:,} of the {len(looked_at):,} genes this run looks at are in {screen.name} (whose "
                    f"genes are such as {', '.join(screen.genes[:3])}).",
                    hint="Use the same kind of gene names as in the training data.",
                )
            columns = np.array(
                [position[g] for g, here in zip(self.response_genes, have, strict=True) if here]
            )
            level = self._head.own_level.astype(np.float32)
            out = np.tile(level, (screen.n_cells, 1))
            out[:, have] = screen_values(screen, np.arange(screen.n_cells), columns)
        return out

    def predict_perturbations(
        self,
        expression: np.ndarray | sparse.spmatrix,
        k: int = 5,
        goal: Goal = "explain",
        target: State | None = None,
        *,
        unseen: Sequence[Sequence[str]] = (),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rank the perturbations that explain single cells, undo their state, or lead to another.

        For a state that many cells share :meth:`rank_perturbations` is far surer.

        Parameters
        ----------
        expression
            (n, R) cells x response genes, raw counts or log1p(CP10k); see :meth:`align` for other data.
        k
            Perturbations returned for each cell.
        goal
            ``"explain"``: which perturbation made the cell what it is; ``"revert"``: which would take it back to
            control; ``"target"``: which leads from it to ``target``.
        target
            (R,) or (n, R) cells in the wanted state, in the units of ``expression``, or a label of the run's screen.
        unseen
            Further sets of target genes for ``"explain"``, whose cells the run never saw: they are scored by their
            predicted effects, and all perturbations with them by discriminants.

        Returns
        -------
        top_k_indices
            (n, k) row numbers into :attr:`perturbations`, best first; from ``len(perturbations)`` on into ``unseen``.
        scores
            (n, k) probabilities: for ``"explain"`` calibrated on held-out cells, else on held-out perturbations, of
            the perturbation as the screen does it (the rest belongs to opposite interventions).
        values
            (n,) strength of the shift in question (energy distance, squared Euclidean).

        Raises
        ------
        HyperPerturbError
            For a run without cell heads, the wrong number of genes, k out of range, a missing target.
        Refusal
            When an unseen perturbation has no support.
        """
        heads = self.cell_heads
        unseen = [self._supported(genes) for genes in unseen]
        if unseen and goal != "explain":
            raise HyperPerturbError(
                f"Unseen perturbations are not named one cell at a time for the goal '{goal}'.",
                hint="Use rank_perturbations.",
            )
        most = len(self.perturbations) + len(unseen)
        if not 1 <= k <= most:
            raise HyperPerturbError(f"k = {k} is out of range.", hint=f"Choose between 1 and {most}.")
        inputs = heads.inputs(self._log_values(expression, "expression"))
        shift = self._wanted(inputs, goal, target)
        logits, strength = heads(inputs if goal == "explain" else heads.directions.control + shift)
        if unseen:
            logits = heads.directions.naming(inputs, self._head_effects(unseen))
        if goal == "explain":
            scores = softmax(logits.astype(np.float64), axis=1)
        else:
            directions = heads.directions
            cosines = directions.cosines(shift, self._seen_effects)
            odds = directions.of_cells.log_odds(cosines, directions.lengths(shift), 1)
            scores, _ = directions.of_cells.probabilities(odds)
        top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return top, np.take_along_axis(scores, top, axis=1), strength.astype(np.float64) ** 2

    def rank_perturbations(
        self,
        expression: np.ndarray | sparse.spmatrix | None = None,
        goal: Goal = "explain",
        *,
        target: State | None = None,
        up: Sequence[str] = (),
        down: Sequence[str] = (),
        unseen: Sequence[Sequence[str]] = (),
    ) -> pd.DataFrame:
        """Rank perturbations, with their sign, by how well they explain, undo or lead to a state that cells share.

        The shift of the cells' mean is compared with the effect of every perturbation and with its opposite. One
        that fits in reverse is ``wrong``-signed: the gene is the right one, but the screen's intervention (say, a
        knock-down) goes the other way and the opposite (activation) is needed.

        Parameters
        ----------
        expression
            (n, R) cells (not their mean) that share a state, as for :meth:`predict_perturbations`; not needed with
            ``up`` and ``down``.
        goal
            ``"explain"``: what made them so; ``"revert"``: what leads back to control; ``"target"``: what leads to
            ``target``, or moves the genes of ``up`` and ``down``.
        target
            (R,) or (m, R): cells in the wanted state (cells, not their mean); or a label of the run's screen,
            perturbation or control.
        up, down
            Response genes that should rise and fall, instead of ``target``.
        unseen
            Further sets of target genes, scored by their predicted effects.

        Returns
        -------
        pandas.DataFrame
            Best first: ``perturbation``, ``targets``, ``sign`` (``right`` or ``wrong``), ``intervention`` (what is to
            be done, such as ``knockdown``), ``score`` (cosine with the effect as the model knows it), ``probability``
            (of this perturbation with this sign; over both signs of all perturbations it adds up to 1; calibrated on
            held-out cells, and on held-out perturbations where ``unseen`` or lists are asked for) and
            ``evidence`` (cosine with the measured effect; NaN for unseen ones).

        Raises
        ------
        HyperPerturbError
            For a run without cell heads, the wrong number of genes, a missing or contradictory target, genes that
            the run does not know.
        Refusal
            When an unseen perturbation has no support.

        Examples
        --------
        ::

            inference.rank_perturbations(inference.align("patient.h5ad"), "revert").head()
            inference.rank_perturbations(goal="target", up=["IRF1", "STAT1"], down=["MYC"])
        """
        heads = self.cell_heads
        directions = heads.directions
        confidence = directions.of_cells if unseen else directions.of_measured
        if (up or down) and goal != "target":
            raise HyperPerturbError(
                f"Lists of genes up and down are no question for the goal '{goal}'.",
                hint="Use goal='target'.",
            )
        if up or down:
            if target is not None:
                raise HyperPerturbError(
                    "A target state and lists of genes were both given.", hint="Give one of them."
                )
            shift, n_cells, confidence = self._list_shift(up, down), np.inf, directions.of_lists
        else:
            if expression is None or np.shape(expression)[0] == 0:
                raise HyperPerturbError(
                    "There are no cells to ask about.", hint="Pass expression=…, or up and down."
                )
            inputs = heads.inputs(self._log_values(expression, "expression"))
            shift = self._wanted(inputs.mean(axis=0)[None], goal, target).mean(axis=0)[None]
            n_cells = float(len(inputs))
            if goal == "target" and np.ndim(target) == 2 and np.shape(target)[0] > 1:
                n_cells = 1.0 / (1.0 / n_cells + 1.0 / np.shape(target)[0])
        further = [self._supported(genes) for genes in unseen]
        effects, measured = self._seen_effects, self._measured_effects
        if further:
            effects = np.vstack([effects, self._head_effects(further)])
            measured = np.vstack([measured, np.full((len(further), measured.shape[1]), np.nan)])
        table = directions.ranking(shift[0], effects, measured, n_cells, confidence)
        names = [*self.perturbations, *("_".join(genes) for genes in further)]
        targets = [*self.effects.targets, *further]
        mode = self.config.mode
        table.insert(0, "perturbation", [names[i] for i in table.index])
        table.insert(1, "targets", [" + ".join(targets[i]) for i in table.index])
        table.insert(
            3, "intervention", [mode if sign == "right" else _OPPOSITE[mode] for sign in table["sign"]]
        )
        return table.reset_index(drop=True)

    @property
    def has_cells(self) -> bool:
        """Whether the run was trained on cells, so that it can be asked about cells."""
        return self._cells is not None

    @property
    def compared_genes(self) -> tuple[str, ...]:
        """The response genes that states of cells are compared by."""
        return self.cell_heads.genes

    @property
    def cell_heads(self) -> CellHeadArrays:
        """What looks at cells; an error in one sentence for a run that was trained without them."""
        if self._cells is None:
            raise HyperPerturbError(
                f"The run '{self.run.name}' was trained on a table of effects, without cells.",
                hint="Train on the screen itself to ask about cells.",
            )
        return self._cells

    def _target_inputs(self, target: State) -> np.ndarray:
        """(m, H) inputs of cells in the wanted state, or of the mean cell of a label."""
        if not isinstance(target, str):
            target = np.atleast_2d(target) if isinstance(target, np.ndarray) else target
            return self._cells.inputs(self._log_values(target, "target"))
        # Not by the mean expression: the inputs of a mean are not the mean of the inputs.
        directions = self._cells.directions
        if target == self.effects.control:
            return directions.control[None]
        return (directions.control + directions.slope * self._measured_effects[self.effects.index(target)])[
            None
        ]

    def _wanted(self, inputs: np.ndarray, goal: Goal, target: State | None) -> np.ndarray:
        """(n, H) the shift of inputs that the goal asks a perturbation for."""
        control = self._cells.directions.control
        if goal == "target":
            if target is None:
                raise HyperPerturbError(
                    "The goal 'target' needs a target state.", hint="Pass target=…, or up and down."
                )
            return self._target_inputs(target) - inputs
        if goal == "explain":
            return inputs - control
        if goal == "revert":
            return control - inputs
        raise HyperPerturbError(f"Unknown goal '{goal}'.", hint="Use 'explain', 'revert' or 'target'.")

    def _list_shift(self, up: Sequence[str], down: Sequence[str]) -> np.ndarray:
        genes = self._cells.genes
        column = {g: i for i, g in enumerate(genes)}
        unknown = sorted({g for g in (*up, *down) if g not in column})
        if unknown:
            close = {n for g in unknown for n in get_close_matches(g, genes, n=2)}
            raise HyperPerturbError(
                f"{short_list(unknown)} {'is' if len(unknown) == 1 else 'are'} not among the {len(genes):,} genes that "
                "the run compares states by.",
                hint=f"Similar names: {', '.join(sorted(close))}."
                if close
                else "Use genes measured in the screen.",
            )
        both = sorted(set(up) & set(down))
        if both:
            raise HyperPerturbError(f"{short_list(both)} cannot go both up and down.")
        _, spread = control_spread(self.effects, genes)
        return self._cells.directions.list_shift([column[g] for g in up], [column[g] for g in down], spread)

    @cached_property
    def _measured_effects(self) -> np.ndarray:
        return self.effects.restrict_genes(self._cells.genes).effect.astype(np.float64)

    @cached_property
    def _seen_effects(self) -> np.ndarray:
        """(P, H) effects of the training perturbations as the effect head knows them: measured, and shrunken."""
        return self._head_effects(self.effects.targets)

    def _head_effects(self, targets: Sequence[Sequence[str]]) -> np.ndarray:
        column = {g: i for i, g in enumerate(self.response_genes)}
        mean = self._head.predict(targets, standard_error=False)[0]
        return mean[:, [column[g] for g in self._cells.genes]]

    def _log_values(self, expression: np.ndarray | sparse.spmatrix, what: str) -> np.ndarray:
        """(n, H) log1p(CP10k) over the cell heads' genes."""
        matrix = sparse.csr_matrix(expression).astype(np.float64)
        if matrix.shape[1] != len(self.response_genes):
            raise HyperPerturbError(
                f"The {what} has {matrix.shape[1]:,} genes, but this run has {len(self.response_genes):,} "
                "response genes.",
                hint="Use align() to bring other data into this run's genes.",
            )
        if not np.all(np.isfinite(matrix.data)) or np.any(matrix.data < 0):
            raise HyperPerturbError(
                f"The {what} has negative or non-finite values.", hint="Give raw counts or log1p(CP10k)."
            )
        # Whole numbers are counts; log-normalised values are not whole, but for all-zero cells either way is the same.
        if matrix.nnz and np.all(matrix.data == np.rint(matrix.data)):
            matrix = log_normalise(matrix)
        column = {g: i for i, g in enumerate(self.response_genes)}
        return matrix[:, [column[g] for g in self._cells.genes]].toarray()

    def interpret_perturbations(
        self,
        adata: AnnData | Any,
        top_k_indices: np.ndarray,
        *,
        unseen: Sequence[Sequence[str]] = (),
    ) -> pd.DataFrame:
        """Name the perturbations that indices refer to.

        Parameters
        ----------
        adata
            The cells the indices are for (their names are used), with as many rows.
        top_k_indices
            (n, k) from :meth:`predict_perturbations`.
        unseen
            What was given there.

        Returns
        -------
        pandas.DataFrame
            One row a cell and rank: ``cell``, ``rank`` (1 is the best), ``perturbation``, ``targets``, ``n_cells`` (in
            training), ``measured_strength`` (energy distance, squared Euclidean; NaN for unseen ones).

        Raises
        ------
        HyperPerturbError
            When the number of cells does not fit.
        """
        from hyperperturb.models.strength import energy_distance

        indices = np.atleast_2d(np.asarray(top_k_indices))
        names = np.asarray(adata.obs_names, dtype=object)
        if len(names) != len(indices):
            raise HyperPerturbError(
                f"There are {len(indices):,} rows of indices but {len(names):,} cells.",
                hint="Pass the same cells to both calls.",
            )
        flat = indices.ravel()
        further = [self._supported(genes) for genes in unseen]
        labels = np.array([*self.perturbations, *("_".join(genes) for genes in further)], dtype=object)
        targets = [*self.effects.targets, *further]
        n_cells = np.append(self.effects.n_cells, np.zeros(len(further), dtype=np.int64))
        strength = np.append(energy_distance(self.effects), np.full(len(further), np.nan))
        return pd.DataFrame(
            {
                "cell": np.repeat(names, indices.shape[1]),
                "rank": np.tile(np.arange(1, indices.shape[1] + 1), len(indices)),
                "perturbation": labels[flat],
                "targets": [" + ".join(targets[i]) for i in flat],
                "n_cells": n_cells[flat],
                "measured_strength": strength[flat],
            }
        )
