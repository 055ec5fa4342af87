"""The shell scripts: labels of a screen, and downloads that go on where they stopped."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "scripts"
LINKS = gzip.compress(b"protein1 protein2 combined_score\n" + os.urandom(200_000).hex().encode())
FILES = {
    "/download/protein.links.v12.0/9606.protein.links.v12.0.txt.gz": LINKS,
    "/download/protein.info.v12.0/9606.protein.info.v12.0.txt.gz": gzip.compress(
        b"#string_protein_id\tpreferred_name\n"
    ),
    "/files/42428325": b"\x89HDF\r\n\x1a\n" + os.urandom(50_000),
    "/files/42428808": b"\x89HDF\r\n\x1a\n" + os.urandom(90_000),
}
NAMES = {
    "9606.protein.links.v12.0.txt.gz": LINKS,
    "9606.protein.info.v12.0.txt.gz": FILES["/download/protein.info.v12.0/9606.protein.info.v12.0.txt.gz"],
    "FrangiehIzar2021_protein.h5ad": FILES["/files/42428325"],
    "FrangiehIzar2021_RNA.h5ad": FILES["/files/42428808"],
}


class Server(ThreadingHTTPServer):
    """A loopback server that supports Range and can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.drops: Counter[str] = Counter()  # path -> connections to cut half-way
        self.codes: dict[str, list[int]] = {}  # path -> status codes to answer before anything else
        self.bodies = dict(FILES)
        self.ranges = True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        body = self.server.bodies.get(self.path)
        codes = self.server.codes.get(self.path, [])
        if body is None or codes:
            self.answer(codes.pop(0) if codes else 404, b"no such file", {})
            return
        start = 0
        if self.server.ranges and (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            start = int(match[1])
            if start >= len(body):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
        part = body[start:]
        where = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        if self.server.drops[self.path] > 0:
            self.server.drops[self.path] -= 1
            self.answer(206 if start else 200, part, where, send=len(part) // 2)
            return
        self.answer(206 if start else 200, part, where)

    def answer(self, code: int, body: bytes, headers: dict[str, str], send: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body if send is None else body[:send])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["curl", "wget"])
def download(request, tmp_path, server):
    """Runs the download script with one of its two tools, into ``tmp_path / "raw"``."""
    tool = request.param
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    # a PATH without the other tool
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in (tool, "bash", "gzip", "head", "tail", "grep", "wc", "mv", "rm", "mkdir", "sleep", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    environment = {
        "PATH": str(tools),
        "HYPERPERTURB_STRING_URL": f"{server.url}/download",
        "HYPERPERTURB_FIGSHARE_URL": f"{server.url}/files",
        "HYPERPERTURB_RETRY_DELAY": "0",
        "HOME": str(tmp_path),
        "LC_ALL": "C",
    }
    folder = tmp_path / "raw"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tools / "bash", SCRIPTS / "download_string_and_test_data.sh", folder],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )

    run.folder = folder
    run.tool = tool
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_downloads_everything_once(download, server):
    done = download()
    assert done.returncode == 0, done.stderr
    assert contents(download.folder) == NAMES
    n_requests = len(server.requests)
    again = download()
    assert again.returncode == 0
    assert again.stdout.count("already there") == 4
    assert len(server.requests) == n_requests


def test_goes_on_after_dropped_connections(download, server):
    path = "/download/protein.links.v12.0/9606.protein.links.v12.0.txt.gz"
    server.drops[path] = 2
    server.drops["/files/42428808"] = 1
    done = download()
    assert done.returncode == 0, done.stderr
    assert contents(download.folder) == NAMES
    ranges = [wanted for asked, wanted in server.requests if asked == path]
    assert ranges[0] is None
    half = len(LINKS) // 2
    assert ranges[1] == f"bytes={half}-"
    assert ranges[2] == f"bytes={half + (len(LINKS) - half) // 2}-"
    assert len(ranges) == 3


def test_goes_on_in_a_later_run(download, server):
    path = "/files/42428808"
    download.folder.mkdir()
    part = download.folder / "FrangiehIzar2021_RNA.h5ad.part"
    part.write_bytes(FILES[path][:12345])
    done = download()
    assert done.returncode == 0, done.stderr
    assert "FrangiehIzar2021_RNA.h5ad: going on after 12345 bytes" in done.stdout
    assert [wanted for asked, wanted in server.requests if asked == path] == ["bytes=12345-"]
    assert contents(download.folder) == NAMES


