from __future__ import annotations

import multiprocessing
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import StoreError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.library_versions import library_versions
from emofuse.features.store import FeatureStore, ModalityFeatures, default_store_folder, part_key

KEY = "ab" * 32
ENTRY = ModalityFeatures(np.arange(12, dtype=np.float32).reshape(3, 4), None, ("a note",), {"n_frames": 3})


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "new")
    assert store.get(KEY) is None
    store.put(KEY, ENTRY)
    back = store.get(KEY)
    assert back is not None and back.array is not None
    np.testing.assert_array_equal(back.array, ENTRY.array)
    assert (back.missing, back.notes, back.meta) == (None, ("a note",), {"n_frames": 3})
    store.put(KEY, ModalityFeatures(None, "no audio stream"))
    again = store.get(KEY)
    assert again is not None and again.array is None and again.missing == "no audio stream"
    assert store.size_bytes() > 0


def test_keys_change_with_everything_they_depend_on() -> None:
    keys = [
        part_key("voice", "00", VoiceFeatures(), None, None),
        part_key("voice", "01", VoiceFeatures(), None, None),
        part_key("voice", "00", VoiceFeatures(n_mels=64), None, None),
        part_key("voice", "00", VoiceFeatures(), 1.0, None),
        part_key("voice", "00", VoiceFeatures(), None, 1.0),
        part_key("face", "00", FaceFeatures(), None, None),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == part_key("voice", "00", VoiceFeatures(), None, None)


@pytest.mark.parametrize(
    ("library", "changes"),
    [
        ("numpy", "voice face blendshapes"),
        ("av", "voice face blendshapes"),
        ("soxr", "voice"),
        ("dlib-bin", "face blendshapes"),
        ("mediapipe", "blendshapes"),
        ("onnxruntime", ""),
        ("torch", ""),
    ],
)
def test_keys_change_with_the_libraries_that_the_modality_is_read_with(
    monkeypatch: pytest.MonkeyPatch, library: str, changes: str
) -> None:
    def keys() -> dict[str, str]:
        library_versions.cache_clear()
        blendshapes = FaceFeatures(kind="blendshapes")
        return {
            "voice": part_key("voice", "00", VoiceFeatures(), None, None),
            "face": part_key("face", "00", FaceFeatures(), None, None),
            "blendshapes": part_key("face", "00", blendshapes, None, None),
        }

    before, version = keys(), metadata.version
    monkeypatch.setattr(
        "emofuse.features.library_versions.metadata.version",
        lambda name: "999.0" if name == library else version(name),
    )
    after = keys()
    assert {name for name in before if before[name] != after[name]} == set(changes.split())
    monkeypatch.undo()
    assert keys() == before


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "pickle"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path)
    store.put(KEY, ENTRY)
    (path,) = tmp_path.glob("??/*.npz")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        start = content.find(np.float32(7).tobytes())
        content[start] ^= 255
    elif damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"not an archive")
    path.write_bytes(content)
    if damage == "pickle":
        with path.open("wb") as file:
            np.savez(file, facts=np.array([{"a": 1}], dtype=object))
    assert store.get(KEY) is None
    store.put(KEY, ENTRY)
    assert store.get(KEY) is not None


def _write(root: str, value: int) -> None:
    store = FeatureStore(root)
    for _ in range(40):
        store.put(KEY, ModalityFeatures(np.full((200, 50), value, np.float32), None))
        part = store.get(KEY)
        assert part is not None and part.array is not None and len(np.unique(part.array)) == 1


def test_two_processes_write_one_entry(tmp_path: Path) -> None:
    context = (
        multiprocessing.get_context("fork")
        if sys.platform == "linux"
        else multiprocessing.get_context("spawn")
    )
    both = [context.Process(target=_write, args=(str(tmp_path), value)) for value in (1, 2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".npz"]


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the file size makes the system reject the write, as a full disk does.
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from emofuse.core.errors import StoreError\n"
        "from emofuse.features.store import FeatureStore, ModalityFeatures\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: FeatureStore(sys.argv[1]).put('ab' * 32, ModalityFeatures(np.ones(100000, np.float32), None))\n"
        "except StoreError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "features cannot be stored" in done.stdout and done.stdout.count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="EMOFUSE_CACHE"):
        FeatureStore(tmp_path / "file").put(KEY, ENTRY)


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOFUSE_CACHE", str(tmp_path / "mine"))
    assert default_store_folder() == tmp_path / "mine"
    monkeypatch.delenv("EMOFUSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store_folder() == tmp_path / "emofuse" / "features"
