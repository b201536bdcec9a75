"""Two streams side by side in time, in bounded memory: their packets, and what was made of them."""

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
"""Packets of one stream wait for the other's up to this size in all."""
_PACKET_S: Final = 30.0
"""And up to this length."""
_OVERHEAD: Final = 600
"""Bytes that a packet takes beside its content."""
_PICTURE_BYTES: Final = 32 * 2**20
_SOUND_S: Final = 30.0


class PacketQueue:
    """Packets as the container has them come out in the order of their time, as far as memory allows.

    Some files hold a minute of picture before the sound of that minute.
    """

    def __init__(self, packets: Iterable[Packet[Any]], streams: Iterable[Stream]) -> None:
        """Only packets of ``streams`` come out."""
        self._packets = packets
        self._waiting: dict[int, deque[tuple[float, Packet[Any]]]] = {s.index: deque() for s in streams}
        self._last_s = dict.fromkeys(self._waiting, -math.inf)
        self._bytes = 0

    def leave(self, stream: Stream) -> None:
        """Nothing more of this stream is wanted."""
        for _, packet in self._waiting.pop(stream.index, ()):
            self._bytes -= packet.size + _OVERHEAD

    def __iter__(self) -> Iterator[Packet[Any]]:
        for packet in self._packets:
            index = packet.stream.index
            # At the end the binding yields an empty packet a stream; decoders are emptied elsewhere.
            if not packet.size or index not in self._waiting:
                continue
            stamp = packet.pts if packet.dts is None else packet.dts
            time_s = self._last_s[index] if stamp is None else stamp * float(packet.time_base)
            self._last_s[index] = time_s
            self._waiting[index].append((time_s, packet))
            self._bytes += packet.size + _OVERHEAD
            while any(self._waiting.values()) and (all(self._waiting.values()) or self._much()):
                yield self._next()
            if not self._waiting:
                return
        while any(self._waiting.values()):
            yield self._next()

    def _much(self) -> bool:
        if self._bytes > _PACKET_BYTES:
            return True
        return any(queue and queue[-1][0] - queue[0][0] > _PACKET_S for queue in self._waiting.values())

    def _next(self) -> Packet[Any]:
        queue = min((q for q in self._waiting.values() if q), key=lambda q: q[0][0])
        _, packet = queue.popleft()
        self._bytes -= packet.size + _OVERHEAD
        return packet


class Merger:
    """Blocks of sound and pictures come out in the order of their time, as far as memory allows."""

    def __init__(self, *, sound: bool, pictures: bool) -> None:
        """Which of the two will come."""
        self._sound: deque[Waveform] = deque()
        self._held_s = 0.0
        self._pictures: deque[Frame] = deque()
        self.sound_s = -math.inf if sound else math.inf
        """No block starts before this time any more; to be kept up to date by the owner."""
        self.picture_s = -math.inf if pictures else math.inf
        """No picture comes before this time any more; to be kept up to date by the owner."""

    def add(self, *items: Waveform | Frame) -> None:
        """Take what was made, each kind in its order."""
        for item in items:
            if isinstance(item, Waveform):
                self._sound.append(item)
                self._held_s += item.duration_s
            else:
                self._pictures.append(item)

    def ready(self) -> Iterator[Waveform | Frame]:
        """What nothing earlier can come before, or what there is no room to hold. Sound goes first."""
        while self._sound or self._pictures:
            sound_s = self._sound[0].start_s if self._sound else math.inf
            picture_s = self._pictures[0].time_s if self._pictures else math.inf
            if sound_s <= picture_s and (sound_s <= self.picture_s or self._much_sound()):
                block = self._sound.popleft()
                self._held_s = self._held_s - block.duration_s if self._sound else 0.0
                yield block
            elif picture_s < sound_s and (picture_s < self.sound_s or self._many_pictures()):
                yield self._pictures.popleft()
            else:
                return

    def rest(self) -> Iterator[Waveform | Frame]:
        """Nothing more comes."""
        self.sound_s = self.picture_s = math.inf
        return self.ready()

    def _much_sound(self) -> bool:
        return self._held_s > _SOUND_S

    def _many_pictures(self) -> bool:
        return sum(size(picture) for picture in self._pictures) > _PICTURE_BYTES


def size(item: Waveform | Frame) -> int:
    """Bytes of its arrays."""
    if isinstance(item, Waveform):
        return int(item.samples.nbytes)
    return int(item.image.nbytes + item.small.nbytes)
