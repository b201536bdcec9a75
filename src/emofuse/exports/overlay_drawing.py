"""What the overlay draws on one frame: boxes, names, bars. Colors are BGR, as in OpenCV."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.colors import label_colors
from emofuse.core.dimensions import Rated
from emofuse.core.records import UInt8
from emofuse.exports.tiers import EXCLUDED, VOICE
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

MAX_GAP_S: Final = 1.0
"""Between two detections further apart than this the position of the face is unknown."""
_HOLD_S: Final = 0.12
"""A box is shown this long before the first and after the last detection, so that it does not flicker."""
_FONT: Final = cv2.FONT_HERSHEY_DUPLEX
_WHITE: Final = (245, 245, 245)
_DIM: Final = (190, 190, 190)
_GRAY: Final = (150, 150, 150)
_TRACK: Final = (70, 70, 70)
_Color = tuple[int, int, int]


_LONGEST: Final = 24
"""Characters of a name."""
_MOST_BARS: Final = 10
"""A panel shows no more labels than this: the highest probabilities."""
_NAMES: Final = (68, 128)
"""Least and greatest width of the names beside the bars of a panel."""
_PANEL: Final = 170
"""Width of a panel whose names have their least width."""
_BAR_TEXT: Final = 0.38
"""Size of the names beside the bars."""


def _lightened(text: str) -> _Color:
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    # lightened by a quarter, because the panels are dark
    return tuple(round(channel + (255 - channel) * 0.25) for channel in (blue, green, red))  # type: ignore[return-value]


def _text_color(color: _Color) -> _Color:
    """The color of text, whose lines are thinner than bars."""
    return tuple(round(channel + (255 - channel) * 0.4) for channel in color)  # type: ignore[return-value]


def plain_text(text: str, otherwise: str) -> str:
    """A name in the characters of the font: accents are dropped, other scripts become ``otherwise``."""
    flat = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    printable = " ".join("".join(c if c.isprintable() else " " for c in flat).split())
    if len(printable) > _LONGEST:
        printable = f"{printable[: _LONGEST - 2].rstrip()}.."
    return printable if any(c.isalnum() for c in printable) else otherwise


def plain_labels(emotions: Sequence[str]) -> dict[str, str]:
    """Each label in the characters of the font: ``label 3`` where it has none of them."""
    plain: dict[str, str] = {}
    for number, emotion in enumerate(emotions, 1):
        text = plain_text(emotion, f"label {number}")
        plain[emotion] = f"{text[:18]} {number}" if text in plain.values() else text
    return plain


def _mark(timeline: Timeline, person: str) -> str:
    """A star after the name of somebody who is read against their own baseline."""
    return "*" if timeline.leading(person) == "own" else ""


class _BoxTrack:
    """One person's face boxes over time."""

    def __init__(self, faces: Sequence[FaceBox]) -> None:
        self._times = [face.time_s for face in faces]
        self._edges = np.array([face.edges for face in faces], dtype=np.float64).reshape(-1, 4)

    def at(self, time_s: float) -> NDArray[np.float64] | None:
        """(4,) left, top, right, bottom, interpolated between two detections; None where unknown."""
        right = bisect_right(self._times, time_s)
        before = self._times[right - 1] if right else -math.inf
        after = self._times[right] if right < len(self._times) else math.inf
        if after - before <= MAX_GAP_S + 1e-6:
            share = (time_s - before) / (after - before)
            between: NDArray[np.float64] = (1 - share) * self._edges[right - 1] + share * self._edges[right]
            return between
        if time_s - before <= _HOLD_S:
            return self._edge(right - 1)
        return self._edge(right) if after - time_s <= _HOLD_S else None

    def _edge(self, index: int) -> NDArray[np.float64]:
        edges: NDArray[np.float64] = self._edges[index]
        return edges


