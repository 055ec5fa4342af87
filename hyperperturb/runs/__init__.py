"""Datasets and trainings on disk, and the process that trains (names are imported on first use)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "Dataset": "hyperperturb.runs.datasets",
    "LocalLauncher": "hyperperturb.runs.launcher",
    "NetworkSource": "hyperperturb.runs.config",
    "RunConfig": "hyperperturb.runs.config",
    "RunDirectory": "hyperperturb.runs.directory",
    "RunStatus": "hyperperturb.runs.directory",
    "Workspace": "hyperperturb.runs.workspace",
    "find_run": "hyperperturb.runs.directory",
    "list_datasets": "hyperperturb.runs.datasets",
    "list_runs": "hyperperturb.runs.directory",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
