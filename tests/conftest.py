"""What several test folders use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real screens, effects and networks beside the checkout."""
    if not SHARED_DATA.parent.exists():
        pytest.skip("the real data are not here: there is no folder ../shared beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def small_simulation():
    """A simulated screen that everything can be tried on in seconds: 120 genes, 1,500 cells, 24 perturbations."""
    from hyperperturb.data.simulate import simulate_screen

    return simulate_screen(
        seed=3, n_genes=120, n_regulators=18, n_single=20, n_double=4, n_cells=1500, n_batches=2
    )


@pytest.fixture(scope="session")
def small_screen(small_simulation, tmp_path_factory) -> Path:
    """That screen as a file; its network and its true effects lie beside it."""
    from hyperperturb.data.simulate import write_simulation

    path = tmp_path_factory.mktemp("simulated") / "screen.h5ad"
    write_simulation(small_simulation, path)
    return path