class _Results:
    """One person's windows and segments, found by time."""

    def __init__(self, windows: Iterable[Window], segments: Iterable[Segment]) -> None:
        self._windows = sorted(windows, key=lambda window: window.start_s + window.end_s)
        self._middles = [(window.start_s + window.end_s) / 2 for window in self._windows]
        self._segments = list(segments)
        self._starts = [segment.start_s for segment in self._segments]

    def window(self, time_s: float) -> Window | None:
        """The window with the nearest midpoint, if it reaches this far."""
        right = bisect_right(self._middles, time_s)
        near = [i for i in (right - 1, right) if 0 <= i < len(self._windows)]
        if not near:
            return None
        best = self._windows[min(near, key=lambda i: abs(self._middles[i] - time_s))]
        return best if best.start_s <= time_s <= best.end_s else None

    def segment(self, time_s: float) -> Segment | None:
        """The segment at this time."""
        index = bisect_right(self._starts, time_s) - 1
        return self._segments[index] if index >= 0 and time_s < self._segments[index].end_s else None


@dataclass(frozen=True, slots=True)
class _State:
    """The results for one person at one time."""

    name: str | None
    segment: Segment | None
    window: Window | None
    speaks: bool
    color: _Color
    plain: Mapping[str, str]
    """The labels in the characters of the font."""

    @property
    def result(self) -> tuple[str, str]:
        """A word and what follows it: ``happy`` and `` 62%``, ``abstained``, ``excluded`` or nothing."""
        if self.segment is None:
            return "", ""
        if self.segment.excluded:
            return EXCLUDED, ""
        if self.segment.emotion is None:
            return ("abstained" if self.segment.abstained else ""), ""
        emotion, confidence = self.segment.shown_emotion or "", self.segment.shown_confidence
        return self.plain.get(emotion) or plain_text(emotion, "?"), f" {confidence or 0:.0%}"


