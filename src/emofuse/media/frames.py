"""Which frames of a file are wanted, which packets hold them, and how they become gray arrays."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Protocol

import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from emofuse.core.records import TimedFrames, UInt8
from emofuse.media.container import MediaFile
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.letterbox import Size, letterboxed, upright_size
from emofuse.media.orientation import orientation

_LIMITED_TO_FULL: Final = np.clip(np.rint((np.arange(256) - 16.0) * (255.0 / 219.0)), 0, 255).astype(np.uint8)
# Pixel formats whose first plane is the luma, eight bits per pixel.
_LUMA_FIRST: Final = frozenset(
    f"{family}{layout}p" for family in ("yuv", "yuvj", "yuva") for layout in (410, 411, 420, 422, 440, 444)
) | {"nv12", "nv21", "nv16", "nv24", "gray", "gray8"}
_FULL_RANGE: Final = 2
"""AVCOL_RANGE_JPEG."""
_KEEP_BYTES: Final = 24 * 2**20
"""Packets up to this total size are held between listing and decoding; beyond it, the file is read twice."""
_OVERHEAD: Final = 600
"""Bytes that a packet takes besides its content."""
_ROUNDING_S: Final = 1e-6
HELD_BYTES: Final = 32 * 2**20
"""Frames up to this total size are held: 20 of the central square of full HD, or of the whole of 720p."""


@dataclass(frozen=True, slots=True)
class PacketListing:
    """The video packets of a file in decoding order, as the container lists them, read without decoding.

    Plain numbers: three hours at 60 frames per second are 650,000 packets.
    """

    pts: NDArray[np.int64]
    """(n,) presentation timestamps, 0 where there is none."""
    has_pts: NDArray[np.bool_]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    """False for packets that an edit list hides: they are decoded and never shown."""
    durations: NDArray[np.int64]
    """How long each frame is shown; 0 where the container does not say."""
    retained: tuple[Packet[Any], ...] | None = None
    """All packets read so far, so that the file is read once; None where that would take too much memory."""

    @classmethod
    def of(cls, rows: Iterable[tuple[int | None, bool, bool, int]]) -> PacketListing:
        """From pts, key, shown and duration of each packet."""
        stamps, durations, flags = array("q"), array("q"), bytearray()
        for pts, key, shown, duration in rows:
            stamps.append(pts or 0)
            durations.append(duration)
            flags.append((pts is not None) + 2 * key + 4 * shown)
        bits = np.frombuffer(bytes(flags), np.uint8)
        return cls(
            np.array(stamps, dtype=np.int64), (bits & 1) > 0, (bits & 2) > 0, (bits & 4) > 0,
            np.array(durations, dtype=np.int64),
        )  # fmt: skip

    @property
    def timed(self) -> bool:
        """Whether every shown packet has its presentation timestamp."""
        return bool(self.has_pts[self.shown].all())


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Which frames are wanted, and which packets the decoder needs for them."""

    wanted: NDArray[np.int64]
    """(n_frames,) never decreasing: presentation timestamps, or indices in presentation order."""
    times_s: NDArray[np.float64]
    """(n_frames,) presentation times of the wanted frames."""
    by_order: bool
    """The file has no timestamps before decoding: frames are identified by their index."""
    feed: NDArray[np.bool_] | None
    """For each packet, in decoding order, whether it is needed; None: all are."""
    restart: frozenset[int]
    """Indices of packets before which the decoder is reset, since the run before was skipped."""
    n_in_span: int
    last_s: float
    """Time of the last frame that the file lists."""
    end_s: float
    """Until when that frame is shown."""

    @property
    def last_index(self) -> float:
        """Index of the last packet that is needed."""
        return np.inf if self.feed is None else int(np.flatnonzero(self.feed)[-1])


def list_packets(
    packets: Iterable[Packet[Any]],
    video: VideoStream,
    end_s: float | None,
    origin: float,
    *,
    keep: bool = True,
) -> PacketListing:
    """List the video packets, without decoding, until shortly after ``end_s``, and keep all packets read."""
    base = float(video.time_base or 0)
    retained: list[Packet[Any]] | None = [] if keep else None

    def rows() -> Iterator[tuple[int | None, bool, bool, int]]:
        nonlocal retained
        n_bytes = 0
        for packet in packets:
            n_bytes += packet.size + _OVERHEAD
            if retained is not None:
                retained.append(packet)
                retained = None if n_bytes > _KEEP_BYTES else retained
            if packet.stream is not video or not packet.size:
                continue
            yield packet.pts, bool(packet.is_keyframe), not packet.is_discard, packet.duration or 0
            # Decoding order is ahead of presentation order by less than a second.
            if end_s is not None and packet.dts is not None and packet.dts * base - origin > end_s + 1.0:
                break

    listing = PacketListing.of(rows())
    return replace(listing, retained=None if retained is None else tuple(retained))


