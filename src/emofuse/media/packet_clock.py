"""One clock for the packets of a file, where its timestamps go back or leap: parts follow one another.

Broadcasts and joined files (``cat a.ts b.ts``) restart their clock on the way. The streams of the new part
keep their distance from each other, and begin where the old part ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.packet import Packet

_BACK_S: Final = 1.0
"""A longer step back restarts the clock; audio and frames that a shorter one repeats are left out."""
_MOST_REORDERED: Final = 17
"""Frames may be decoded this many frames before they are shown."""
_LEAP_S: Final = 60.0
"""A longer leap restarts the clock of a broadcast: nothing is missing, the sender counts from elsewhere."""
_ROUNDING_S: Final = 1.0
_LONG_LEAP_S: Final = 3601.0
"""The same for other containers, whose clock should never restart: there, a leap is a pause."""
_LONGEST_S: Final = 43200.0
"""A declared length up to this is believed: no leap within it restarts the clock."""


@dataclass(frozen=True, slots=True)
class GapLimits:
    """How long a gap between two timestamps may be, before it is taken for a wrong timestamp."""

    longest_s: float = 60.0
    """Where nothing else shows that the recording lasts that long."""
    lasts_until_s: Callable[[], float] = lambda: -math.inf
    """How long it is known to last so far. A gap up to there may be of any length."""


_WAIT_S: Final = 2.0
_WAIT_PACKETS: Final = 2000
"""How long a new part waits for its other streams, before its place is fixed."""
_NEAR_S: Final = 10.0
"""A stream that comes to the new part later is expected this near to the end of what it had."""


@dataclass(slots=True)
class _StreamClock:
    """Where one stream is."""

    offset_s: float
    """From the file's timestamps to the one clock."""
    stamp_s: float = -math.inf
    """The last decoding timestamp, as the file has it."""
    end_s: float = -math.inf
    """Where the stream ends so far, on the one clock."""


