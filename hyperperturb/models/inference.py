"""Using a run: gene to effects, cell to perturbations. NumPy only; loads in about a second without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.effects import Effects, read_effects
from hyperperturb.data.network import Network, load_network
from hyperperturb.errors import HyperPerturbError
from hyperperturb.manifolds import poincare
from hyperperturb.models.cell_questions import CellQuestions
from hyperperturb.models.export import load_arrays
from hyperperturb.models.gene_places import GenePlaces
from hyperperturb.models.interactions import Interaction, split_effect
from hyperperturb.models.left_out import left_out_effects
from hyperperturb.models.proteins import ProteinPrediction, Proteins
from hyperperturb.models.strength import sensitivity
from hyperperturb.runs.directory import PROTEIN_EFFECTS, RunDirectory

Level = Literal["measured", "supported", "weak", "none"]
Reason = Literal["not_in_universe", "in_no_network", "no_tested_neighbour", "common_mean_only"]

# Share of a gene's own variance that the training perturbations explain: under the first there is nothing but the mean
# effect to go by, under the second hardly more.
SUPPORT_NONE, SUPPORT_WEAK = 0.005, 0.05


class Support(BaseModel):
    """How much the data and the networks say about a set of targets.

    ``level`` is ``measured`` (every target was perturbed in the training data), ``supported``, ``weak`` or ``none``
    (the answer is a refusal); ``score`` the share of the effect's own variance that is explained; ``why`` a sentence;
    ``nearest`` the nearest genes that are supported; ``reason``, of a refusal, says the same as ``why`` for programs:
    ``not_in_universe``, ``in_no_network``, ``no_tested_neighbour`` or ``common_mean_only`` (on this screen the networks
    do not help, so that the same would be predicted for every gene).
    """

    model_config = ConfigDict(frozen=True)

    level: Level
    score: float
    why: str
    nearest: tuple[str, ...] = ()
    reason: Reason | None = None


class Refusal(HyperPerturbError):  # noqa: N818  it is an answer, not a fault
    """The model has no ground to answer on.

    ``nearest`` names supported genes near the ones asked for, ``reason`` is that of :class:`Support`.
    """

    def __init__(self, message: str, *, nearest: Sequence[str] = (), reason: Reason | None = None) -> None:
        self.nearest, self.reason = tuple(nearest), reason
        hint = f"The nearest supported genes are {', '.join(self.nearest)}." if self.nearest else ""
        super().__init__(message, hint=hint)


@dataclass(frozen=True)
class EffectPrediction:
    """What perturbing some genes is predicted to do.

    Attributes
    ----------
    targets
        The target genes, sorted.
    table
        One row a response gene: ``gene``, ``effect`` and ``standard_error`` (natural-log units of log1p(CP10k)),
        ``measured`` and ``measured_standard_error`` (NaN where this perturbation was not measured).
    support
        What the prediction stands on.
    strength
        Energy distance (squared Euclidean) to the control cells that the predicted effect amounts to.
    interaction
        How a combination differs from the sum of its genes; None for a single gene.
    proteins
        What it does to proteins; None where the run knows none.
    """

    targets: tuple[str, ...]
    table: pd.DataFrame
    support: Support
    strength: float
    interaction: Interaction | None = None
    proteins: ProteinPrediction | None = None


class HyperPerturbInference(GenePlaces, CellQuestions):
    """A finished run, ready to be asked.

    Parameters
    ----------
    run_dir
        Path of the run directory.

    Raises
    ------
    HyperPerturbError
        When the run is not finished or files of it are missing or damaged.

    Examples
    --------
    ::

        inference = HyperPerturbInference("models/saved/hyperperturb-20261122-101500")
        inference.predict_effects(["STAT1"]).table.head()
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run = RunDirectory.open(run_dir)
        if not self.run.usable:
            missing = self.run.missing_files()
            state = self.run.status.state
            raise HyperPerturbError(
                f"The run '{self.run.name}' cannot be used: it is {state}"
                + (f" and lacks {', '.join(missing)}." if missing else "."),
                hint="Use a finished run.",
            )
        self.config = self.run.config
        self.metrics: dict[str, Any] = self.run.metrics()
        self._points, self.curvature, self._head, self._cells, proteins = load_arrays(
            self.run.file("arrays.npz")
        )
        self.proteins = None
        if proteins is not None:
            path = self.run.file(PROTEIN_EFFECTS)
            self.proteins = Proteins(proteins, lambda: read_effects(path, mode=self.config.mode))
        self.genes = self._read_genes()
        self.response_genes: tuple[str, ...] = self._head.response_genes
        self._row = {g: i for i, g in enumerate(self.genes["gene"])}

    def _read_genes(self) -> pd.DataFrame:
        path = self.run.file("genes.parquet")
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are kinds of these
            raise HyperPerturbError(
                f"The run's file '{path}' is damaged ({error}).", hint="Train the run anew."
            ) from error

    @cached_property
    def effects(self) -> Effects:
        """The measured effects that the run was trained on."""
        return read_effects(self.run.file("effects.parquet"), mode=self.config.mode)

    @cached_property
    def network(self) -> Network:
        """The combined gene network of the universe."""
        return load_network(self.run.file("network.npz"))

    @cached_property
    def sensitivity(self) -> pd.Series:
        """How strongly each measured gene answers to the perturbations; see :func:`.strength.sensitivity`."""
        if "sensitivity" in self.genes:
            return self.genes.set_index("gene")["sensitivity"].dropna()
        return pd.Series(sensitivity(self.effects), index=self.effects.genes, name="sensitivity").dropna()

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Labels of the training perturbations: what indices of :meth:`predict_perturbations` refer to."""
        return self.effects.perturbations

    @property
    def verdict(self) -> str:
        """One plain sentence: does this model beat the simple baselines on these data."""
        return str(self.metrics.get("verdict", ""))

    @property
    def ahead(self) -> bool:
        """Whether the model is ahead of the best simple baseline (paired 95 % interval above zero)."""
        return bool(self.metrics.get("ahead", False))

    def _known(self, gene: str) -> int:
        if gene not in self._row:
            raise self._refuse_unknown([gene])
        return self._row[gene]

    # Gene to effects

    def support(self, targets: Sequence[str]) -> Support:
        """What a prediction for these targets would stand on; never raises for an unknown gene."""
        targets = _clean(targets)
        unknown = [g for g in targets if g not in self._row]
        if unknown:
            return Support(
                level="none",
                score=0.0,
                why=f"{_names(unknown)} {'is' if len(unknown) == 1 else 'are'} not in the universe of this run: "
                "in none of its networks, or left out because others lie nearer to what was measured.",
                nearest=self._similar_names(unknown),
                reason="not_in_universe",
            )
        tested = self._tested
        worst, value = self._weakest(targets)
        if all(g in tested for g in targets):
            exact = tuple(targets) in self._measured_row
            why = (
                "This perturbation was measured."
                if exact
                else f"{_names(targets)} {'was' if len(targets) == 1 else 'were'} measured in other perturbations."
            )
            return Support(level="measured", score=value, why=why)
        if value < SUPPORT_NONE:
            reason, why = self._no_ground(worst, tested)
            return Support(
                level="none", score=value, why=why, nearest=self._supported_near(worst), reason=reason
            )
        related = ", ".join(self._head.nearest(worst))
        if value < SUPPORT_WEAK:
            return Support(
                level="weak",
                score=value,
                why=f"{worst} was never perturbed and is only loosely connected to genes that were ({related}); "
                "the prediction is little more than the mean effect.",
                nearest=self._supported_near(worst),
            )
        return Support(
            level="supported",
            score=value,
            why=f"{worst} was never perturbed; the prediction rests on perturbed genes that the networks place "
            f"near it ({related}).",
        )

    def predict_effects(self, targets: Sequence[str]) -> EffectPrediction:
        """Predict what perturbing a gene, or several at once, does.

        Parameters
        ----------
        targets
            One or more gene names; the order does not matter.

        Returns
        -------
        EffectPrediction

        Raises
        ------
        Refusal
            When a gene has no support; ``nearest`` names the nearest supported genes.
        HyperPerturbError
            When no gene is given.
        """
        genes = self._supported(targets)
        support = self.support(genes)
        mean, error = self.effects_of([genes])
        measured, measured_error = self.measured(genes)
        table = pd.DataFrame(
            {
                "gene": self.response_genes,
                "effect": mean[0],
                "standard_error": error[0],
                "measured": measured,
                "measured_standard_error": measured_error,
            }
        )
        strength = float(2.0 * np.sum(mean[0] ** 2))
        interaction = None
        if len(genes) > 1:
            parts = self._head.interaction([genes])
            found = self._head.interactions is not None
            interaction = split_effect(
                self.response_genes, genes, mean[0], *(p[0] for p in parts), found=found
            )
        proteins = None if self.proteins is None else self.proteins.predict(genes)
        return EffectPrediction(genes, table, support, strength, interaction, proteins)

    def effects_of(self, sets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Effects and standard errors of sets of target genes, (Q, R) each, whatever their support."""
        return self._head.predict(sets)

    def measured(self, targets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Measured effect of exactly these targets and its standard error, (R,) each; NaN where there is none."""
        row = self._measured_row.get(tuple(sorted(targets)))
        if row is None:
            return np.full((2, len(self.response_genes)), np.nan)
        return self.effects.effect[row].astype(float), self.effects.standard_error[row].astype(float)

    def label(self, targets: Sequence[str]) -> str | None:
        """The screen's own label of exactly these targets; None where they were not measured together."""
        row = self._measured_row.get(tuple(sorted(targets)))
        return None if row is None else self.effects.perturbations[row]

    @cached_property
    def _measured_row(self) -> dict[tuple[str, ...], int]:
        return {tuple(sorted(targets)): i for i, targets in enumerate(self.effects.targets)}

    def shared_error(self, first: Sequence[str], second: Sequence[str]) -> float:
        """Correlation of the errors of two predictions, in [−1, 1]."""
        return self._head.error_correlation(_clean(first), _clean(second))

    def point(self, targets: Sequence[str]) -> np.ndarray:
        """The place of a perturbation in the unit ball, (d,): the midpoint of its genes' points."""
        return self.points_of([targets])[0]

    def points_of(self, sets: Sequence[Sequence[str]]) -> np.ndarray:
        """The places of perturbations in the unit ball, (Q, d): the midpoints of their genes' points."""
        rows = [[self._known(gene) for gene in _clean(targets)] for targets in sets]
        sizes = np.array([len(genes) for genes in rows])
        out = np.empty((len(rows), self.n_dimensions))
        for size in set(sizes.tolist()):  # all of a size at once
            those = np.flatnonzero(sizes == size)
            points = self._points[np.array([rows[i] for i in those])].astype(np.float64)
            out[those] = poincare.centroid(points, c=1.0)
        return out

    @property
    def n_dimensions(self) -> int:
        """Dimensions of the space that the genes lie in."""
        return self._points.shape[1]

    def left_out(self, label: str) -> pd.DataFrame:
        """Predict a training perturbation as if it had not been measured; see :func:`left_out_effects`."""
        return left_out_effects(self._head, self.effects, label)

    @cached_property
    def _tested(self) -> frozenset[str]:
        return frozenset(g for targets in self.effects.targets for g in targets)

    def _no_ground(self, gene: str, tested: frozenset[str]) -> tuple[Reason, str]:
        """Why nothing is known about a gene of the universe that was not perturbed."""
        untested = ~self.genes["gene"].isin(tested)
        if (self.genes.loc[untested, "support"] < SUPPORT_NONE).all():
            return "common_mean_only", (
                f"{gene} was never perturbed, and on this screen the networks do not help to predict genes that were "
                "not: all of them would get the common mean effect."
            )
        if self.network.degree[self._row[gene]] == 0:
            return (
                "in_no_network",
                f"{gene} was never perturbed, and none of the networks of this run knows it.",
            )
        return "no_tested_neighbour", (
            f"{gene} was never perturbed, and no network connects it to a gene that was, or only from afar."
        )

    def _refuse_unknown(self, genes: Sequence[str]) -> Refusal:
        return Refusal(
            f"{_names(genes)} {'is' if len(genes) == 1 else 'are'} not in the universe of this run.",
            nearest=self._similar_names(genes),
            reason="not_in_universe",
        )

    def _similar_names(self, genes: Sequence[str]) -> tuple[str, ...]:
        """Supported genes whose names are most like the unknown ones: a slip of the pen is the usual cause."""
        supported = self._supported_names
        folded = {name.upper(): name for name in supported}
        close = [n for g in genes for n in get_close_matches(g.upper(), folded, n=3, cutoff=0.6)]
        if not close:
            close = [n.upper() for n in self.genes.nlargest(3, "support")["gene"]]
        return tuple(dict.fromkeys(folded[n] for n in close if n in folded))[:3]

    @cached_property
    def _supported_names(self) -> list[str]:
        return self.genes.loc[self.genes["support"] >= SUPPORT_WEAK, "gene"].tolist()

    @property
    def untested(self) -> tuple[str, ...]:
        """Supported genes that no training perturbation targets."""
        return tuple(gene for gene in self._supported_names if gene not in self._tested)

    def _supported_near(self, gene: str, k: int = 3) -> tuple[str, ...]:
        supported = self.genes["support"].to_numpy() >= SUPPORT_WEAK
        return tuple(self._nearest(gene, k, supported)["gene"])

    def _weakest(self, genes: Sequence[str]) -> tuple[str, float]:
        """Of genes of the universe the one with the least support, and its support."""
        score = [self._score[self._row[gene]] for gene in genes]
        lowest = int(np.argmin(score))
        return genes[lowest], float(score[lowest])

    @cached_property
    def _score(self) -> np.ndarray:
        """Support of every gene of the universe, as the head had it when the run was written."""
        return self.genes["support"].to_numpy(dtype=np.float64)

    def _supported(self, targets: Sequence[str]) -> tuple[str, ...]:
        """The targets, sorted; a :class:`Refusal` where they have no support."""
        genes = _clean(targets)
        known = all(gene in self._row for gene in genes)
        if not known or (self._weakest(genes)[1] < SUPPORT_NONE and not self._tested.issuperset(genes)):
            support = self.support(genes)
            raise Refusal(
                f"No prediction for {' + '.join(genes)}. {support.why}",
                nearest=support.nearest,
                reason=support.reason,
            )
        return genes


def _clean(targets: Sequence[str]) -> tuple[str, ...]:
    if isinstance(targets, str):
        targets = [targets]
    genes = tuple(sorted({str(g).strip() for g in targets} - {""}))
    if not genes:
        raise HyperPerturbError("No gene was given.", hint="Name at least one target gene.")
    return genes


def _names(genes: Sequence[str]) -> str:
    return genes[0] if len(genes) == 1 else f"{', '.join(genes[:-1])} and {genes[-1]}"
