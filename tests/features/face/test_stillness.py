from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.core.recipes import load_recipe
from emofuse.features.face.boxes import Box
from emofuse.features.face.inputs import STILL_FACE, FacePart
from emofuse.features.face.stillness import Stillness, never_moves
from emofuse.media.decoding import decode
from tests.support import drawn_people
from tests.support.typed import not_none

BOX: Box = (60, 80, 260, 280)
STEP_S = 0.2


def portrait() -> Any:
    """(360, 320) uint8."""
    return cv2.cvtColor(drawn_people.draw_person(1).frames[0], cv2.COLOR_BGR2GRAY)


def noisy(image: Any, sigma: float, seed: int) -> Any:
    grain = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def spaced(until_s: float) -> list[float]:
    return [until_s * i / 19 for i in range(20)]


def rests(frames: Iterable[Any], lighting: Callable[[int], int] = lambda _: 0) -> tuple[float, int]:
    """How long the face is at rest in the end, and how often it has moved."""
    stillness, n_moves = Stillness(), 0
    for i, frame in enumerate(frames):
        stillness.update(frame, BOX, i * STEP_S, lighting(i))
        n_moves += stillness.moves
    return stillness.rest_s, n_moves


def test_a_picture_rests_under_noise_and_other_light() -> None:
    picture = portrait()
    assert rests(noisy(picture, 10, i) for i in range(20)) == (pytest.approx(19 * STEP_S), 0)
    lit = (np.clip(picture * (0.7 + 0.02 * i), 0, 255).astype(np.uint8) for i in range(15))
    assert rests(lit) == (pytest.approx(14 * STEP_S), 0)


def test_a_breath_or_a_blink_is_movement() -> None:
    picture = portrait()
    lifted = np.roll(picture, 5, axis=0)  # by a fortieth of the face
    assert rests([picture] * 5 + [lifted] * 4) == (pytest.approx(3 * STEP_S), 1)
    shut = picture.copy()
    shut[145:165, 90:140] = shut[170, 115]  # one eye
    assert rests([picture] * 5 + [shut] + [picture] * 4) == (pytest.approx(3 * STEP_S), 2)


def test_nothing_is_compared_across_a_change_of_light() -> None:
    frames = [portrait(), np.roll(portrait(), 9, axis=0)] * 5
    assert rests(frames) == (0.0, 9)
    assert rests(frames, lambda i: i) == (0.0, 0)


def test_a_clip_is_judged_from_two_and_a_half_seconds_on() -> None:
    picture, boxes = portrait(), [BOX] * 20
    frames = [noisy(picture, 6, i) for i in range(20)]
    assert never_moves(frames, spaced(3.0), boxes)
    assert not never_moves(frames, spaced(2.0), boxes)
    assert not never_moves(frames, [0.0, 1.0, 2.0, 3.0] * 5, boxes)
    frames[12] = np.roll(picture, 9, axis=1)
    assert not never_moves(frames, spaced(3.0), boxes)


def test_the_face_of_a_still_picture_has_a_note(tmp_path: Path) -> None:
    one, n = drawn_people.draw_person(1), 4 * drawn_people.FPS
    recipe = load_recipe("default")

    def notes(name: str, pictures: list[Any]) -> tuple[str, ...]:
        path = drawn_people.write_video(tmp_path / name, pictures)
        frames = not_none(decode(path, audio=False, n_frames=20, end_s=3.0).frames)
        part = FacePart(recipe.face.features)
        for image in frames.images:
            part.add(image)
        found = part.result(frames.times_s)
        assert found.array is not None
        return found.notes

    assert notes("still.mp4", [one.frames[0]] * n) == (STILL_FACE,)
    assert notes("speaks.mp4", one.speaking(n)) == ()
    assert notes("listens.mp4", one.still(n)) == ()
