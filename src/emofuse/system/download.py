"""Download one file, so that a broken connection, a killed process or a wrong server cannot spoil it.

Bytes go to ``NAME.part`` beside the destination and are asked for again from where they ended. Only a file
whose checksum is right takes the destination's name. Nothing but the request leaves the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from emofuse.core.errors import DownloadError
from emofuse.core.progress import OnProgress
from emofuse.system.checksums import file_digest

Checksum = tuple[str, str]
"""The name of a :mod:`hashlib` algorithm and the digest in hexadecimal digits."""

CHUNK_BYTES: Final = 1 << 18
LONGEST_PAUSE_S: Final = 60.0
"""No pause between attempts is longer, whatever a server's Retry-After asks for."""
TRY_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that pass by themselves: request timeout, too many requests, a server or gateway in trouble."""


def download(
    url: str,
    destination: Path,
    *,
    checksum: Checksum,
    size: int | None,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
    timeout_s: float = 30.0,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> Path:
    """Download ``url`` to ``destination`` and check it; return ``destination``.

    A destination that is there with the right checksum is returned at once. A ``.part`` file beside it,
    from this process or an earlier one, is gone on with where the server allows.

    Args:
        url: http or https.
        destination: the file to write; its folder is made.
        checksum: algorithm and hexadecimal digest, such as ``("md5", "…")``.
        size: bytes the file must have, or None where nobody says.
        limit: the most bytes to accept where ``size`` is None.
        on_progress: called with the file's name, bytes done and bytes in all.
        timeout_s: how long a connection may stay silent.
        attempts: tries in a row that bring no new byte before it gives up.
        pause_s: pause after the first failure; it doubles with each further one.

    Raises:
        DownloadError: the server refuses, offers another size, or sends bytes of another checksum; there is
            too little space; another process is downloading the same file; the folder cannot be written.
    """
    _check_scheme(url)
    algorithm, wanted = checksum[0], checksum[1].lower()
    if algorithm not in hashlib.algorithms_available:
        raise DownloadError(f"{url}: unknown checksum algorithm {algorithm!r}")
    part = destination.with_name(destination.name + ".part")
    try:
        if destination.is_file() and file_digest(destination, algorithm) == wanted:
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file, _locked(file, part):
            transfer = _Transfer(url, file, destination.name, size, limit, destination.parent, on_progress)
            transfer.run(timeout_s=timeout_s, attempts=attempts, pause_s=pause_s)
            file.flush()
            os.fsync(file.fileno())
            got = file_digest(part, algorithm)
            if got != wanted:
                part.unlink()
                raise DownloadError(f"{url}: wrong {algorithm} checksum: expected {wanted}, got {got}")
        part.replace(destination)
    except OSError as error:
        raise DownloadError(f"{destination}: cannot be written: {error.strerror or error}") from error
    return destination


def fetch_bytes(
    url: str,
    *,
    limit: int,
    timeout_s: float = 30.0,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> bytes:
    """Read a small answer, such as a record in JSON, into memory; at most ``limit`` bytes.

    Raises:
        DownloadError: as :func:`download`, the checksum aside.
    """
    _check_scheme(url)
    buffer = io.BytesIO()
    _Transfer(url, buffer, url, None, limit, None, None).run(
        timeout_s=timeout_s, attempts=attempts, pause_s=pause_s
    )
    return buffer.getvalue()


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Stop early where a disk has not ``needed`` bytes free. ``folder`` need not be there yet.

    Raises:
        DownloadError: names what is needed and what is free.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DownloadError(
            f"{purpose} needs {size_text(needed)} but only {size_text(free)} are free in {folder}: "
            "free some space or choose a folder on another disk"
        )


def size_text(n_bytes: int) -> str:
    """A number of bytes for people: ``size_text(2_500_000) == "2.5 MB"``."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{n_bytes} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


