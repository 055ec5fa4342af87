"""app."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from hyperperturb.testing import free_port

GENES = ["STAT1", "IRF1", "MYC"]


def test_the_app_refuses_a_port_that_is_taken(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, err = call("app", "--port", taken.getsockname()[1])
    assert (code, out) == (1, "")
    assert "Choose another --port" in err


@pytest.mark.slow
def test_the_app_serves_its_first_page_without_tensorflow(tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperperturb", "app", "--port", str(port), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HYPERPERTURB_HOME": str(tmp_path)},
    )
    try:
        said = json.loads(process.stdout.readline())
        assert said == {"url": f"http://127.0.0.1:{port}", "pid": process.pid}
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{said['url']}/_stcore/health") as answer:
                    assert answer.read() == b"ok"
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.2)
        assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.terminate()
        process.communicate(timeout=30)
