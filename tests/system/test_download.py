from __future__ import annotations

import fcntl
import hashlib
import random
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import DownloadError
from emofuse.system.download import Retries, check_free_space, download, fetch_bytes, size_text
from tests.support.file_server import FileServer

DATA = random.Random(1).randbytes(300_000)
SHA = ("sha256", hashlib.sha256(DATA).hexdigest())
FAST = Retries(timeout_s=5.0, pause_s=0.001)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "made" / "file.bin"


def get(url: str, target: Path, *, attempts: int = 5, **changes: Any) -> Path:
    retries = replace(FAST, attempts=attempts)
    settings: dict[str, Any] = {"checksum": SHA, "size": len(DATA), "retries": retries, **changes}
    return download(url, target, **settings)


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def leave_part(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part_of(target).write_bytes(data)


def test_downloads_and_reports_progress(http_server: FileServer, target: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    url = http_server.serve("/f", DATA)
    assert get(url, target, on_progress=lambda *a: seen.append(a)) == target
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]
    assert seen[-1] == ("file.bin", len(DATA), len(DATA))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_sends_nothing_but_the_request(http_server: FileServer, target: Path) -> None:
    get(http_server.serve("/f", DATA), target)
    [(_, headers)] = http_server.requests
    assert headers.pop("User-Agent") == f"emofuse/{metadata.version('emofuse')}"
    assert set(headers) == {"Host", "Accept-Encoding", "Connection"}


def test_size_unknown(http_server: FileServer, target: Path) -> None:
    get(http_server.serve("/f", DATA, lengths=False), target, size=None)
    assert target.read_bytes() == DATA


def test_a_verified_file_sends_no_request(http_server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(DATA)
    assert get(http_server.serve("/f", DATA), target) == target
    assert http_server.requests == []


def test_another_file_is_replaced(http_server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    get(http_server.serve("/f", DATA), target)
    assert target.read_bytes() == DATA


def test_another_file_survives_a_failure(http_server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(DownloadError):
        get(http_server.url + "/absent", target)
    assert target.read_bytes() == b"old"


def test_resumes_after_drops(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, drops=[100_000, 50_000])
    get(url, target)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f") == [None, "bytes=100000-", "bytes=150000-"]


def test_progress_resets_the_attempts(http_server: FileServer, target: Path) -> None:
    get(http_server.serve("/f", DATA, drops=[30_000] * 8), target, attempts=2)
    assert target.read_bytes() == DATA


def test_gives_up_without_progress_and_keeps_the_part(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, drops=[1000, *[0] * 20])
    with pytest.raises(DownloadError, match=r"gave up after 3 attempts.*broke after 1000 of 300000"):
        get(url, target, attempts=3)
    assert part_of(target).read_bytes() == DATA[:1000]
    assert not target.exists()
    assert len(http_server.requests) == 4  # the one that brought bytes resets the count


def test_drops_and_no_content_length(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, lengths=False, drops=[100_000])
    get(url, target)
    assert target.read_bytes() == DATA


def test_range_ignored_starts_over(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, ranges=False, drops=[100_000, 200_000, 150_000])
    get(url, target)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f")[1] == "bytes=100000-"


def test_wrong_range_is_not_appended(http_server: FileServer, target: Path) -> None:
    leave_part(target, DATA[:5000])
    get(http_server.serve("/f", DATA, shift=7), target)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f") == ["bytes=5000-", None]


SCRIPT = """
import resource, signal, sys
from pathlib import Path
from typing import Any
from emofuse.system.download import Retries, download
url, target, digest, size, file_limit = sys.argv[1:]
if int(file_limit):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit), int(file_limit)))
checksum = ("sha256", digest)
download(url, Path(target), checksum=checksum, size=int(size), retries=Retries(attempts=1000, pause_s=0.02))
"""


def in_a_process(url: str, target: Path, file_limit: int = 0) -> subprocess.Popen[str]:
    arguments = [url, str(target), SHA[1], str(len(DATA)), str(file_limit)]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_resumes_what_a_killed_process_left(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, drops=[123_456, *[0] * 1000])
    with in_a_process(url, target) as process:
        deadline = time.monotonic() + 20
        while len(http_server.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert part_of(target).stat().st_size == 123_456
    assert not target.exists()
    http_server.serve("/f", DATA)
    http_server.requests.clear()
    get(url, target)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f") == ["bytes=123456-"]


def test_a_full_disk(http_server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"old")
    with in_a_process(http_server.serve("/f", DATA), target, file_limit=100_000) as process:
        _, text = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"DownloadError: {target}: cannot be written: File too large" in text
    assert target.read_bytes() == b"old"
    get(http_server.serve("/f", DATA), target)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f")[-1] == "bytes=100000-"


def test_two_downloads_of_one_file_do_not_mix(http_server: FileServer, target: Path) -> None:
    leave_part(target, DATA[:10])
    with part_of(target).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            get(http_server.serve("/f", DATA), target)
    get(http_server.serve("/f", DATA), target)


def test_wrong_checksum_deletes_the_part(http_server: FileServer, target: Path) -> None:
    bad = b"x" + DATA[1:]
    url = http_server.serve("/f", bad)
    with pytest.raises(DownloadError) as caught:
        get(url, target)
    for wanted in (url, SHA[1], hashlib.sha256(bad).hexdigest()):
        assert wanted in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_md5_and_upper_case(http_server: FileServer, target: Path) -> None:
    digest = hashlib.md5(DATA).hexdigest().upper()
    get(http_server.serve("/f", DATA), target, checksum=("md5", digest))
    with pytest.raises(DownloadError, match="unknown checksum"):
        get(http_server.serve("/f", DATA), target, checksum=("crc7", digest))


@pytest.mark.parametrize("lengths", [True, False])
def test_more_bytes_than_size_are_refused(http_server: FileServer, target: Path, lengths: bool) -> None:
    url = http_server.serve("/f", DATA + b"more", lengths=lengths)
    with pytest.raises(DownloadError, match=r"offers 300004|more than the 300000"):
        get(url, target)
    assert not target.exists()
    assert len(http_server.requests) == 1
    assert not part_of(target).exists() or part_of(target).stat().st_size == 0


@pytest.mark.parametrize("lengths", [True, False])
def test_limit_where_size_is_unknown(http_server: FileServer, target: Path, lengths: bool) -> None:
    url = http_server.serve("/f", DATA, lengths=lengths)
    with pytest.raises(DownloadError, match=r"1000"):
        get(url, target, size=None, limit=1000)


def test_fewer_bytes_than_size_are_refused(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA[:-1])
    with pytest.raises(DownloadError, match="offers 299999 bytes, 300000 are expected"):
        get(url, target)
    assert len(http_server.requests) == 1


def test_a_false_content_length(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA[:1000], declared=len(DATA))
    with pytest.raises(DownloadError, match="gave up after 2 attempts"):
        get(url, target, attempts=2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_4xx_is_final(http_server: FileServer, target: Path, status: int) -> None:
    url = http_server.serve("/f", DATA, statuses=[status])
    with pytest.raises(DownloadError, match=f"{url}: the server answered {status}"):
        get(url, target)
    assert len(http_server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_temporary_failures_are_retried(http_server: FileServer, target: Path, status: int) -> None:
    url = http_server.serve("/f", DATA, statuses=[status, status], retry_after="0")
    get(url, target)
    assert target.read_bytes() == DATA
    assert len(http_server.requests) == 3


def test_503_forever(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA, statuses=[503] * 9)
    with pytest.raises(DownloadError, match=r"gave up after 2 attempts.*503"):
        get(url, target, attempts=2)
    assert len(http_server.requests) == 2


def test_complete_part_needs_no_request(http_server: FileServer, target: Path) -> None:
    leave_part(target, DATA)
    get(http_server.serve("/f", DATA), target)
    assert http_server.requests == []
    assert not part_of(target).exists()


def test_416_on_a_complete_part(http_server: FileServer, target: Path) -> None:
    leave_part(target, DATA)
    get(http_server.serve("/f", DATA), target, size=None)
    assert target.read_bytes() == DATA
    assert http_server.ranges("/f") == [f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_part_longer_than_the_file(http_server: FileServer, target: Path, size: int | None) -> None:
    leave_part(target, DATA + b"stale")
    get(http_server.serve("/f", DATA), target, size=size)
    assert target.read_bytes() == DATA


def test_redirect_keeps_the_range(http_server: FileServer, target: Path) -> None:
    leave_part(target, DATA[:1000])
    http_server.serve("/there", DATA)
    get(http_server.serve("/f", location="/there"), target)
    assert http_server.ranges("/there") == ["bytes=1000-"]


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_redirect_elsewhere_is_refused(http_server: FileServer, target: Path, location: str) -> None:
    with pytest.raises(DownloadError):
        get(http_server.serve("/f", location=location), target)
    assert not target.exists()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://a/b", "data:,x", "/etc/hostname", "http:x"])
def test_only_http(url: str, target: Path) -> None:
    with pytest.raises(DownloadError, match="only http and https"):
        get(url, target)
    assert not target.parent.exists()


def test_no_server(http_server: FileServer, target: Path) -> None:
    url = http_server.serve("/f", DATA)
    http_server.close()
    with pytest.raises(DownloadError, match=r"gave up after 1 attempt without.*refused"):
        get(url, target, attempts=1)


def test_no_space(http_server: FileServer, target: Path) -> None:
    huge = 10**18
    with pytest.raises(DownloadError, match=r"needs 1000000.0 TB but only .* free in"):
        get(http_server.serve("/f", DATA, declared=huge), target, size=huge)
    assert not target.exists()


def test_folder_cannot_be_made(http_server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be written"):
        get(http_server.serve("/f", DATA), tmp_path / "file" / "x.bin")


def test_fetch_bytes(http_server: FileServer) -> None:
    url = http_server.serve("/f", b"{}", statuses=[503], drops=[1])
    assert fetch_bytes(url, limit=10, retries=FAST) == b"{}"
    with pytest.raises(DownloadError, match="more than the 1 allowed"):
        fetch_bytes(url, limit=1, retries=FAST)


def test_check_free_space_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    check_free_space(tmp_path / "a" / "b", 1, "nothing")
    with pytest.raises(DownloadError, match=r"all of it needs 1000000.0 TB but only"):
        check_free_space(tmp_path / "a" / "b", 10**18, "all of it")


def test_size_text() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 2_500_000, 24_800_000_000, 3 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "2.5 MB",
        "24.8 GB",
        "3.0 TB",
    ]
