"""Reading in a process of its own: results, sentences, limits, and helpers that come to an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from hyperperturb.data.screen import ScreenReport, inspect_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import guarded as module
from hyperperturb.runs.guarded import guarded


def test_a_report_comes_back_whole_and_the_helper_stays_warm(small_screen):
    first = guarded("inspect", about=small_screen, path=str(small_screen))
    assert ScreenReport.model_validate(first) == inspect_screen(small_screen)
    helper = module._idle[-1]
    assert guarded("inspect", about=small_screen, path=str(small_screen)) == first
    assert module._idle[-1] is helper


def test_sentences_come_back_and_the_helper_stays(tmp_path):
    path = tmp_path / "a.h5ad"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(HyperPerturbError, match="it is damaged") as caught:
        guarded("inspect", about=path, path=str(path))
    assert caught.value.hint == "Copy or download it again."
    assert module._idle


def test_progress_is_told_and_may_stop_the_work(small_screen, tmp_path):
    told = []
    choice = {"column": "perturbation", "control": "non-targeting"}
    out = tmp_path / "effects.parquet"
    guarded(
        "effects",
        about=small_screen,
        seconds=60,
        memory=None,
        progress=lambda f, m: told.append((f, m)),
        path=str(small_screen),
        target=str(out),
        **choice,
    )
    assert out.is_file()
    assert told[-1] == (1.0, "Effects computed")

    class Enough(Exception):  # noqa: N818
        pass

    def stop(fraction, message):
        raise Enough

    waiting = len(module._idle)
    with pytest.raises(Enough):
        guarded(
            "effects",
            about=small_screen,
            seconds=60,
            memory=None,
            progress=stop,
            path=str(small_screen),
            target=str(tmp_path / "b.parquet"),
            **choice,
        )
    assert len(module._idle) == waiting - 1, "the helper that was busy is gone"
    assert not (tmp_path / "b.parquet").exists()


def test_a_helper_that_ends_is_a_sentence(small_screen, monkeypatch):
    def ask_and_crash(self, request):
        os.kill(self.process.pid, signal.SIGSEGV)

    with monkeypatch.context() as patched:
        patched.setattr(module._Helper, "ask", ask_and_crash)
        with pytest.raises(HyperPerturbError, match=r"ended the process that read it \(signal SIGSEGV\)"):
            guarded("inspect", about=small_screen, path=str(small_screen))
    assert guarded("inspect", about=small_screen, path=str(small_screen))["n_cells"] == 1500


def test_time_is_limited(small_screen, tmp_path):
    choice = {"target": str(tmp_path / "a.json"), "column": "perturbation", "control": "non-targeting"}
    with pytest.raises(HyperPerturbError, match="given up after 0 seconds"):
        guarded("quality", about=small_screen, seconds=0.0, path=str(small_screen), **choice)


def test_memory_is_limited(tmp_path):
    """A limit below what a look at the file needs."""
    from tests.data.conftest import small_adata

    path = tmp_path / "a.h5ad"
    adata = small_adata(n_cells=3000, n_genes=1000)
    adata.X = adata.X.toarray()
    adata.write_h5ad(path)
    with pytest.raises(
        HyperPerturbError, match=r"memory.*If the file should not be that large, it is damaged"
    ):
        guarded("inspect", about=path, path=str(path), memory=4 << 20)
    assert guarded("inspect", about=path, path=str(path))["n_genes"] == 1000


def test_helpers_end_with_the_process_that_asked(small_screen, root):
    program = (
        "from pathlib import Path\nfrom hyperperturb.runs import guarded as g\n"
        f"p = {str(small_screen)!r}\ng.guarded('inspect', about=Path(p), path=p)\n"
        "print(g._idle[0].process.pid, flush=True)\n"
        "import os; os._exit(0)\n"  # as a server that is killed
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root
    )
    pid = int(out.stdout)
    deadline = time.monotonic() + 10
    from hyperperturb.runs.process import is_alive

    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)
