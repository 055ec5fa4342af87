"""What several test folders use."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class FileServer(ThreadingHTTPServer):
    """A server of files on the loopback that supports ranges and can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}  # path -> what is there
        self.requests: list[tuple[str, str | None]] = []  # path and Range of every request
        self.drops: Counter[str] = Counter()  # path -> connections to cut half-way
        self.codes: dict[str, list[int]] = {}  # path -> status codes to answer before anything else
        self.more: Counter[str] = Counter()  # path -> bytes that Content-Length claims too many
        self.pause: dict[str, float] = {}  # path -> seconds between two pieces
        self.ranges = True
        self.tags = True  # whether files have an ETag
        super().__init__(("127.0.0.1", 0), _FileHandler)

    @property
    def url(self) -> str:
        """Address of the root."""
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path: str) -> list[str | None]:
        """The ranges that were asked for of a path, in order."""
        return [wanted for asked, wanted in self.requests if asked == path]

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no news."""


class _FileHandler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        body = server.bodies.get(self.path)
        codes = server.codes.get(self.path, [])
        if body is None or codes:
            self._answer(codes.pop(0) if codes else 404, b"no such file", {})
            return
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        same = self.headers.get("If-Range", tag) == tag
        start = 0
        if server.ranges and same and (m := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            start = int(m[1])
            if start >= len(body):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
        part = body[start:]
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        if server.tags:
            headers["ETag"] = tag
        send = None
        if server.drops[self.path] > 0:
            server.drops[self.path] -= 1
            send = len(part) // 2
        self._answer(206 if start else 200, part, headers, send=send)

    def _answer(self, code: int, body: bytes, headers: dict[str, str], send: int | None = None) -> None:
        self.send_response(code)
        claimed = len(body) + (self.server.more[self.path] if code in (200, 206) else 0)
        self.send_header("Content-Length", str(claimed))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        pause = self.server.pause.get(self.path, 0.0)
        piece = 8192 if pause else max(len(body), 1)
        for at in range(0, len(body) if send is None else send, piece):
            self.wfile.write(body[at : at + piece] if send is None else body[at : min(at + piece, send)])
            self.wfile.flush()
            time.sleep(pause)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def file_server(monkeypatch) -> Iterator[FileServer]:
    """An empty server of files; downloads reach it whatever proxy is set, and do not wait between tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HYPERPERTURB_RETRY_DELAY", "0")
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
