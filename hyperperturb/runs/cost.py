"""What a training costs in time and memory: fitted once, then corrected by what earlier trainings here took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from hyperperturb import machine
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.splits import MOST_GENES
from hyperperturb.files import read_json, write_json

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects
    from hyperperturb.data.network import Network
    from hyperperturb.models.settings import TrainingSettings
    from hyperperturb.runs.directory import RunDirectory

COST = "cost.json"
"""File of a run with what it took."""

_LATEST = 5  # earlier trainings that count: a machine and its load change
_FURTHEST = 8.0  # no correction goes beyond this factor, whatever a disturbed training took
_DENSE = 4096  # genes up to which similarities are a dense matrix
_HEAD_GENES = 2000  # genes the cell heads look at, at most
_REGRESSION = 4e10  # cells x genes x perturbations x iterations at which the regression on cells stops
_MB = 1_000_000


class Workload(BaseModel):
    """The size of a training, as far as it is known before it begins.

    Examples
    --------
    >>> work = Workload(genes=600, cells=9000, perturbations=100, targets=80, response_genes=600, edges=2217, epochs=30)
    >>> 20 < seconds(work) < 80, 1e9 < memory(work) < 1.5e9
    (True, True)
    """

    model_config = ConfigDict(frozen=True)

    genes: int
    cells: int
    perturbations: int
    targets: int
    response_genes: int
    edges: int
    epochs: int
    folds: int = 5
    compiled: bool = False

    @classmethod
    def of(
        cls, settings: TrainingSettings, effects: Effects, networks: Iterable[Network], *, cells: bool
    ) -> Workload:
        """The size of a training with these settings.

        Parameters
        ----------
        settings
            What the training is told.
        effects
            The effects it learns from.
        networks
            Its networks.
        cells
            Whether there are cells for the cell heads.
        """
        networks = list(networks)
        named = set(effects.genes).union(*effects.targets, *(network.genes for network in networks))
        targets = len({gene for target in effects.targets for gene in target})
        return cls(
            genes=min(settings.max_genes, len(named)),
            cells=min(settings.max_cells, int(effects.n_cells.sum())) if cells and settings.cell_heads else 0,
            perturbations=len(effects.perturbations),
            targets=targets,
            response_genes=len(effects.genes),
            edges=sum(network.n_edges for network in networks),
            epochs=settings.epochs,
            folds=min(settings.folds, -(-MOST_GENES * settings.folds // max(targets, 1))),
            compiled=settings.jit_compile,
        )


class Cost(BaseModel):
    """What a finished training took.

    ``seconds`` from its first moment to its last, ``peak_memory`` in bytes.
    """

    model_config = ConfigDict(frozen=True)

    workload: Workload
    seconds: float
    peak_memory: int | None
    machine: str
    device: str


class Estimate(BaseModel):
    """What a training will take: seconds, bytes, and how many earlier trainings on this machine say so."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    memory: int
    earlier: int


def seconds(work: Workload) -> float:
    """Seconds from the start to a usable run, on the machine the figures were fitted on (two cores).

    Fitted to trainings of the demo and of the Papalexi screen with STRING under the three presets; what grows with
    tables of effects of whole genomes is from ``benchmarks/genome_scale.py``.
    """
    thousands, millions = work.genes / 1000, work.perturbations * work.response_genes / 1e6
    loading = 4.5 + 3e-5 * work.edges
    universe = 0.25 * thousands if work.genes <= _DENSE else thousands
    epoch = 0.32 if work.genes <= _DENSE else 0.15 * thousands
    genes = (4.0 if work.compiled else 1.2) + work.epochs * epoch
    scores = work.folds * (0.1 + 1.9 * millions) + 1.4 * millions
    writing = 1.5 + 1.3 * min(thousands, 5.0)
    return loading + universe + genes + scores + _cell_seconds(work) + writing


def _cell_seconds(work: Workload) -> float:
    if work.cells == 0:
        return 0.0
    entries = work.cells * min(work.response_genes, _HEAD_GENES)
    begin = 1.5 + 0.02 * work.perturbations + (2.0 if work.compiled else 0.0)
    product = entries * work.perturbations
    # the regression's iterations are limited by the work, and with fewer than ten of them it is left out
    regression = 10.0 * min(1.0, 150 * product / _REGRESSION) if 10 * product <= _REGRESSION else 0.0
    return begin + work.epochs * 2.5e-8 * entries + 1.0 + regression


def memory(work: Workload) -> float:
    """Bytes of memory at the peak; TensorFlow alone takes most of it on a small screen."""
    similarity = 22e-6 * work.genes**2 if work.genes <= _DENSE else 0.05 * work.genes
    table = 40e-6 * work.perturbations * work.response_genes
    cells = 12e-6 * work.cells * min(work.response_genes, _HEAD_GENES)
    return _MB * (1100 + similarity + table + cells + (250 if work.compiled else 0))


def estimate(work: Workload, earlier: Sequence[Cost] = (), *, device: str = "") -> Estimate:
    """What a training will take here.

    Parameters
    ----------
    work
        Its size.
    earlier
        What earlier trainings took, the latest first; those of other machines do not count.
    device
        What will train, in words (:func:`hyperperturb.machine.in_words`): those on something else do not count either.
        Everything counts when it is empty.

    Returns
    -------
    Estimate
        The fitted figures times the middle factor by which the latest trainings on this machine missed theirs.

    Examples
    --------
    >>> work = Workload(genes=600, cells=0, perturbations=100, targets=80, response_genes=600, edges=2217, epochs=30)
    >>> slow = Cost(workload=work, seconds=3 * seconds(work), peak_memory=None, machine=machine.name(), device="CPU")
    >>> round(estimate(work, [slow]).seconds / estimate(work).seconds, 2)
    3.0
    """
    here = [
        cost for cost in earlier if cost.machine == machine.name() and (not device or cost.device == device)
    ][:_LATEST]
    time = _factor([cost.seconds / seconds(cost.workload) for cost in here])
    room = _factor([cost.peak_memory / memory(cost.workload) for cost in here if cost.peak_memory])
    return Estimate(seconds=time * seconds(work), memory=round(room * memory(work)), earlier=len(here))


def _factor(ratios: list[float]) -> float:
    """The middle ratio; of two the geometric mean."""
    middle = math.exp(median(math.log(ratio) for ratio in ratios)) if ratios else 1.0
    return min(max(middle, 1 / _FURTHEST), _FURTHEST)


def write_cost(run: RunDirectory, work: Workload) -> None:
    """Keep in a run what it has taken until now, in this process."""
    status = run.status
    spent = (datetime.now(UTC) - status.started).total_seconds() if status.started else 0.0
    cost = Cost(
        workload=work,
        seconds=spent,
        peak_memory=machine.peak_memory(),
        machine=machine.name(),
        device=status.device,
    )
    write_json(run.file(COST), cost)


def cost_of(run: RunDirectory) -> Cost | None:
    """What a run took; None where it does not say."""
    try:
        return Cost.model_validate(read_json(run.file(COST)))
    except (HyperPerturbError, ValidationError):
        return None


def costs(runs: Iterable[RunDirectory]) -> list[Cost]:
    """What runs took, in their order; those that do not say are passed over."""
    return [cost for run in runs if (cost := cost_of(run)) is not None]
