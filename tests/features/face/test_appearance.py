from __future__ import annotations

import cv2
import numpy as np
import pytest

from emofuse.corpus.synthetic import clip
from emofuse.features.face.appearance import (
    Appearance,
    color_difference,
    describe_appearance,
    pattern_difference,
)

BOX = (510, 249, 770, 513)


def person(actor: int, moment: int = 0) -> np.ndarray:
    """(360, 640, 3) BGR: a drawn person."""
    code = clip.TakeCode(2, 1, 1, 1, actor)
    portrait = clip.person(5, actor).portrait
    pose = clip.face_poses(5, code, clip.take_speech(5, code))[moment]
    bgr = portrait.frame(portrait.patch(pose, np.random.default_rng(moment)))
    return cv2.resize(bgr, (640, 360), interpolation=cv2.INTER_AREA)


def appearance_of(bgr: np.ndarray, box: tuple[int, int, int, int] = BOX) -> Appearance:
    return describe_appearance(bgr, box, 0.5)


def differences(a: Appearance, b: Appearance) -> tuple[float, float]:
    return pattern_difference(a, b), color_difference(a, b)


def test_an_appearance_equals_itself() -> None:
    one = appearance_of(person(1))
    assert one.pattern.shape == (60, 60) and one.colors.shape == (3, 5, 3)
    assert differences(one, one) == (pytest.approx(0, abs=1e-4), 0)


def test_one_person_differs_less_than_two() -> None:
    first = [appearance_of(person(actor)) for actor in (1, 2, 3)]
    later = [appearance_of(person(actor, 40)) for actor in (1, 2, 3)]
    for i, one in enumerate(first):
        same = sum(differences(one, later[i]))
        others = [sum(differences(one, other)) for j, other in enumerate(later) if j != i]
        assert 2 * same < min(others)


@pytest.mark.parametrize("box", [(530, 269, 750, 493), (490, 229, 800, 543), (520, 259, 780, 523)])
def test_size_and_position_of_the_box_matter_little(box: tuple[int, int, int, int]) -> None:
    pattern, color = differences(appearance_of(person(2)), appearance_of(person(2), box))
    assert pattern < 0.2 and color < 0.35


def test_less_light_matters_little() -> None:
    pattern, color = differences(
        appearance_of(person(1)), appearance_of(cv2.convertScaleAbs(person(1), alpha=0.7))
    )
    assert pattern < 0.1 and color < 0.5
    tinted = np.rint(person(1) * (1.0, 0.8, 0.6)).astype(np.uint8)
    assert color_difference(appearance_of(person(1)), appearance_of(tinted)) > 1


def test_parts_outside_the_frame_are_not_compared() -> None:
    bgr = person(1)
    # Cropped below the chin and beside the face: no clothes, nothing on the left.
    part = np.ascontiguousarray(bgr[:270, 250:])
    cut = describe_appearance(part, (10, 249, 270, 513), 0.5)
    assert np.isnan(cut.colors[0, 2]).all() and np.isnan(cut.colors[0, 3]).all()
    assert not np.isnan(cut.colors[0, 1]).any()
    pattern, color = differences(appearance_of(bgr), cut)
    assert pattern < 0.3 and color < 0.3
    assert color_difference(cut, Appearance(cut.pattern, np.full_like(cut.colors, np.nan))) == 0
    outside = describe_appearance(bgr, (-40, -40, 20, 20), 0.5)
    assert np.isfinite(outside.pattern).all()
