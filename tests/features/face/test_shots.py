from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from emofuse.features.face.shots import Shots


def scene(seed: int) -> Any:
    """(360, 640, 3) uint8: soft colors at random."""
    coarse = np.random.default_rng(seed).integers(40, 216, (9, 16, 3)).astype(np.uint8)
    return cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC)


def test_the_first_frame_and_the_first_after_a_cut_are_fresh() -> None:
    shots = Shots()
    frames = [scene(1)] * 3 + [scene(2)] * 3
    assert [shots.update(frame) for frame in frames] == [True, False, False, True, False, False]
    assert shots.number == 1


@pytest.mark.parametrize(
    "curve",
    [
        lambda x: x - 0.3,
        lambda x: x + 0.3,
        lambda x: 0.3 * x,
        lambda x: x**2.5,
        lambda x: x * np.array([0.9, 0.6, 0.5]),
        lambda x: 0.5 + 0.2 * x,
    ],
    ids=["dimmed", "brightened", "darkened", "gamma", "colored", "fog"],
)
def test_light_that_changes_is_no_cut(curve: Any) -> None:
    shots = Shots()
    lit = np.rint(np.clip(curve(scene(1) / 255), 0, 1) * 255).astype(np.uint8)
    fresh, changed = [], []
    for frame in (scene(1), scene(1), lit, lit, scene(1)):
        fresh.append(shots.update(frame))
        changed.append(shots.light_changed)
    assert fresh == [True, False, False, False, False]
    assert changed == [False, False, True, False, True]
    assert shots.update(scene(2))


def test_a_scene_after_black_is_a_new_shot() -> None:
    shots = Shots()
    assert shots.update(scene(1))
    shots.update(np.zeros_like(scene(1)))
    assert shots.update(scene(2))


def test_a_jump_that_is_no_cut_for_certain_is_noted() -> None:
    first = scene(1)
    part = first.copy()
    part[:90, :240] = scene(2)[:90, :240]  # a tenth of the frame is replaced at once
    shots = Shots()
    jumps: list[bool] = []
    for frame in (first, first, part, part):
        assert shots.update(frame) == (len(jumps) == 0)
        jumps.append(shots.may_be_cut)
    assert jumps == [False, False, True, False]
    moved = [np.roll(first, 4 * i, axis=1) for i in range(6)]  # a camera that pans
    panning = Shots()
    noted = []
    for frame in moved:
        panning.update(frame)
        noted.append(panning.may_be_cut)
    assert not any(noted[2:])
