"""One decoding pass over the packets of an open file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from av.packet import Packet
from av.video.stream import VideoStream

from emofuse.media.audio_blocks import WaveformCollector
from emofuse.media.container import DecodeErrors
from emofuse.media.frames import FrameCollector

CAN_SKIP: Final = frozenset({"h264", "mpeg4", "mpeg2video"})
"""Decoders that leave out unwanted pictures which no other picture needs, without touching the others."""


@dataclass(slots=True)
class DecodingPass:
    """Hands packets to decoders and decoded frames to their collectors, until nothing more is wanted."""

    sound: WaveformCollector | None
    video: VideoStream | None
    pictures: FrameCollector | None
    errors: DecodeErrors

    def run(self, packets: Iterable[Packet[Any]], *, threads: int, skip: bool) -> None:
        """Read packets once. With ``skip``, pictures nobody needs are not decoded."""
        if self.pictures is not None and self.video is not None:
            self.video.thread_type = "AUTO"
            self.video.codec_context.thread_count = threads
            skip = skip and self.video.codec_context.name in CAN_SKIP and not self.pictures.plan.by_order
        place = -1
        for packet in packets:
            if packet.stream is not self.video:
                self._hear(packet)
            elif packet.size:
                place += 1
                self._see(packet, place, skip)
            if self._heard_all() and self._seen_all(place):
                break
        self._drain()

    def _heard_all(self) -> bool:
        return self.sound is None or self.sound.full

    def _seen_all(self, place: int) -> bool:
        if self.pictures is None or self.pictures.full:
            return True
        return place >= self.pictures.plan.last_place

    def _hear(self, packet: Packet[Any]) -> None:
        if self.sound is None or self.sound.full:
            return
        for frame in self.errors.guard(packet.decode):
            self.sound.add(frame)

    def _see(self, packet: Packet[Any], place: int, skip: bool) -> None:
        if self.pictures is None or self.pictures.full or self.video is None:
            return
        plan = self.pictures.plan
        if plan.feed is not None and (place >= len(plan.feed) or not plan.feed[place]):
            return
        if place in plan.restart:
            self._drain()
            self.video.codec_context.flush_buffers()
        if skip:
            needed = self.pictures.wants(packet.pts)
            self.video.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        for frame in self.errors.guard(packet.decode):
            self.pictures.add(frame)

    def _drain(self) -> None:
        """Take out the pictures that the decoder still holds back for reordering."""
        if self.pictures is None or self.pictures.full or self.video is None:
            return
        context = self.video.codec_context
        for frame in self.errors.guard(lambda: context.decode(None)):
            self.pictures.add(frame)
