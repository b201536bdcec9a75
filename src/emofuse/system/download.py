"""Download one file so that a broken connection, a killed process or a wrong server cannot corrupt it.

Bytes go to ``NAME.part`` next to the destination, and a download resumes where it ended. Only a file with the
right checksum takes the destination's name. Nothing but the request leaves the machine.
"""

from __future__ import annotations

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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from emofuse.core.errors import DownloadError
from emofuse.core.progress import OnProgress
from emofuse.system.checksums import file_digest, stream_digest
from emofuse.system.file_lock import open_locked, remove_locked

Checksum = tuple[str, str]
"""The name of a :mod:`hashlib` algorithm and the digest in hexadecimal digits."""

CHUNK_BYTES: Final = 1 << 18
MAX_PAUSE_S: Final = 60.0
"""No pause between attempts is longer, whatever a server's Retry-After says."""
RETRY_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Temporary failures: request timeout, too many requests, a server or gateway in trouble."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How long to wait for a server, and how often to try again."""

    timeout_s: float = 30.0
    """How long a connection may stay silent."""
    attempts: int = 5
    """Consecutive attempts without a new byte before giving up."""
    pause_s: float = 1.0
    """Pause after the first failure; it doubles with each further one."""


DEFAULT_RETRIES: Final = Retries()


def download(
    url: str,
    destination: Path,
    *,
    checksum: Checksum,
    size: int | None,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
    retries: Retries = DEFAULT_RETRIES,
) -> Path:
    """Download ``url`` to ``destination`` and check it; return ``destination``.

    A destination that already has the right checksum is returned at once. A ``.part`` file next to it, from
    this process or an earlier one, is resumed if the server allows.

    Args:
        url: http or https.
        destination: the file to write; its folder is created.
        checksum: algorithm and hexadecimal digest, such as ``("md5", "…")``.
        size: expected size in bytes, or None if unknown.
        limit: maximum size in bytes if ``size`` is None.
        on_progress: called with the file's name, the bytes done and the total.
        retries: timeout and attempts.

    Raises:
        DownloadError: the server refuses, offers another size, or sends bytes with another checksum; there is
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
        with open_locked(part) as file:
            transfer = _Transfer(url, file, destination.name, size, limit, destination.parent, on_progress)
            transfer.run(retries)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            got = stream_digest(file, algorithm)
            if got != wanted:
                remove_locked(file, part)
                raise DownloadError(f"{url}: wrong {algorithm} checksum: expected {wanted}, got {got}")
        part.replace(destination)
    except BlockingIOError:
        raise DownloadError(f"{part}: another process is downloading this file: wait for it") from None
    except OSError as error:
        raise DownloadError(f"{destination}: cannot be written: {error.strerror or error}") from error
    return destination


def fetch_bytes(url: str, *, limit: int, retries: Retries = DEFAULT_RETRIES) -> bytes:
    """Download something small, such as a JSON record, into memory; at most ``limit`` bytes.

    Raises:
        DownloadError: as for :func:`download`, except for the checksum.
    """
    _check_scheme(url)
    buffer = io.BytesIO()
    _Transfer(url, buffer, url, None, limit, None, None).run(retries)
    return buffer.getvalue()


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Fail early if a disk has less than ``needed`` bytes free. ``folder`` need not exist yet.

    Raises:
        DownloadError: says how much is needed and how much is free.
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
    """A readable number of bytes: ``size_text(2_500_000) == "2.5 MB"``."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{n_bytes} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


class _RetryableError(Exception):
    """An attempt failed, and another one may succeed."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass
class _Transfer:
    """One address and the file to which its bytes are appended."""

    url: str
    file: IO[bytes]
    label: str
    size: int | None
    limit: int | None
    folder: Path | None
    """The folder of the file; None: in memory."""
    on_progress: OnProgress | None

    def run(self, retries: Retries) -> None:
        """Fill the file. Only attempts without a new byte count."""
        furthest = self._end()
        failures = 0
        while True:
            if self.size is not None and self._end() > self.size:
                self._start_over()  # left by a download of another file
            if self.size is not None and self._end() == self.size:
                return
            try:
                self._attempt(retries.timeout_s)
            except _RetryableError as error:
                if self._end() > furthest:
                    furthest, failures = self._end(), 0
                else:
                    failures += 1
                if failures >= retries.attempts:
                    tries = "1 attempt" if failures == 1 else f"{failures} attempts"
                    raise DownloadError(
                        f"{self.url}: gave up after {tries} without progress: {error}"
                    ) from None
                pause = max(retries.pause_s * 2 ** max(failures - 1, 0), error.wait_s)
                time.sleep(min(pause, MAX_PAUSE_S))
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
            raise _RetryableError(str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise _RetryableError(_reason(error)) from None
        with response:
            return self._receive(response, have)

    def _receive(self, response: http.client.HTTPResponse, have: int) -> None:
        if response.status == 206:
            if _range_start(response) != have:
                self._start_over()
                raise _RetryableError("the server sent another range than requested")
        elif response.status == 200:
            self._start_over()  # the whole file, whether or not a range was requested
            have = 0
        else:
            raise DownloadError(f"{self.url}: unexpected response {response.status} {response.reason}")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        self._check_total(total, have)
        limit = self.size if self.size is not None else self.limit
        while total is None or have < total:
            try:
                chunk = response.read1(CHUNK_BYTES if total is None else min(CHUNK_BYTES, total - have))
            except (OSError, http.client.HTTPException) as error:
                raise _RetryableError(_reason(error)) from None
            if not chunk:
                break
            have += len(chunk)
            if limit is not None and have > limit:
                self._start_over()
                raise DownloadError(f"{self.url}: the server sends more than the {limit} bytes expected")
            self.file.write(chunk)
            if self.on_progress is not None:
                self.on_progress(self.label, have, self.size or total or 0)
        wanted = self.size if self.size is not None else total
        if wanted is not None and have < wanted:
            raise _RetryableError(f"the connection broke after {have} of {wanted} bytes")

    def _check_total(self, total: int | None, have: int) -> None:
        """Refuse a response that has the wrong size, or does not fit on the disk, before reading it."""
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
        """The server has nothing beyond what we have: the file is complete, or it is another file."""
        total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", "").strip())
        if total is not None and int(total[1]) == have and self.size in (None, have):
            return
        self._start_over()
        raise _RetryableError("the server cannot resume where the download broke")

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        text = f"{error.code} {error.reason}".strip()
        if error.code not in RETRY_STATUSES:
            return DownloadError(f"{self.url}: the server answered {text}")
        wait = error.headers.get("Retry-After", "")
        return _RetryableError(f"the server answered {text}", float(wait) if wait.isdecimal() else 0.0)

    def _end(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def _start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https only, and never from https to http."""

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
    """An opener without urllib's default handlers of file, ftp and data addresses."""
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
