"""Recordings in one pass: against packet listings, plain full decodes and ``decode``."""

from __future__ import annotations

import gc
import io
import itertools
import math
import os
import threading
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.records import Waveform
from emofuse.media.audio_blocks import AudioBlocks
from emofuse.media.container import origin_s
from emofuse.media.decoding import decode
from emofuse.media.file_stream import Frame, open_stream
from emofuse.media.frame_sampling import PacketLookahead, SampleTimes
from emofuse.media.interleave import PacketQueue, StreamMerger
from emofuse.media.packet_clock import GapLimits
from tests.support import media_files
from tests.support.media_files import KINDS, VARIABLE, full_range

REGULAR = [1001 * i for i in range(75)]


def chosen(times: list[float], per_s: float, tick_s: float = 1e-3) -> list[int]:
    """The definition, in one loop: for each sample time, the first frame at or after it."""
    if math.isinf(per_s):
        return list(range(len(times)))
    at = np.arange(times[0], times[-1] + 1e-9, 1 / per_s) - min(tick_s, 1e-3)
    return sorted({next(i for i, time in enumerate(times) if time >= sample) for sample in at})


def shown(path: Path) -> tuple[list[float], float]:
    """Presentation times of the video's packets as listed by the container, and the length of a tick."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base, origin = float(video.time_base or 0), origin_s(container)
        stamps = [p.pts for p in container.demux(video) if p.size and not p.is_discard]
        return sorted(pts * base - origin for pts in stamps if pts is not None), base


def read(source: Any, **how: Any) -> tuple[list[Frame], list[Waveform], tuple[str, ...]]:
    with open_stream(source, **how) as stream:
        items = list(stream)
        notes = stream.notes
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, Waveform)], notes


def joined(blocks: list[Waveform]) -> np.ndarray:
    """Samples of blocks that must be contiguous."""
    for one, two in itertools.pairwise(blocks):
        assert abs(one.start_s + one.duration_s - two.start_s) < 1e-6
        assert 0 < two.duration_s <= 1
    return np.concatenate([block.samples for block in blocks], axis=1)


def remuxed(path: Path, out: Path, shift_s: dict[str, float]) -> Path:
    """The same packets with the timestamps of a kind of stream shifted."""
    with av.open(str(path)) as old, av.open(str(out), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None or packet.pts is None:
                continue
            shift = round(Fraction(shift_s.get(packet.stream.type, 0.0)) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return out


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.5 s of noisy video with audio, its index at the front, so that a cut file can be opened."""
    noise = np.random.default_rng(0)
    images = [noise.integers(16, 235, (96, 160)).astype(np.uint8) for _ in REGULAR]
    return media_files.write_video(
        tmp_path_factory.mktemp("talk") / "talk.mp4", REGULAR, frames=images,
        audio=(media_files.tone(2.5, 48000, channels=2), 48000), options={"g": "12", "bf": "2"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip


@pytest.mark.parametrize("per_s", [5.0, 11.0, math.inf])
@pytest.mark.parametrize(("name", "codec", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_frames_are_those_of_a_full_decode(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], per_s: float
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = media_files.write_video(tmp_path / name, REGULAR, codec=codec, options=options, pix_fmt=pix_fmt)
    every = media_files.decode_frames(path)
    origin = every[0][0] if name.endswith(".ts") else 0.0
    frames, audio, notes = read(path, frames_per_s=per_s)
    _, tick_s = shown(path)
    indices = chosen([time - origin for time, _ in every], per_s, tick_s)
    np.testing.assert_allclose([p.time_s for p in frames], [every[i][0] - origin for i in indices], atol=2e-6)
    for frame, i in zip(frames, indices, strict=True):
        expected = every[i][1] if codec == "mjpeg" else full_range(every[i][1])
        np.testing.assert_array_equal(frame.image, expected)
    assert audio == [] and notes == ()


def test_every_sixth_of_thirty(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        path = media_files.write_video(tmp_path / name, [1000 * i for i in range(300)], size=(32, 32))
        frames, _, _ = read(path)
        np.testing.assert_allclose([p.time_s for p in frames], np.arange(50) / 5, atol=1e-3)


def test_a_variable_rate(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "variable.mp4", VARIABLE, options={"bf": "2"})
    frames, _, _ = read(path)
    # Sample times every 6000 ticks; where there is no frame, none is invented.
    assert [round(p.time_s * media_files.TICKS) for p in frames] == [0, 9000, 15000, 21000, 30000, 42000]
    times, _ = shown(path)
    again, _, _ = read(path, frames_per_s=math.inf)
    np.testing.assert_allclose([p.time_s for p in again], times, atol=1e-9)


@pytest.mark.ravdess
@pytest.mark.skipif(
    "EMOFUSE_RAVDESS" not in os.environ, reason="EMOFUSE_RAVDESS names no folder of recordings"
)
def test_a_real_recording() -> None:
    path = min(Path(os.environ["EMOFUSE_RAVDESS"]).rglob("01-*.mp4"))
    every = media_files.decode_frames(path)
    frames, blocks, notes = read(path)
    expected = [every[i] for i in chosen([time for time, _ in every], 5.0, 1 / 30000)]
    assert [p.time_s for p in frames] == pytest.approx([time for time, _ in expected])
    for frame, (_, luma) in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, full_range(luma))
    audio = decode(path).audio
    assert audio is not None and notes == ()
    np.testing.assert_array_equal(joined(blocks), audio.samples)


def test_the_same_as_decode(talk: Path) -> None:
    frames, blocks, notes = read(talk, frames_per_s=math.inf)
    media = decode(talk, n_frames=len(REGULAR))
    assert media.frames is not None and media.audio is not None and notes == media.notes == ()
    np.testing.assert_array_equal([p.time_s for p in frames], media.frames.times_s)
    for frame, image in zip(frames, media.frames.images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    assert blocks[0].start_s == media.audio.start_s and blocks[0].sample_rate_hz == 48000
    np.testing.assert_array_equal(joined(blocks), media.audio.samples)


@pytest.mark.parametrize("threads", [1, 4])
def test_in_order_of_time_whatever_the_threads(talk: Path, threads: int) -> None:
    with open_stream(talk, threads=threads) as stream:
        assert (stream.width, stream.height) == (160, 96) and stream.has_audio and stream.has_video
        assert stream.start_s == 0 and stream.duration_s == pytest.approx(2.5, abs=0.05)
        items = list(stream)
    order = [(i.time_s, 1) if isinstance(i, Frame) else (i.start_s, 0) for i in items]
    assert order == sorted(order) and {kind for _, kind in order} == {0, 1}


def test_audio_that_starts_late(tmp_path: Path, talk: Path) -> None:
    path = remuxed(talk, tmp_path / "late.mp4", {"audio": 0.5})
    frames, blocks, notes = read(path)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.start_time is not None and stream.time_base is not None
        late_s = float(stream.start_time * stream.time_base)
    assert late_s == pytest.approx(0.5, abs=0.03)
    assert frames[0].time_s == 0 and abs(blocks[0].start_s - late_s) < 1e-4 and notes == ()
    audio = decode(path).audio
    assert audio is not None
    np.testing.assert_array_equal(joined(blocks), audio.samples)


def test_video_that_starts_late(tmp_path: Path, talk: Path) -> None:
    path = remuxed(talk, tmp_path / "late.mkv", {"video": 0.75})
    frames, blocks, _ = read(path)
    times, tick_s = shown(path)
    assert times[0] == pytest.approx(0.75, abs=0.03) and blocks[0].start_s < 0.03
    np.testing.assert_allclose([p.time_s for p in frames], [times[i] for i in chosen(times, 5, tick_s)])


def test_an_edit_list_hides_what_comes_before(tmp_path: Path, talk: Path) -> None:
    early = remuxed(talk, tmp_path / "early.mp4", {"video": -0.5, "audio": -0.5})
    with av.open(str(early)) as container:
        hidden = sum(p.is_discard for p in container.demux(video=0) if p.size)
    assert hidden >= 3
    times, tick_s = shown(early)
    every = [luma for _, luma in media_files.decode_frames(early)]
    assert len(every) == len(times) < len(REGULAR)
    for per_s in (5.0, math.inf):
        frames, _, notes = read(early, frames_per_s=per_s)
        indices = chosen(times, per_s, tick_s)
        np.testing.assert_allclose([p.time_s for p in frames], [times[i] for i in indices], atol=1e-9)
        for frame, i in zip(frames, indices, strict=True):
            np.testing.assert_array_equal(frame.image, full_range(every[i]))
        assert notes == ()
    audio = decode(early).audio
    assert audio is not None
    np.testing.assert_array_equal(joined(read(early)[1]), audio.samples)


@pytest.mark.parametrize("way", media_files.ORIENTATIONS)
def test_upright_in_gray_and_in_color(tmp_path: Path, way: str) -> None:
    matrix, show = media_files.ORIENTATIONS[way]
    path = media_files.write_video(tmp_path / "phone.mp4", REGULAR[:8], size=(1280, 720))
    coded = full_range(media_files.decode_frames(path)[0][1])
    media_files.set_display_matrix(path, matrix)
    with open_stream(path) as stream:
        height, width = show(coded).shape
        assert (stream.width, stream.height) == (width, height)
        first = next(item for item in stream if isinstance(item, Frame))
    frames = decode(path, n_frames=1).frames
    assert frames is not None
    np.testing.assert_array_equal(first.image, frames.images[0])
    np.testing.assert_array_equal(first.image, show(coded))
    assert first.small.shape == (360, round(360 * width / height), 3) and first.small.dtype == np.uint8
    # The colors are gray: as bright as the gray image at the same position.
    rows = np.linspace(0, height - 1, 360).astype(int)
    columns = np.linspace(0, width - 1, first.small.shape[1]).astype(int)
    off = np.abs(first.small.mean(axis=2) - first.image[np.ix_(rows, columns)])
    assert np.median(off) < 4


def test_a_small_frame_is_not_enlarged(talk: Path) -> None:
    frames, _, _ = read(talk)
    assert frames[0].small.shape == (96, 160, 3)


def test_audio_alone(tmp_path: Path, talk: Path) -> None:
    samples = media_files.tone(3.3, 16000)
    path = media_files.write_wav(tmp_path / "a.wav", samples, 16000)
    with open_stream(path) as stream:
        assert stream.has_audio and not stream.has_video and (stream.width, stream.height) == (0, 0)
        blocks = [item for item in stream if isinstance(item, Waveform)]
    np.testing.assert_allclose(joined(blocks), samples, atol=2e-5)
    frames, blocks, _ = read(talk, frames_per_s=None)
    assert frames == [] and blocks


def test_video_alone(talk: Path) -> None:
    frames, blocks, _ = read(talk, audio=False)
    assert len(frames) == 13 and blocks == []


@pytest.mark.parametrize(("start_s", "end_s"), [(0.5, 1.2), (7.2, 8.4), (8.5, None), (None, 0.3)])
def test_a_span(tmp_path: Path, start_s: float | None, end_s: float | None) -> None:
    path = media_files.write_video(
        tmp_path / "long.mp4", [1001 * i for i in range(299)], size=(64, 48),
        audio=(media_files.tone(10, 16000), 16000), options={"bf": "2", "g": "30"},
    )  # fmt: skip
    frames, blocks, notes = read(path, start_s=start_s, end_s=end_s)
    every = [(t, luma) for t, luma in media_files.decode_frames(path) if (start_s or 0) <= t < (end_s or 99)]
    indices = chosen([time for time, _ in every], 5.0, 1 / media_files.TICKS)
    assert [p.time_s for p in frames] == pytest.approx([every[i][0] for i in indices])
    for frame, i in zip(frames, indices, strict=True):
        np.testing.assert_array_equal(frame.image, full_range(every[i][1]))
    audio = decode(path, start_s=start_s, end_s=end_s).audio
    assert audio is not None and blocks[0].start_s == audio.start_s and notes == ()
    np.testing.assert_array_equal(joined(blocks), audio.samples)


def audio_frame(samples: np.ndarray, at: int, rate: int = 48000) -> av.AudioFrame:
    """(1, n) float32 presented from sample number ``at`` on."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
    return frame


def test_a_gap_in_the_audio_is_silence(tmp_path: Path) -> None:
    samples = media_files.tone(1.0, 48000)
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48000, layout="mono")
        for first in (0, 156000):
            for at in range(0, 48000, 4800):
                frame = audio_frame(samples[:, at : at + 4800], first + at)
                container.mux(stream.encode(frame))
    _, blocks, _ = read(path)
    audio = joined(blocks)[0]
    assert len(audio) == pytest.approx(4.25 * 48000, abs=50)
    assert not audio[48000:155900].any()
    np.testing.assert_allclose(audio[156000:], samples[0, : len(audio) - 156000], atol=0.03)


def test_a_gap_of_minutes_is_filled_and_takes_no_memory(tmp_path: Path) -> None:
    rate, samples = 8000, media_files.tone(1.0, 8000)
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=rate, layout="mono")
        for first in (0, 91 * rate):
            for at in range(0, rate, 800):
                frame = audio_frame(samples[:, at : at + 800], first + at, rate)
                container.mux(stream.encode(frame))
    _, blocks, notes = read(path)
    audio = joined(blocks)[0]
    assert notes == () and len(audio) == pytest.approx(92 * rate, abs=10)
    assert not audio[rate : 91 * rate - 10].any()
    np.testing.assert_allclose(audio[91 * rate :], samples[0, : len(audio) - 91 * rate], atol=0.03)
    silent = [block.samples for block in blocks if not block.samples.any()]
    assert len(silent) > 150 and all(np.shares_memory(silent[0], each) for each in silent)


@pytest.mark.parametrize("known", [True, False])
def test_a_long_gap_is_plausible_where_the_recording_is_known_to_last(known: bool) -> None:
    gaps = GapLimits(60.0, lambda: 4000.0 if known else 10.0)
    audio_blocks = AudioBlocks(Path("a.ts"), gaps=gaps)
    frames = [audio_frame(np.full((1, 160), 0.5, np.float32), at * 16000, 16000) for at in (0, 3600)]
    blocks = [block for frame in frames for block in audio_blocks.add(frame)] + audio_blocks.flush()
    duration_s = sum(block.duration_s for block in blocks)
    assert duration_s == pytest.approx(3600.01 if known else 0.02, abs=0.02)


def test_repeated_audio_does_not_shift_the_rest() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48000)).astype(np.float32)
    audio_blocks = AudioBlocks(Path("a.wav"))
    starts = [*range(0, 24000, 4800), *range(9600, 48000, 4800)]
    blocks = [
        block for at in starts for block in audio_blocks.add(audio_frame(samples[:, at : at + 4800], at))
    ]
    np.testing.assert_array_equal(joined(blocks + audio_blocks.flush()), samples)


def test_wrong_timestamps_do_not_cause_endless_silence() -> None:
    audio_blocks = AudioBlocks(Path("a.wav"))
    frames = [audio_frame(np.zeros((1, 160), np.float32), k * 59 * 16000, 16000) for k in range(400)]
    n = sum(block.samples.shape[1] for frame in frames for block in audio_blocks.add(frame))
    assert n / 16000 < 60 + 59 + 11 * 400 * 0.01


def test_bytes_and_file_objects_are_read_like_a_path(talk: Path, tmp_path: Path) -> None:
    expected = decode(talk, n_frames=6)
    content = talk.read_bytes()
    assert expected.audio is not None and expected.frames is not None
    with talk.open("rb") as file, io.BytesIO(content) as memory:
        memory.seek(1000)
        for source in (content, memory, file):
            for _ in range(2):
                media = decode(source, n_frames=6)
                assert media.audio is not None and media.frames is not None
                np.testing.assert_array_equal(media.audio.samples, expected.audio.samples)
                np.testing.assert_array_equal(media.frames.images, expected.frames.images)
                frames, blocks, notes = read(source)
                np.testing.assert_array_equal(joined(blocks), expected.audio.samples)
                assert len(frames) == 13 and notes == ()
        assert not file.closed and not memory.closed
    # Without timestamps, a file is opened once more while its packets are still being listed.
    bare = media_files.write_video(tmp_path / "bare.h264", REGULAR, options={"bf": "2", "g": "12"})
    for source in (bare.read_bytes(), io.BytesIO(bare.read_bytes())):
        one, two = decode(source, n_frames=5).frames, decode(bare, n_frames=5).frames
        assert one is not None and two is not None
        np.testing.assert_array_equal(one.images, two.images)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "<bytes>: the file is empty"),
        (b"\0" * 5000, "<bytes>: not a media file"),
        (io.BytesIO(b"junk" * 999), "<file object>: not a media file"),
        (io.StringIO("text"), "<file object>: the file object reads text: open it with mode 'rb'"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n", "not a media file"),
        (Path("nothing.mp4"), "nothing.mp4: there is no such file"),
    ],
    ids=["empty", "zeros", "junk", "text", "playlist", "missing"],
)
def test_a_source_that_cannot_be_opened_is_named(source: Any, message: str) -> None:
    for call in (decode, open_stream):
        with pytest.raises(MediaError, match=message):
            call(source)


def test_other_objects_are_a_programming_error() -> None:
    with pytest.raises(TypeError, match="a path, bytes or a binary file object, got int"):
        open_stream(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frames_per_s must be positive"):
        open_stream(__file__, frames_per_s=0)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_truncated_file_yields_what_it_has(talk: Path, share: float) -> None:
    content = talk.read_bytes()
    frames, blocks, notes = read(content[: int(share * len(content))])
    assert 0 < len(frames) < 13 and blocks
    assert notes and notes[0].startswith("damaged: decoding stopped at")
    whole, _, _ = read(talk)
    # The last ones before the cut may be torn.
    for one, two in zip(frames[:-2], whole, strict=False):
        assert one.time_s == two.time_s
        np.testing.assert_array_equal(one.image, two.image)


@pytest.mark.parametrize("seed", range(20))
def test_damage_anywhere_is_handled(talk: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(talk.read_bytes(), np.uint8).copy()
    where = rng.integers(0, len(content) if seed % 2 else min(4000, len(content)), 40)
    content[where] = rng.integers(0, 256, 40)
    try:
        frames, blocks, _ = read(content.tobytes(), frames_per_s=math.inf if seed % 3 == 0 else 5.0)
    except MediaError as error:
        assert "\n" not in str(error) and str(error).startswith("<bytes>: ")
        return
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(frames))
    if blocks:
        assert np.isfinite(joined(blocks)).all()


def test_nothing_decodable_is_an_error(talk: Path) -> None:
    content = bytearray(talk.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    with pytest.raises(MediaError, match="<bytes>: damaged"):
        read(bytes(content))


def test_a_new_sample_rate_is_resampled_with_a_note(tmp_path: Path) -> None:
    one, two = (
        media_files.write_audio(
            tmp_path / f"{rate}.mp3", media_files.tone(1.0, rate), rate, codec="libmp3lame"
        )
        for rate in (44100, 24000)
    )
    _, blocks, notes = read(one.read_bytes() + two.read_bytes())
    # FFmpeg looks ahead and takes one of the two for the rate of the file.
    rate = blocks[0].sample_rate_hz
    assert rate in (44100, 24000) and any("sample rate changes" in note for note in notes)
    audio = joined(blocks)[0]
    assert len(audio) / rate == pytest.approx(2.0, abs=0.15)
    for at_s in (0.5, 1.5):
        part = audio[round((at_s - 0.2) * rate) : round((at_s + 0.2) * rate)]
        loudest = np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * rate / len(part)
        assert loudest == pytest.approx(220, abs=3)


def decoding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "emofuse-decoding"]


def test_stopping_early_leaves_no_thread(tmp_path: Path) -> None:
    ticks = [1001 * i for i in range(60)]
    path = media_files.write_video(
        tmp_path / "big.mkv", ticks, size=(1280, 720), options={"preset": "ultrafast"}
    )
    with open_stream(path, frames_per_s=math.inf) as stream:
        next(stream)
        assert len(decoding_threads()) == 1  # It waits for room: 60 frames are more than the buffer holds.
    assert decoding_threads() == []
    assert list(stream) == [] and stream.notes == ()
    stream.close()
    # A stream that is never closed ends with its object.
    stream = open_stream(path, frames_per_s=math.inf)
    next(stream)
    del stream
    gc.collect()
    assert decoding_threads() == []


def test_an_exception_of_the_consumer_passes_through(talk: Path) -> None:
    with pytest.raises(KeyError), open_stream(talk) as stream:
        for _ in stream:
            raise KeyError("mine")
    assert decoding_threads() == []


class Faulty(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, n: int | None = -1, /) -> bytes:
        if self.tell() > 60000:
            raise OSError(5, "Input/output error")
        return super().read(n)


def test_a_source_that_fails_while_being_read(talk: Path) -> None:
    try:
        _, _, notes = read(Faulty(talk.read_bytes()))
    except MediaError as error:
        assert "<file object>: " in str(error)
    else:
        assert notes
    assert decoding_threads() == []


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for n in (200, 1000):
        path = media_files.write_video(
            tmp_path / f"{n}.mp4", [1001 * i for i in range(n)], size=(64, 48),
            options={"preset": "ultrafast"}, audio=(media_files.tone(n / 30, 16000), 16000),
        )  # fmt: skip
        tracemalloc.start()
        with open_stream(path, frames_per_s=30) as stream:
            n_frames = sum(isinstance(item, Frame) for item in stream)
            _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_frames >= n - 20
        peaks.append(peak)
    # Decoding ahead is bounded in size, which neither of the two reaches.
    assert peaks[1] < peaks[0] + 2**21 or peaks[1] < 28 * 2**20


def packet(pts: int | None, dts: int | None) -> av.Packet[Any]:
    made = av.Packet(b"x")
    made.pts, made.dts = pts, dts
    return made


def test_the_lookahead_settles_as_timestamps_promise() -> None:
    lookahead = PacketLookahead(SampleTimes(5.0, 0.1), 0.1, 0.0)
    stamps = [(0, -1), (3, 0), (1, 1), (2, 2), (6, 3), (4, 4), (5, 5), (8, 6), (7, 7)]
    results = [(p.pts, w) for pts, dts in stamps for p, w in lookahead.push(packet(pts, dts))]
    results += [(p.pts, wanted) for p, wanted in lookahead.rest()]
    assert results == [(pts, pts % 2 == 0) for pts, _ in stamps]
    assert lookahead.last_s == pytest.approx(0.8)


@pytest.mark.parametrize("broken", [(2, 5), (None, 5), (9, None)], ids=["late", "no time", "no order"])
def test_a_broken_promise_makes_every_frame_wanted(broken: tuple[int | None, int | None]) -> None:
    lookahead = PacketLookahead(SampleTimes(5.0, 0.1), 0.1, 0.0)
    for time in range(5):
        list(lookahead.push(packet(time, time)))
    assert all(wanted for _, wanted in lookahead.push(packet(*broken)))
    results = [wanted for time in range(10, 20) for _, wanted in lookahead.push(packet(time, time))]
    assert results == [True] * 10


def test_packets_far_apart_in_the_file_are_interleaved(talk: Path) -> None:
    with av.open(str(talk)) as container:
        streams = list(container.streams)
        packets = sorted(container.demux(), key=lambda packet: packet.stream.index)
        ordered = list(PacketQueue(iter(packets), streams))
        times = [float(p.dts * p.time_base) for p in ordered if p.dts is not None]
        assert times == sorted(times) and len(ordered) == sum(p.size > 0 for p in packets)
        assert {p.stream.type for p in ordered[:10]} == {"audio", "video"}
        queue = PacketQueue(iter(packets), streams)
        queue.drop(container.streams.audio[0])
        assert {p.stream.type for p in queue} == {"video"}


def test_waiting_packets_are_bounded(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emofuse.media.interleave._PACKET_BYTES", 20000)
    with av.open(str(talk)) as container:
        packets = sorted(container.demux(), key=lambda packet: packet.stream.type, reverse=True)
        n_read, most = 0, 0

        def counted() -> Any:
            nonlocal n_read
            for packet in packets:
                n_read += packet.size
                yield packet

        n_out = 0
        for packet in PacketQueue(counted(), list(container.streams)):
            n_out += packet.size
            most = max(most, n_read - n_out)
    assert most <= 20000


def test_the_merger_is_bounded() -> None:
    merger = StreamMerger(audio=True, frames=True)
    image, small = np.zeros((720, 1280), np.uint8), np.zeros((360, 640, 3), np.uint8)
    merged = []
    for i in range(100):
        merger.add(Frame(i / 5, image, small))
        merged += list(merger.ready())
    assert len(merged) > 75
    merger.add(Waveform(np.zeros((1, 8000), np.float32), 16000, 0.0))
    assert len(merged) + len(list(merger.rest())) == 101
