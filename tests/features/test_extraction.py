from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.core.errors import MediaError, RecipeError, StoreError
from emofuse.core.recipes.load import load_recipe, parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Clip, Features, Float32, Take, TimedFrames
from emofuse.features import extraction
from emofuse.features.extraction import WHOLE_FRAME, extract, extract_takes
from emofuse.features.face.action_units import ActionUnitTable, read_action_units
from emofuse.features.face.boxes import overlap
from emofuse.features.store import FeatureStore
from emofuse.features.voice.clip_voice import CHANNELS_CANCEL
from emofuse.media.decoding import Media, decode
from emofuse.system.executors import Processes, processes
from tests.support import drawn_people, media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg

RECIPE = Recipe(name="test")
TABLED = parse_recipe(
    {
        "name": "tabled",
        "face": {"features": {"kind": "au-table", "table": "au.csv"}, "network": {"kind": "au-mlp"}},
    }
)
TICKS = [1001 * i for i in range(30)]


def clip(path: Path, take: str = "t") -> Clip:
    return Clip(path, path.stem, take, "s", "happy", "audio-video")


def take_of(voice: Path | None, face: Path | None, name: str = "t") -> Take:
    return Take(name, "s", "happy", clip(voice) if voice else None, clip(face) if face else None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """voice.wav, mute.mp4 (its audio is silent), faceless.mp4 (both), still.mkv (no audio), bad.wav."""
    root = tmp_path_factory.mktemp("clips")
    media_files.write_wav(root / "voice.wav", media_files.tone(1.2, 16000), 16000)
    media_files.write_video(root / "mute.mp4", TICKS, audio=(np.zeros((1, 16000), np.float32), 16000))
    media_files.write_video(
        root / "faceless.mp4", TICKS, audio=(media_files.tone(1.0, 48000, channels=2), 48000)
    )
    media_files.write_video(root / "still.mkv", TICKS)
    (root / "bad.wav").write_bytes(b"RIFF nothing of use")
    return root


def test_voice_and_face_have_an_array_or_a_reason(folder: Path) -> None:
    both = extract(folder / "faceless.mp4", RECIPE)
    assert both.voice is not None and both.voice.shape == (80, 241)
    assert both.face_missing == "no face found in 20 frames"
    assert extract(folder / "mute.mp4", RECIPE).voice_missing == "the audio stream is silent"
    assert extract(folder / "still.mkv", RECIPE).voice_missing == "no audio stream"
    assert extract(folder / "voice.wav", RECIPE).face_missing == "no video stream"
    only = extract(folder / "faceless.mp4", RECIPE, face=False)
    assert only.voice is not None and only.face_missing == "not requested"
    neither = extract(folder / "mute.mp4", RECIPE, voice=False)
    assert neither.voice is None and neither.face is None and neither.voice_missing == "not requested"


@pytest.mark.parametrize(("seconds", "voice"), [(0.05, False), (0.2, True), (0.9, True)])
def test_short_recordings(tmp_path: Path, seconds: float, voice: bool) -> None:
    found = extract(
        media_files.write_wav(tmp_path / "a.wav", media_files.tone(seconds, 16000), 16000), RECIPE
    )
    if voice:
        assert found.notes == (f"audio is {seconds:.1f} s, padded to 3 s",)
        assert found.voice is not None and found.voice.shape == (80, 241)
    else:
        assert found.voice_missing == f"audio too short: {seconds:.2f} s"


@pytest.mark.parametrize(("seconds", "noted"), [(9.9, False), (12.0, True)])
def test_how_much_of_a_long_recording_is_read(tmp_path: Path, seconds: float, noted: bool) -> None:
    found = extract(
        media_files.write_wav(tmp_path / "a.wav", media_files.tone(seconds, 16000), 16000), RECIPE
    )
    note = "voice read from the first 3 of 12 s; a timeline reads all"
    assert found.notes == ((note,) if noted else ())


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_one_sound_at_any_rate_gives_the_same_features(tmp_path: Path, rate: int, channels: int) -> None:
    tone = np.repeat(media_files.tone(2.0, rate), channels, axis=0)
    reference = np.repeat(media_files.tone(2.0, 48000), 1, axis=0)
    path = media_files.write_wav(tmp_path / "a.wav", tone, rate, width=3)
    other = media_files.write_wav(tmp_path / "b.wav", reference, 48000, width=3)
    ours, theirs = extract(path, RECIPE).voice, extract(other, RECIPE).voice
    assert ours is not None and theirs is not None
    # Around the tone itself, away from its ends.
    band = int(theirs[:, 50].argmax())
    np.testing.assert_allclose(ours[band, 20:140], theirs[band, 20:140], atol=0.05)


def test_channels_that_cancel_are_noted_and_read(tmp_path: Path) -> None:
    voice = media_files.tone(2.0, 16000)
    one = media_files.write_wav(tmp_path / "one.wav", voice, 16000)
    hiss = 0.001 * np.random.default_rng(0).standard_normal((2, voice.shape[1])).astype(np.float32)
    opposite = np.concatenate([voice, -voice]) + hiss
    two = media_files.write_wav(tmp_path / "two.wav", opposite, 16000)
    expected, cancelled = (extract(path, RECIPE, face=False) for path in (one, two))
    assert expected.voice is not None and cancelled.voice is not None
    assert CHANNELS_CANCEL in cancelled.notes and CHANNELS_CANCEL not in expected.notes
    first = media_files.write_wav(tmp_path / "first.wav", opposite[:1], 16000)
    np.testing.assert_array_equal(cancelled.voice, extract(first, RECIPE, face=False).voice)


def test_faces_from_a_table(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "au.csv"
    path.write_text("code,AU01_r,AU12_r\n01-01-03-01-01-01-01,1,2\n")
    table = read_action_units(path)
    found = extract(folder / "voice.wav", TABLED, take="01-03-01-01-01-01", table=table)
    assert found.voice is not None and found.face is not None
    np.testing.assert_array_equal(found.face, [1, 2])
    absent = extract(folder / "voice.wav", TABLED, take="other", table=table)
    assert absent.face_missing == "no row for take other in au.csv"
    none = extract(folder / "voice.wav", TABLED)
    assert none.face_missing is not None and "none was given" in none.face_missing


def test_unreadable_files_raise(folder: Path) -> None:
    with pytest.raises(MediaError, match=r"bad\.wav"):
        extract(folder / "bad.wav", RECIPE)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch_continues_after_a_bad_file(tmp_path: Path, folder: Path, jobs: int) -> None:
    takes = [
        take_of(folder / "voice.wav", None, "a"),
        take_of(folder / "bad.wav", None, "b"),
        take_of(folder / "voice.wav", folder / "still.mkv", "c"),
        take_of(folder / "bad.wav", folder / "gone.mp4", "d"),
        take_of(folder / "bad.wav", folder / "still.mkv", "e"),
        take_of(folder / "faceless.mp4", folder / "faceless.mp4", "f"),
    ]
    store = FeatureStore(tmp_path)
    progress: list[tuple[int, int]] = []
    first = extract_takes(
        takes,
        RECIPE,
        store=store,
        executor=processes(jobs),
        on_done=lambda done, total: progress.append((done, total)),
    )  # fmt: skip
    assert progress == [(i, 6) for i in range(1, 7)]
    assert [type(result) for result in first] == [
        Features, MediaError, Features, MediaError, MediaError, Features
    ]  # fmt: skip
    a, _, c, _, _, f = first
    assert isinstance(a, Features) and a.voice is not None and a.face_missing == "the take has no video"
    assert isinstance(c, Features) and c.voice is not None and c.face_missing == "no face found in 20 frames"
    assert isinstance(f, Features)
    np.testing.assert_array_equal(f.voice, extract(folder / "faceless.mp4", RECIPE).voice)
    # The same again, from the store alone.
    again = extract_takes(takes, RECIPE, store=store)[5]
    assert isinstance(again, Features) and again.meta == f.meta and again.notes == f.notes
    np.testing.assert_array_equal(again.voice, f.voice)


def test_a_change_of_one_modality_leaves_the_other_in_the_store(tmp_path: Path, folder: Path) -> None:
    store = FeatureStore(tmp_path)
    takes = [take_of(folder / "faceless.mp4", folder / "faceless.mp4")]
    extract_takes(takes, RECIPE, store=store)
    before = set(tmp_path.rglob("*.npz"))
    face = RECIPE.face.model_copy(
        update={"features": RECIPE.face.features.model_copy(update={"n_frames": 5})}
    )
    extract_takes(takes, RECIPE.model_copy(update={"face": face}), store=store)
    assert len(before) == 2 and len(set(tmp_path.rglob("*.npz"))) == 3


def test_a_span_is_another_entry(tmp_path: Path, folder: Path) -> None:
    store = FeatureStore(tmp_path)
    whole = take_of(folder / "voice.wav", None)
    assert whole.voice is not None
    part = replace(whole, voice=replace(whole.voice, start_s=0.0, end_s=0.4))
    one, other = extract_takes([whole, part], RECIPE, store=store)
    assert isinstance(one, Features) and isinstance(other, Features)
    assert one.meta["sound_s"] == pytest.approx(1.2) and other.meta["sound_s"] == pytest.approx(0.4)


def test_a_store_that_cannot_be_written_ends_the_batch(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").touch()
    for jobs in (1, 2):
        with pytest.raises(StoreError):
            extract_takes(
                [take_of(folder / "voice.wav", None)] * 3,
                RECIPE,
                store=FeatureStore(tmp_path / "file"),
                executor=processes(jobs),
            )


class DeadlyTable(ActionUnitTable):
    """A table that kills the process that reads the row of "killer", as a crash of a decoder would."""

    def row(self, take: str) -> Float32 | None:
        if take == "killer":
            os._exit(9)
        return super().row(take)


def test_a_take_that_kills_its_process_costs_only_itself(tmp_path: Path, folder: Path) -> None:
    takes = [
        take_of(None, tmp_path / "a.mp4", "a"),
        take_of(folder / "voice.wav", tmp_path / "b.mp4", "killer"),
        take_of(None, tmp_path / "c.mp4", "c"),
    ]
    table = DeadlyTable(("AU01",), {name: np.ones(1, np.float32) for name in "ac"}, tmp_path / "au.csv")
    a, killer, c = extract_takes(takes, TABLED, table=table, executor=Processes(2))
    assert isinstance(a, Features) and isinstance(c, Features)
    assert str(killer) == f"{folder / 'voice.wav'}, {tmp_path / 'b.mp4'}: the process that read it died"


def test_extraction_needs_no_training_package() -> None:
    code = (
        "import sys, emofuse.features.extraction\n"
        "print(*{'torch', 'sklearn', 'librosa', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def at_column(left: int) -> TimedFrames:
    """A drawn person who speaks, 320 pixels wide from this column on, in frames of 1280 × 360."""
    frames = []
    for bgr in drawn_people.draw_person(1).speaking(20):
        canvas = np.full((360, 1280), 150, np.uint8)
        canvas[:, left : left + 320] = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        frames.append(canvas)
    return TimedFrames(tuple(frames), np.arange(20) / 10, 20)


@pytest.mark.parametrize("detector", ["dlib", "yunet"])
def test_a_face_beside_the_middle_is_read_where_the_middle_is_empty(
    detector: str, request: pytest.FixtureRequest
) -> None:
    if detector == "yunet":
        weights = request.getfixturevalue("real_weights")
        request.getfixturevalue("monkeypatch").setenv("EMOFUSE_WEIGHTS", str(weights))
    features = {"kind": "stack", "detector": detector, "whole_if_empty": True}
    recipe = parse_recipe({"name": "whole", "face": {"features": features}})
    middle, left, right = (extract(at_column(x), recipe, voice=False) for x in (480, 0, 960))
    assert middle.notes == () and left.notes == right.notes == (WHOLE_FRAME,)
    for found, left_px in ((left, 0), (right, 960)):
        assert found.meta["frames_with_face"] == 20 and found.meta["face_in"] == "frame"
        # the square starts at column 460, the person in it at 480
        assert_same_boxes(found, middle, (left_px - 20, 0))


def assert_same_boxes(found: Features, expected: Features, moved_px: tuple[int, int]) -> None:
    """Boxes of the detector's sizes, which are a fifth apart, around the same faces in other frames."""
    moved = np.add(expected.meta["face_boxes"], moved_px * 2)
    overlaps = [overlap(a, b) for a, b in zip(found.meta["face_boxes"], moved.tolist(), strict=True)]
    assert min(overlaps) > 0.6, overlaps


@pytest.mark.parametrize("name", ["rosred-2022", "default"])
def test_older_recipes_read_the_middle_only(name: str) -> None:
    found = extract(at_column(0), load_recipe(name), voice=False)
    assert found.face_missing == "no face found in 20 frames" and found.notes == ()


def test_a_face_in_the_middle_is_read_as_before_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drawn_people.write_video(tmp_path / "a.mp4", drawn_people.draw_person(2).speaking(20))
    calls: list[Path] = []

    def counted(source: Path, **how: Any) -> Media:
        calls.append(source)
        return decode(source, **how)

    before = extract(path, RECIPE, voice=False)
    monkeypatch.setattr(extraction, "decode", counted)
    now = extract(path, load_recipe("out-of-the-box"), voice=False)
    assert before.face is not None and now.face is not None and calls == [path]
    np.testing.assert_array_equal(now.face, before.face)
    assert (now.notes, now.meta) == (before.notes, before.meta)


def test_the_whole_frame_goes_with_the_square() -> None:
    with pytest.raises(RecipeError, match="whole_if_empty goes with square"):
        parse_recipe({"name": "x", "face": {"features": {"square": False, "whole_if_empty": True}}})


@pytest.mark.ravdess
@needs_ffmpeg
def test_a_real_face_at_the_left_of_a_wide_frame(ravdess: Path, tmp_path: Path) -> None:
    clip = ravdess / "video/Actor_01/01-01-08-01-01-02-01.mp4"
    filters = "crop=640:720:320:0,pad=1920:720:0:0:gray,pad=1920:1080:0:180:gray"
    path = tmp_path / "left.mp4"
    ffmpeg("-i", clip, "-vf", filters, "-preset", "ultrafast", "-crf", "10", path)
    recipe = load_recipe("out-of-the-box")
    expected, found = (extract(one, recipe, voice=False) for one in (clip, path))
    assert found.meta["frames_with_face"] == 20 and found.notes == (WHOLE_FRAME,)
    # from the central square to the frame, to what is cropped, to where it is put
    assert_same_boxes(found, expected, (280 - 320, 180))


@pytest.mark.ravdess
def test_real_clips_have_a_face_in_every_frame(ravdess: Path) -> None:
    paths = sorted(ravdess.glob("video/Actor_01/*.mp4"))
    assert len(paths) == 9
    for path in paths:
        found = extract(path, RECIPE)
        assert found.face is not None and found.face.shape == (20, 48, 48), path.name
        assert found.meta["frames_with_face"] == 20 and found.notes == ()
        if path.name.startswith("02-"):
            assert found.voice_missing == "the audio stream is silent"
        else:
            assert found.voice is not None


@pytest.mark.ravdess
def test_real_audio_of_videos_lags_by_a_frame(ravdess: Path) -> None:
    for path in sorted(ravdess.glob("video/Actor_01/01-*.mp4"))[:3]:
        video = decode(path).audio
        alone = decode(ravdess / "audio" / "Actor_01" / f"03{path.stem[2:]}.flac").audio
        assert video is not None and alone is not None
        a, b = video.samples.mean(axis=0), alone.samples.mean(axis=0)
        n = 1 << 19
        product = np.fft.irfft(np.fft.rfft(a, n) * np.conj(np.fft.rfft(b, n)), n)
        lag = int(product.argmax())
        lag_s = (lag - n if lag > n // 2 else lag) / 48000
        assert abs(lag_s) == pytest.approx(0.0333, abs=0.002), path.name


@pytest.mark.ravdess
def test_real_stereo_recordings_have_equal_channels(ravdess: Path) -> None:
    audio = decode(ravdess / "audio" / "Actor_01" / "03-01-02-01-01-02-01.flac").audio
    assert audio is not None and audio.n_channels == 2
    np.testing.assert_array_equal(audio.samples[0], audio.samples[1])
