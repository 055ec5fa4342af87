"""Datasets on disk: registered, inspected, confirmed by a person, with their effects beside them.

A dataset is a folder of ``Workspace.datasets_dir`` with ``dataset.json``, what was uploaded (a registered
file stays where it is) and, once the controls are confirmed, the effects. It gets its name by one rename when
all of it is there, so that a listing never sees half a dataset.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hyperperturb.data.screen import ControlProposal, LabelCandidate, ScreenReport
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path, read_json, write_json
from hyperperturb.progress import Progress, scaled
from hyperperturb.runs.config import Mode, existing_file
from hyperperturb.runs.incoming import UPLOAD_LIMIT, copy_incoming, file_kind, file_stem, file_suffix
from hyperperturb.runs.networks import add_network as add_network
from hyperperturb.runs.networks import list_networks as list_networks
from hyperperturb.runs.workspace import (
    Workspace,
    publish,
    publish_unique,
    remove_folder,
    slug,
    staging_folder,
    visible_folders,
)

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects

_RECORD = "dataset.json"
# what another choice of column and label mends: the file is taken, and the person chooses
_CHOOSABLE = ("no-control", "few-control-cells", "no-perturbations")


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
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    report: ScreenReport | None = None
    column: str | None = None
    control: str | None = None
    mode: Mode = "knockout"
    confirmed: bool = False
    networks: tuple[Path, ...] = ()
    note: str = ""
    effects_path: Path | None = None
    true_effects_path: Path | None = None

    @property
    def available(self) -> bool:
        """Whether the source file is still where it was."""
        return self.source.is_file()


def list_datasets(ws: Workspace) -> list[Dataset]:
    """Every dataset, newest first; what is not a dataset is passed over."""
    found = []
    for folder in visible_folders(ws.datasets_dir):
        dataset = _read(folder)
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
    dataset = _read(_folder(ws, name))
    if dataset is None:
        known = ", ".join(d.name for d in list_datasets(ws)[:5])
        raise HyperPerturbError(
            f"There is no dataset '{name}'.",
            hint=f"There are: {known}." if known else "Load the demo or add a file first.",
        )
    return dataset


def register_dataset(
    ws: Workspace,
    path: Path | str,
    *,
    title: str | None = None,
    mode: Mode = "knockout",
    proposed: tuple[str, str] | None = None,
    note: str = "",
) -> Dataset:
    """Make a dataset of a file that stays where it is.

    Parameters
    ----------
    ws
        Workspace.
    path
        A screen (``.h5ad``) or a table of effects (``.csv``, ``.tsv``, ``.parquet``, also gzipped).
    title
        What a person calls it; the file's name when None.
    mode
        What was done to the genes; asked again when the controls of a screen are confirmed.
    proposed
        Label column and control label that are known from elsewhere: proposed first, where the file has them.
    note
        What stands under its title, such as whom to cite.

    Returns
    -------
    Dataset
        A table of effects is confirmed at once, a screen is not.

    Raises
    ------
    HyperPerturbError
        No such file, an unknown kind of file, or what :func:`~hyperperturb.data.screen.inspect_screen` or
        :func:`~hyperperturb.data.effects.read_effects` refuses. Nothing is registered then.
    """
    source = existing_file(path, what="screen or effects table")
    kind = file_kind(source.name)
    with staging_folder(ws.datasets_dir) as staged:
        title = title or file_stem(source.name)
        return _publish(ws, staged, source, kind=kind, title=title, mode=mode, proposed=proposed, note=note)


def add_upload(
    ws: Workspace,
    fileobj: IO[bytes],
    filename: str,
    *,
    title: str | None = None,
    mode: Mode = "knockout",
    limit: int = UPLOAD_LIMIT,
) -> Dataset:
    """Make a dataset of an uploaded file.

    Parameters
    ----------
    ws
        Workspace.
    fileobj
        The bytes, read from their beginning in pieces.
    filename
        Its name on the sender's machine; only the suffix and the title come from it.
    title, mode
        As in :func:`register_dataset`.
    limit
        Largest size in bytes.

    Returns
    -------
    Dataset

    Raises
    ------
    HyperPerturbError
        Too large, empty, or what :func:`register_dataset` refuses. Nothing stays behind.
    """
    kind = file_kind(filename)
    with staging_folder(ws.datasets_dir) as staged:
        source = staged / f"{'screen' if kind == 'screen' else 'table'}{file_suffix(filename)}"
        copy_incoming(fileobj, source, filename=filename, limit=limit)
        return _publish(ws, staged, source, kind=kind, title=title or file_stem(filename), mode=mode)


def add_demo(ws: Workspace, *, seed: int = 0, progress: Progress | None = None) -> Dataset:
    """Make the demo screen a dataset, with its network and its true effects; a second call returns the first.

    Parameters
    ----------
    ws
        Workspace.
    seed
        Seed of the simulation.
    progress
        Called with the fraction done and what is being done.

    Returns
    -------
    Dataset
        Named ``demo`` (``demo-SEED`` for another seed than 0), its controls not confirmed yet.
    """
    from hyperperturb.data.simulate import simulate_screen, write_simulation

    name = "demo" if seed == 0 else f"demo-{seed}"
    existing = _read(_folder(ws, name))
    if existing is not None:
        return existing
    report = scaled(progress, 0.0, 1.0)
    with staging_folder(ws.datasets_dir) as staged:
        report(0.05, "Simulating the demo screen")
        simulation = simulate_screen(seed=seed)
        report(0.6, "Writing the demo screen")
        written = list(write_simulation(simulation, staged / "screen.h5ad").values())
        report(0.9, "Looking at the demo screen")
        dataset = _publish(
            ws,
            staged,
            staged / "screen.h5ad",
            kind="screen",
            title="Demo screen" if seed == 0 else f"Demo screen (seed {seed})",
            mode="knockdown",
            name=name,
            networks=tuple(p for p in written if p.name.endswith(".network.csv")),
            true_effects_path=next((p for p in written if ".true_effects." in p.name), None),
            note=f"Simulated with known network and known true effects, seed {seed}.",
        )
        report(1.0, "The demo screen is there")
        return dataset


def confirm_controls(
    ws: Workspace,
    name: str,
    *,
    column: str,
    control: str,
    mode: Mode = "knockout",
    progress: Progress | None = None,
) -> Dataset:
    """Store which cells are the controls, and compute the effects against them.

    The effects are there before the dataset says so; until then, and when anything goes wrong, the dataset
    stays as it was.

    Parameters
    ----------
    ws
        Workspace.
    name
        The dataset.
    column, control
        The label column and the label of the control cells.
    mode
        What was done to the genes.
    progress
        Called with the fraction done and what is being done; an exception raised by it cancels.

    Returns
    -------
    Dataset
        Confirmed, with ``effects_path``.

    Raises
    ------
    HyperPerturbError
        It is a table of effects; or the screen has no such column or label, or cannot be read any more.
    """
    from hyperperturb.data.effects import compute_effects

    dataset = get_dataset(ws, name)
    if dataset.kind == "effects":
        raise HyperPerturbError(
            f"The dataset '{name}' is a table of effects: its controls were subtracted already.",
            hint="Go on to the training.",
        )
    effects = compute_effects(
        existing_file(dataset.source, what="screen"),
        column=column,
        control=control,
        layer=dataset.report.layer if dataset.report else None,
        mode=mode,
        progress=scaled(progress, 0.0, 0.95),
    )
    # a name of its own: whoever reads the old choice meanwhile still finds the old choice's effects
    target = _folder(ws, name) / f"effects-{secrets.token_hex(4)}.parquet"
    _save_effects(effects, target)
    before = get_dataset(ws, name)  # another process may have confirmed while this one computed
    confirmed = before.model_copy(
        update={"column": column, "control": control, "mode": mode, "confirmed": True, "effects_path": target}
    )
    _write(confirmed, _folder(ws, name))
    if before.effects_path is not None:
        before.effects_path.unlink(missing_ok=True)
    scaled(progress, 0.0, 1.0)(1.0, "The effects are there")
    return confirmed


def load_effects(ws: Workspace, name: str) -> Effects:
    """Read the effects of a confirmed dataset.

    Raises
    ------
    HyperPerturbError
        When its controls are not confirmed yet, or the file is gone.
    """
    from hyperperturb.data.effects import read_effects

    for attempt in (1, 2):
        dataset = get_dataset(ws, name)
        if not dataset.confirmed or dataset.effects_path is None:
            raise HyperPerturbError(
                f"The controls of the dataset '{name}' are not confirmed yet.",
                hint="Confirm which cells are the controls first.",
            )
        # the controls may be confirmed anew between reading the record and opening the file
        if dataset.effects_path.is_file() or attempt == 2:
            return read_effects(dataset.effects_path, mode=dataset.mode)
    raise AssertionError  # the loop returns or raises


def delete_dataset(ws: Workspace, name: str) -> None:
    """Remove a dataset; a file registered by its path stays where it is, and runs keep their own effects.

    Raises
    ------
    HyperPerturbError
        When there is none of that name.
    """
    get_dataset(ws, name)
    remove_folder(_folder(ws, name))


def _publish(
    ws: Workspace,
    staged: Path,
    source: Path,
    *,
    kind: Literal["screen", "effects"],
    title: str,
    mode: Mode,
    name: str | None = None,
    proposed: tuple[str, str] | None = None,
    **more: Any,
) -> Dataset:
    dataset = Dataset(title=title, kind=kind, source=source, mode=mode, **more)
    if kind == "screen":
        from hyperperturb.data.screen import inspect_screen

        report = inspect_screen(source)
        worst = next((r for r in report.repairs if r.severity == "error" and r.code not in _CHOOSABLE), None)
        if worst is not None:
            raise HyperPerturbError(f"'{title}' cannot be used: {worst.what}", hint=worst.mend)
        if proposed is not None:
            report = _proposing(report, *proposed)
        dataset = dataset.model_copy(update={"report": report})
    else:
        from hyperperturb.data.effects import read_effects

        effects = read_effects(source, mode=mode)
        target = staged / f"effects-{secrets.token_hex(4)}.parquet"
        _save_effects(effects, target)
        dataset = dataset.model_copy(
            update={"control": effects.control, "confirmed": True, "effects_path": target}
        )
    _write(dataset, staged)
    if name is None:
        return _required(publish_unique(staged, ws.datasets_dir, slug(title)))
    published = publish(staged, ws.datasets_dir, name)
    return _required(published or ws.datasets_dir / name)  # made by another process meanwhile


def _proposing(report: ScreenReport, column: str, label: str) -> ScreenReport:
    """The report with a choice that is known from elsewhere proposed first; unchanged where the file lacks it."""
    found = report.proposal
    n_control_cells = report.n_control_cells(column, label)
    if n_control_cells == 0 or (found is not None and (found.column, found.label) == (column, label)):
        return report
    known = LabelCandidate(
        column=column,
        label=label,
        n_control_cells=n_control_cells,
        n_labels=len(report.label_columns[column]),
        why="the catalogue of public data names it",
    )
    others = [c for c in (found.candidates if found else ()) if (c.column, c.label) != (column, label)]
    proposal = ControlProposal(**known.model_dump(exclude={"n_labels"}), candidates=(known, *others))
    return report.model_copy(update={"proposal": proposal})


def _required(folder: Path) -> Dataset:
    dataset = _read(folder)
    if dataset is None:
        raise HyperPerturbError(
            f"The folder '{folder}' is in the way: it is not a dataset.", hint="Remove or rename it."
        )
    return dataset


def _folder(ws: Workspace, name: str) -> Path:
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise HyperPerturbError(f"'{name}' is not the name of a dataset.", hint="Choose one from the list.")
    return ws.datasets_dir / name


def _save_effects(effects: Effects, target: Path) -> None:
    with atomic_path(target) as temporary:
        effects.save(temporary)


_PATHS = ("source", "effects_path", "true_effects_path")


def _write(dataset: Dataset, folder: Path) -> None:
    record = dataset.model_dump(mode="json", exclude={"name"})
    _map_paths(record, lambda p: str(Path(p).relative_to(folder)) if Path(p).is_relative_to(folder) else p)
    write_json(folder / _RECORD, record)


def _read(folder: Path) -> Dataset | None:
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
    record["networks"] = [change(p) for p in record.get("networks", [])]
