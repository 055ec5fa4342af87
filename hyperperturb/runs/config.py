"""What a run is told: data, networks, what is left out, settings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from hyperperturb.data.protein_names import Rename
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.runs.inputs import InputFile

if TYPE_CHECKING:
    from hyperperturb.data.network import Network
    from hyperperturb.runs.datasets import Dataset

Mode = Literal["knockout", "knockdown", "activation"]


class NetworkSource(BaseModel):
    """A file to read a network from.

    Examples
    --------
    >>> NetworkSource(path="edges.csv").kind
    'auto'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    info: Path | None = None
    kind: str = "auto"

    @classmethod
    def from_path(
        cls, path: Path | str, *, info: Path | str | None = None, kind: str = "auto"
    ) -> NetworkSource:
        """Describe a file, with STRING's ``protein.info`` found beside its ``protein.links``.

        Parameters
        ----------
        path
            The network file.
        info
            STRING's table of names; looked for beside ``path`` when None.
        kind
            As in :func:`hyperperturb.data.network.read_network`.

        Returns
        -------
        NetworkSource
            With absolute paths.

        Raises
        ------
        HyperPerturbError
            When a file does not exist.
        """
        path = existing_file(path, what="network")
        if info is None and "protein.links" in path.name:
            name = path.name.replace(".detailed", "").replace(".full", "").replace("links", "info")
            candidates = (path.with_name(name), path.with_name(name.removesuffix(".gz")))
            info = next((p for p in candidates if p.is_file()), None)
        else:
            info = None if info is None else existing_file(info, what="network's table of names")
        return cls(path=path, info=info, kind=kind)

    def read(self) -> Network:
        """Read the network.

        Raises
        ------
        HyperPerturbError
            When the file is not a network.
        """
        from hyperperturb.data.network import read_network

        return read_network(self.path, info=self.info, kind=self.kind)


