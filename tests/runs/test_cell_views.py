"""Drawing cells is a process of its own beside a finished run."""

from __future__ import annotations

import pytest

from hyperperturb.cli import main
from hyperperturb.data.effects import compute_effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cell_view import CellView
from hyperperturb.runs import cell_views
from hyperperturb.runs.folder import delete_run, list_runs
from tests.runs.conftest import wait_for


@pytest.fixture
def make(small_screen, small_simulation, tmp_path, finished_run):
    def run(**config):
        effects = compute_effects(small_screen, column="perturbation", control="non-targeting")
        return finished_run(tmp_path / "runs", effects, small_simulation.network, **config)

    return run


@pytest.mark.slow
def test_it_is_stopped_started_again_and_leaves_a_view(make, small_screen):
    run = make(screen=small_screen, column="perturbation", cells=True)
    assert cell_views.view_path(run) is None
    job = cell_views.start_drawing(run, max_cells=400)
    wait_for(lambda: job.status.state == "running")
    with pytest.raises(HyperPerturbError, match="being drawn already"):
        cell_views.start_drawing(run, max_cells=400)
    with pytest.raises(HyperPerturbError, match="being drawn"):
        delete_run(run)
    cell_views.LAUNCHER.cancel(job)
    assert cell_views.drawing_of(run).status.state == "cancelled"
    assert cell_views.view_path(run) is None

    job = cell_views.start_drawing(run, max_cells=400, seed=2)
    wait_for(lambda: job.status.done)
    assert job.status.state == "finished", job.status
    view = CellView(cell_views.view_path(run))
    assert 400 <= view.about["drawn"] < 430
    assert view.about["seed"] == 2
    assert [found.name for found in list_runs(run.path.parent)] == [run.name], "it is no run of its own"
    assert run.usable
    delete_run(run)


def test_without_cells_there_is_nothing_to_draw(make, tmp_path, capsys):
    run = make(effects=tmp_path / "effects.csv")
    with pytest.raises(HyperPerturbError, match="no cells to draw"):
        cell_views.start_drawing(run, max_cells=100)
    assert main(["cells", str(run.path)]) == 1
    assert "without cells" in capsys.readouterr().err


def test_a_screen_that_changed_is_not_drawn(make, small_screen, tmp_path, capsys):
    copy = tmp_path / "screen.h5ad"
    copy.write_bytes(small_screen.read_bytes())
    run = make(screen=copy, column="perturbation", cells=True)
    run.keep_inputs()
    copy.write_bytes(copy.read_bytes() + b" ")
    assert main(["cells", str(run.path)]) == 1
    assert "has changed" in capsys.readouterr().err
    copy.unlink()
    assert main(["cells", str(run.path)]) == 1
    assert "screen.h5ad" in capsys.readouterr().err


def test_the_command_says_what_it_wants(tmp_path, capsys):
    assert cell_views.main([]) == 2
    assert cell_views.main([str(tmp_path / "none")]) == 1
    assert "Usage" in capsys.readouterr().err
