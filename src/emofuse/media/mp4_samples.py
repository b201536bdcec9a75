"""MP4 files that declare more samples than they can hold: FFmpeg lists them all when it opens such a file.

A table of samples of one size, and a fragment of samples like the last one, are a few bytes for up to four
billion samples, and the list takes 35 bytes for each: a file of 5 kB asks for gigabytes. As every sample has
at least one byte, a file has no more of them than bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

_FIRST: Final = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot"})
"""Boxes that such a file may begin with."""
_OUTER: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
"""Boxes that hold boxes."""
_FEW: Final = 1_000_000
"""So many samples, 35 MB, are listed in any case: the file may have been cut off."""
_MOST_BOXES: Final = 200_000
"""Of an honest file: one fragment per second is 20,000 in an hour. After so many, no more are looked at."""


def begins_like_mp4(head: bytes) -> bool:
    """Whether a file with these first bytes may be one."""
    return head[4:8] in _FIRST


def excess_samples(file: IO[bytes]) -> int | None:
    """How many samples an MP4 file declares, where that is more than it can hold; else None."""
    n_bytes = file.seek(0, 2)
    declared = 0
    track = _Track()
    for kind, at, size in _boxes(file, n_bytes):
        if kind in {b"trak", b"traf"}:
            declared += track.n_listed
            track = _Track()
        else:
            track.take(kind, file, at, size)
    declared += track.n_listed
    return declared if declared > max(_FEW, n_bytes) else None


@dataclass(slots=True)
class _Track:
    """What one track, or its part in a fragment, declares."""

    sound: bool = False
    of_one_size: int = 0
    in_fragments: int = 0
    each_lasts: list[int] = field(default_factory=list)
    """Numbers of ticks, of the first two runs of samples that last equally long."""

    def take(self, kind: bytes, file: IO[bytes], at: int, size: int) -> None:
        """Note what a box says, whose content is ``size`` bytes from ``at`` on."""
        if kind not in {b"hdlr", b"stsz", b"stts", b"trun"} or size < 8:
            return
        file.seek(at)
        content = file.read(min(size, 24))
        words = struct.unpack(f">{len(content) // 4}I", content[: len(content) // 4 * 4])
        if kind == b"hdlr":
            self.sound = content[8:12] == b"soun"
        elif kind == b"stsz" and len(words) > 2 and words[1]:
            self.of_one_size = words[2]
        elif kind == b"stts":
            self.each_lasts = list(words[3 : 2 + 2 * words[1] : 2])
        elif kind == b"trun" and not words[0] & 0xF00:  # samples of which nothing is said
            self.in_fragments += words[1]

    @property
    def n_listed(self) -> int:
        """Samples that FFmpeg lists; it reads those of plain PCM by chunks."""
        plain = self.sound and self.each_lasts == [1]
        return self.in_fragments + (0 if plain else self.of_one_size)


def _boxes(file: IO[bytes], n_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of content and size of content of every box, those inside others after them."""
    ends, at, n = [n_bytes], 0, 0
    while ends and n < _MOST_BOXES:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind, begins = struct.unpack(">I", head[:4])[0], head[4:8], 8
        if size == 1 and len(head) == 16:
            size, begins = struct.unpack(">Q", head[8:16])[0], 16
        end = ends[-1] if size == 0 else min(at + max(size, begins), ends[-1])
        n += 1
        yield kind, at + begins, end - at - begins
        if kind in _OUTER:
            ends.append(end)
            at += begins
        else:
            at = end