class RunConfig(BaseModel):
    """Everything that a training is a function of, apart from the contents of the files.

    What the files contained when the training began is added then, as ``inputs``.

    ``screen`` with ``column`` and ``control``, or ``effects``, or both: with both, the effects are read and
    the screen's cells serve the cell heads and the co-expression network. ``batch_column`` names the batches
    within which the effects were, or are to be, measured. ``proteins`` are those of the screen's cells,
    ``protein_names`` how the names of cells are mended to match.

    Examples
    --------
    >>> RunConfig(effects="effects.parquet", exclude=("JAK2",)).settings.embedding_dim
    16
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    screen: Path | None = None
    effects: Path | None = None
    column: str | None = None
    control: str | None = None
    batch_column: str | None = None
    layer: str | None = None
    tables: tuple[Path, ...] = ()
    proteins: Path | None = None
    protein_names: Rename = ""
    mode: Mode = "knockout"
    networks: tuple[NetworkSource, ...] = ()
    coexpression: bool = True
    exclude: tuple[str, ...] = ()
    settings: TrainingSettings = Field(default_factory=TrainingSettings)
    dataset: str | None = None
    title: str = ""
    inputs: dict[str, InputFile] = Field(default_factory=dict)
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def for_dataset(
        cls,
        dataset: Dataset,
        *,
        settings: TrainingSettings | None = None,
        networks: Iterable[Path | str | NetworkSource] = (),
        coexpression: bool = True,
        exclude: Iterable[str] = (),
        title: str = "",
    ) -> RunConfig:
        """Describe a training on a dataset whose controls are confirmed.

        Parameters
        ----------
        dataset
            The dataset.
        settings
            Default settings when None.
        networks
            Files, or described files; the dataset's own networks are not added by themselves.
        coexpression
            Whether to make a network from the control cells (screens only).
        exclude
            Labels taken out before training.
        title
            What a person calls the run; the dataset's title when empty.

        Returns
        -------
        RunConfig

        Raises
        ------
        HyperPerturbError
            When the controls are not confirmed yet, or a network file does not exist.
        """
        if not dataset.confirmed or dataset.effects_path is None:
            raise HyperPerturbError(
                f"The controls of the dataset '{dataset.name}' are not confirmed yet.",
                hint="Confirm which cells are the controls first.",
            )
        is_screen = dataset.kind == "screen"
        return cls(
            screen=dataset.source if is_screen else None,
            effects=dataset.effects_path,
            column=dataset.column,
            control=dataset.control,
            batch_column=dataset.batch_column,
            layer=dataset.report.layer if dataset.report else None,
            tables=dataset.tables,
            proteins=dataset.proteins if is_screen else None,
            protein_names=dataset.protein_names,
            mode=dataset.mode,
            networks=tuple(
                n if isinstance(n, NetworkSource) else NetworkSource.from_path(n) for n in networks
            ),
            coexpression=coexpression and is_screen,
            exclude=tuple(exclude),
            settings=settings or TrainingSettings(),
            dataset=dataset.name,
            title=title or dataset.title,
        )

    def checked(self) -> RunConfig:
        """Return the configuration with absolute paths, after a look at what it points to.

        Raises
        ------
        HyperPerturbError
            Neither screen nor effects; a screen without column or control; a file that does not exist;
            nothing to build the gene graph from.
        """
        if self.screen is None and self.effects is None:
            raise HyperPerturbError(
                "There is nothing to train on.", hint="Give a screen or a table of effects."
            )
        if self.screen is not None and not (self.column and self.control):
            raise HyperPerturbError(
                f"Which cells of '{self.screen.name}' are the controls is not said.",
                hint="Give the label column and the control label.",
            )
        if self.proteins is not None and self.screen is None:
            raise HyperPerturbError(
                f"The proteins '{self.proteins.name}' have no cells to belong to.",
                hint="Give the screen too: its labels say what was done to each cell.",
            )
        if not self.networks and not (self.coexpression and self.screen is not None):
            raise HyperPerturbError(
                "There is no network to place the genes by.",
                hint="Add a network file; a table of effects has no cells for a co-expression network.",
            )
        return self.model_copy(
            update={
                "screen": None if self.screen is None else existing_screen(self.screen),
                "proteins": None
                if self.proteins is None
                else existing_screen(self.proteins, what="proteins"),
                "tables": tuple(existing_file(path, what="table of the screen") for path in self.tables),
                "effects": None
                if self.effects is None
                else existing_file(self.effects, what="effects table"),
                "networks": tuple(
                    NetworkSource.from_path(n.path, info=n.info, kind=n.kind) for n in self.networks
                ),
            }
        )

    def asks_the_same(self, other: RunConfig) -> bool:
        """Whether another configuration asks for the same training, whenever and under whatever title.

        Examples
        --------
        >>> one = RunConfig(effects="effects.parquet")
        >>> one.asks_the_same(RunConfig(effects="effects.parquet", title="again"))
        True
        """
        beside = {"created", "title", "inputs"}
        return self.model_dump(exclude=beside) == other.model_dump(exclude=beside)

    def files(self) -> list[Path]:
        """Every file that the training reads."""
        networks = [path for n in self.networks for path in (n.path, n.info)]
        proteins = None if self.proteins == self.screen else self.proteins  # one file may hold both
        given = (self.screen, *self.tables, proteins, self.effects, *networks)
        return [path for path in given if path is not None]


def existing_screen(path: Path | str, *, what: str = "screen") -> Path:
    """Resolve the path of cells a person gave: unlike other inputs they may be a folder.

    Parameters
    ----------
    path
        Any path; ``~`` is expanded.
    what
        What it should be, for the sentence.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    HyperPerturbError
        When nothing is there.
    """
    full = Path(path).expanduser().resolve()
    return full if full.is_dir() else existing_file(path, what=what)


def existing_file(path: Path | str, *, what: str) -> Path:
    """Resolve a path a person gave, or say that there is no such file.

    Parameters
    ----------
    path
        Any path; ``~`` is expanded.
    what
        What the file should be, for the sentence.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    HyperPerturbError
        When nothing is there, or a folder is.
    """
    full = Path(path).expanduser().resolve()
    if full.is_file():
        return full
    if full.is_dir():
        raise HyperPerturbError(f"'{path}' is a folder, not a file.", hint=f"Give the {what} file itself.")
    raise HyperPerturbError(f"There is no file '{path}' ({what}).", hint="Check the path.")