def plan_frames(
    listing: PacketListing,
    n_frames: int,
    span_s: tuple[float | None, float | None],
    clock: tuple[float, float],
    decoded_times_s: NDArray[np.float64] | None,
) -> FramePlan:
    """Choose ``n_frames`` frames evenly in time between two times.

    ``clock``: seconds per tick, and the time of tick zero. ``decoded_times_s``: times in presentation order,
    for files whose packets have none.
    """
    tick_s, origin = clock
    by_order = decoded_times_s is not None
    if decoded_times_s is not None:
        times = decoded_times_s
        keys = np.arange(len(times), dtype=np.int64)
    else:
        keys = np.unique(listing.pts[listing.shown & listing.has_pts])
        times = np.asarray(keys * tick_s - origin, dtype=np.float64)
    last_s = float(times[-1]) if len(times) else 0.0
    shown_s = last_s
    if len(times) and not by_order:
        lasts = listing.durations[listing.has_pts & (listing.pts == keys[-1])].max()
        shown_s = shown_until(last_s, int(lasts) * tick_s, float(np.diff(times).max(initial=0.0)))
    start_s, end_s = span_s
    inside = times >= (-np.inf if start_s is None else start_s - _ROUNDING_S)
    inside &= times < (np.inf if end_s is None else end_s - _ROUNDING_S)
    keys, times = keys[inside], times[inside]
    n_in_span = len(keys)
    if n_in_span == 0:
        return FramePlan(keys, times, by_order, None, frozenset(), 0, last_s, shown_s)
    chosen = _nearest(times, np.linspace(times[0], times[-1], n_frames))
    keys, times = keys[chosen], times[chosen]
    feed, restart = None, frozenset[int]()
    if not by_order:
        feed, restart = _needed(listing, keys)
    return FramePlan(keys, times, by_order, feed, restart, n_in_span, last_s, shown_s)


def shown_until(last_s: float, duration_s: float, longest_step_s: float) -> float:
    """Until when the last frame is shown: where nothing says so, as long as any frame before it."""
    return last_s + (duration_s or longest_step_s)


