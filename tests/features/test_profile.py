from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse import Profile
from emofuse.core.errors import ProfileError
from emofuse.features.face import identity
from emofuse.features.own_baseline import Kind, OwnBaseline
from emofuse.features.profile import FACE_NUMBERS
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
    mine.save(path)  # written again
    again = Profile.load(str(path))
    assert (again.recogniser, again.clips) == (mine.recogniser, mine.clips)
    # a file name may tell the emotion, as in RAVDESS
    assert again.skipped == ()
    assert list(again.moments) == ["voice", "face"]
    for name, moments in mine.moments.items():
        assert again.moments[name].n == moments.n
        np.testing.assert_array_equal(again.moments[name].mean, moments.mean)
        np.testing.assert_array_equal(again.moments[name].deviations, moments.deviations)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def own() -> Profile:
    """That of a recognizer without networks for enrolled people."""
    baselines: dict[Kind, OwnBaseline] = {
        "voice": OwnBaseline(8, np.linspace(-1, 1, 8), 0.5),
        "face": OwnBaseline(2.5, np.zeros(8), 0),
    }
    return Profile("0123456789abcdef", {}, 8, baselines=baselines)


def test_baselines_are_saved_and_loaded(tmp_path: Path) -> None:
    own().save(tmp_path / "p")
    again = Profile.load(tmp_path / "p")
    assert (again.clips, again.moments, again.baselines) == (8, {}, own().baselines)


def test_a_profile_of_an_earlier_version_has_no_baselines(tmp_path: Path) -> None:
    profile().save(tmp_path / "p")
    with np.load(tmp_path / "p", allow_pickle=False) as file:
        assert "baselines" not in json.loads(file["about"].tobytes())
    assert Profile.load(tmp_path / "p").baselines == {}


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        ({"voice": {"n": -1, "spread_nats": 0.5}}, "of a baseline, n and spread_nats must not be negative"),
        ({"voice": {"n": 3, "spread_nats": float("nan")}}, "of a baseline"),
        ({"voice": {"n": 3}}, "is not a profile"),
        ({"face": {"n": 3, "spread_nats": 0.5}}, "is not a profile"),  # without its mean
        ([], "is not a profile"),
    ],
)
def test_a_damaged_baseline_is_named(tmp_path: Path, baselines: Any, message: str) -> None:
    path = rewritten(
        tmp_path / "p.profile", about=about(baselines=baselines), **{"voice-baseline": np.zeros(8)}
    )
    with pytest.raises(ProfileError, match=message):
        Profile.load(path)


def test_nothing_but_moments_is_stored(tmp_path: Path) -> None:
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


def test_there_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"anna\.profile: there is no such profile \(create one with"):
        Profile.load(tmp_path / "anna.profile")
    with pytest.raises(ProfileError, match="directory"):
        Profile.load(tmp_path)
    (tmp_path / "table.csv").write_text("file,emotion\n")
    with pytest.raises(ProfileError, match=r"table\.csv is not a profile of emofuse.*enroll\)$"):
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
    ("changed", "message"),
    [
        ({"about": None}, "is not a profile"),
        ({"about": np.frombuffer(b"{", np.uint8)}, "is not a profile"),
        ({"about": np.frombuffer(b"[]", np.uint8)}, "is not a profile"),
        ({"about": about(schema=2)}, "profile schema 2, this version reads 1"),
        ({"about": about(n={"voice": "many"})}, "is not a profile"),
        ({"about": about(n={"voice": -1})}, "is not a profile"),
        ({"about": about(n={"nose": 1})}, "is not a profile"),
        ({"about": about(n={"voice": float("inf")})}, "is not a profile"),
        ({"about": about(clips=None)}, "is not a profile"),
        ({"voice-mean": None}, "is not a profile"),
        ({"voice-mean": np.full(5, np.nan)}, "not finite numbers"),
        ({"face-deviations": np.full(3, np.inf)}, "not finite numbers"),
        ({"voice-mean": np.array(["loud"] * 5)}, "is not a profile"),
        ({"voice-mean": np.zeros(4)}, "do not fit together"),
        ({"voice-deviations": -np.ones(5)}, "do not fit together"),
    ],
)
def test_a_damaged_profile_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = rewritten(tmp_path / "p.profile", **changed)
    with pytest.raises(ProfileError, match=message) as caught:
        Profile.load(path)
    assert "p.profile" in str(caught.value)


def test_other_files_are_not_profiles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "text").write_text("anna")
    (tmp_path / "empty").touch()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("about.npy", b"nothing")
    for name in ("a.npy", "text", "empty", "a.zip"):
        with pytest.raises(ProfileError, match=f"{name} is not a profile"):
            Profile.load(tmp_path / name)


def test_a_profile_of_187_bytes_asks_for_no_91_tib(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (12500000000000,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(tmp_path / "p", "w") as file:
        file.writestr("about.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ProfileError, match="p is not a profile of emofuse, or damaged"):
        Profile.load(tmp_path / "p")


def test_a_profile_nested_deeply_is_named(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "p", about=np.frombuffer(b"[" * 100_000, np.uint8))
    with pytest.raises(ProfileError, match="p is not a profile of emofuse, or damaged"):
        Profile.load(path)


def test_a_profile_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    with (tmp_path / "p").open("wb") as file:
        np.savez_compressed(file, about=np.zeros(2**25, np.uint8))
    with pytest.raises(ProfileError, match="p is not a profile of emofuse, or damaged"):
        Profile.load(tmp_path / "p")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ProfileError, match=r"large is not a profile of emofuse: it is larger than 16 MiB"):
        Profile.load(tmp_path / "large")


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
        with pytest.raises(ProfileError, match="is not a profile"):
            Profile.load(tmp_path / name)
    assert not trap.exists()
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)["voice-mean"]  # the trap works
    assert trap.exists()


def test_no_byte_makes_it_fail_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "p"
    profile().save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    rejected = 0
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
            rejected += 1
    assert rejected > 200


def test_a_face_is_kept_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "p"
    profile().save(path)
    assert Profile.load(path).face is None
    face = np.linspace(-0.5, 0.5, FACE_NUMBERS, dtype=np.float32)
    replace(profile(), face=face).save(path)
    loaded = Profile.load(path).face
    assert loaded is not None and loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, face)
    assert FACE_NUMBERS == identity.SIZE


@pytest.mark.parametrize("wrong", [np.zeros(127), np.zeros((1, 128)), np.full(128, np.nan)])
def test_a_face_that_is_none(tmp_path: Path, wrong: np.ndarray) -> None:
    replace(profile(), face=wrong).save(tmp_path / "p")
    with pytest.raises(ProfileError, match="p is not a profile: the embedding of its face is not 128 finite"):
        Profile.load(tmp_path / "p")
