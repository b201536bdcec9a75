"""What is pushed: in order, near real time, and refused where it is bad."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.limits import Limits
from emofuse.core.records import Waveform
from emofuse.media.frame_sampling import Frame
from emofuse.media.live.pushed import AHEAD_S, PushedStream

RATE = 16000


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def block(start_s: float, duration_s: float = 0.1) -> Waveform:
    return Waveform(np.full((1, round(duration_s * RATE)), 0.1, np.float32), RATE, start_s)


def jpeg(level: int = 128, size: tuple[int, int] = (64, 48)) -> bytes:
    _, data = cv2.imencode(".jpg", np.full((size[1], size[0], 3), level, np.uint8))
    return data.tobytes()


def test_parts_come_in_order_with_the_time_of_their_arrival() -> None:
    clock = Clock()
    stream = PushedStream(audio=True, video=True, clock=clock)
    stream.push_audio(block(7.0))
    clock.now_s += 0.1
    stream.push_picture(jpeg(), 7.05)
    stream.push_audio(block(7.1))
    parts = stream.take(0.0)
    assert [round(one.start_s, 3) for one in parts] == [7.05, 7.0, 7.1]
    assert [one.at_s for one in parts] == [1000.1, 1000.0, 1000.1]
    assert all(a.end_s <= b.end_s for a, b in pairwise(parts))
    frame = parts[0].part
    assert isinstance(frame, Frame)
    assert frame.image.shape == (48, 64) and abs(int(frame.image.mean()) - 128) <= 1
    assert stream.take(0.0) == []


def test_only_wanted_pictures_are_decoded_and_of_those_the_newest() -> None:
    stream = PushedStream(audio=False, video=True, frames_per_s=5.0)
    for number in range(10):  # 20 per second: every fourth is wanted
        stream.push_picture(jpeg(10 * number) if number == 8 else b"not decoded", number / 20)
    (part,) = stream.take(0.0)
    assert part.start_s == pytest.approx(0.4)
    assert stream.dropped_frames == 2


def test_frames_of_another_size_are_fitted_to_the_first() -> None:
    stream = PushedStream(audio=False, video=True)
    shapes = []
    for number, size in enumerate([(64, 48), (48, 64), (640, 480)]):
        stream.push_picture(jpeg(200, size), number * 1.0)
        (part,) = stream.take(0.0)
        assert isinstance(part.part, Frame)
        shapes.append(part.part.image.shape)
    assert shapes == [(48, 64)] * 3


def test_a_bad_picture_is_reported_and_the_next_is_read() -> None:
    refused: list[tuple[str, float]] = []
    stream = PushedStream(
        audio=False, video=True, limits=Limits(10_000),
        on_refused=lambda error, time_s: refused.append((error.problem, time_s)),
    )  # fmt: skip
    for time_s, data in ((0.0, b"\xff\xd8\xff\xe0 no more"), (1.0, jpeg(size=(640, 480))), (2.0, jpeg())):
        stream.push_picture(data, time_s)
        parts = stream.take(0.0)
    assert [part.start_s for part in parts] == [2.0]
    assert [time_s for _, time_s in refused] == [0.0, 1.0]
    assert "damaged" in refused[0][0] and "0.01 million" in refused[1][0]


def test_times_that_cannot_be() -> None:
    clock = Clock()
    stream = PushedStream(audio=True, video=True, clock=clock)
    stream.push_audio(block(50.0))
    stream.push_picture(jpeg(), 50.0)
    with pytest.raises(MediaError, match=r"up to 50\.100 s has come"):
        stream.push_audio(block(49.0))
    with pytest.raises(MediaError, match=r"picture of 50\.000 s has come"):
        stream.push_picture(jpeg(), 50.0)
    with pytest.raises(MediaError, match="not a number of seconds"):
        stream.push_picture(jpeg(), float("nan"))
    stream.push_audio(block(50.0 + AHEAD_S - 0.01))
    with pytest.raises(MediaError, match="ahead of real time"):
        stream.push_audio(block(50.0 + AHEAD_S + 0.2))
    clock.now_s += 1.0
    stream.push_audio(block(50.0 + AHEAD_S + 0.2))
    assert len(stream.take(0.0)) == 4


def test_audio_is_lost_only_if_the_reader_is_far_behind() -> None:
    clock = Clock()
    stream = PushedStream(audio=True, video=False, clock=clock)
    for number in range(600):
        clock.now_s += 0.1
        stream.push_audio(block(number / 10))
    kept = stream.take(0.0)
    assert stream.lost_audio_s + 0.1 * len(kept) == pytest.approx(60.0)
    assert kept[-1].end_s == pytest.approx(60.0) and 5 < 0.1 * len(kept) < 8


def test_a_stream_has_what_it_says() -> None:
    stream = PushedStream(audio=True, video=False)
    with pytest.raises(MediaError, match="without video"):
        stream.push_picture(jpeg(), 0.0)
    with pytest.raises(MediaError, match="without audio"):
        PushedStream(audio=False, video=True).push_audio(block(0.0))
    with pytest.raises(ValueError, match="audio, video or both"):
        PushedStream(audio=False, video=False)


def test_a_reader_that_waits_is_woken_by_a_part_and_by_the_end() -> None:
    stream = PushedStream(audio=True, video=False)
    acts: list[Callable[[], None]] = [lambda: stream.push_audio(block(0.0)), stream.end]
    for act in acts:
        with ThreadPoolExecutor(1) as reader:
            taken = reader.submit(stream.take, 60.0)
            act()
            assert len(taken.result(timeout=30)) == (act is acts[0])
    assert stream.ended and stream.take() == []