def _nearest(times: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the time nearest to each target; the earlier of two that are equally near."""
    right = np.searchsorted(times, targets).clip(1, max(1, len(times) - 1)).clip(0, len(times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(targets - times[left] <= times[right] - targets + 1e-9, left, right)


def decoded_times(
    file: MediaFile, start_s: float | None, errors: DecodeErrors, *, threads: int
) -> NDArray[np.float64]:
    """Decode for the times alone: for containers that have none, such as a raw H.264 stream."""
    times: list[float] = []
    video, origin = file.video, file.origin_s
    assert video is not None
    file.set_up_decoder(threads)
    rate = float(nominal_rate(video))
    for packet in file.packets([video], errors, start_s):
        for frame in errors.decode(packet):
            known = frame.time
            # A stream with no clock at all has only its nominal rate.
            times.append(known - origin if known is not None else len(times) / rate)
    ordered: NDArray[np.float64] = np.maximum.accumulate(np.array(times, dtype=np.float64))
    return ordered


def _needed(
    listing: PacketListing, wanted: NDArray[np.int64]
) -> tuple[NDArray[np.bool_] | None, frozenset[int]]:
    """Skip runs between key frames that hold no wanted frame, and everything after the last wanted one."""
    starts = np.flatnonzero(listing.key)
    if not len(starts) or starts[0] != 0:
        return None, frozenset()
    indices = np.flatnonzero(listing.has_pts & np.isin(listing.pts, wanted))
    runs = np.searchsorted(starts, indices, side="right") - 1
    needed = np.zeros(len(starts), dtype=bool)
    needed[runs] = True
    # Frames presented before the key frame that they follow may depend on the run before it.
    heads = starts[runs]
    early = (runs > 0) & listing.has_pts[heads] & (listing.pts[indices] < listing.pts[heads])
    needed[runs[early] - 1] = True
    feed = np.repeat(needed, np.diff(starts, append=len(listing.pts)))
    feed[(int(indices[-1]) if len(indices) else 0) + 1 :] = False
    restart = np.flatnonzero(needed[1:] & ~needed[:-1]) + 1
    return feed, frozenset(starts[restart].tolist())


class FrameSink(Protocol):
    """Takes frames one by one, so that they need not be held."""

    def add(self, image: UInt8) -> None:
        """The next frame, (height, width) gray."""
        ...


class FrameCollector:
    """Keeps, of the decoded frames in presentation order, those nearest to the wanted ones."""

    def __init__(
        self, plan: FramePlan, square: bool, aspect: float, sink: Callable[[], FrameSink] | None = None
    ) -> None:
        """``plan``: the frames to keep; ``square`` and ``aspect``: see :func:`gray_image`.

        ``sink``: makes what takes the frames once they are too large to be held.
        """
        self.plan = plan
        self.exact = True
        """Every wanted frame so far came out under its own timestamp."""
        self._square, self._aspect = square, aspect
        self._unique = np.unique(plan.wanted)
        self._set = frozenset(self._unique.tolist())
        self._repeats = np.bincount(np.searchsorted(self._unique, plan.wanted))
        self._found: list[UInt8] = []
        self._n_found = self._n_bytes = 0
        self._make_sink = sink
        self.sink: FrameSink | None = None
        """What took the frames, if they were too large to be held."""
        self.failure: Exception | None = None
        """An error of the sink: nothing that the file did."""
        self._size: Size | None = None
        """Of the first frame, to which all are fitted."""
        self._before: tuple[int, VideoFrame] | None = None
        self._n_decoded = 0
        self._reformatter = VideoReformatter()

    @property
    def full(self) -> bool:
        """Every wanted frame has been found."""
        return self._n_found == len(self._unique) or self.failure is not None

    def wants(self, pts: int | None) -> bool:
        """Whether a packet with this timestamp holds a wanted frame."""
        return pts is None or pts in self._set

    def add(self, frame: VideoFrame) -> None:
        """Take the next decoded frame."""
        key = self._n_decoded if self.plan.by_order else frame.pts
        self._n_decoded += 1
        if key is None or self.full:
            return
        image: UInt8 | None = None
        while not self.full and (target := int(self._unique[self._n_found])) <= key:
            if self._before is not None and target - self._before[0] < key - target:
                self._keep(self._gray(self._before[1]))
            else:
                image = self._gray(frame) if image is None else image
                self._keep(image)
            self.exact &= target == key
        self._before = (key, frame)

    def result(self) -> TimedFrames | None:
        """The frames; None if none came out. A missing one is replaced by the one before."""
        if not self.full and self._before is not None:
            self.exact = False
            last = self._gray(self._before[1])
            while not self.full:
                self._keep(last)
        if not self._n_found:
            self.exact = False
        if not self._found:
            return None
        indices = np.searchsorted(self._unique, self.plan.wanted)
        images = tuple(self._found[i] for i in indices)
        return TimedFrames(images, self.plan.times_s, self.plan.n_in_span)

    def _keep(self, image: UInt8) -> None:
        """Hold the next frame, or pass it on."""
        self._found.append(image)
        self._n_found += 1
        self._n_bytes += image.nbytes
        if self.sink is None and self._make_sink is not None and self._n_bytes > HELD_BYTES:
            self.sink = self._make_sink()
        if self.sink is not None:
            try:
                self._pass_on(self.sink)
            except Exception as error:
                self.failure = error
            self._found = []

    def _pass_on(self, sink: FrameSink) -> None:
        first = self._n_found - len(self._found)
        for number, image in enumerate(self._found, first):
            for _ in range(self._repeats[number]):
                sink.add(image)

    def _gray(self, frame: VideoFrame) -> UInt8:
        size = upright_size(frame, self._aspect)
        self._size = self._size or size
        if size == self._size:
            return gray_image(frame, self._reformatter, square=self._square, aspect=self._aspect)
        whole = gray_image(frame, self._reformatter, square=False, aspect=self._aspect)
        image = letterboxed(whole, self._size)
        return np.ascontiguousarray(central_square(image)) if self._square else image


def gray_image(
    frame: VideoFrame, reformatter: VideoReformatter, *, square: bool, aspect: float = 1.0
) -> UInt8:
    """(height, width) uint8, upright, full range; with ``square`` only the central square.

    ``aspect``: width of a pixel over its height; other than 1 for some camcorders and broadcasts only.
    """
    plane = frame.planes[0]
    name = frame.format.name
    full = name.startswith(("yuvj", "gray")) or int(frame.color_range) == _FULL_RANGE
    image: UInt8
    if name in _LUMA_FIRST and plane.line_size >= frame.width:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        image = rows[: frame.height, : frame.width]
    else:
        image = np.asarray(reformatter.reformat(frame, format="gray").to_ndarray(), dtype=np.uint8)
        full = True
    if aspect != 1.0:
        size = (max(1, round(image.shape[1] * aspect)), image.shape[0])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    if square:
        image = central_square(image)
    # Copied out of the decoder's buffer, which the decoder will reuse.
    image = image.copy() if full else np.asarray(cv2.LUT(image, _LIMITED_TO_FULL), dtype=np.uint8)
    return np.ascontiguousarray(orientation(frame).upright(image))


def central_square(image: UInt8) -> UInt8:
    """A view of the central square."""
    side = min(image.shape)
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def nominal_rate(video: VideoStream) -> Fraction:
    """Frames per second. A stream without timestamps says so itself; its reader only has a default."""
    own = video.codec_context.framerate
    if own and video.start_time is None:
        return own
    return video.average_rate or video.guessed_rate or Fraction(25)
