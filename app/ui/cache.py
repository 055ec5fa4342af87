"""Results that are kept between clicks, keyed by the files they come from and the files' modification times."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd

    from hyperperturb.data.batches import BatchColumn
    from hyperperturb.data.effects import Effects
    from hyperperturb.data.network import Coverage, Network
    from hyperperturb.data.network_terms import Terms
    from hyperperturb.data.quality_report import Quality
    from hyperperturb.evaluation.report import RunMetrics
    from hyperperturb.models.cell_view import CellView
    from hyperperturb.models.inference import HyperPerturbInference
    from hyperperturb.runs.datasets import Dataset
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.workspace import Workspace


def stamp(*paths: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Path, modification time and size of each file that exists: the key of everything that is read from it."""
    marks = []
    for path in paths:
        if path is None:
            continue
        with suppress(OSError):  # not there
            status = Path(path).stat()
            marks.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(marks)


def datasets(workspace: Workspace) -> list[Dataset]:
    """All registered datasets."""
    from hyperperturb.runs.datasets import list_datasets

    return list_datasets(workspace)


def runs(workspace: Workspace) -> list[RunDirectory]:
    """All runs, newest first."""
    from hyperperturb.runs.folder import list_runs

    return list_runs(workspace.runs_dir)


@dataclass(frozen=True)
class RunFacts:
    """The little that lists and the sidebar say about a run."""

    name: str
    title: str
    dataset: str | None
    verdict: str
    ahead: bool | None
    seconds: float | None


def run_facts(run: RunDirectory) -> RunFacts:
    """Title, dataset and verdict of a run; re-read only when its files change."""
    files = (run.path / name for name in ("config.json", "metrics.json", "status.json"))
    return _run_facts(run.path, stamp(*files))


# Every page asks of all runs, several times: making a key of Streamlit's caches costs more than the look.
@lru_cache(maxsize=500)
def _run_facts(path: Path, key: tuple) -> RunFacts:
    from hyperperturb.runs.directory import RunDirectory

    run, verdict, ahead, seconds = RunDirectory(path), "", None, None
    if run.usable:
        metrics = run.metrics()
        verdict, ahead = str(metrics.get("verdict", "")), metrics.get("ahead")
        status = run.status
        if status.started and status.updated:
            seconds = (status.updated - status.started).total_seconds()
    config = run.config
    return RunFacts(run.name, config.title or run.name, config.dataset, verdict, ahead, seconds)


def metrics(run: RunDirectory) -> RunMetrics | None:
    """The held-out scores of a run; None where it has none that this version can read."""
    return _metrics(run, stamp(run.path / "metrics.json"))


@st.cache_resource(max_entries=8, show_spinner=False)
def _metrics(_run: RunDirectory, key: tuple) -> RunMetrics | None:
    from pydantic import ValidationError

    from hyperperturb.evaluation.report import RunMetrics

    try:
        found = RunMetrics.model_validate(_run.metrics())
    except ValidationError:
        return None
    return found if found.methods else None


def left_out(run: RunDirectory, label: str) -> pd.DataFrame:
    """The effects of a training perturbation, predicted as if it had not been measured."""
    return _left_out(run, label, stamp(run.path / "arrays.npz", run.path / "effects.parquet"))


@st.cache_data(max_entries=64, show_spinner="Predicting it from the others")
def _left_out(_run: RunDirectory, label: str, key: tuple) -> pd.DataFrame:
    return inference(_run).left_out(label)


def inference(run: RunDirectory) -> HyperPerturbInference:
    """The run, ready to be asked; shared by all sessions, read only."""
    return _inference(str(run.path), stamp(run.path / "arrays.npz", run.path / "status.json"))


@st.cache_resource(max_entries=3, show_spinner="Opening the model")
def _inference(path: str, key: tuple) -> HyperPerturbInference:
    from hyperperturb.models.inference import HyperPerturbInference

    return HyperPerturbInference(path)


def effects(workspace: Workspace, dataset: Dataset) -> Effects:
    """The effects of a confirmed dataset."""
    return _effects(workspace, dataset.name, dataset.model_dump_json())


@st.cache_resource(max_entries=3, show_spinner="Reading the effects")
def _effects(_workspace: Workspace, name: str, key: str) -> Effects:
    from hyperperturb.runs.datasets import load_effects

    return load_effects(_workspace, name)


