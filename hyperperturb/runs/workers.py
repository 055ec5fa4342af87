"""Where each worker of a training on several machines keeps its run: only the first one's stays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperperturb.nn.cluster import Cluster


@contextmanager
def folder_of_worker(strategy: str, folder: Path | str) -> Iterator[Path]:
    """Give the folder of runs or, to every worker but the first, one that is removed again.

    Parameters
    ----------
    strategy
        As in the settings; only ``multiworker`` makes a difference.
    folder
        The folder of runs.

    Yields
    ------
    Path

    Raises
    ------
    HyperPerturbError
        When the strategy is multiworker and TF_CONFIG does not describe the workers.
    """
    if strategy != "multiworker" or Cluster.from_environment().chief:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hyperperturb-worker-") as scratch:
        yield Path(scratch)
