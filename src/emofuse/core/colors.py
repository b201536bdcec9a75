"""The color of each label: the eight emotions have theirs, and any others get one that differs from all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EMOTION_COLORS: Final[dict[str, str]] = {
    "neutral": "#8a8f98",
    "calm": "#3aa6a0",
    "happy": "#e0a800",
    "sad": "#3f6fd1",
    "angry": "#d1382f",
    "fearful": "#7a4fbf",
    "disgust": "#5b8f2a",
    "surprised": "#e0762b",
}
"""One color per emotion, the same in every chart, page and terminal."""

OTHER_COLORS: Final = (
    "#d868d0", "#107070", "#885868", "#9080f8", "#b83890", "#a06800", "#f06080", "#1898f8", "#a89010",
    "#a070b0", "#007800", "#b87070", "#707860", "#0088a8", "#606898", "#686810", "#7088c8", "#009070",
    "#a84820", "#789868", "#a850c0", "#b04060", "#20a868", "#c86098", "#a88860", "#905098", "#7868e8",
    "#1868a8", "#387848", "#c86030", "#80a000", "#c080a0", "#00a0d0", "#d84068", "#b080d8", "#887088",
    "#888020", "#806040", "#e85848", "#5880f8", "#2888d0", "#606870", "#a868e8", "#608090", "#987058",
    "#7070c0", "#a86080", "#d87878", "#c07800", "#00a030",
)  # fmt: skip
"""For labels that are not among the eight, in this order: as many as there may be labels.

Chosen one after the other as far as possible from all before and from the eight, in OKLab (Ottosson 2020): no
two are nearer than 0.06. Each has a contrast of at least 3:1 with a white and with a dark page (WCAG 2.2,
1.4.11).
"""


def label_colors(labels: Sequence[str]) -> dict[str, str]:
    """The color of each label, by its name: no two are the same.

    Args:
        labels: all labels of a recognizer, at most 50, in their order.

    >>> label_colors(["happy", "stressed"])
    {'happy': '#e0a800', 'stressed': '#d868d0'}
    """
    others = iter(OTHER_COLORS * (1 + len(labels) // len(OTHER_COLORS)))
    return {label: EMOTION_COLORS.get(label) or next(others) for label in labels}
