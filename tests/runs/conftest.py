"""A workspace, waiting, and no process of this folder's tests that outlives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from hyperperturb.runs import guarded
from hyperperturb.runs.workspace import Workspace


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something is true; the limit is for what never will be, not for a busy machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def ws(tmp_path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "home")


@pytest.fixture(scope="module", autouse=True)
def no_helpers_left() -> Iterator[None]:
    """End the processes that read files."""
    yield
    guarded.close()
