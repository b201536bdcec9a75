"""The framing of audio and pictures, and the options of a session."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.server.live.messages import (
    SAMPLE_RATE_HZ,
    LiveOptions,
    audio_block,
    pack,
    read_options,
    read_text,
    unpack,
)


def test_a_message_is_its_kind_its_time_and_its_payload() -> None:
    message = pack("picture", b"\xff\xd8\xff", 1.5)
    assert message == b"\x02" + (1_500_000).to_bytes(8, "big") + b"\xff\xd8\xff"
    for kind, time_s in (("audio", 0.0), ("picture", 1234.567891), ("audio", 1.7e9)):
        part = unpack(pack(kind, b"payload", time_s))  # type: ignore[arg-type]
        assert (part.kind, part.payload) == (kind, b"payload")
        assert part.time_s == pytest.approx(time_s, abs=1e-6)
    for time_s in (-1.0, float("nan"), float("inf"), 1e14):
        with pytest.raises(ValueError, match="positive number of seconds"):
            pack("audio", b"", time_s)


@pytest.mark.parametrize("message", [b"", b"\x01", bytes(9), b"\x01" + bytes(8)])
def test_a_message_without_a_payload(message: bytes) -> None:
    with pytest.raises(MediaError, match="no frame: 9 are its header"):
        unpack(message)


@pytest.mark.parametrize("kind", [0, 3, 255])
def test_a_message_of_no_known_kind(kind: int) -> None:
    with pytest.raises(MediaError, match=f"unknown kind of frame {kind}: 1 is audio, 2 is a picture"):
        unpack(struct.pack(">BQ", kind, 0) + b"payload")


def test_samples_are_little_endian_at_full_scale() -> None:
    block = audio_block(np.array([0, 1, -1, 32767, -32768], "<i2").tobytes(), 2.0, 1.0)
    assert (block.sample_rate_hz, block.start_s, block.n_channels) == (SAMPLE_RATE_HZ, 2.0, 1)
    np.testing.assert_array_equal(block.samples[0] * 32768, [0, 1, -1, 32767, -32768])
    with pytest.raises(MediaError, match="end within a sample"):
        audio_block(b"abc", 0.0, 1.0)
    with pytest.raises(MediaError, match=r"a block of 1\.1 s is over the limit, 1 s"):
        audio_block(bytes(35200), 0.0, 1.0)


@pytest.mark.parametrize("text", ["", "nothing", "[1]", '"text"', "{}", '{"type": 3}', "[" * 100_000])
def test_a_text_message_that_is_none(text: str) -> None:
    with pytest.raises(MediaError, match="a text message must be"):
        read_text(text)


def test_options_change_one_by_one() -> None:
    options = LiveOptions()
    assert options.rules().window_s == 3.0 and options.audio and options.video
    options = read_options({"session": {"video": False}}, options)
    options = read_options({"session": {"window_s": 2, "hop_s": 0.5}}, options)
    assert not options.video and options.rules().window_s == 2.0 and options.rules().hop_s == 0.5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"audio": False, "video": False}, "a session needs audio, video or both"),
        ({"window_s": 1000}, "window_s must be between 0.5 and 60, got 1000"),
        ({"window_s": 1, "hop_s": 2}, "leaves gaps"),
        ({"faces_per_second": "many"}, "faces_per_second: Input should be a valid number"),
        ({"hop_s": float("nan")}, "hop_s: Input should be a finite number"),
        ({"people": ["Anna"]}, "people.0: String should match pattern"),
        (
            {"people": [f"{number:032x}" for number in range(21)]},
            "people: Tuple should have at most 20 items",
        ),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ([], 'needs an object "session"'),
    ],
)
def test_options_that_cannot_be(changes: object, problem: str) -> None:
    with pytest.raises(MediaError) as error:
        read_options({"session": changes}, LiveOptions())
    assert problem in error.value.problem
