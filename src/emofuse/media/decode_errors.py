"""What goes wrong while a recording is decoded: counted, worked around, and said in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
from av.packet import Packet

from emofuse.media.tags import tags_length


class DecodeErrors:
    """What went wrong while a file was read."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.bad_packets = 0
        self.stopped = False
        self._tag_end = -1
        """Where in the file the last tag between two parts ends."""

    def guard(self, decode: Callable[[], list[Any]]) -> list[Any]:
        """What a decoder yields for one packet; a packet that it cannot decode is counted and skipped."""
        try:
            return decode()
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError):
            self.bad_packets += 1
            return []

    def decode(self, packet: Packet[Any]) -> list[Any]:
        """What a decoder yields for a packet, see :meth:`guard`. Tags amid joined files are no damage."""
        try:
            return list(packet.decode())
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError):
            if packet.size == 1:  # RIFF pads chunks to an even length, and some writers count the padding
                return []
            rest = self._without_tags(packet)
            if rest is None:
                self.bad_packets += 1
                return []
        return self.guard(rest.decode) if rest.size else []

    def _without_tags(self, packet: Packet[Any]) -> Packet[Any] | None:
        """A packet without the tags it starts with; empty where they fill it, None where it has none."""
        if not packet.stream.codec_context.name.startswith(("mp3", "aac")):
            return None
        content, at = bytes(packet), packet.pos or 0
        skipped = tags_length(content) or max(0, self._tag_end - at)
        if not skipped:
            return None
        self._tag_end = max(self._tag_end, at + skipped)
        rest: Packet[Any] = Packet(content[skipped:])
        rest.stream, rest.pts, rest.dts = packet.stream, packet.pts, packet.dts
        rest.time_base = packet.time_base
        return rest

    def notes(self, stopped_s: float) -> tuple[str, ...]:
        """One line that a user can understand, or none."""
        if self.stopped:
            return (f"damaged: decoding stopped at {stopped_s:.2f} s",)
        if self.bad_packets:
            plural = "" if self.bad_packets == 1 else "s"
            return (f"damaged: {self.bad_packets} packet{plural} could not be decoded",)
        return ()
