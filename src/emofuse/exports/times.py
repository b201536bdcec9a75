"""Times to the millisecond and texts that every format can hold.

A time is rounded once, from the exact value of the float and half to even; whatever is derived from it is
integer arithmetic, so that nothing drifts over ten hours and adjacent intervals share their boundary.
"""

from __future__ import annotations

import re
from fractions import Fraction

from emofuse.timeline.records import Segment, Timeline, Window

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff\ufffe\uffff]")


def milliseconds(seconds: float) -> int:
    """The nearest whole millisecond, half to even."""
    return round(Fraction(seconds) * 1000)


def span_ms(timeline: Timeline) -> tuple[int, int]:
    """When the recording begins and ends."""
    end = round((Fraction(timeline.start_s) + Fraction(timeline.duration_s)) * 1000)
    return milliseconds(timeline.start_s), end


def part_ms(part: Window | Segment, span: tuple[int, int]) -> tuple[int, int]:
    """When a window or a segment begins and ends, held inside ``span``."""
    first, last = span
    start, end = (min(max(milliseconds(t), first), last) for t in (part.start_s, part.end_s))
    return start, end


def decimal_seconds(ms: int) -> str:
    """``-0.040``, ``36000.000``: seconds with exactly three decimals."""
    whole, rest = divmod(abs(ms), 1000)
    return f"{'-' if ms < 0 else ''}{whole}.{rest:03d}"


def clock(ms: int) -> str:
    """``00:00:12.345``: hours are always there, with as many digits as they need. ``ms`` is not negative."""
    whole, rest = divmod(ms, 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{rest:03d}"


def encodable(text: str) -> str:
    """The text with U+FFFD for what is no character: NUL, half a surrogate pair, U+FFFE and U+FFFF."""
    return _NOT_TEXT.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text on one line, in characters that XML allows: line breaks and controls become a space."""
    return encodable(_BREAKS.sub(" ", text).strip())
