"""Frames at regular sample times, chosen as they come: nothing is listed beforehand."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from emofuse.core.records import UInt8
from emofuse.media.frames import gray_image, shown_until
from emofuse.media.letterbox import Size, letterboxed, searched_size, upright_size
from emofuse.media.orientation import orientation

SMALL_ROWS: Final = 360
"""Largest height of the small color image."""
_ROUNDING_S: Final = 1e-3
"""Timestamps in milliseconds (Matroska) may miss a sample time by this much and still count as it."""
_MOST_WAITING: Final = 64
"""Most packets that wait to be settled; in a well-formed file no more than 17 do."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video.

    ``time_s``: presentation time, in seconds after the earliest timestamp of the file. ``image``: (height,
    width) uint8 gray, upright, full range, square pixels, at most about 4K. ``small``: (height', width',
    3) uint8 BGR, the same with at most 360 rows.
    """

    time_s: float
    image: UInt8
    small: UInt8


class SampleTimes:
    """Selects, from increasing times, the first at or after each regular sample time."""

    def __init__(
        self,
        per_s: float,
        tick_s: float,
        start_s: float | None = None,
        end_s: float | None = None,
        *,
        like: SampleTimes | None = None,
    ) -> None:
        """``tick_s``: resolution of the timestamps; ``per_s`` may be infinite: every time is wanted.

        Sample times are counted from the first time taken; ``like``: from the first one that these took.
        """
        self._per_s = per_s
        self._rounding_s = min(tick_s, _ROUNDING_S) if tick_s > 0 else _ROUNDING_S
        self._start_s = -math.inf if start_s is None else start_s - 1e-6
        self._end_s = math.inf if end_s is None else end_s - 1e-6
        self._like = like
        self._first_s: float | None = None
        self._next_s = -math.inf

    def is_past_end(self, time_s: float) -> bool:
        """Whether nothing from this time on is wanted."""
        return time_s >= self._end_s

    def take(self, time_s: float) -> bool:
        """Whether this time is wanted; the next sample time follows it."""
        if time_s < self._start_s or self.is_past_end(time_s) or time_s < self._next_s:
            return False
        if math.isinf(self._per_s):
            return True
        if self._first_s is None:
            known = None if self._like is None else self._like._first_s
            self._first_s = time_s if known is None else known
        passed = math.floor((time_s - self._first_s + self._rounding_s) * self._per_s + 1e-9)
        self._next_s = self._first_s + (passed + 1) / self._per_s - self._rounding_s
        return True


class PacketLookahead:
    """Determines for each packet, before it is decoded, whether the frame in it is wanted.

    A packet's decoding timestamp is a promise: no later packet is presented before it. So after a few more
    packets the presentation order is settled. If the promise is missing or broken, every frame is wanted.
    """

    def __init__(self, sample_times: SampleTimes, tick_s: float, origin_s: float) -> None:
        """``sample_times`` must not be shared with the sampler of the decoded frames."""
        self._sample_times, self._tick_s, self._origin_s = sample_times, tick_s, origin_s
        self._waiting: deque[Packet[Any]] = deque()
        self._open: list[int] = []
        self._wanted: set[int] = set()
        self._settled = -math.inf
        self._trusted = True
        self.last_s = -math.inf
        """Time of the last frame seen."""
        self._duration_s = self._longest_step_s = 0.0

    def push(self, packet: Packet[Any]) -> Iterator[tuple[Packet[Any], bool]]:
        """Take the next packet in decoding order; yield the settled ones, and whether each is wanted."""
        shown, pts, dts = not packet.is_discard, packet.pts, packet.dts
        self._waiting.append(packet)
        if shown and pts is not None:
            self._note_time(self._time(pts), (packet.duration or 0) * self._tick_s)
            heapq.heappush(self._open, pts)
        if dts is None or (shown and (pts is None or pts <= self._settled)) or dts < self._settled:
            # From here on, decoders of such a file skip nothing.
            self._trusted = False
        elif self._trusted:
            self._settle(dts)
        while self._waiting and (self._ready(self._waiting[0]) or len(self._waiting) > _MOST_WAITING):
            yield self._release()

    @property
    def end_s(self) -> float:
        """Until when the last frame seen is shown."""
        return shown_until(self.last_s, self._duration_s, self._longest_step_s)

    def _note_time(self, time_s: float, duration_s: float) -> None:
        if time_s > self.last_s:
            step_s = 0.0 if math.isinf(self.last_s) else time_s - self.last_s
            self._longest_step_s = max(self._longest_step_s, step_s)
            self.last_s, self._duration_s = time_s, duration_s

    def rest(self) -> Iterator[tuple[Packet[Any], bool]]:
        """The packets that still wait; there are no more."""
        self._settle(math.inf)
        while self._waiting:
            yield self._release()

    def is_past_end(self, packet: Packet[Any]) -> bool:
        """Whether no frame of this packet or of a later one is wanted."""
        return packet.dts is not None and self._sample_times.is_past_end(self._time(packet.dts))

    def _time(self, pts: int) -> float:
        return pts * self._tick_s - self._origin_s

    def _settle(self, until: float) -> None:
        while self._open and self._open[0] <= until:
            pts = heapq.heappop(self._open)
            if self._sample_times.take(self._time(pts)):
                self._wanted.add(pts)
        self._settled = max(self._settled, until)

    def _ready(self, packet: Packet[Any]) -> bool:
        return not self._trusted or packet.is_discard or packet.pts is None or packet.pts <= self._settled

    def _release(self) -> tuple[Packet[Any], bool]:
        packet = self._waiting.popleft()
        if packet.is_discard:
            return packet, False
        known = self._trusted and packet.pts is not None and packet.pts <= self._settled
        wanted = packet.pts in self._wanted
        if packet.pts is not None:
            self._wanted.discard(packet.pts)
        return packet, wanted or not known


class FrameSampler:
    """Turns decoded frames, in presentation order, into :class:`Frame` records at regular sample times.

    It is independent of files: the frames may as well come from a camera.
    """

    def __init__(
        self,
        sample_times: SampleTimes,
        *,
        origin_s: float = 0.0,
        aspect: float = 1.0,
        frame_s: float = 0.04,
        size: Size | None = None,
    ) -> None:
        """``aspect``: width of a pixel over its height; ``frame_s``: the step without timestamps.

        ``size``: width and height to which all frames are fitted; None: those of the first.
        """
        self._sample_times, self._origin_s, self._aspect, self._frame_s = (
            sample_times,
            origin_s,
            aspect,
            frame_s,
        )
        # Each caches the tables of one conversion.
        self._to_gray, self._to_small = VideoReformatter(), VideoReformatter()
        self.last_s = -math.inf
        """Time of the last frame that came, wanted or not."""
        self.size = size
        """Width and height of the upright frames, from the first one on. Others are letterboxed."""
        self.n_back = 0
        """Frames left out because they came with a time in the past."""

    @property
    def end_s(self) -> float:
        """Until when the last frame is shown, where its step is all that is known."""
        return self.last_s + self._frame_s

    def add(self, frame: VideoFrame) -> Frame | None:
        """Take the next decoded frame; None if it is not wanted."""
        if self.size is None:
            self.size = searched_size(upright_size(frame, self._aspect))
        if frame.pts is None or not frame.time_base:
            time_s = max(0.0, self.last_s + self._frame_s)
        else:
            time_s = frame.pts * float(frame.time_base) - self._origin_s
        if time_s <= self.last_s:
            self.n_back += 1
            return None
        self.last_s = time_s
        if not self._sample_times.take(time_s):
            return None
        image = self._gray(frame)
        small = self._small(frame, image.shape[0], image.shape[1])
        if image.shape != self.size[::-1]:
            width, height = self.size
            image = letterboxed(image, self.size)
            small = letterboxed(small, _small_size(height, width))
        return Frame(time_s, image, small)

    def _gray(self, frame: VideoFrame) -> UInt8:
        return gray_image(frame, self._to_gray, square=False, aspect=self._aspect)

    def _small(self, frame: VideoFrame, height: int, width: int) -> UInt8:
        """BGR, upright, scaled and converted in one step; ``height`` and ``width`` are the upright ones."""
        columns, rows = _small_size(height, width)
        shown = orientation(frame)
        size = (rows, columns) if shown.transposed else (columns, rows)
        small = self._to_small.reformat(frame, *size, format="bgr24", interpolation=Interpolation.AREA)
        return np.ascontiguousarray(shown.upright(small.to_ndarray()))


def _small_size(height: int, width: int) -> Size:
    """Width and height of the small color image."""
    rows = min(SMALL_ROWS, height)
    return max(1, round(width * rows / height)), rows
