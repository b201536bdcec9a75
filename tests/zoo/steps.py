"""What Python does to make a file of the zoo, where no program does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import av

from tests.support import media_files
from tests.zoo.kind import Workshop

_AMR_SAMPLES: Final = 160
"""Per frame."""


def keep_share(share: float) -> Callable[[Workshop], None]:
    """Cut the end off, as a full disk or a lost connection does."""

    def step(shop: Workshop) -> None:
        content = shop.out.read_bytes()
        shop.out.write_bytes(content[: round(len(content) * share)])

    return step


def damage(share: float, n_bytes: int = 400) -> Callable[[Workshop], None]:
    """Overwrite bytes from a share of the file on."""

    def step(shop: Workshop) -> None:
        content = bytearray(shop.out.read_bytes())
        at = round(len(content) * share)
        content[at : at + n_bytes] = b"\xa5" * n_bytes
        shop.out.write_bytes(content)

    return step


def write_bytes(content: bytes) -> Callable[[Workshop], None]:
    """These bytes, and nothing else."""
    return lambda shop: _none(shop.out.write_bytes(content))


def append(content: bytes) -> Callable[[Workshop], None]:
    """More bytes at the end."""
    return lambda shop: _none(shop.out.write_bytes(shop.out.read_bytes() + content))


def wav_length(riff: int, data: int) -> Callable[[Workshop], None]:
    """Other lengths in the header of a WAV file, as programs write them that cannot seek back."""

    def step(shop: Workshop) -> None:
        content = bytearray(shop.out.read_bytes())
        content[4:8] = riff.to_bytes(4, "little")
        at = content.index(b"data") + 4
        content[at : at + 4] = data.to_bytes(4, "little")
        shop.out.write_bytes(content)

    return step


def encode(codec: str, bit_rate: int) -> Callable[[Workshop], None]:
    """``{tmp}/a.wav``, mono, by an encoder of PyAV that ffmpeg may lack."""

    def step(shop: Workshop) -> None:
        with av.open(str(shop.folder / "a.wav")) as given, av.open(str(shop.out), "w") as container:
            rate = given.streams.audio[0].rate
            stream: Any = container.add_stream(codec, rate=rate, layout="mono")
            stream.codec_context.bit_rate = bit_rate
            resampler = av.AudioResampler(stream.codec_context.format, "mono", rate, _AMR_SAMPLES)
            for frame in given.decode(audio=0):
                for ready in resampler.resample(frame):
                    container.mux(stream.encode(ready))
            container.mux(stream.encode(None))

    return step


def display_matrix(matrix: tuple[int, int, int, int]) -> Callable[[Workshop], None]:
    """How a player turns the frames of an MP4 file with one track."""
    return lambda shop: _none(media_files.set_display_matrix(shop.out, matrix))


def concat_list(*names: str) -> Callable[[Workshop], None]:
    """``{tmp}/list``, for ffmpeg's concat demuxer."""
    return lambda shop: _none(
        (shop.folder / "list").write_text("".join(f"file '{name}'\n" for name in names))
    )


def _none(_value: object) -> None:
    pass
