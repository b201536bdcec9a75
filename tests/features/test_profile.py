from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse import Profile
from emofuse.core.errors import ProfileError
from emofuse.features.speaker_normalization import Moments


def profile() -> Profile:
    rng = np.random.default_rng(0)
    moments = {
        name: Moments.of(rng.standard_normal((n, d))) for name, n, d in (("voice", 8, 5), ("face", 0, 3))
    }
    return Profile("0123456789abcdef", moments, 8, ("a.wav: no voice — お",))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "Änne.profile"
    mine = profile()
    mine.save(path)
    mine.save(path)  # written anew
    again = Profile.load(str(path))
    assert (again.recogniser, again.clips) == (mine.recogniser, mine.clips)
    # a file name may hold the emotion: RAVDESS' do
    assert again.skipped == ()
    assert list(again.moments) == ["voice", "face"]
    for name, known in mine.moments.items():
        assert again.moments[name].n == known.n
        np.testing.assert_array_equal(again.moments[name].mean, known.mean)
        np.testing.assert_array_equal(again.moments[name].deviations, known.deviations)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_nothing_but_moments_is_kept(tmp_path: Path) -> None:
    profile().save(tmp_path / "p")
    with np.load(tmp_path / "p", allow_pickle=False) as file:
        assert set(file.files) == {"about", "voice-mean", "voice-deviations", "face-mean", "face-deviations"}
        about = json.loads(file["about"].tobytes())
    assert set(about) == {"schema", "recogniser", "clips", "n"}


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "p"
    profile().save(path)
    before = path.read_bytes()
    broken = Profile("x", {"voice": Moments(1, np.array([object()]), np.zeros(1))}, 1)
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        broken.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p"]  # noqa: PTH208


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"anna\.profile: there is no such profile \(emofuse enroll makes"):
        Profile.load(tmp_path / "anna.profile")
    with pytest.raises(ProfileError, match="directory"):
        Profile.load(tmp_path)
    (tmp_path / "table.csv").write_text("file,emotion\n")
    with pytest.raises(ProfileError, match=r"table\.csv is no profile of emofuse.*enroll\)$"):
        Profile.load(tmp_path / "table.csv")


def rewritten(path: Path, **changed: Any) -> Path:
    """A profile with other arrays."""
    profile().save(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays = {name: value for name, value in (arrays | changed).items() if value is not None}
    with path.open("wb") as out:
        np.savez(out, **arrays)
    return path


def about(**changed: Any) -> np.ndarray:
    facts = {"schema": 1, "recogniser": "x", "clips": 8, "skipped": [], "n": {"voice": 8, "face": 0}}
    return np.frombuffer(json.dumps(facts | changed).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"about": None}, "is no profile"),
        ({"about": np.frombuffer(b"{", np.uint8)}, "is no profile"),
        ({"about": np.frombuffer(b"[]", np.uint8)}, "is no profile"),
        ({"about": about(schema=2)}, "profile schema 2, this version reads 1"),
        ({"about": about(n={"voice": "many"})}, "is no profile"),
        ({"about": about(n={"voice": -1})}, "is no profile"),
        ({"about": about(n={"nose": 1})}, "is no profile"),
        ({"about": about(n={"voice": float("inf")})}, "is no profile"),
        ({"about": about(clips=None)}, "is no profile"),
        ({"voice-mean": None}, "is no profile"),
        ({"voice-mean": np.full(5, np.nan)}, "not numbers"),
        ({"face-deviations": np.full(3, np.inf)}, "not numbers"),
        ({"voice-mean": np.array(["loud"] * 5)}, "is no profile"),
        ({"voice-mean": np.zeros(4)}, "do not go together"),
        ({"voice-deviations": -np.ones(5)}, "do not go together"),
    ],
)
def test_a_damaged_profile_is_named(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    path = rewritten(tmp_path / "p.profile", **changed)
    with pytest.raises(ProfileError, match=says) as caught:
        Profile.load(path)
    assert "p.profile" in str(caught.value)


def test_other_files_are_no_profiles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "text").write_text("anna")
    (tmp_path / "empty").touch()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("about.npy", b"nothing")
    for name in ("a.npy", "text", "empty", "a.zip"):
        with pytest.raises(ProfileError, match=f"{name} is no profile"):
            Profile.load(tmp_path / name)


class _Runs:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    (tmp_path / "plain").write_bytes(pickle.dumps(_Runs(trap)))
    within: Any = np.array([_Runs(trap)], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, about=about(), **{"voice-mean": within, "voice-deviations": within})
    (tmp_path / "within").write_bytes(buffer.getvalue())
    for name in ("plain", "within"):
        with pytest.raises(ProfileError, match="is no profile"):
            Profile.load(tmp_path / name)
    assert not trap.exists()
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)["voice-mean"]  # the trap works
    assert trap.exists()


def test_no_byte_can_make_it_fail_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "p"
    profile().save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(400):
        data = bytearray(whole)
        if trial % 4 == 0:
            data = data[: int(rng.integers(len(data)))]
        for _ in range(int(rng.integers(1, 4))):
            if data:
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            Profile.load(path)
        except ProfileError:
            refused += 1
    assert refused > 200
