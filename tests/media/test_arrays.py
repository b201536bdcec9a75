"""Arrays of the caller: what is taken, what is refused, and that they become what decoding gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from emofuse import recording
from emofuse.core.errors import FeatureError
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Recording, TimedFrames, Waveform
from emofuse.features.extraction import extract
from emofuse.media.arrays import media_from_recording
from emofuse.media.decoding import decode, probe
from tests.support import media_files

RECIPE = Recipe(name="test")
IRREGULAR = [0, 1001, 2002, 2500, 4004, 9009, 9109, 12012, 20020, 21021, 30030, 31000]
FRAMES = np.zeros((3, 8, 10), np.uint8)


def whole_of(path: Path) -> Recording:
    """Every sample, and every frame once: requested so densely that none is skipped."""
    media = decode(path, n_frames=1000)
    assert media.frames is not None
    _, indices = np.unique(media.frames.times_s, return_index=True)
    images = tuple(media.frames.images[i] for i in indices)
    assert len(images) == probe(path).n_frames
    return Recording(media.audio, TimedFrames(images, media.frames.times_s[indices], len(images)))


@pytest.mark.parametrize("span", [(None, None), (0.25, None), (None, 0.5), (0.1, 0.8), (5.0, None)])
@pytest.mark.parametrize("square", [False, True])
def test_the_same_frames_and_samples_as_from_the_file(
    tmp_path: Path, span: tuple[float | None, float | None], square: bool
) -> None:
    path = media_files.write_video(
        tmp_path / "a.mp4", IRREGULAR, audio=(media_files.tone(1.1, 48000, channels=2), 48000)
    )
    given = whole_of(path)
    for n_frames in (1, 4, 30):
        ours = media_from_recording(given, n_frames=n_frames, square=square, span_s=span)
        theirs = decode(path, n_frames=n_frames, square=square, start_s=span[0], end_s=span[1])
        assert (ours.audio is None) == (theirs.audio is None)
        if ours.audio is not None and theirs.audio is not None:
            np.testing.assert_array_equal(ours.audio.samples, theirs.audio.samples)
            assert ours.audio.start_s == pytest.approx(theirs.audio.start_s)
        assert (ours.frames is None) == (theirs.frames is None)
        if ours.frames is not None and theirs.frames is not None:
            np.testing.assert_allclose(ours.frames.times_s, theirs.frames.times_s, atol=1e-9)
            assert ours.frames.n_in_file == theirs.frames.n_in_file
            for one, other in zip(ours.frames.images, theirs.frames.images, strict=True):
                np.testing.assert_array_equal(one, other)


def test_missing_modalities_and_silence_have_the_reasons_of_files() -> None:
    audio = recording(0.1 * np.sin(np.arange(24000)), 16000)
    found = extract(audio, RECIPE)
    assert found.voice is not None and found.face_missing == "no video stream"
    silent = extract(recording(np.zeros(24000), 16000), RECIPE)
    assert silent.voice_missing == "the audio stream is silent"
    faceless = extract(recording(frames=FRAMES, fps=25), RECIPE)
    assert faceless.face_missing == "no face found in 20 frames"
    assert faceless.voice_missing == "no audio stream"
    past = extract(recording(np.ones(16000), 16000, frames=FRAMES, fps=25), RECIPE, start_s=9.0)
    assert past.voice_missing == "no audio could be decoded"
    assert past.face_missing == "no frame could be decoded"
    bare = extract(Waveform(np.full((1, 16000), 0.1, np.float32), 16000), RECIPE, face=False)
    assert bare.voice is not None and bare.face_missing == "not requested"


def test_sound_that_starts_late_is_cut_by_its_own_clock() -> None:
    late = recording(np.arange(16000) / 16000, 16000, start_s=0.5)
    cut = media_from_recording(late, span_s=(0.75, 1.0)).audio
    assert cut is not None and cut.start_s == 0.75 and cut.duration_s == 0.25
    assert cut.samples[0, 0] == pytest.approx(0.25)
    before = media_from_recording(late, span_s=(None, 0.75)).audio
    assert before is not None and before.start_s == 0.5 and before.duration_s == 0.25


def test_colours_are_weighed_and_not_swapped() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
    gray_image = recording(frames=colour, fps=1).frames
    swapped = recording(frames=colour[..., ::-1], fps=1, colour="bgr").frames
    assert gray_image is not None and swapped is not None
    weights = np.array([0.299, 0.587, 0.114])
    for one, other, source in zip(gray_image.images, swapped.images, colour, strict=True):
        np.testing.assert_allclose(one, source @ weights, atol=0.51)
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(gray_image.images[0], cv2.cvtColor(colour[0], cv2.COLOR_RGB2GRAY))
    assert gray_image.times_s.tolist() == [0, 1]
    one_plane = recording(frames=colour[..., :1], fps=1).frames
    assert one_plane is not None
    np.testing.assert_array_equal(one_plane.images[1], colour[1, :, :, 0])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float64), [-1, 0, 0.5]),
        (np.array([[-1, 0, 0.5]], np.float16), [-1, 0, 0.5]),
    ],
)
def test_full_scale(samples: Any, expected: list[float]) -> None:
    audio = recording(samples, cast("Any", np.int64(16000))).sound
    assert audio is not None and audio.sample_rate_hz == 16000
    np.testing.assert_array_equal(audio.samples, [expected])


@pytest.mark.parametrize(
    ("samples", "rate", "problem"),
    [
        (np.zeros(100), None, "give sample_rate_hz"),
        (np.zeros(100), 0, "sample_rate_hz must be a whole number from 1000 to 768000, got 0"),
        (np.zeros(100), 44100.5, "got 44100.5"),
        (np.zeros(100), float("nan"), "got nan"),
        (np.zeros(100), "16000", "got '16000'"),
        (np.zeros(100), True, "got True"),
        (np.zeros((1, 2, 100)), 16000, r"samples must be \(n,\) or \(n_channels, n\), got \(1, 2, 100\)"),
        (np.zeros((48000, 2)), 48000, "48000 channels; pass samples.T"),
        (np.zeros(0), 16000, "samples are empty"),
        (np.zeros((2, 0)), 16000, "samples are empty"),
        (np.array([0, 0, np.nan, np.inf]), 16000, "NaN or infinity, the first at sample 2"),
        (np.array([0, 1e300]), 16000, "NaN or infinity"),
        (np.array([0.0, -20000]), 16000, "samples reach 20000, and full scale is ±1"),
        (np.zeros(100, np.int64), 16000, "got int64"),
        (np.zeros(100, np.complex64), 16000, "got complex64"),
        (np.array(["a"]), 16000, "samples must be floating point"),
        (None, 16000, "sample_rate_hz was given without samples"),
        (None, None, "give samples with sample_rate_hz"),
    ],
)
def test_invalid_samples(samples: Any, rate: Any, problem: str) -> None:
    with pytest.raises(FeatureError, match=problem):
        recording(samples, rate)


@pytest.mark.parametrize(
    ("frames", "how", "problem"),
    [
        (FRAMES, {}, "give either frame_times_s or fps"),
        (np.zeros((48, 64, 3), np.uint8), {"fps": 25}, r"frame 0 is only 3 wide, .* pass image\[None\]"),
        (np.zeros((48, 64, 4), np.uint8), {"fps": 25}, "only 4 wide"),
        (np.zeros((48, 64, 1), np.uint8), {"fps": 25}, "only 1 wide"),
        (list(np.zeros((48, 64, 3), np.uint8)), {"fps": 25}, "only 3 wide"),
        (FRAMES, {"fps": 25, "frame_times_s": [0, 1, 2]}, "give either"),
        (FRAMES, {"fps": 0}, "fps must be positive, got 0"),
        (FRAMES, {"fps": float("nan")}, "fps must be positive"),
        (FRAMES, {"fps": "25"}, "fps must be positive"),
        (FRAMES, {"frame_times_s": [0, 1]}, r"must be \(3,\), one for each frame, got \(2,\)"),
        (FRAMES, {"frame_times_s": [0, 2, 1]}, "finite and never decrease"),
        (FRAMES, {"frame_times_s": [0, 1, np.inf]}, "finite and never decrease"),
        (FRAMES, {"frame_times_s": ["a", "b", "c"]}, "must be numbers"),
        (FRAMES.astype(np.float32), {"fps": 25}, "must be uint8, 0 to 255, got float32 in frame 0"),
        (FRAMES[0], {"fps": 25}, r"frames must be \(n, height, width\)"),
        (FRAMES[:0], {"fps": 25}, "frames are empty"),
        (np.zeros((3, 4, 5, 4), np.uint8), {"fps": 25}, r"got \(4, 5, 4\) in frame 0"),
        ([FRAMES[0], np.zeros((0, 5), np.uint8)], {"fps": 25}, r"got \(0, 5\) in frame 1"),
        (FRAMES, {"fps": 25, "colour": "cmyk"}, "colour must be 'rgb' or 'bgr', got 'cmyk'"),
        (None, {"fps": 25}, "given without frames"),
        (TimedFrames((FRAMES[0],), np.zeros(1), 1), {"fps": 25}, "the frames have times already"),
        (TimedFrames((FRAMES[0] * 1.0,), np.zeros(1), 1), {}, "frame 0 is not"),
        (TimedFrames((FRAMES[0],), np.array([np.nan]), 1), {}, "times of the frames must be finite"),
    ],
)
def test_invalid_frames(frames: Any, how: dict[str, Any], problem: str) -> None:
    with pytest.raises(FeatureError, match=problem):
        recording(frames=frames, **how)


def test_records_made_by_hand_are_checked_too() -> None:
    broken = Waveform(np.array([[0, np.nan] * 8000], np.float32), 16000)
    with pytest.raises(FeatureError, match="NaN"):
        extract(broken, RECIPE)
    with pytest.raises(FeatureError, match="3 Hz is out of range"):
        extract(Waveform(np.zeros((1, 16000), np.float32), 3), RECIPE)
    with pytest.raises(FeatureError, match="frame 0 is not"):
        extract(TimedFrames((np.zeros((4, 4, 3), np.uint8),), np.zeros(1), 1), RECIPE)
    with pytest.raises(ValueError, match="audio, video or both"):
        Recording()
