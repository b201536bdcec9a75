from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.corpus.synthetic import clip
from emofuse.features.face.active_speaker import MouthTracker, find_active_speaker, mouth_movement
from emofuse.features.face.video_search import FaceSearch

PER_S = 5.0
Series = tuple[np.ndarray, np.ndarray]


def mouth_series(images: list[np.ndarray], per_s: float = PER_S) -> Series:
    """Times and movement of the mouth of the only face in gray images."""
    search, tracker, patches, box = FaceSearch(240), MouthTracker(), [], None
    for image in images:
        small: Any = cv2.cvtColor(cv2.resize(image, None, fx=0.5, fy=0.5), cv2.COLOR_GRAY2BGR)
        found = search.whole(image, small) if box is None else search.near(image, box)
        box = found[0].box
        patches.append(tracker.update(image, box))
    times_s = np.arange(len(images)) / per_s
    return times_s, mouth_movement(np.stack(patches), times_s)


@cache
def drawn(actor: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Five frames per second of a drawn person, and whether there is speech at each."""
    code = clip.TakeCode(2 + actor % 6, 1, 1, 1, actor)
    speech = clip.take_speech(5, code)
    portrait, rng = clip.person(5, actor).portrait, np.random.default_rng(actor)
    poses = clip.face_poses(5, code, speech)[::6]
    images = [cv2.cvtColor(portrait.frame(portrait.patch(pose, rng)), cv2.COLOR_BGR2GRAY) for pose in poses]
    opening = np.array([pose.speech for pose in poses])
    spoken = np.flatnonzero(opening > 0.05)
    loud = np.zeros(len(poses))
    loud[spoken[0] : spoken[-1] + 1] = 1
    return images, loud


@pytest.fixture(scope="module")
def speaking() -> tuple[Series, Series, np.ndarray]:
    """Two drawn people at the same time, and the speech of the first."""
    images, loud = drawn(1)
    return mouth_series(images), mouth_series(drawn(2)[0][: len(images)]), loud


def test_first_detections_and_gaps_tell_nothing() -> None:
    patches = np.random.default_rng(0).integers(0, 256, (4, 16, 24)).astype(np.uint8)
    movement = mouth_movement(patches, np.array([0.0, 0.2, 2.0, 2.2]))
    assert np.isnan(movement).tolist() == [True, False, True, False]
    assert mouth_movement(patches[:0], np.zeros(0)).shape == (0,)


def test_light_shift_and_noise_are_not_movement() -> None:
    images, _ = drawn(1)
    tracker = MouthTracker()
    patch = tracker.update(images[0], (510, 249, 770, 513)).astype(float)
    rng = np.random.default_rng(1)
    lit = np.clip(0.7 * patch + 20, 0, 255)
    moved = np.roll(patch, (1, -1), (0, 1))
    noisy = patch + rng.normal(0, 1.5, patch.shape)
    for other in (lit, moved, noisy):
        pair = np.stack([patch, np.clip(other, 0, 255)]).round().astype(np.uint8)
        assert mouth_movement(pair, np.array([0.0, 0.2]))[1] < 0.015
    wall = np.clip(90 + rng.normal(0, 1.0, (2, 16, 24)), 0, 255).astype(np.uint8)
    assert mouth_movement(wall, np.array([0.0, 0.2]))[1] < 0.05


def test_a_jumping_box_is_not_movement() -> None:
    image = drawn(1)[0][0]
    boxes = [(510, 249, 770, 513), (522, 255, 782, 519), (500, 240, 780, 520), (512, 262, 772, 526)]
    tracker = MouthTracker()
    patches = np.stack([tracker.update(image, box) for box in boxes])
    assert np.nanmax(mouth_movement(patches, np.arange(4) / PER_S)) < 0.01


def test_a_face_at_the_edge_of_the_frame_has_a_mouth() -> None:
    image = drawn(1)[0][0][:460, 560:]
    tracker = MouthTracker()
    for box in ((-50, 249, 210, 513), (-45, 252, 215, 516)):
        assert tracker.update(image, box).shape == (16, 24)


def test_a_mouth_moves_with_the_speech(speaking: tuple[Series, Series, np.ndarray]) -> None:
    (_, movement), _, loud = speaking
    assert np.nanmean(movement[loud > 0]) > 4 * np.nanmean(movement[1:][loud[1:] == 0])


def test_speech_is_assigned_to_the_moving_mouth(speaking: tuple[Series, Series, np.ndarray]) -> None:
    one, other, loud = speaking
    frozen = mouth_series([drawn(2)[0][0]] * len(loud))
    assert find_active_speaker({1: one, 2: frozen}, one[0], loud) == 1
    assert find_active_speaker({7: frozen, 3: one}, one[0], loud) == 3
    assert find_active_speaker({1: mouth_series([drawn(1)[0][0]] * len(loud)), 2: other}, one[0], loud) == 2
    assert find_active_speaker({1: one}, one[0], loud) == 1


def test_a_voice_without_a_speaker_is_not_assigned(speaking: tuple[Series, Series, np.ndarray]) -> None:
    one, other, loud = speaking
    frozen = mouth_series([drawn(2)[0][0]] * len(loud))
    times_s = one[0]
    assert find_active_speaker({1: frozen, 2: frozen}, times_s, loud) is None
    assert find_active_speaker({1: frozen}, times_s, loud) is None
    assert find_active_speaker({}, times_s, loud) is None
    assert find_active_speaker({1: one}, times_s, np.zeros_like(loud)) is None
    assert find_active_speaker({1: one}, np.zeros(0), np.zeros(0)) is None
    # Both mouths move: no one clearly is the speaker.
    assert find_active_speaker({1: one, 2: other}, times_s, np.ones_like(loud)) is None
    # Visible during a small part of the speech only.
    assert find_active_speaker({1: (one[0][-6:-3], one[1][-6:-3])}, times_s, np.ones_like(loud)) is None


@pytest.mark.ravdess
@pytest.mark.parametrize("per_s", [5, 10])
def test_real_speech_is_assigned_to_the_real_mouth(ravdess: Path, per_s: int) -> None:
    import av

    from emofuse.media.decoding import decode

    for path in sorted(ravdess.glob("video/*/01-*.mp4"))[:2]:
        with av.open(str(path)) as container:
            every = 30 // per_s
            images = [
                frame.to_ndarray(format="gray")
                for i, frame in enumerate(container.decode(video=0))
                if i % every == 0
            ]
        audio = decode(path).audio
        assert audio is not None
        step = audio.sample_rate_hz // 25
        power = (audio.samples[0][: audio.samples.shape[1] // step * step].reshape(-1, step) ** 2).mean(
            axis=1
        )
        speech = np.convolve(power > 2e-6, np.ones(5) / 5, mode="same")
        times_s = (np.arange(len(speech)) + 0.5) * step / audio.sample_rate_hz
        real, still = mouth_series(images, per_s), mouth_series([images[0]] * len(images), per_s)
        assert find_active_speaker({1: still, 2: real}, times_s, speech) == 2
        assert find_active_speaker({1: real}, times_s, speech) == 1
        assert find_active_speaker({1: still}, times_s, speech) is None
        # Speech that is not theirs: the mouth is at rest before and after the sentence.
        before = times_s < np.flatnonzero(speech > 0.5)[0] / 25 - 0.5
        assert find_active_speaker({1: real}, times_s[before], np.ones(before.sum())) is None