class Drawing:
    """Draws a timeline on frames of one size."""

    def __init__(self, timeline: Timeline, width: int, height: int) -> None:
        """``width`` and ``height``: of the upright frames to draw on, in pixels."""
        self._timeline = timeline
        self._plain = plain_labels(timeline.emotions)
        self._emotions = list(self._plain.values())
        self._scales = timeline.dimensions
        self._scale_names = [plain_text(scale.name, f"scale {n}") for n, scale in enumerate(self._scales, 1)]
        self._colors = [_lightened(color) for color in label_colors(timeline.emotions).values()]
        self._color_of = dict(zip(timeline.emotions, self._colors, strict=True))
        faces: dict[str, list[FaceBox]] = {}
        for face in timeline.faces:
            faces.setdefault(face.person, []).append(face)
        owners = {p.person for p in timeline.windows} | {p.person for p in timeline.segments}
        people = [*timeline.people, *([None] if None in owners else [])]
        self._results = {
            person: _Results(
                (w for w in timeline.windows if w.person == person),
                (s for s in timeline.segments if s.person == person),
            )
            for person in people
        }
        self._box_tracks = {person: _BoxTrack(seen) for person, seen in faces.items()}
        self._names = {
            person: plain_text(person, f"person {number}") + _mark(timeline, person)
            for number, person in enumerate(timeline.people, 1)
        }
        self._width, self._height = width, height
        size = timeline.picture_size or (width, height)
        self._scale = np.array([width / size[0], height / size[1]] * 2)
        # text height is a thirtieth of the frame, but large enough to read
        self._unit = max(min(height, width * 0.75) / 400, 0.55)
        widest = max((self._text_size(name, _BAR_TEXT)[0] for name in self._emotions), default=0)
        self._column = min(max(self._pixels(_NAMES[0]), widest + self._pixels(2)), self._pixels(_NAMES[1]))
        self._bar_names = self._shortened(self._emotions, self._column - self._pixels(2))

    def draw(self, image: UInt8, time_s: float) -> None:
        """Draw the results at a time onto ``image``: (height, width, 3) uint8 BGR, changed in place."""
        shown: list[_State] = []
        for person, results in self._results.items():
            window = results.window(time_s)
            speaks = person is not None and window is not None and window.speaker == person
            unattributed = VOICE if self._names else None
            name = unattributed if person is None else self._names[person]
            segment = results.segment(time_s)
            color = self._color_of.get(segment.emotion or "", _GRAY) if segment else _GRAY
            state = _State(name, segment, window, speaks, color, self._plain)
            track = self._box_tracks.get(person) if person is not None else None
            box = track.at(time_s) if track else None
            if box is not None:
                self._box(image, box * self._scale, state)
            if person is None and self._names and not self._is_read(state):
                continue  # nobody off screen speaks
            if window is not None or state.segment is not None:
                shown.append(state)
        self._panels(image, shown)

    def _is_read(self, state: _State) -> bool:
        """Whether there is a result; where there are no emotions, a rating."""
        if not self._emotions:
            return bool(self._ratings(state.window))
        return state.segment is not None and state.segment.confidence is not None

    def _pixels(self, units: float) -> int:
        return max(1, round(units * self._unit))

    def _text_size(self, text: str, size: float) -> tuple[int, int]:
        (width, height), _ = cv2.getTextSize(text, _FONT, size * self._unit, 1)
        return int(width), int(height)

    def _fitted(self, text: str, end: str, room: int, size: float) -> str:
        """A text and its end, of which the text is cut where both have no room."""
        cut, whole = text, text + end
        while len(cut) > 1 and self._text_size(whole, size)[0] > room:
            cut = cut[:-1]
            whole = f"{cut.rstrip()}..{end}"
        return whole

    def _shortened(self, names: Sequence[str], room: int) -> list[str]:
        """The names that stand beside bars: those that are cut to the same get a number."""
        found: list[str] = []
        for number, name in enumerate(names, 1):
            short = self._fitted(name, "", room, _BAR_TEXT)
            found.append(self._fitted(name, f" {number}", room, _BAR_TEXT) if short in found else short)
        return found

    def _text(self, image: UInt8, text: str, at: tuple[int, int], size: float, color: _Color) -> None:
        """``at``: left end of the baseline."""
        scale = size * self._unit
        cv2.putText(image, text, at, _FONT, scale, color, 1 if scale < 1 else 2, cv2.LINE_AA)

    def _shade(self, image: UInt8, left: int, top: int, right: int, bottom: int) -> None:
        """Draw a panel through which a quarter of the image remains visible."""
        part = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if part.size:
            np.copyto(part, cv2.convertScaleAbs(part, alpha=0.26, beta=8).reshape(part.shape))

    def _box(self, image: UInt8, edges: NDArray[np.float64], state: _State) -> None:
        """Draw four corners around the face, and a label above it, or below where there is no room."""
        # clipped to what fits the integers of the drawing routines
        left, top, right, bottom = (round(float(e)) for e in np.clip(edges, -4000, 20000))
        thick, arm = self._pixels(2.4), max(6, round(min(right - left, bottom - top) * 0.22))
        for x, towards_x in ((left, 1), (right, -1)):
            for y, towards_y in ((top, 1), (bottom, -1)):
                for end in ((x + towards_x * arm, y), (x, y + towards_y * arm)):
                    cv2.line(image, (x, y), end, (20, 20, 20), thick + 2, cv2.LINE_AA)
                    cv2.line(image, (x, y), end, state.color, thick, cv2.LINE_AA)
        size, pad = 0.5, self._pixels(6)
        mark = self._pixels(16) if state.speaks else 0
        name = state.name or ""
        room = self._width - mark - 3 * pad - self._text_size(name, size)[0]
        texts = [(name, _WHITE), (self._fitted(*state.result, room, size), _text_color(state.color))]
        widths = [self._text_size(text, size)[0] for text, _ in texts if text]
        high = self._text_size("Ag", size)[1]
        wide = sum(widths) + pad * (len(widths) + 1) + mark
        tall = high + 2 * pad
        x = min(max(left, 0), max(0, self._width - wide))
        y = top - tall - thick if top - tall - thick >= 0 else min(bottom + thick, self._height - tall)
        self._shade(image, x, y, x + wide, y + tall)
        x += pad
        if state.speaks:
            self._speaking(image, x, y + tall // 2)
            x += mark
        for text, color in texts:
            if text:
                self._text(image, text, (x, y + pad + high), size, color)
                x += self._text_size(text, size)[0] + pad

    def _speaking(self, image: UInt8, left: int, middle: int) -> None:
        """Draw three bars, like a level meter."""
        for index, half in enumerate((2.5, 5.0, 3.5)):
            x = left + self._pixels(4) * index
            corners = (x, middle - self._pixels(half)), (x + self._pixels(2), middle + self._pixels(half))
            cv2.rectangle(image, *corners, _WHITE, -1)

    def _panels(self, image: UInt8, shown: Sequence[_State]) -> None:
        """Draw panels along the lower edge, as many as there is room for."""
        margin = self._pixels(10)
        wide = self._pixels(_PANEL) + self._column - self._pixels(_NAMES[0])
        room = max(1, (self._width - margin) // (wide + margin))
        for index, state in enumerate(shown[:room]):
            self._panel(image, margin + index * (wide + margin), wide, state)

    def _panel(self, image: UInt8, left: int, wide: int, state: _State) -> None:
        line, pad = self._pixels(15), self._pixels(8)
        margin, high = self._pixels(10), self._pixels(11)
        head = self._head(state, wide - 2 * pad)
        values = self._values(state.window)
        # small frames have no room for all bars: ratings come first, then the highest probabilities
        room = max(0, (self._height - 2 * margin - 2 * pad - line) // line)
        ratings = self._ratings(state.window)[:room]
        most = min(_MOST_BARS, room - len(ratings))
        rows = range(len(self._emotions)) if values is not None else range(0)
        if values is not None and most < len(self._emotions):
            rows = sorted(np.argsort(-values)[:most].tolist())  # type: ignore[assignment]
        top = self._height - margin - 2 * pad - line * (len(rows) + len(ratings) + 1)
        self._shade(image, left, top, left + wide, self._height - margin)
        y = top + pad + high
        self._text(image, head, (left + pad, y), 0.46, _text_color(state.color) if state.result[0] else _DIM)
        start = left + pad + self._column
        full = left + wide - pad - start
        for number in rows:
            y += line
            self._text(image, self._bar_names[number], (left + pad, y), _BAR_TEXT, _WHITE)
            corners = (start, y - self._pixels(8)), (start + full, y)
            cv2.rectangle(image, *corners, _TRACK, -1)
            assert values is not None
            length = round(full * float(values[number]))
            if length:
                cv2.rectangle(image, corners[0], (start + length, y), self._colors[number], -1)
        for number, rated in ratings:
            y += line
            self._rating(image, number, rated, (left + pad, y), (start, full))

    def _head(self, state: _State, wide: int) -> str:
        """The name and the result, as far as there is room; of a panel of ratings alone, the name."""
        rated_alone = not self._emotions and self._ratings(state.window)
        word, end = state.result
        word = word or ("" if rated_alone else "no result")
        head = ": ".join(text for text in (state.name or "", word) if text) or "ratings"
        return self._fitted(head, end, wide, 0.46)

    def _ratings(self, window: Window | None) -> list[tuple[int, Rated]]:
        """The ratings of a window, each with the number of its scale."""
        found = {} if window is None else window.ratings
        return [(n, found[scale.name]) for n, scale in enumerate(self._scales) if scale.name in found]

    def _rating(
        self, image: UInt8, number: int, rated: Rated, at: tuple[int, int], bar: tuple[int, int]
    ) -> None:
        """Draw a scale: its name, its range with the interval and a mark at the rating, and the rating.

        Args:
            image: is drawn on.
            number: of the scale.
            rated: what is drawn.
            at: left end of the baseline.
            bar: left end and length of the bars.
        """
        (left, y), (start, full), scale = at, bar, self._scales[number]
        text, size = scale.text(rated.value), _BAR_TEXT
        room = max(self._text_size(scale.text(end), size)[0] for end in (scale.low, scale.high))
        wide = full - room - self._pixels(5)
        self._text(image, self._scale_names[number][:12], (left, y), size, _WHITE)
        self._text(image, text, (start + full - self._text_size(text, size)[0], y), size, _WHITE)
        shares = (scale.share(one) for one in (rated.low, rated.value, rated.high))
        low, value, high = (start + round(wide * share) for share in shares)
        top = y - self._pixels(8)
        cv2.rectangle(image, (start, top), (start + wide, y), _TRACK, -1)
        cv2.rectangle(image, (low, top), (high, y), _GRAY, -1)
        half = self._pixels(1.2)
        cv2.rectangle(image, (value - half, top - half), (value + half, y + half), _WHITE, -1)

    @staticmethod
    def _values(window: Window | None) -> NDArray[np.float64] | None:
        """The fused probabilities; where there are none, those of voice or face."""
        if window is None:
            return None
        return next((p for p in (window.fused, window.voice, window.face) if p is not None), None)
