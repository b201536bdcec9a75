from __future__ import annotations

import numpy as np
import pytest

from emofuse.features.face.boxes import (
    FaceDetection,
    crop,
    cut_out,
    distinct_faces,
    is_inside,
    overlap,
    same_face,
)

RAMP = np.tile(np.arange(100, dtype=np.uint8), (100, 1))


def test_crops_repeat_the_edge_outside_the_frame() -> None:
    inner = crop(RAMP, (10, 10, 58, 58), 48)
    np.testing.assert_array_equal(inner, RAMP[10:58, 10:58])
    outer = crop(RAMP, (-24, 0, 24, 48), 48)
    assert (outer[:, :24] == 0).all() and outer[0, 47] == 23
    assert crop(RAMP, (80, 80, 128, 128), 48)[47, 47] == 99


@pytest.mark.parametrize(
    "box",
    [(-9, 90, 20, 130), (95, -40, 120, 3), (-30, -30, 130, 140), (-40, 5, -20, 9), (120, 130, 125, 150)],
)
def test_a_cut_out_has_the_size_of_its_box(box: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 90, 3)).astype(np.uint8)
    rows = np.clip(np.arange(box[1], box[3]), 0, 99)
    columns = np.clip(np.arange(box[0], box[2]), 0, 89)
    np.testing.assert_array_equal(cut_out(image, box), image[np.ix_(rows, columns)])
    np.testing.assert_array_equal(cut_out(image[:, :, 0], box), image[:, :, 0][np.ix_(rows, columns)])


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 4, 4), (0, 0, 4, 4)) == 1
    assert overlap((0, 0, 4, 4), (2, 0, 6, 4)) == pytest.approx(8 / 24)
    assert overlap((0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 4, 4), (4, 0, 8, 4)) == 0


def test_enough_of_a_box_is_in_the_frame() -> None:
    assert is_inside((-30, 0, 10, 40), (100, 100), 0.25)
    assert not is_inside((-31, 0, 9, 40), (100, 100), 0.25)
    assert not is_inside((100, 0, 140, 40), (100, 100), 0.25)


def test_each_face_once() -> None:
    a, b, inner, far = (0, 0, 100, 100), (10, 5, 110, 105), (20, 20, 60, 60), (300, 0, 400, 100)
    assert same_face(a, b) and same_face(a, inner) and not same_face(a, far)
    found = distinct_faces(
        [FaceDetection(far, 0.1), FaceDetection(a, 0.5), FaceDetection(b, 1.0), FaceDetection(inner, 0.2)]
    )
    assert [face.box for face in found] == [b, far]
