"""Downloads against a server that behaves, drops, lies, dawdles and refuses: what has its name is whole, always."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import h5py
import pytest

from hyperperturb.data.catalogue import CatalogueEntry
from hyperperturb.data.download import fetch_entry
from hyperperturb.errors import HyperPerturbError

BODY = os.urandom(300_000)
PATH = "/files/screen.bin"


class Stopped(Exception):  # noqa: N818
    """What a person's Stop raises inside the progress callback."""


def digest(body: bytes, algorithm: str = "md5") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


@pytest.fixture
def entry(file_server):
    """Puts files on the server and gives the entry that names them."""

    def make(bodies: dict[str, bytes] | None = None, **about: object) -> CatalogueEntry:
        files = []
        for path, body in (bodies or {PATH: BODY}).items():
            file_server.bodies[path] = body
            files.append({"name": path.rsplit("/", 1)[-1], "url": file_server.url + path} | about)
        return CatalogueEntry.model_validate(
            {"name": "some-screen", "kind": "screen", "title": "Some", "file": files}
        )

    return make


def published(body: bytes = BODY) -> dict[str, object]:
    return {"size": len(body), "checksum": digest(body)}


def listing(folder: Path) -> list[str]:
    """Everything in a folder, hidden or not."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) if folder.exists() else []


def test_a_file_comes_whole_with_progress_that_only_grows(entry, file_server, tmp_path):
    seen = []
    (path,) = fetch_entry(entry(**published()), tmp_path / "raw", progress=lambda f, m: seen.append((f, m)))
    assert path == tmp_path / "raw" / "screen.bin"
    assert path.read_bytes() == BODY
    assert listing(tmp_path / "raw") == ["screen.bin"]
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("300 kB of 300 kB" in message for _, message in seen)


def test_what_is_there_is_checked_and_not_asked_for_again(entry, file_server, tmp_path):
    wanted = entry(**published())
    fetch_entry(wanted, tmp_path)
    fetch_entry(wanted, tmp_path)
    assert len(file_server.requests) == 1
    (tmp_path / "screen.bin").write_bytes(BODY[:-1] + b"?")  # the right size, other bytes
    fetch_entry(wanted, tmp_path)
    assert len(file_server.requests) == 2
    assert (tmp_path / "screen.bin").read_bytes() == BODY


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_checksums_of_every_kind(entry, tmp_path, algorithm):
    (path,) = fetch_entry(entry(checksum=digest(BODY, algorithm)), tmp_path)
    assert path.read_bytes() == BODY


def test_goes_on_after_dropped_connections(entry, file_server, tmp_path):
    file_server.drops[PATH] = 3
    (path,) = fetch_entry(entry(**published()), tmp_path)
    assert path.read_bytes() == BODY
    asked = file_server.asked(PATH)
    assert asked[0] is None
    assert asked[1:] == ["bytes=150000-", "bytes=225000-", "bytes=262500-"]


def test_goes_on_in_a_later_call_from_the_same_byte(entry, file_server, tmp_path):
    wanted = entry(**published())
    file_server.pause[PATH] = 0.02
    seen = []

    def stop_at_half(fraction: float, message: str) -> None:
        seen.append(fraction)
        if fraction > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        fetch_entry(wanted, tmp_path, progress=stop_at_half)
    assert not (tmp_path / "screen.bin").exists()
    (part,) = tmp_path.glob(".screen.bin.download/part")
    have = part.stat().st_size
    assert 150_000 < have < 300_000
    assert BODY.startswith(part.read_bytes())
    file_server.pause.clear()
    fetch_entry(wanted, tmp_path)
    assert (tmp_path / "screen.bin").read_bytes() == BODY
    assert file_server.asked(PATH)[1] == f"bytes={have}-"
    assert listing(tmp_path) == ["screen.bin"]


def interrupt(wanted: CatalogueEntry, folder: Path, after: float = 0.5) -> None:
    def stop(fraction: float, message: str) -> None:
        if fraction > after:
            raise Stopped

    with pytest.raises(Stopped):
        fetch_entry(wanted, folder, progress=stop)


def test_a_file_that_changed_meanwhile_is_not_stitched_together(entry, file_server, tmp_path):
    wanted = entry()
    file_server.pause[PATH] = 0.02
    interrupt(wanted, tmp_path)
    file_server.pause.clear()
    newer = os.urandom(300_000)
    file_server.bodies[PATH] = newer
    fetch_entry(wanted, tmp_path)
    assert (tmp_path / "screen.bin").read_bytes() == newer


def test_without_tag_and_checksum_an_old_part_is_not_trusted(entry, file_server, tmp_path):
    file_server.tags = False
    wanted = entry()
    file_server.pause[PATH] = 0.02
    interrupt(wanted, tmp_path)
    file_server.pause.clear()
    fetch_entry(wanted, tmp_path)
    assert file_server.asked(PATH) == [None, None]
    assert (tmp_path / "screen.bin").read_bytes() == BODY


def test_a_part_that_is_whole_only_gets_its_name(entry, file_server, tmp_path):
    wanted = entry(**published())
    file_server.pause[PATH] = 0.02
    interrupt(wanted, tmp_path)
    (part,) = tmp_path.glob(".screen.bin.download/part")
    part.write_bytes(BODY)
    fetch_entry(wanted, tmp_path)
    assert (tmp_path / "screen.bin").read_bytes() == BODY
    assert file_server.asked(PATH)[1] == "bytes=300000-"


def test_a_server_without_ranges_begins_again(entry, file_server, tmp_path):
    file_server.ranges = False
    file_server.drops[PATH] = 2
    (path,) = fetch_entry(entry(**published()), tmp_path)
    assert path.read_bytes() == BODY
    assert len(file_server.requests) == 3


def test_a_server_without_ranges_that_always_drops_is_given_up(entry, file_server, tmp_path):
    file_server.ranges = False
    file_server.drops[PATH] = 100
    with pytest.raises(HyperPerturbError, match=r"127\.0\.0\.1: .*5 times in a row"):
        fetch_entry(entry(**published()), tmp_path)
    assert not (tmp_path / "screen.bin").exists()
    assert len(file_server.requests) == 6


def test_a_content_length_that_is_too_long_is_not_believed(entry, file_server, tmp_path):
    file_server.more[PATH] = 1000
    (path,) = fetch_entry(entry(), tmp_path)  # asked for the rest, the server says that there is none
    assert path.read_bytes() == BODY
    path.unlink()
    file_server.ranges = False
    with pytest.raises(HyperPerturbError, match="could not be downloaded"):
        fetch_entry(entry(), tmp_path)
    assert not (tmp_path / "screen.bin").exists()


def test_a_content_length_that_is_too_short_is_found_out(entry, file_server, tmp_path):
    file_server.more[PATH] = -1000
    with pytest.raises(HyperPerturbError, match="another checksum"):
        fetch_entry(entry(checksum=digest(BODY)), tmp_path)
    assert listing(tmp_path) == []


def test_another_size_than_published_is_refused_before_it_is_received(entry, file_server, tmp_path):
    with pytest.raises(HyperPerturbError, match=r"300,000 bytes, the published file has 299,999"):
        fetch_entry(entry(size=299_999, checksum=digest(BODY)), tmp_path)
    assert listing(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing(entry, file_server, tmp_path):
    with pytest.raises(HyperPerturbError, match=r"another checksum than md5:0{32}\. It was removed"):
        fetch_entry(entry(checksum="md5:" + "0" * 32), tmp_path)
    assert listing(tmp_path) == []


def test_a_missing_file_is_named_with_its_address(entry, file_server, tmp_path):
    wanted = entry()
    file_server.bodies.clear()
    with pytest.raises(HyperPerturbError, match=rf"HTTP 404\): {file_server.url}/files/screen.bin"):
        fetch_entry(wanted, tmp_path)
    assert listing(tmp_path) == []
    assert len(file_server.requests) == 1


def test_a_busy_server_is_asked_again(entry, file_server, tmp_path):
    file_server.codes[PATH] = [503, 429, 500]
    (path,) = fetch_entry(entry(), tmp_path)
    assert path.read_bytes() == BODY


def test_a_server_that_stays_busy_is_given_up(entry, file_server, tmp_path):
    file_server.codes[PATH] = [503] * 20
    with pytest.raises(HyperPerturbError, match="HTTP 503, 5 times in a row"):
        fetch_entry(entry(), tmp_path)
    assert listing(tmp_path) == []
    assert len(file_server.requests) == 5


def test_without_a_connection_it_says_what_to_do_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HYPERPERTURB_RETRY_DELAY", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/a.bin"
    wanted = CatalogueEntry.model_validate(
        {"name": "some-screen", "kind": "screen", "title": "Some", "file": [{"name": "a.bin", "url": url}]}
    )
    with pytest.raises(HyperPerturbError) as caught:
        fetch_entry(wanted, tmp_path)
    said = str(caught.value)
    assert "cannot be reached (no connection)" in said
    assert f"download {url} on another machine" in said
    assert f"put it here as {tmp_path / 'a.bin'}" in said
    assert f"run: hyperperturb download some-screen --to {tmp_path}" in said
    (tmp_path / "a.bin").write_bytes(b"by hand")
    assert fetch_entry(wanted, tmp_path) == (
        tmp_path / "a.bin",
    )  # and then it is taken, still without a connection


def test_a_slow_server_can_be_stopped_at_once(entry, file_server, tmp_path):
    file_server.pause[PATH] = 0.01
    stop, messages = threading.Event(), []

    def progress(fraction: float, message: str) -> None:
        messages.append(message)
        if stop.is_set():
            raise Stopped

    timer = threading.Timer(0.9, stop.set)
    timer.start()
    wanted = entry({PATH: BODY * 10})
    with pytest.raises(Stopped):
        fetch_entry(wanted, tmp_path, progress=progress)
    timer.join()
    assert not (tmp_path / "screen.bin").exists()
    assert any("a second" in message and "left" in message for message in messages)


def test_a_disk_that_is_too_small_is_told_before_anything_is_asked_for(
    entry, file_server, tmp_path, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(HyperPerturbError, match=r"300 kB are needed, 1\.00 MB are free"):
        fetch_entry(entry(**published()), tmp_path / "raw")
    assert file_server.requests == []
    assert not (tmp_path / "raw").exists()
    with pytest.raises(HyperPerturbError, match="300 kB are needed"):  # known from the answer only
        fetch_entry(entry(), tmp_path / "raw")
    assert not (tmp_path / "raw" / "screen.bin").exists()


def test_a_folder_that_cannot_be_made_is_told(entry, tmp_path):
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(HyperPerturbError, match="Cannot write to"):
        fetch_entry(entry(), tmp_path / "raw")


def test_two_at_once_do_not_write_into_each_other(entry, file_server, tmp_path):
    file_server.pause[PATH] = 0.005
    wanted, errors = entry(**published()), []
    begun = threading.Event()

    def first() -> None:
        fetch_entry(wanted, tmp_path, progress=lambda fraction, message: begun.set())

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    while not (tmp_path / ".screen.bin.download" / "part").exists():
        pass
    try:
        fetch_entry(wanted, tmp_path)
    except HyperPerturbError as error:
        errors.append(str(error))
    thread.join()
    assert "is being downloaded" in errors[0]
    assert (tmp_path / "screen.bin").read_bytes() == BODY
    assert listing(tmp_path) == ["screen.bin"]


def hdf5(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        file["x"] = list(range(1000))
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.h5ad", "a.gz", "a.zip", "a.tsv"])
def test_without_a_checksum_the_file_must_be_what_its_name_says(entry, file_server, tmp_path, name):
    page = b"<!DOCTYPE html><html>Please log in</html>"
    wanted = entry({f"/{name}": page})
    with pytest.raises(HyperPerturbError, match="is not the file that was asked for"):
        fetch_entry(wanted, tmp_path / "raw")
    assert listing(tmp_path / "raw") == []
    good = {"a.gz": gzip.compress(b"text" * 1000), "a.tsv": b"A\tB\n"}
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("a.gmt", "set\tid\tA\tB\n")
    body = good.get(name) or (
        (tmp_path / "good.zip").read_bytes() if name == "a.zip" else hdf5(tmp_path / "g")
    )
    file_server.bodies[f"/{name}"] = body
    assert fetch_entry(wanted, tmp_path / "raw")[0].read_bytes() == body
    if name != "a.tsv":
        file_server.bodies[f"/{name}"] = body[: len(body) // 2]
        with pytest.raises(HyperPerturbError, match="is not the file that was asked for"):
            fetch_entry(wanted, tmp_path / "other")


def test_several_files_come_one_after_the_other(entry, file_server, tmp_path):
    seen = []
    bodies = {"/links.bin": BODY, "/info.bin": BODY[:1000]}
    paths = fetch_entry(entry(bodies), tmp_path, progress=lambda fraction, message: seen.append(fraction))
    assert [path.read_bytes() for path in paths] == list(bodies.values())
    assert seen == sorted(seen)
    wanted = entry({"/links.bin": BODY, "/gone.bin": BODY})
    del file_server.bodies["/gone.bin"]
    with pytest.raises(HyperPerturbError, match="HTTP 404"):
        fetch_entry(wanted, tmp_path)
    assert listing(tmp_path) == ["info.bin", "links.bin"]
