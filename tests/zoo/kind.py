"""One kind of file: how it is made, and what a reader must find in it."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import av

from tests.zoo.material import LENGTH_S, SIZE, Material

Span = tuple[float, float]
_SHORT: Final = {
    "{talk}": "-i {film} -i {voice}",
    "{h264}": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    "{hevc}": "-c:v libx265 -preset ultrafast -x265-params log-level=none",
    "{vp8}": "-c:v libvpx -deadline realtime -cpu-used 16 -threads 1",
    "{mpeg4}": "-c:v mpeg4 -q:v 3",
    "{mpeg2}": "-c:v mpeg2video -q:v 3",
    "{mjpeg}": "-c:v mjpeg -q:v 3",
}
"""Words of the commands that many kinds share."""

_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where one file is made."""

    material: Material
    folder: Path
    """For files on the way; empty at first."""
    out: Path

    def run(self, line: str) -> None:
        """Run one command: ``ffmpeg …``, ``sox …``, ``cat A B``; names in braces are files."""
        program, *words = shlex.split(_spelled_out(line))
        names = {
            "film": self.material.film, "voice": self.material.voice, "out": self.out, "tmp": self.folder
        }  # fmt: skip
        arguments = [word.format(**names) for word in words]
        if program == "cat":
            self.out.write_bytes(b"".join(Path(name).read_bytes() for name in arguments))
            return
        before = ["-v", "error", "-nostdin", "-y"] if program == "ffmpeg" else ["-D", "-R"]
        command = [program, *before, *arguments]
        piped = arguments[-1] == "-"
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.decode(errors='replace')}")
        if piped:
            self.out.write_bytes(done.stdout)


Step = str | Callable[[Workshop], None]
"""A command, or what Python does; see :meth:`Workshop.run`."""


def unchanged(start_s: float, end_s: float) -> Span | None:
    """Speech is heard when it is in the material."""
    return start_s, end_s


def late(by_s: float) -> Callable[[float, float], Span]:
    """Speech is heard later than in the material."""
    return lambda start_s, end_s: (start_s + by_s, end_s + by_s)


def twice(start_s: float, end_s: float) -> Span:
    """Two parts of the whole length follow one another."""
    return start_s, end_s + LENGTH_S


def never(_start_s: float, _end_s: float) -> None:
    """No speech is heard."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file. What it holds follows from how it is made, never from what was read of it."""

    name: str
    """Of the file, with its suffix."""
    make: tuple[Step, ...]
    duration_s: float | None = LENGTH_S
    """None: the file does not say, and damage makes it uncertain."""
    heard: Callable[[float, float], Span | None] = unchanged
    """From when to when there is speech, given when there is in the material."""
    people: int = 1
    """How many have a face in it; 0 without video."""
    seen_s: Span = (0.0, LENGTH_S)
    """From when to when the face is seen."""
    read_s: Span | None = None
    """From when to when there are windows with a face, where a frame stands longer than it is seen."""
    size: tuple[int, int] | None = SIZE
    """Width and height of what a player shows; None without video."""
    notes: tuple[str, ...] | None = ()
    """Regular expressions of the notes, in their order, of ``predict`` and ``timeline`` alike. None: damage
    that a decoder may conceal."""
    predict_notes: tuple[str, ...] = ()
    """Of notes that only ``predict`` gives, after the others."""
    refused: str | None = None
    """A regular expression of the error, for what is not read at all."""
    timeline: bool = True
    """Whether a timeline of it is read too: not of what lasts half an hour."""
    pyav_encoder: str | None = None
    """What a step of Python needs."""
    tolerance_s: float = 0.1
    """Of times: codecs without a header of their own shift sound by a frame or two."""

    @property
    def lines(self) -> list[str]:
        """The commands among the steps."""
        return [step for step in self.make if isinstance(step, str)]

    def missing(self) -> str | None:
        """The encoder that this machine lacks to make it, if any."""
        if self.pyav_encoder is not None and self.pyav_encoder not in av.codecs_available:
            return f"this PyAV has no encoder {self.pyav_encoder}"
        for line in map(_spelled_out, self.lines):
            if line.startswith("ffmpeg"):
                wanted = set(re.findall(r"-c(?::\S+)? (\S+)", line)) - {"copy"}
                absent = sorted(wanted - _encoders())
                if absent:
                    return f"this ffmpeg has no encoder {absent[0]}"
            elif line.startswith("sox") and "{out}" in line:
                suffix = Path(self.name).suffix[1:]
                if suffix not in _sox_formats():
                    return f"this sox writes no {suffix} files"
        return None

    def write(self, material: Material, folder: Path, scratch: Path) -> Path:
        """Make the file in a folder; ``scratch`` is for files on the way."""
        shop = Workshop(material, scratch, folder / self.name)
        for step in self.make:
            if isinstance(step, str):
                shop.run(step)
            else:
                step(shop)
        return shop.out


def talk(name: str, how: str, *more: Step, piped: bool = False, **expected: Any) -> Kind:
    """The film and the voice, through ffmpeg with these options; ``piped``: without seeking back."""
    return Kind(name, (f"ffmpeg {{talk}} {how} {'-' if piped else '{out}'}", *more), **expected)


def film(name: str, how: str, *more: Step, **expected: Any) -> Kind:
    """The film alone."""
    return Kind(name, (f"ffmpeg -i {{film}} {how} {{out}}", *more), heard=never, **expected)


def sound(name: str, *make: Step, **expected: Any) -> Kind:
    """A file without video."""
    return Kind(name, make, people=0, size=None, **expected)


def voice(name: str, how: str, *more: Step, piped: bool = False, **expected: Any) -> Kind:
    """The voice alone, through ffmpeg with these options."""
    return sound(name, f"ffmpeg -i {{voice}} {how} {'-' if piped else '{out}'}", *more, **expected)


def _spelled_out(line: str) -> str:
    for short, long in _SHORT.items():
        line = line.replace(short, long)
    return line


@cache
def _encoders() -> frozenset[str]:
    done = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"^ [VAS]\S{5} (\S+)", done.stdout, re.MULTILINE))


@cache
def _sox_formats() -> frozenset[str]:
    done = subprocess.run(["sox", "-h"], capture_output=True, text=True, check=False)
    line = re.search(r"AUDIO FILE FORMATS: (.*)", done.stdout)
    return frozenset(line[1].split() if line else ())
