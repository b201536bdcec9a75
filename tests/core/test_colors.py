"""Each label has a color that is seen on any page, and that is no other's."""

from __future__ import annotations

import doctest
import itertools
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core import colors
from emofuse.core.colors import EMOTION_COLORS, OTHER_COLORS, label_colors
from emofuse.core.label_names import MOST_LABELS
from emofuse.core.labels import EMOTIONS


def linear(color: str) -> NDArray[np.float64]:
    """(3,) linear sRGB."""
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    dark, light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def oklab(color: str) -> NDArray[np.float64]:
    """(3,) OKLab, by the matrices of Ottosson 2020."""
    to_cones = np.array([
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ])  # fmt: skip
    to_lab = np.array([
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ])  # fmt: skip
    return np.asarray(to_lab @ np.cbrt(to_cones @ linear(color)))


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(colors) == doctest.TestResults(failed=0, attempted=1)


def test_the_eight_keep_theirs_beside_any_others() -> None:
    found = label_colors([*EMOTIONS, "bored"])
    assert {name: found[name] for name in EMOTIONS} == EMOTION_COLORS


@pytest.mark.parametrize("n", [2, 12, MOST_LABELS])
def test_no_two_labels_have_the_same_color(n: int) -> None:
    found = label_colors([f"label {i}" for i in range(n)])
    assert len(set(found.values())) == n


def test_all_colors_are_far_apart() -> None:
    known = [oklab(color) for color in (*EMOTION_COLORS.values(), *OTHER_COLORS)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(known, 2)) > 0.06
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in OTHER_COLORS)


@pytest.mark.parametrize("page", ["#ffffff", "#14181d"])
def test_new_colors_are_seen_on_light_and_on_dark_pages(page: str) -> None:
    assert min(contrast(color, page) for color in OTHER_COLORS) >= 3
