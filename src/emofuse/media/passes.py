"""One decoding pass over the packets of an open file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from emofuse.errors import MediaError
from emofuse.media.container import Damage, opened, packets_of, streams
from emofuse.media.pictures import Pictures, grey, pixel_aspect, quarter_turns
from emofuse.media.sound import Sound

# Decoders that leave out unwanted pictures which no other picture needs, without touching the others.
_CAN_SKIP: Final = frozenset({"h264", "mpeg4", "mpeg2video"})


@dataclass(slots=True)
class Pass:
    """Hands packets to decoders and decoded frames to their collectors, until nothing more is wanted."""

    container: InputContainer
    audio: AudioStream | None
    sound: Sound | None
    video: VideoStream | None
    pictures: Pictures | None
    damage: Damage

    def run(self, *, threads: int, skip: bool) -> None:
        """Read the file once. With ``skip``, pictures nobody needs are not decoded."""
        wanted: list[AudioStream | VideoStream] = []
        if self.sound is not None and self.audio is not None:
            wanted.append(self.audio)
        if self.pictures is not None and self.video is not None:
            wanted.append(self.video)
            self.video.thread_type = "AUTO"
            self.video.codec_context.thread_count = threads
            skip = skip and self.video.codec_context.name in _CAN_SKIP and not self.pictures.plan.by_order
        place = -1
        for packet in packets_of(self.container, wanted, self.damage):
            if packet.stream is self.audio:
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
        feed = self.pictures.plan.feed
        return feed is not None and not feed[place + 1 :].any()

    def _hear(self, packet: Packet[Any]) -> None:
        if self.sound is None or self.sound.full:
            return
        for frame in self.damage.survive(packet.decode):
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
        for frame in self.damage.survive(packet.decode):
            self.pictures.add(frame)

    def _drain(self) -> None:
        """Take out the pictures that the decoder still holds back for reordering."""
        if self.pictures is None or self.pictures.full or self.video is None:
            return
        context = self.video.codec_context
        for frame in self.damage.survive(lambda: context.decode(None)):
            self.pictures.add(frame)


def first_picture(path: Path) -> dict[str, int]:
    """Upright width and height, and the rotation that makes them so, from the first picture.

    Raises:
        MediaError: not one picture can be decoded.
    """
    with opened(path) as container:
        _, video = streams(path, container)
        assert video is not None
        damage = Damage()
        for packet in packets_of(container, [video], damage):
            for frame in damage.survive(packet.decode):
                height, width = grey(
                    frame, VideoReformatter(), square=False, aspect=pixel_aspect(video)
                ).shape
                turns = quarter_turns(frame)
                return {"width": width, "height": height, "rotation_deg": 90 * turns}
    raise MediaError(path, "no picture can be decoded")