class PacketClock:
    """Moves timestamps of packets to one clock, which never goes back and never leaps."""

    def __init__(self, origin_s: float, *, restarts: bool, length_s: float | None) -> None:
        """Times are counted from ``origin_s``, the earliest timestamp.

        ``restarts``: the clock of such a container may restart; ``length_s``: the length, if it declares one.
        """
        self._origin_s = origin_s
        self._leap_s = _LEAP_S if restarts else _LONG_LEAP_S
        believed = length_s is not None and length_s <= _LONGEST_S
        self._length_s = length_s if believed and length_s is not None else -math.inf
        self._streams: dict[int, _StreamClock] = {}
        self._offset_s = 0.0
        """Of the newest part."""
        self._moved: set[int] = set()
        """Streams that have come to the part that is being placed."""
        self._waiting: list[tuple[Packet[Any], bool]] = []
        """Packets, in order, and whether each belongs to that part."""
        self._first_s = self._last_s = math.inf
        self._jumps: list[float] = []

    @property
    def restarted(self) -> bool:
        """Whether the timestamps went back or leapt."""
        return bool(self._jumps)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the timestamps went back or leapt, in one line, or none."""
        if not self._jumps:
            return ()
        more = len(self._jumps) - 1
        others = "" if not more else f", and {more} more time{'' if more == 1 else 's'}"
        return (f"the timestamps jump at {self._jumps[0]:.2f} s{others}: the parts follow one another",)

    def gap_limits(self, index: int) -> GapLimits:
        """Of the stream with this index: the others and the declared length show how long the file lasts."""
        longest_s = self._leap_s if math.isinf(self._length_s) else 0.0
        return GapLimits(longest_s, lambda: max(self._length_s, self.reached_s(without=index)) + _ROUNDING_S)

    def reached_s(self, *, without: int) -> float:
        """How far the streams other than that of an index have come."""
        return max((one.end_s for index, one in self._streams.items() if index != without), default=-math.inf)

    def moved(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """The same packets in the same order, with timestamps on the one clock."""
        for packet in packets:
            base = packet.time_base
            stamp_s = _seconds(base, packet.pts if packet.dts is None else packet.dts)
            if stamp_s is not None:
                index = packet.stream.index
                if self._jumped(index, stamp_s, packet):
                    if index in self._moved:
                        yield from self._place()
                    self._moved.add(index)
                self._stream(index).stamp_s = stamp_s
            if not self._moved:
                yield self._shift(packet, base)
                continue
            self._wait(packet)
            if self._is_complete():
                yield from self._place()
        yield from self._place()

    def _stream(self, index: int) -> _StreamClock:
        return self._streams.setdefault(index, _StreamClock(self._offset_s))

    def _jumped(self, index: int, stamp_s: float, packet: Packet[Any]) -> bool:
        """Whether a stream comes to a new part with this timestamp, that of a packet."""
        stream = self._streams.get(index)
        if stream is None:  # A stream that starts while others are moving belongs to their new part.
            return bool(self._moved)
        step_s = stamp_s - stream.stamp_s
        if 0 <= step_s <= self._leap_s or -_back_s(packet) <= step_s <= 0:
            return False
        at_s = stamp_s + stream.offset_s - self._origin_s
        if step_s > 0 and at_s <= max(self._length_s, self.reached_s(without=index) + self._leap_s):
            return False  # The others have packets meanwhile, or the file says that it is that long.
        if index not in self._moved and stream.offset_s != self._offset_s:
            late_s = stamp_s + self._offset_s - self._origin_s - stream.end_s
            if abs(late_s) < _NEAR_S:  # The others have come to the new part before.
                stream.offset_s = self._offset_s
                return False
        return True

    def _wait(self, packet: Packet[Any]) -> None:
        is_new = packet.stream.index in self._moved
        self._waiting.append((packet, is_new))
        start_s = _seconds(packet.time_base, packet.dts if packet.pts is None else packet.pts)
        if is_new and start_s is not None:
            known = not math.isinf(self._first_s)
            self._first_s = min(self._first_s, start_s)
            self._last_s = max(self._last_s, start_s) if known else start_s

    def _is_complete(self) -> bool:
        everyone = self._moved >= self._streams.keys()
        return everyone or self._last_s - self._first_s > _WAIT_S or len(self._waiting) > _WAIT_PACKETS

    def _place(self) -> Iterator[Packet[Any]]:
        """Release what waits: the new part starts where those of its streams that went before have ended."""
        waiting, self._waiting = self._waiting, []
        if not self._moved:
            return
        for packet, is_new in waiting:
            if not is_new:
                self._shift(packet, packet.time_base)
        ends = [self._stream(index).end_s for index in self._moved]
        end_s = max((end for end in ends if not math.isinf(end)), default=0.0)
        if not math.isinf(self._first_s):
            self._offset_s = end_s + self._origin_s - self._first_s
            self._jumps.append(end_s)
        for index in self._moved:
            self._stream(index).offset_s = self._offset_s
        self._moved, self._first_s, self._last_s = set(), math.inf, math.inf
        for packet, is_new in waiting:
            yield self._shift(packet, packet.time_base) if is_new else packet

    def _shift(self, packet: Packet[Any], base: Fraction | None) -> Packet[Any]:
        stream = self._stream(packet.stream.index)
        if not base:
            return packet
        if stream.offset_s:
            ticks = round(stream.offset_s / base)
            packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.pts = None if packet.pts is None else packet.pts + ticks
        start_s = _seconds(base, packet.dts if packet.pts is None else packet.pts)
        if start_s is not None:
            length_s = _seconds(base, packet.duration or 0) or 0.0
            stream.end_s = max(stream.end_s, start_s + length_s - self._origin_s)
        return packet


def _back_s(packet: Packet[Any]) -> float:
    """How far a packet may go back within a part: some containers have no true decoding timestamps."""
    reordered = 0 if packet.is_keyframe or not packet.time_base else _MOST_REORDERED
    return max(_BACK_S, reordered * float((packet.duration or 0) * (packet.time_base or 0)))


def _seconds(base: Fraction | None, ticks: int | None) -> float | None:
    """Without a product of fractions, which takes longer than reading a packet."""
    return None if ticks is None or not base else ticks * base.numerator / base.denominator