def batches(dataset: Dataset, column: str, label: str) -> tuple[BatchColumn, ...]:
    """The columns that may name batches, for a choice of controls."""
    return _batches(dataset, column, label, stamp(dataset.source, *dataset.tables))


@st.cache_data(max_entries=64, show_spinner="Looking for batches")
def _batches(_dataset: Dataset, column: str, label: str, key: tuple) -> tuple[BatchColumn, ...]:
    from hyperperturb.runs.batches import batch_columns

    return batch_columns(_dataset, column, label)


def quality(dataset: Dataset) -> Quality | None:
    """How good the screen of a dataset is; None when nobody has judged it yet."""
    return _quality(dataset, stamp(dataset.quality_path))


@st.cache_resource(max_entries=8, show_spinner=False)
def _quality(_dataset: Dataset, key: tuple) -> Quality | None:
    from hyperperturb.runs.quality import load_quality

    return load_quality(_dataset) if key else None


def cell_view(run: RunDirectory) -> CellView | None:
    """The cells of a run as they were drawn; None where they were not."""
    from hyperperturb.runs.cell_views import view_path

    path = view_path(run)
    return None if path is None else _cell_view(path, stamp(path))


@st.cache_resource(max_entries=4, show_spinner="Opening the cells")
def _cell_view(path: Path, key: tuple) -> CellView:
    from hyperperturb.models.cell_view import CellView

    return CellView(path)


def network(path: Path, *, info: Path | None = None, kind: str = "auto") -> Network:
    """A network file, read and checked."""
    return _network(str(path), str(info) if info else None, kind, stamp(path, info))


@st.cache_resource(max_entries=8, show_spinner="Reading the network")
def _network(path: str, info: str | None, kind: str, key: tuple) -> Network:
    from hyperperturb.data.network import read_network

    if not key:
        raise HyperPerturbError(f"There is no file '{path}' on the server.", hint="Check the path.")
    return read_network(Path(path), info=Path(info) if info else None, kind=kind)


def coverage(path: Path, workspace: Workspace, dataset: Dataset) -> Coverage:
    """How much of the dataset a network knows."""
    return _coverage(workspace, dataset, str(path), (stamp(path), dataset.model_dump_json()))


@st.cache_data(max_entries=64, show_spinner="Comparing the network with the screen")
def _coverage(_workspace: Workspace, _dataset: Dataset, path: str, key: tuple) -> Coverage:
    from hyperperturb.data.network import coverage as measure

    return measure(network(Path(path)), effects(_workspace, _dataset))


def wanted(run: RunDirectory, up: tuple[str, ...], down: tuple[str, ...], *, untested: bool) -> pd.DataFrame:
    """The interventions that move genes up and down, best first."""
    return _wanted(run, up, down, untested, stamp(run.path / "arrays.npz", run.path / "effects.parquet"))


@st.cache_data(max_entries=64, show_spinner="Ranking interventions")
def _wanted(
    _run: RunDirectory, up: tuple[str, ...], down: tuple[str, ...], untested: bool, key: tuple
) -> pd.DataFrame:
    asked = inference(_run)
    further = [[gene] for gene in asked.untested] if untested else []
    return asked.rank_perturbations(goal="target", up=up, down=down, unseen=further)


def has_terms(path: Path, genes: frozenset[str]) -> bool:
    """Whether a network file says which term any of `genes` has."""
    try:
        return not genes.isdisjoint(_terms(str(path), stamp(path)).genes)
    except HyperPerturbError:
        return False


@st.cache_resource(max_entries=8, show_spinner="Reading the terms")
def _terms(path: str, key: tuple) -> Terms:
    from hyperperturb.data.network_readers import read_terms

    return read_terms(path)


def enrichment(path: Path, genes: tuple[str, ...], run: HyperPerturbInference) -> pd.DataFrame:
    """The terms of a file that a gene set is rich in, among the genes of a run."""
    return _enrichment(run, run.run.name, genes, str(path), stamp(path))


@st.cache_data(max_entries=32, show_spinner="Comparing the set with the terms")
def _enrichment(
    _run: HyperPerturbInference, name: str, genes: tuple[str, ...], path: str, key: tuple
) -> pd.DataFrame:
    from hyperperturb.evaluation.enrichment import enrichment as test

    return test(genes, _terms(path, key), background=set(_run.genes["gene"].astype(str)))
