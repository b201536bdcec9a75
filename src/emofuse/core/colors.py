"""The color of each emotion."""

from __future__ import annotations

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
