from __future__ import annotations

import os
from pathlib import Path

import pytest

from emofuse.recognition.batch_inputs import find_recordings


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_and_files_taken_as_they_are(tmp_path: Path) -> None:
    names = ["b/2.MP4", "b/1.wav", "a.flac", "b/c/3.webm"]
    touch(
        *(tmp_path / "d" / name for name in [*names, "notes.txt", ".hidden.wav", ".cache/4.wav", "b/x.png"])
    )
    touch(tmp_path / "z.dat")
    touch(tmp_path / "d" / "b c" / "5.wav")
    listing = find_recordings([tmp_path / "z.dat", tmp_path / "d", tmp_path / "d" / "a.flac", "none.wav"])
    expected = [tmp_path / "d" / name for name in ("a.flac", "b/1.wav", "b/2.MP4", "b/c/3.webm", "b c/5.wav")]
    assert expected == sorted(expected)
    assert listing.files == (str(tmp_path / "z.dat"), *map(str, expected), "none.wav")
    assert listing.refused == {}


def test_what_is_not_a_recording_is_listed_with_its_reason(tmp_path: Path) -> None:
    touch(tmp_path / "d" / "b.wav", tmp_path / "d" / "full.mp4" / "sound.wav")
    (tmp_path / "d" / "a.mp4").mkdir()
    (tmp_path / "d" / "c.mp4").symlink_to("nothing")
    (tmp_path / "empty").mkdir()
    listing = find_recordings([tmp_path / "d", tmp_path / "empty"])
    names = ["d/a.mp4", "d/b.wav", "d/c.mp4", "d/full.mp4/sound.wav", "empty"]
    assert listing.files == tuple(str(tmp_path / name) for name in names)
    assert listing.refused == {
        str(tmp_path / "d" / "a.mp4"): "is a folder, not a media file",
        str(tmp_path / "empty"): "there is no recording in this folder",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root lists everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    (tmp_path / "closed").mkdir(mode=0)
    listing = find_recordings([tmp_path])
    assert listing.refused == {str(tmp_path / "closed"): "this folder cannot be listed"}


def test_a_cycle_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.wav")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert find_recordings([tmp_path]).files == (str(tmp_path / "a" / "1.wav"),)
    assert find_recordings(tmp_path) == find_recordings(str(tmp_path)) == find_recordings([tmp_path])


def test_formats_that_are_not_read_are_counted_with_a_way_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav", tmp_path / "b" / "c.WAV", tmp_path / "notes.txt", tmp_path / "x.jpg")
    for name in ("b/2.sph", "b/1.SPH"):
        (tmp_path / name).write_bytes(b"NIST_1A\n   1024\n" + bytes(1008))
    (tmp_path / "d.dsf").write_bytes(b"DSD " + bytes(100))
    listing = find_recordings([tmp_path, tmp_path / "b"])
    assert listing.files == (str(tmp_path / "a.wav"), str(tmp_path / "b" / "c.WAV"))
    assert listing.refused == {}
    assert listing.left_out == (
        f"left out 1 .dsf file {tmp_path / 'd.dsf'}: a DSF (DSD audio) file, which is not read: "
        "convert it, for example: ffmpeg -i in.dsf out.wav",
        f"left out 1 .jpg file {tmp_path / 'x.jpg'}: not a format that is read",
        f"left out 2 .sph files, the first of them {tmp_path / 'b' / '1.SPH'}: a NIST SPHERE file, which is "
        "not read: convert it, for example: sox in.sph out.wav",
    )
    # named, each is a row with its reason
    assert find_recordings([tmp_path / "d.dsf"]).files == (str(tmp_path / "d.dsf"),)