class _TryAgainError(Exception):
    """An attempt failed in a way that another one may mend."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass
class _Transfer:
    """One address and the file that its bytes are added to."""

    url: str
    file: IO[bytes]
    label: str
    size: int | None
    limit: int | None
    folder: Path | None
    """Where the file lies; None: in memory."""
    on_progress: OnProgress | None

    def run(self, *, timeout_s: float, attempts: int, pause_s: float) -> None:
        """Fill the file. What counts against ``attempts`` is a try that brought no new byte."""
        furthest = self._end()
        failures = 0
        while True:
            if self.size is not None and self._end() > self.size:
                self._start_over()  # left by a download of something else
            if self.size is not None and self._end() == self.size:
                return
            try:
                self._attempt(timeout_s)
            except _TryAgainError as error:
                if self._end() > furthest:
                    furthest, failures = self._end(), 0
                else:
                    failures += 1
                if failures >= attempts:
                    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
                    raise DownloadError(
                        f"{self.url}: gave up after {tries} without progress: {error}"
                    ) from None
                pause = max(pause_s * 2 ** max(failures - 1, 0), error.wait_s)
                time.sleep(min(pause, LONGEST_PAUSE_S))
            else:
                return

    def _attempt(self, timeout_s: float) -> None:
        have = self._end()
        request = urllib.request.Request(
            self.url, headers={"User-Agent": _user_agent(), "Accept-Encoding": "identity"}
        )
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            response = _OPENER.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and have:
                    return self._after_416(error, have)
                raise self._refusal(error) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise DownloadError(
                    f"{self.url}: the certificate cannot be trusted: {error.reason}"
                ) from None
            raise _TryAgainError(str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgainError(_reason(error)) from None
        with response:
            return self._receive(response, have)

    def _receive(self, response: http.client.HTTPResponse, have: int) -> None:
        if response.status == 206:
            if _range_start(response) != have:
                self._start_over()
                raise _TryAgainError("the server sent another range than asked for")
        elif response.status == 200:
            self._start_over()  # the whole file, whether or not a range was asked for
            have = 0
        else:
            raise DownloadError(f"{self.url}: unexpected answer {response.status} {response.reason}")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        self._check_total(total, have)
        most = self.size if self.size is not None else self.limit
        while total is None or have < total:
            try:
                chunk = response.read1(CHUNK_BYTES if total is None else min(CHUNK_BYTES, total - have))
            except (OSError, http.client.HTTPException) as error:
                raise _TryAgainError(_reason(error)) from None
            if not chunk:
                break
            have += len(chunk)
            if most is not None and have > most:
                self._start_over()
                raise DownloadError(f"{self.url}: the server sends more than the {most} bytes expected")
            self.file.write(chunk)
            if self.on_progress is not None:
                self.on_progress(self.label, have, self.size or total or 0)
        wanted = self.size if self.size is not None else total
        if wanted is not None and have < wanted:
            raise _TryAgainError(f"the connection broke after {have} of {wanted} bytes")

    def _check_total(self, total: int | None, have: int) -> None:
        """Refuse an answer of the wrong size before any of it is read, or one that the disk cannot hold."""
        if total is not None and self.size is not None and total != self.size:
            raise DownloadError(f"{self.url}: the server offers {total} bytes, {self.size} are expected")
        if total is not None and self.limit is not None and total > self.limit:
            raise DownloadError(
                f"{self.url}: the server offers {total} bytes, more than the {self.limit} allowed"
            )
        final = self.size if self.size is not None else total
        if final is not None and self.folder is not None:
            check_free_space(self.folder, final - have, f"downloading {self.label}")

    def _after_416(self, error: urllib.error.HTTPError, have: int) -> None:
        """The server has nothing after what we have: either that is all, or it is not this file."""
        total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", "").strip())
        if total is not None and int(total[1]) == have and self.size in (None, have):
            return
        self._start_over()
        raise _TryAgainError("the server cannot go on where the download broke")

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        text = f"{error.code} {error.reason}".strip()
        if error.code not in TRY_AGAIN:
            return DownloadError(f"{self.url}: the server answered {text}")
        wait = error.headers.get("Retry-After", "")
        return _TryAgainError(f"the server answered {text}", float(wait) if wait.isdecimal() else 0.0)

    def _end(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def _start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects over http and https alone, and never from https down to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            fp.close()
            raise DownloadError(f"{req.full_url}: redirected to {newurl}, which is not allowed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener without the file, ftp and data handlers that urllib's own one has."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _HttpRedirects(),
    ):
        opener.add_handler(handler)
    opener.addheaders = []
    return opener


_OPENER: Final = _opener()


@contextlib.contextmanager
def _locked(file: IO[bytes], part: Path) -> Iterator[None]:
    """Hold the part file alone: two processes that add to it would spoil each other's download."""
    try:
        import fcntl
    except ImportError:  # Windows: the checksum still finds a spoilt file
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadError(f"{part}: another process is downloading this file: wait for it") from None
    yield


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise DownloadError(f"{url}: only http and https addresses can be downloaded")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _user_agent() -> str:
    try:
        return f"emofuse/{metadata.version('emofuse')}"
    except metadata.PackageNotFoundError:  # run from the source tree
        return "emofuse"