def test_a_part_that_is_whole_only_gets_its_name(download):
    download.folder.mkdir()
    (download.folder / "9606.protein.links.v12.0.txt.gz.part").write_bytes(LINKS)
    done = download()
    assert done.returncode == 0, done.stderr
    assert contents(download.folder) == NAMES


def test_server_without_ranges_starts_again(download, server):
    server.ranges = False
    download.folder.mkdir()
    (download.folder / "9606.protein.links.v12.0.txt.gz.part").write_bytes(LINKS[:1000])
    done = download()
    assert done.returncode == 0, done.stderr
    assert contents(download.folder) == NAMES


def test_missing_file_is_named_and_the_others_come(download, server):
    del server.bodies["/files/42428325"]
    done = download()
    assert done.returncode == 1
    assert (
        f"FrangiehIzar2021_protein.h5ad: the server has no such file (HTTP 404): {server.url}/files/42428325"
        in done.stderr
    )
    assert "Not everything could be downloaded." in done.stderr
    assert contents(download.folder) == {
        name: body for name, body in NAMES.items() if "protein.h5ad" not in name
    }


def test_busy_server_is_asked_again(download, server):
    server.codes["/files/42428325"] = [503, 503]
    done = download()
    assert done.returncode == 0, done.stderr
    assert contents(download.folder) == NAMES


def test_server_that_stays_busy_is_given_up(download, server):
    server.codes["/files/42428325"] = [503] * 20
    done = download()
    assert done.returncode == 1
    assert "FrangiehIzar2021_protein.h5ad: no answer after 5 tries (HTTP 503" in done.stderr
    assert not (download.folder / "FrangiehIzar2021_protein.h5ad").exists()


@pytest.mark.parametrize(
    "path", ["/files/42428325", "/download/protein.info.v12.0/9606.protein.info.v12.0.txt.gz"]
)
def test_a_page_instead_of_the_file_is_refused(download, server, path):
    server.bodies[path] = b"<html>Please log in</html>"
    done = download()
    assert done.returncode == 1
    assert "is not the file that was asked for" in done.stderr
    assert len(contents(download.folder)) == 3


def test_no_tool(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dirname").symlink_to(shutil.which("dirname"))
    done = subprocess.run(
        [shutil.which("bash"), SCRIPTS / "download_string_and_test_data.sh", tmp_path / "raw"],
        capture_output=True,
        text=True,
        env={"PATH": str(tools)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Neither curl nor wget is installed." in done.stderr
    assert not (tmp_path / "raw").exists()


def inspect(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "inspect_labels.sh", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )


def test_inspect_labels(small_screen, small_simulation):
    cells = (small_simulation.adata.obs["perturbation"] == "non-targeting").sum()
    done = inspect(small_screen)
    assert done.returncode == 0, done.stderr
    assert "obs columns: perturbation, guide, batch" in done.stdout
    assert "perturbation: 25 labels" in done.stdout
    assert re.search(rf"^ +{cells}  non-targeting$", done.stdout, re.MULTILINE)
    assert "perturbation_type: no such column" in done.stdout
    assert "perturbation_2: no such column" in done.stdout
    assert "'non-targeting' in column 'perturbation'" in done.stdout


def test_inspect_labels_of_the_real_screen(shared_data):
    done = inspect(shared_data / "screens" / "papalexi2021_thp1_299genes.h5ad")
    assert done.returncode == 0, done.stderr
    assert "perturbation: 26 labels" in done.stdout
    assert re.search(r"^ +2,386  non-targeting$", done.stdout, re.MULTILINE)


def test_inspect_labels_says_what_is_wrong(tmp_path):
    done = inspect(cwd=tmp_path)
    if not (ROOT / "data" / "raw" / "FrangiehIzar2021_RNA.h5ad").exists():
        assert done.returncode == 1
        assert "run scripts/download_string_and_test_data.sh first" in done.stderr
    (tmp_path / "text.h5ad").write_text("hello")
    done = inspect(tmp_path / "text.h5ad")
    assert done.returncode == 1
    assert "text.h5ad" in done.stderr
    assert "Traceback" not in done.stderr
