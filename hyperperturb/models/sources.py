"""Where a training, or its judge, gets effects, networks and cells from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperperturb.data.effects import Effects
from hyperperturb.data.network import Network, coexpression_network
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.runs.config import NetworkSource, RunConfig


@dataclass(frozen=True)
class CellSource:
    """Where the cells are: a screen, its label column, layer, tables, and the batches to compare within."""

    screen: Path | AnnData
    column: str
    layer: str | None = None
    tables: tuple[Path, ...] = ()
    batch_column: str | None = None

    @classmethod
    def of(cls, config: RunConfig) -> CellSource | None:
        """The screen of a run's configuration, or None where it has none."""
        if config.screen is None:
            return None
        return cls(config.screen, str(config.column), config.layer, config.tables, config.batch_column)


def coexpression_of(cells: CellSource | None, effects: Effects, seed: int) -> Network:
    """The co-expression network of the control cells.

    Raises
    ------
    HyperPerturbError
        Without cells, or with too few controls.
    """
    if cells is None:
        raise HyperPerturbError(
            "A table of effects has no cells, so no co-expression network can be made of it.",
            hint="Give at least one gene network.",
        )
    return coexpression_network(
        cells.screen,
        column=cells.column,
        control=effects.control,
        layer=cells.layer,
        tables=cells.tables,
        seed=seed,
    )


def gather_networks(
    sources: Sequence[NetworkSource],
    cells: CellSource | None,
    effects: Effects,
    *,
    seed: int,
    report: Callable[[float, str], None],
    note: Callable[[str], None],
) -> list[Network]:
    """Read networks and, where cells are given, add the co-expression network.

    Parameters
    ----------
    sources
        Files.
    cells
        None leaves co-expression out.
    effects
        Name the control.
    seed
        Of the co-expression network's draw of cells.
    report
        Told what is read, with the fraction done.
    note
        Told when co-expression is left out because there are too few control cells.

    Raises
    ------
    HyperPerturbError
        A file that is no network; no network at all.
    """
    networks = []
    for i, source in enumerate(sources):
        report(i / (len(sources) + 1), f"reading {source.path.name}")
        networks.append(source.read())
    if cells is not None:
        report(len(sources) / (len(sources) + 1), "correlating genes in the control cells")
        try:
            networks.append(coexpression_of(cells, effects, seed))
        except HyperPerturbError as error:
            if not networks:
                raise
            note(f"The work goes on without the co-expression network. {error}")
    return networks


def without(effects: Effects, exclude: Sequence[str]) -> Effects:
    """The effects without these perturbations, each of which must be there."""
    for label in exclude:
        effects.index(label)
    return effects.select([p for p in effects.perturbations if p not in set(exclude)]) if exclude else effects
