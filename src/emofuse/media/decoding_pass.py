"""One decoding pass over the packets of an open file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from emofuse.media.audio_blocks import WaveformCollector
from emofuse.media.container import MediaFile
from emofuse.media.decode_errors import DecodeErrors
from emofuse.media.frames import FrameCollector

_REPORT_EVERY_S: Final = 0.1
CAN_SKIP: Final = frozenset({"h264", "mpeg4", "mpeg2video"})
"""Decoders that can skip unwanted frames that no other frame refers to, without changing the others."""


@dataclass(slots=True)
class DecodingPass:
    """Passes packets to decoders and decoded frames to their collectors, until nothing more is wanted."""

    file: MediaFile
    audio: WaveformCollector | None
    frames: FrameCollector | None
    errors: DecodeErrors
    _reported_s: float = 0.0
    _last_index: float = np.inf
    _ticks_s: dict[int, float] = field(default_factory=dict)
    """Of each stream: a fraction for each packet would take longer than reading it."""

    def run(self, packets: Iterable[Packet[Any]], *, threads: int, skip: bool) -> None:
        """Read packets once. With ``skip``, unneeded frames are not decoded."""
        if self.frames is not None and self.video is not None:
            self.file.set_up_decoder(threads)
            skip = skip and self.video.codec_context.name in CAN_SKIP and not self.frames.plan.by_order
        if self.frames is not None:
            self._last_index = self.frames.plan.last_index
        index = -1
        for packet in packets:
            if packet.stream is not self.video:
                self._decode_audio(packet)
            elif packet.size:
                index += 1
                self._decode_video(packet, index, skip)
            self._report(packet)
            if self._audio_done() and self._video_done(index):
                break
        self._drain()

    @property
    def video(self) -> VideoStream | None:
        """The video that is read."""
        return self.file.video

    def _report(self, packet: Packet[Any]) -> None:
        stamp = packet.pts if packet.dts is None else packet.dts
        index = packet.stream.index
        if index not in self._ticks_s:
            self._ticks_s[index] = float(packet.time_base or 0)
        time_s = self._reported_s if stamp is None else stamp * self._ticks_s[index] - self.file.origin_s
        if time_s >= self._reported_s + _REPORT_EVERY_S:
            self._reported_s = time_s
            self.file.control.report(time_s, self.file.duration_s)

    def _audio_done(self) -> bool:
        return self.audio is None or self.audio.full

    def _video_done(self, index: int) -> bool:
        if self.frames is None or self.frames.full:
            return True
        return index >= self._last_index

    def _decode_audio(self, packet: Packet[Any]) -> None:
        if self.audio is None or self.audio.full:
            return
        for frame in self.errors.decode(packet):
            self.audio.add(frame)

    def _decode_video(self, packet: Packet[Any], index: int, skip: bool) -> None:
        if self.frames is None or self.frames.full or self.video is None:
            return
        plan = self.frames.plan
        if plan.feed is not None and (index >= len(plan.feed) or not plan.feed[index]):
            return
        if index in plan.restart:
            self._drain()
            self.video.codec_context.flush_buffers()
        if skip:
            needed = self.frames.wants(packet.pts)
            self.video.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        for frame in self.errors.decode(packet):
            self.frames.add(frame)

    def _drain(self) -> None:
        """Take out the frames that the decoder still holds back for reordering."""
        if self.frames is None or self.frames.full or self.video is None:
            return
        context = self.video.codec_context
        for frame in self.errors.guard(lambda: context.decode(None)):
            self.frames.add(frame)
