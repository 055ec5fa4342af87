"""Datasets on disk: registered, inspected, confirmed by a person, with their effects beside them.

A dataset is a folder of ``Workspace.datasets_dir`` with ``dataset.json``, what was uploaded (a registered
file stays where it is) and, once the controls are confirmed, the effects. It gets its name by one rename when
all of it is there, so that a listing never sees half a dataset.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from hyperperturb.data.formats.tenx import ANTIBODIES
from hyperperturb.data.screen import ControlProposal, LabelCandidate, ScreenReport
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.machine import SCHEDULER
from hyperperturb.progress import Progress, scaled
from hyperperturb.runs.config import Mode, existing_file, existing_screen
from hyperperturb.runs.dataset_record import Dataset as Dataset
from hyperperturb.runs.dataset_record import dataset_folder, read_record, write_record
from hyperperturb.runs.dataset_record import delete_dataset as delete_dataset
from hyperperturb.runs.dataset_record import get_dataset as get_dataset
from hyperperturb.runs.dataset_record import list_datasets as list_datasets
from hyperperturb.runs.guarded import MEMORY, guarded
from hyperperturb.runs.incoming import (
    UPLOAD_LIMIT,
    copy_incoming,
    existing_data,
    file_kind,
    file_stem,
    file_suffix,
    safe_name,
    sort_uploads,
)
from hyperperturb.runs.networks import add_network as add_network
from hyperperturb.runs.networks import list_networks as list_networks
from hyperperturb.runs.proteins import own_proteins
from hyperperturb.runs.workspace import (
    Workspace,
    publish,
    publish_unique,
    slug,
    staging_folder,
)

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects

SILENCE = 120.0  # seconds without a word of progress after which the effects of a screen are given up
# what another choice of column and label mends: the file is taken, and the person chooses
_CHOOSABLE = ("no-control", "few-control-cells", "no-perturbations")


def register_dataset(
    ws: Workspace,
    path: Path | str,
    *,
    tables: Sequence[Path | str] = (),
    title: str | None = None,
    mode: Mode = "knockout",
    proposed: tuple[str, str] | None = None,
    note: str = "",
) -> Dataset:
    """Make a dataset of a file or folder that stays where it is.

    Parameters
    ----------
    ws
        Workspace.
    path
        A screen of any format or a table of effects (``.csv``, ``.tsv``, ``.parquet``, also gzipped).
    tables
        Tables that belong to the screen, as in :func:`~hyperperturb.data.opening.open_screen`.
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
    source, kind = existing_data(path)
    beside = tuple(existing_file(table, what="table of the screen") for table in tables)
    if beside and kind == "effects":
        raise HyperPerturbError(
            f"'{source.name}' is a table of effects: no other table belongs to it.", hint="Leave them out."
        )
    with staging_folder(ws.datasets_dir) as staged:
        title = title or file_stem(source.name)
        return _publish(
            ws,
            staged,
            source,
            kind=kind,
            tables=beside,
            title=title,
            mode=mode,
            proposed=proposed,
            note=note,
        )


