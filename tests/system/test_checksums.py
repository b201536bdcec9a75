from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from emofuse.core.errors import MediaError, WeightsError
from emofuse.system.checksums import file_digest, media_sha256, verify_sha256

DATA = b"stands for a weight file" * 100


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_digest_of_a_file(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    assert file_digest(path, algorithm) == hashlib.new(algorithm, DATA).hexdigest()
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "absent", algorithm)


def test_digest_of_a_media_file(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(DATA)
    assert media_sha256(path) == hashlib.sha256(DATA).hexdigest()
    with pytest.raises(MediaError, match=r"absent\.wav: cannot be read \(No such file or directory\)"):
        media_sha256(tmp_path / "absent.wav")


def test_verify_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    verify_sha256(path, hashlib.sha256(DATA).hexdigest().upper())
    with pytest.raises(WeightsError, match="wrong sha256"):
        verify_sha256(path, "0" * 64)
    with pytest.raises(WeightsError, match="cannot be read"):
        verify_sha256(tmp_path / "absent", "0" * 64)
