"""One file over HTTP: goes on where an earlier transfer stopped, tries again, and can be stopped.

A part is continued only when the server still offers the same file (``ETag`` or ``Last-Modified``, by an ``If-Range``
request), or when a published checksum will tell.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hyperperturb.data.catalogue import RemoteFile
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import file_size, read_json, write_json
from hyperperturb.progress import Progress, RateMeter

if TYPE_CHECKING:
    import requests

DELAY_VARIABLE = "HYPERPERTURB_RETRY_DELAY"
"""Seconds before another try; it doubles with every try that brings nothing."""

_TRIES = 5  # in a row without progress
_TRIES_UNANSWERED = 3  # when the server has never answered: most likely there is no connection
_TIMEOUT = (15, 30)  # seconds to connect, seconds of silence
_CHUNK = 1 << 16
_ROOM = 64 << 20  # bytes that stay free on the disk
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))  # HTTP says: later


def require_room(folder: Path, needed: int | None) -> None:
    """Refuse to begin what the disk has no room for."""
    if needed is None:
        return
    existing = next((f for f in (folder, *folder.absolute().parents) if f.exists()), None)
    if existing is None:
        return
    free = shutil.disk_usage(existing).free
    if free < needed + _ROOM:
        raise HyperPerturbError(
            f"There is too little room in '{folder}': {file_size(needed)} are needed, {file_size(free)} are free.",
            hint="Free some space, or choose a folder on another disk with --to.",
        )


class _Lost(Exception):  # noqa: N818 - not a mistake: one try of several
    """A try that ended early: why, whether the server answered, how long it asks to wait."""

    def __init__(self, why: str, *, answered: bool, wait: float = 0.0) -> None:
        super().__init__(why)
        self.answered = answered
        self.wait = wait


class Transfer:
    """What pooch calls to bring a file: it goes on where an earlier transfer stopped.

    Parameters
    ----------
    file
        What is wanted.
    parts
        Hidden folder for what has been received, and a note from where.
    folder, entry
        Where the file goes and what it belongs to, for the sentences.
    progress
        Where to report.
    """

    PART, NOTE = "part", "part.json"

    def __init__(self, file: RemoteFile, parts: Path, folder: Path, entry: str, progress: Progress) -> None:
        self.file, self.folder, self.entry = file, folder, entry
        self.part, self.note = parts / self.PART, parts / self.NOTE
        self.progress = progress
        self.delay = _delay()
        self.total: int | None = file.size
        self.validator = ""

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        import requests

        self._recall(url)
        with requests.Session() as session:
            session.headers["User-Agent"] = f"hyperperturb/{version('hyperperturb')}"
            tries, answered, most = 0, False, self._have()
            while True:
                try:
                    self._receive(session, url)
                    break
                except _Lost as lost:
                    answered |= lost.answered
                    # a server without ranges begins anew each time: only more than ever before is progress
                    tries = tries + 1 if self._have() <= most else 0
                    most = max(most, self._have())
                    if tries >= (_TRIES if answered else _TRIES_UNANSWERED):
                        raise self._given_up(url, str(lost), answered=answered) from lost
                    self._wait(max(lost.wait, min(self.delay * 2**tries, 30.0)), str(lost))
        self.note.unlink(missing_ok=True)
        self.part.replace(output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _recall(self, url: str) -> None:
        """Go on with an earlier part only when it can be told whether it belongs to the same file."""
        try:
            note = read_json(self.note)
            self.validator = note["validator"] if note["url"] == url else ""
        except (HyperPerturbError, KeyError, TypeError):
            note = {}
        if note.get("url") != url or not (self.validator or self.file.checksum):
            self.part.unlink(missing_ok=True)

    def _receive(self, session: requests.Session, url: str) -> None:
        """One request, and as much of the file as it brings."""
        import requests

        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.validator:
                headers["If-Range"] = self.validator
        try:
            response = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
        except requests.exceptions.RequestException as error:
            raise _Lost(_reason(error), answered=False) from error
        with response:
            if not self._begins(response, url, have):
                return
            have = self._have()
            meter = RateMeter(
                self.progress, self.total, f"Downloading {self.file.name}", "", begin=have, words=file_size
            )
            with self.part.open("ab") as handle:
                meter(have)
                for chunk in _chunks(response):
                    handle.write(chunk)
                    have += len(chunk)
                    meter(have)
                handle.flush()
                os.fsync(handle.fileno())
        if self.total is not None and have < self.total:
            raise _Lost(f"the server stopped after {have:,} of {self.total:,} bytes", answered=True)
        if self.total is not None and have > self.total:
            self.part.unlink()
            raise _Lost("the server sent more than it said", answered=True)

    def _begins(self, response: requests.Response, url: str, have: int) -> bool:
        """Read the answer's head; False when nothing is left to receive."""
        status = response.status_code
        start, total = _content_range(response.headers.get("Content-Range", ""))
        if status in _AGAIN:
            raise _Lost(f"HTTP {status}", answered=True, wait=_retry_after(response))
        if status == 416:  # nothing after what we have: it is all there, or belongs to another file
            if have and total == have:
                self._agree(url, total)
                return False
            self.part.unlink(missing_ok=True)
            raise _Lost("the server has less than was received", answered=True)
        if status == 206 and start != have:
            self.part.unlink(missing_ok=True)
            raise _Lost("the server sent another part than was asked for", answered=True)
        if status not in (200, 206):
            raise HyperPerturbError(
                f"The server has no such file (HTTP {status}): {url}",
                hint="Look at the address in a browser; the file may have moved.",
            )
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity" and not self.file.name.endswith(".gz"):
            raise HyperPerturbError(f"The server sends '{self.file.name}' packed ({encoding}): {url}")
        if status == 200:
            self.part.unlink(missing_ok=True)
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        self._agree(url, total)
        self.validator = _validator(response)
        write_json(self.note, {"url": url, "validator": self.validator})
        require_room(self.folder, None if total is None else total - self._have())
        return True

    def _agree(self, url: str, total: int | None) -> None:
        """Compare the size that the server offers with the published one."""
        if self.file.size is not None and total is not None and total != self.file.size:
            self.part.unlink(missing_ok=True)
            raise HyperPerturbError(
                f"The server offers '{self.file.name}' with {total:,} bytes, the published file has "
                f"{self.file.size:,}: {url}",
                hint="Look at the address in a browser: the file has been replaced, or a page stands in its place.",
            )
        self.total = total if total is not None else self.file.size

    def _wait(self, seconds: float, why: str) -> None:
        end = time.monotonic() + seconds
        fraction = self._have() / self.total if self.total else 0.0
        while (left := end - time.monotonic()) > 0:
            self.progress(fraction, f"Waiting {left:.0f} s to go on with {self.file.name} ({why})")
            time.sleep(min(left, 0.2))

    def _given_up(self, url: str, why: str, *, answered: bool) -> HyperPerturbError:
        host = urlsplit(url).hostname
        if answered:
            kept = f" {file_size(self._have())} of it are kept." if self._have() else ""
            return HyperPerturbError(
                f"'{self.file.name}' could not be downloaded from {host}: {why}, {_TRIES} times in a row.{kept}",
                hint="Start the download again later; it goes on where it stopped.",
            )
        return HyperPerturbError(
            f"{host} cannot be reached ({why}).",
            hint=f"Without a connection: download {url} on another machine, put it here as "
            f"{self.folder / self.file.name}, and run: hyperperturb download {self.entry} --to {self.folder}",
        )


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The bytes of an answer as they come; what goes wrong with the connection is a lost try."""
    import requests
    import urllib3

    while True:
        try:
            chunk = response.raw.read(_CHUNK, decode_content=False)
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise _Lost(_reason(error), answered=True) from error
        if not chunk:
            return
        yield chunk


def _delay() -> float:
    try:
        return max(float(os.environ.get(DELAY_VARIABLE, "1")), 0.0)
    except ValueError:
        return 1.0


def _validator(response: requests.Response) -> str:
    """What identifies this version of the file in an ``If-Range`` header (RFC 9110, section 13.1.5)."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _content_range(value: str) -> tuple[int | None, int | None]:
    """First byte and total of a ``Content-Range`` header; None for what it does not say.

    Examples
    --------
    >>> _content_range("bytes 100-199/200"), _content_range("bytes */200"), _content_range("")
    ((100, 200), (None, 200), (None, None))
    """
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", value.strip())
    if match is None:
        return None, None
    return tuple(int(text) if text and text != "*" else None for text in match.groups())