def add_upload(
    ws: Workspace,
    fileobj: IO[bytes],
    filename: str,
    *,
    title: str | None = None,
    beside: Sequence[tuple[IO[bytes], str]] = (),
    mode: Mode = "knockout",
    limit: int = UPLOAD_LIMIT,
) -> Dataset:
    """Make a dataset of an uploaded file, or of several that belong together.

    Parameters
    ----------
    ws
        Workspace.
    fileobj
        The bytes, read from their beginning in pieces.
    filename
        Its name on the sender's machine; only the suffix and the title come from it.
    beside
        Further files and their names, in any order: the tables of a screen, the parts of a 10x folder.
    title, mode
        As in :func:`register_dataset`.
    limit
        Largest size of a file in bytes.

    Returns
    -------
    Dataset

    Raises
    ------
    HyperPerturbError
        Too large, empty, or what :func:`register_dataset` refuses. Nothing stays behind.
    """
    files = [(fileobj, filename), *beside]
    main, parts = sort_uploads([name for _, name in files])
    filename = files[main][1]
    kind = file_kind(filename)
    with staging_folder(ws.datasets_dir) as staged:
        source = staged / f"{'screen' if kind == 'screen' else 'table'}{file_suffix(filename)}"
        if parts:  # a 10x folder: its files keep their names, by which they know each other
            source = staged / "screen" / safe_name(filename)
        copy_incoming(files[main][0], source, filename=filename, limit=limit)
        tables = []
        for number, (handle, name) in enumerate(files):
            if number == main:
                continue
            target = (staged / "screen" if number in parts else staged / "tables") / safe_name(name)
            copy_incoming(handle, target, filename=name, limit=limit)
            if number not in parts:
                tables.append(target)
        title = title or file_stem(filename)
        return _publish(ws, staged, source, kind=kind, tables=tuple(tables), title=title, mode=mode)


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
    existing = read_record(dataset_folder(ws, name))
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
    batch_column: str | None = None,
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
    batch_column
        Batches to compare within (:func:`~hyperperturb.data.effects.compute_effects`); None compares with all controls.
    progress
        Called with the fraction done and what is being done; an exception raised by it cancels.

    Returns
    -------
    Dataset
        Confirmed, with ``effects_path``.

    Raises
    ------
    HyperPerturbError
        It is a table of effects; or the screen has no such column or label, a batch has too few controls, or it cannot
        be read any more.
    """
    dataset = get_dataset(ws, name)
    if dataset.kind == "effects":
        raise HyperPerturbError(
            f"The dataset '{name}' is a table of effects: its controls were subtracted already.",
            hint="Go on to the training.",
        )
    source = existing_screen(dataset.source)
    # a name of its own: whoever reads the old choice meanwhile still finds the old choice's effects
    target = dataset_folder(ws, name) / f"effects-{secrets.token_hex(4)}.parquet"
    with atomic_path(target) as temporary:
        guarded(
            "effects",
            about=source,
            seconds=SILENCE,
            memory=None,  # as large as the table of effects has to be
            progress=scaled(progress, 0.0, 0.95),
            path=str(source),
            target=str(temporary),
            column=column,
            control=control,
            layer=dataset.report.layer if dataset.report else None,
            tables=[str(table) for table in dataset.tables],
            mode=mode,
            batch_column=batch_column,
            scheduler=os.environ.get(SCHEDULER) or None,
        )
    before = get_dataset(ws, name)  # another process may have confirmed while this one computed
    confirmed = before.model_copy(
        update={
            "column": column,
            "control": control,
            "batch_column": batch_column,
            "mode": mode,
            "confirmed": True,
            "effects_path": target,
            "quality_path": None,  # it was that of another choice
        }
    )
    write_record(confirmed, dataset_folder(ws, name))
    for old in (before.effects_path, before.quality_path):
        if old is not None:
            old.unlink(missing_ok=True)
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


def add_quality(ws: Workspace, dataset: Dataset, path: Path) -> Dataset | None:
    """Store where the quality of a confirmed dataset is; None when its controls were confirmed anew meanwhile."""
    now = get_dataset(ws, dataset.name)
    if now.effects_path != dataset.effects_path:
        return None
    judged = now.model_copy(update={"quality_path": path})
    write_record(judged, dataset_folder(ws, dataset.name))
    if now.quality_path is not None and now.quality_path != path:
        now.quality_path.unlink(missing_ok=True)
    return judged


def replace_screen(ws: Workspace, name: str, source: Path, *, note: str) -> Dataset:
    """Let another file stand for the screen of a dataset: its controls are to be confirmed anew.

    Parameters
    ----------
    ws, name
        The dataset.
    source
        A screen in the folder of the dataset. What the dataset itself held of the old one is removed.
    note
        What was done, added to the dataset's note.

    Returns
    -------
    Dataset
        Not confirmed, with the report of the new file.
    """
    before = get_dataset(ws, name)
    folder = dataset_folder(ws, name)
    report = ScreenReport.model_validate(guarded("inspect", about=source, path=str(source)))
    found = before.model_copy(
        update={
            "source": source,
            "tables": (),
            "report": report,
            "confirmed": False,
            "batch_column": None,
            "effects_path": None,
            "quality_path": None,
            **({"proteins": None, "protein_report": None} if before.proteins == before.source else {}),
            "note": " ".join(filter(None, (before.note, note))),
        }
    )
    write_record(found, folder)
    for old in (before.source, *before.tables, before.effects_path, before.quality_path):
        if old is not None and old.is_relative_to(folder) and old.is_file():
            old.unlink()
    return found


def _publish(
    ws: Workspace,
    staged: Path,
    source: Path,
    *,
    kind: Literal["screen", "effects"],
    title: str,
    mode: Mode,
    tables: tuple[Path, ...] = (),
    name: str | None = None,
    proposed: tuple[str, str] | None = None,
    **more: Any,
) -> Dataset:
    dataset = Dataset(title=title, kind=kind, source=source, tables=tables, mode=mode, **more)
    if kind == "screen":
        report = ScreenReport.model_validate(
            guarded(
                "inspect",
                about=source,
                memory=_memory(source),
                path=str(source),
                tables=[str(t) for t in tables],
            )
        )
        worst = next((r for r in report.repairs if r.severity == "error" and r.code not in _CHOOSABLE), None)
        if worst is not None:
            raise HyperPerturbError(f"'{title}' cannot be used: {worst.what}", hint=worst.mend)
        if proposed is not None:
            report = _proposing(report, *proposed)
        own = own_proteins(source, tables) if ANTIBODIES in report.other_features else {}
        dataset = dataset.model_copy(update={"report": report, **own})
    else:
        target = staged / f"effects-{secrets.token_hex(4)}.parquet"
        with atomic_path(target) as temporary:
            read = guarded(
                "table", about=source, memory=None, path=str(source), target=str(temporary), mode=mode
            )
        dataset = dataset.model_copy(
            update={"control": read["control"], "confirmed": True, "effects_path": target}
        )
    write_record(dataset, staged)
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
    dataset = read_record(folder)
    if dataset is None:
        raise HyperPerturbError(
            f"The folder '{folder}' is in the way: it is not a dataset.", hint="Remove or rename it."
        )
    return dataset


def _memory(source: Path) -> int:
    """Bytes that looking at a screen may take: text is read whole, other formats in pieces."""
    folder = source if source.is_dir() else source.parent
    if source.is_dir() or ".mtx" in source.name.lower():
        return MEMORY + 12 * sum(p.stat().st_size for p in folder.glob("*.mtx*"))
    return MEMORY
