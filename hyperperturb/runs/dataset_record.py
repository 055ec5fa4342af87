"""What is known about a dataset, and where it is kept: a folder with ``dataset.json``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hyperperturb.data.protein_names import Rename
from hyperperturb.data.proteins import ProteinReport
from hyperperturb.data.screen import ScreenReport
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import read_json, write_json
from hyperperturb.runs.config import Mode
from hyperperturb.runs.workspace import Workspace, remove_folder, visible_folders

_RECORD = "dataset.json"
_PATHS = ("source", "effects_path", "true_effects_path", "quality_path", "proteins")


class Dataset(BaseModel):
    """A screen or a table of effects, and what a person decided about it.

    Paths are absolute when a dataset is read; inside its own folder they are stored relative to it, so that a
    workspace can be moved.
    """

    model_config = ConfigDict(frozen=True)

    name: str = ""
    title: str
    kind: Literal["screen", "effects"]
    source: Path
    tables: tuple[Path, ...] = ()
    proteins: Path | None = None
    protein_names: Rename = ""
    protein_report: ProteinReport | None = None
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    report: ScreenReport | None = None
    column: str | None = None
    control: str | None = None
    batch_column: str | None = None
    mode: Mode = "knockout"
    confirmed: bool = False
    networks: tuple[Path, ...] = ()
    note: str = ""
    effects_path: Path | None = None
    quality_path: Path | None = None
    true_effects_path: Path | None = None

    @property
    def available(self) -> bool:
        """Whether the source is still where it was."""
        return self.source.exists()


def list_datasets(ws: Workspace) -> list[Dataset]:
    """Every dataset, newest first; what is not a dataset is passed over."""
    found = []
    for folder in visible_folders(ws.datasets_dir):
        dataset = read_record(folder)
        if dataset is not None:
            found.append(dataset)
    return sorted(found, key=lambda d: (d.created, d.name), reverse=True)


def get_dataset(ws: Workspace, name: str) -> Dataset:
    """Read one dataset.

    Raises
    ------
    HyperPerturbError
        When there is none of that name.
    """
    dataset = read_record(dataset_folder(ws, name))
    if dataset is None:
        known = ", ".join(d.name for d in list_datasets(ws)[:5])
        raise HyperPerturbError(
            f"There is no dataset '{name}'.",
            hint=f"There are: {known}." if known else "Load the demo or add a file first.",
        )
    return dataset


def delete_dataset(ws: Workspace, name: str) -> None:
    """Remove a dataset; a file registered by its path stays where it is, and runs keep their own effects.

    Raises
    ------
    HyperPerturbError
        When there is none of that name.
    """
    get_dataset(ws, name)
    remove_folder(dataset_folder(ws, name))


def dataset_folder(ws: Workspace, name: str) -> Path:
    """The folder of a dataset of that name, whether there is one or not."""
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise HyperPerturbError(f"'{name}' is not the name of a dataset.", hint="Choose one from the list.")
    return ws.datasets_dir / name


def write_record(dataset: Dataset, folder: Path) -> None:
    """Write what is known about a dataset into its folder."""
    record = dataset.model_dump(mode="json", exclude={"name"})
    _map_paths(record, lambda p: str(Path(p).relative_to(folder)) if Path(p).is_relative_to(folder) else p)
    write_json(folder / _RECORD, record)


def read_record(folder: Path) -> Dataset | None:
    """Read what is known about the dataset in a folder; None when there is none."""
    try:
        record = read_json(folder / _RECORD)
        if not isinstance(record, dict):
            return None
        _map_paths(record, lambda p: str(folder / p))  # an absolute path stays as it is
        if record.get("report"):
            record["report"]["path"] = record["source"]
        return Dataset.model_validate(record | {"name": folder.name})
    except (HyperPerturbError, ValidationError, KeyError, TypeError):
        return None


def _map_paths(record: dict[str, Any], change: Callable[[str], str]) -> None:
    for key in _PATHS:
        if record.get(key) is not None:
            record[key] = change(record[key])
    for key in ("networks", "tables"):
        record[key] = [change(p) for p in record.get(key, [])]