def _retry_after(response: requests.Response) -> float:
    """Seconds that the server asks to wait (RFC 9110, section 10.2.3), a minute at most."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), 60.0)
    try:
        return min(max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0), 60.0)
    except (ValueError, TypeError):
        return 0.0


def _reason(error: BaseException) -> str:
    """What went wrong with a connection, in a few words."""
    import requests
    import urllib3

    chain: list[BaseException] = [error]
    while len(chain) < 8 and isinstance(error, BaseException):
        inner: Sequence[Any] = [
            a for a in (*error.args, getattr(error, "reason", None)) if isinstance(a, BaseException)
        ]
        if not inner:
            break
        error = inner[0]
        chain.append(error)
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (urllib3.exceptions.NameResolutionError, "its name is not known here"),
        (urllib3.exceptions.NewConnectionError, "no connection"),
        ((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), "no answer"),
        ((requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError), "no sign of life for 30 s"),
        (requests.exceptions.ProxyError, "the proxy does not answer"),
        ((requests.exceptions.SSLError, urllib3.exceptions.SSLError), "its certificate is not accepted"),
        (urllib3.exceptions.IncompleteRead, "the connection was cut"),
        ((ConnectionError, urllib3.exceptions.ProtocolError), "the connection was cut"),
    )
    for kind, words in kinds:
        if any(isinstance(link, kind) for link in chain):
            return words
    return str(chain[-1]).splitlines()[0][:120] if str(chain[-1]) else type(chain[-1]).__name__
