"""Two streams interleaved in time, in bounded memory: their packets, and what was decoded from them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from av.packet import Packet
from av.stream import Stream

from emofuse.core.records import Waveform
from emofuse.media.frame_sampling import Frame

_PACKET_BYTES: Final = 24 * 2**20
"""Packets of one stream wait for the other's up to this total size."""
_PACKET_S: Final = 30.0
"""And up to this duration."""
_OVERHEAD: Final = 600
"""Bytes that a packet takes besides its content."""
_FRAME_BYTES: Final = 32 * 2**20
_AUDIO_S: Final = 30.0


class PacketQueue:
    """Brings packets from container order into the order of their time, as far as memory allows.

    Some files hold a minute of video before the audio of that minute.
    """

    def __init__(self, packets: Iterable[Packet[Any]], streams: Iterable[Stream]) -> None:
        """Only packets of ``streams`` come out."""
        self._packets = packets
        self._waiting: dict[int, deque[tuple[float, Packet[Any]]]] = {s.index: deque() for s in streams}
        self._last_s = dict.fromkeys(self._waiting, -math.inf)
        self._bytes = 0

    def drop(self, stream: Stream) -> None:
        """Nothing more of this stream is wanted."""
        for _, packet in self._waiting.pop(stream.index, ()):
            self._bytes -= packet.size + _OVERHEAD

    def __iter__(self) -> Iterator[Packet[Any]]:
        for packet in self._packets:
            index = packet.stream.index
            # At the end PyAV yields an empty packet per stream; decoders are flushed elsewhere.
            if not packet.size or index not in self._waiting:
                continue
            stamp = packet.pts if packet.dts is None else packet.dts
            time_s = self._last_s[index] if stamp is None else stamp * float(packet.time_base)
            self._last_s[index] = time_s
            self._waiting[index].append((time_s, packet))
            self._bytes += packet.size + _OVERHEAD
            while any(self._waiting.values()) and (all(self._waiting.values()) or self._is_full()):
                yield self._next()
            if not self._waiting:
                return
        while any(self._waiting.values()):
            yield self._next()

    def _is_full(self) -> bool:
        if self._bytes > _PACKET_BYTES:
            return True
        return any(queue and queue[-1][0] - queue[0][0] > _PACKET_S for queue in self._waiting.values())

    def _next(self) -> Packet[Any]:
        queue = min((q for q in self._waiting.values() if q), key=lambda q: q[0][0])
        _, packet = queue.popleft()
        self._bytes -= packet.size + _OVERHEAD
        return packet


class StreamMerger:
    """Merges audio blocks and frames into the order of their time, as far as memory allows."""

    def __init__(self, *, audio: bool, frames: bool) -> None:
        """Which of the two will come."""
        self._audio: deque[Waveform] = deque()
        self._held_s = 0.0
        self._frames: deque[Frame] = deque()
        self.audio_s = -math.inf if audio else math.inf
        """No later block will start before this time; kept up to date by the owner."""
        self.frame_s = -math.inf if frames else math.inf
        """No later frame will come before this time; kept up to date by the owner."""

    def add(self, *items: Waveform | Frame) -> None:
        """Take what was decoded, each kind in its order."""
        for item in items:
            if isinstance(item, Waveform):
                self._audio.append(item)
                self._held_s += item.duration_s
            else:
                self._frames.append(item)

    def ready(self) -> Iterator[Waveform | Frame]:
        """Items that nothing earlier can precede, or that there is no room for. Audio goes first."""
        while self._audio or self._frames:
            audio_s = self._audio[0].start_s if self._audio else math.inf
            frame_s = self._frames[0].time_s if self._frames else math.inf
            if audio_s <= frame_s and (audio_s <= self.frame_s or self._too_much_audio()):
                block = self._audio.popleft()
                self._held_s = self._held_s - block.duration_s if self._audio else 0.0
                yield block
            elif frame_s < audio_s and (frame_s < self.audio_s or self._too_many_frames()):
                yield self._frames.popleft()
            else:
                return

    def rest(self) -> Iterator[Waveform | Frame]:
        """The remaining items; nothing more will come."""
        self.audio_s = self.frame_s = math.inf
        return self.ready()

    def _too_much_audio(self) -> bool:
        return self._held_s > _AUDIO_S

    def _too_many_frames(self) -> bool:
        return sum(n_bytes(frame) for frame in self._frames) > _FRAME_BYTES


def n_bytes(item: Waveform | Frame) -> int:
    """The size of its arrays."""
    if isinstance(item, Waveform):
        return int(item.samples.nbytes)
    return int(item.image.nbytes + item.small.nbytes)
