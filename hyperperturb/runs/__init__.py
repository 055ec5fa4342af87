"""Datasets and trainings on disk, and the process that trains (names are imported on first use)."""

from __future__ import annotations

from hyperperturb.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "config": "NetworkSource RunConfig",
        "datasets": "Dataset list_datasets",
        "directory": "RunDirectory",
        "folder": "find_run list_runs",
        "launcher": "LocalLauncher",
        "status": "RunStatus",
        "workspace": "Workspace",
    },
)
