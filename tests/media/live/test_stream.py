"""Capture from real files, real sockets and FFmpeg's own devices."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from emofuse.core.errors import MediaError
from emofuse.core.records import StreamChoice, Waveform
from emofuse.media.decoding import decode
from emofuse.media.frame_sampling import Frame
from emofuse.media.live.capture import _DecoderLoad, _StreamClock
from emofuse.media.live.inputs import NONE, InputRequest, LiveInput, requested_inputs
from emofuse.media.live.stream import CapturedPart, LiveStream
from tests.support import media_files

RATE = 16000


def transport_stream(seconds: float, *, first_s: float = 0.0, rate: int = 25, layout: str = "mono") -> bytes:
    """MPEG-TS of a tone and a video, whose timestamps start at ``first_s``."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("mp2", rate=RATE, layout=layout)
        wave = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)
        frame_size = audio.codec_context.frame_size or 1152
        n_sent = 0
        for index in range(int(seconds * rate)):
            image = np.full((96, 160, 3), (7 * index) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = int(first_s * rate) + index, Fraction(1, rate)
            container.mux(video.encode(frame))
            while n_sent / RATE <= index / rate and n_sent + frame_size <= len(wave):
                block = (wave[n_sent : n_sent + frame_size] * 32767).astype(np.int16)
                packed = block.repeat(audio.codec_context.channels)[None]
                block_frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
                block_frame.sample_rate, block_frame.time_base = RATE, Fraction(1, RATE)
                block_frame.pts = int(first_s * RATE) + n_sent
                container.mux(audio.encode(block_frame))
                n_sent += frame_size
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return file.getvalue()


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP peer on this machine that calls ``serve`` with each connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def run() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.close()
        thread.join(5)


def stream_of(source: str | Path | None, **how: Any) -> LiveStream:
    devices = {name: how.pop(name) for name in ("microphone", "camera") if name in how}
    return LiveStream(requested_inputs(source, **devices), **how)


def read_all(stream: LiveStream, *, most_s: float = 30.0) -> list[CapturedPart]:
    parts: list[CapturedPart] = []
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        ended = stream.ended
        new = stream.take()
        if ended and not new:
            return parts
        parts += new
    raise AssertionError("it does not end")


def split(parts: list[CapturedPart]) -> tuple[list[Waveform], list[Frame]]:
    audio = [one.part for one in parts if isinstance(one.part, Waveform)]
    return audio, [one.part for one in parts if isinstance(one.part, Frame)]


def assert_no_threads() -> None:
    assert [one.name for one in threading.enumerate() if one.name.startswith("emofuse-live")] == []


@pytest.fixture
def video_file(tmp_path: Path) -> Path:
    """Two seconds of video with a tone."""
    path: Path = media_files.write_video(
        tmp_path / "video.mp4",
        [1001 * i for i in range(60)],
        audio=(media_files.tone(2.0, RATE), RATE),
    )
    return path


def test_a_file_is_played_completely_at_its_own_pace(video_file: Path) -> None:
    with stream_of(video_file, pace=2.0) as stream:
        assert stream.has_audio and stream.has_video and stream.labels == (str(video_file),)
        stream.start()
        started_s = stream.started_s
        parts = read_all(stream)
    audio, frames = split(parts)
    expected = decode(video_file, n_frames=2).audio
    assert expected is not None and stream.lost_audio_s == 0
    samples = np.concatenate([one.samples for one in audio], axis=1)
    np.testing.assert_array_equal(samples, expected.samples)
    assert audio[0].start_s == pytest.approx(expected.start_s, abs=1e-6)
    assert len(frames) + stream.dropped_frames == 10
    for one in parts:
        # not before its time; B-frames and blocks are decoded a little ahead of it
        assert one.at_s - started_s > one.end_s / 2.0 - 0.2
    assert parts[-1].at_s - started_s > 0.8
    assert_no_threads()


def test_only_the_newest_frame_waits_and_two_seconds_of_audio(tmp_path: Path) -> None:
    path = media_files.write_video(
        tmp_path / "long.mp4", [6000 * i for i in range(20)], audio=(media_files.tone(4.0, RATE), RATE)
    )
    with stream_of(path, pace=50.0) as stream:
        stream._buffer._behind_s = 2.0  # as at the pace of 1
        stream.start()
        while not stream.ended:
            time.sleep(0.01)
        audio, frames = split(stream.take())
    assert [one.time_s for one in frames] == pytest.approx([19 * 0.2])
    assert stream.dropped_frames == 19
    assert sum(one.duration_s for one in audio) == pytest.approx(2.0, abs=0.2)
    assert sum(one.duration_s for one in audio) + stream.lost_audio_s == pytest.approx(4.0, abs=0.1)
    assert audio[-1].start_s + audio[-1].duration_s == pytest.approx(4.0, abs=0.1)


def test_a_programming_error_in_the_thread_is_raised_where_the_parts_are_taken(
    video_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr("emofuse.media.live.capture.Capture._read", broken)
    with pytest.raises(TypeError, match="ours"), stream_of(video_file) as stream:
        stream.start()
        read_all(stream)
    assert_no_threads()


def test_a_loop_continues_where_the_round_before_ended(video_file: Path) -> None:
    parts: list[CapturedPart] = []
    with stream_of(video_file, pace=8.0, loop=True) as stream:
        stream.start()
        while not parts or parts[-1].end_s < 5.0:
            parts += stream.take()
    audio, frames = split(parts)
    ends = [one.start_s + one.duration_s for one in audio]
    for end, after in zip(ends, audio[1:], strict=False):
        assert -0.03 < after.start_s - end < 0.1
    times = [one.time_s for one in frames]
    assert times == sorted(set(times))
    assert_no_threads()


def test_a_stream_over_tcp_counts_from_its_start() -> None:
    data = transport_stream(2.0, first_s=7000.0)

    def serve(connection: socket.socket) -> None:
        step = len(data) // 40
        for i in range(0, len(data), step):
            connection.sendall(data[i : i + step])
            time.sleep(0.02)

    with peer(serve) as address, stream_of(address) as stream:
        stream.start()
        parts = read_all(stream)
        assert stream.problem is None
    audio, frames = split(parts)
    assert min(one.start_s for one in parts) < 1.0
    assert sum(one.duration_s for one in audio) == pytest.approx(2.0, abs=0.2)
    assert len(frames) + stream.dropped_frames == pytest.approx(10, abs=1)
    assert_no_threads()


def test_a_download_is_held_back_to_its_pace(http_server: Any) -> None:
    address = http_server.serve("/video.ts", transport_stream(3.0), ranges=False)
    with stream_of(address) as stream:
        stream.start()
        parts = read_all(stream)
        assert parts[-1].at_s - stream.started_s > 1.5
        assert stream.lost_audio_s == 0


def test_a_sender_that_restarts_does_not_stop_the_clock() -> None:
    data = transport_stream(1.0, first_s=5000.0) + transport_stream(1.0, first_s=20.0)
    with peer(lambda connection: connection.sendall(data)) as address, stream_of(address) as stream:
        stream.start()
        parts = read_all(stream)
    audio, frames = split(parts)
    ends = [one.start_s + one.duration_s for one in audio]
    assert max(ends) < 4.0
    for end, after in zip(ends, audio[1:], strict=False):
        assert after.start_s > end - 0.1
    times = [one.time_s for one in frames]
    assert times == sorted(set(times))
    assert sum(one.duration_s for one in audio) > 1.5


@pytest.mark.parametrize(("before", "after"), [("mono", "stereo"), ("stereo", "mono")])
def test_a_sender_that_restarts_with_other_channels(before: str, after: str) -> None:
    data = transport_stream(1.0, first_s=5000.0, layout=before)
    data += transport_stream(1.0, first_s=20.0, layout=after)
    with peer(lambda connection: connection.sendall(data)) as address, stream_of(address) as stream:
        stream.start()
        audio, _ = split(read_all(stream))
        assert stream.problem is None
    samples = np.concatenate([one.samples for one in audio], axis=1)
    assert samples.shape == (1 if before == "mono" else 2, pytest.approx(2.0 * RATE, abs=0.3 * RATE))
    assert np.abs(samples[:, -RATE // 2 :]).max() > 0.2
    assert_no_threads()


def test_a_peer_that_never_answers_times_out() -> None:
    started_s = time.monotonic()
    with (
        peer(lambda _: time.sleep(2.0)) as address,
        pytest.raises(MediaError, match=r"tcp://127\.0\.0\.1:\d+: no answer within 0\.5 s"),
        stream_of(address, timeout_s=0.5),
    ):
        pass
    assert time.monotonic() - started_s < 5
    assert_no_threads()


def test_a_peer_that_falls_silent_times_out() -> None:
    data = transport_stream(1.0)
    quiet = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        quiet.wait(10)

    with peer(serve) as address, stream_of(address, timeout_s=1.5) as stream:
        stream.start()
        parts = read_all(stream, most_s=10)
        assert parts
        with pytest.raises(MediaError, match=r"no data for 1\.5 s"):
            raise stream.problem or AssertionError
        quiet.set()


def test_datagrams_until_no_more_come() -> None:
    data = transport_stream(1.5, first_s=60.0)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def send() -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            # repeatedly, like a camera that does not know whether anyone listens
            for _ in range(2):
                for i in range(0, len(data), 1316):
                    sender.sendto(data[i : i + 1316], ("127.0.0.1", port))
                    time.sleep(0.003)

    thread = threading.Thread(target=send)
    thread.start()
    with stream_of(f"udp://127.0.0.1:{port}", timeout_s=2.0) as stream:
        stream.start()
        audio, frames = split(read_all(stream))
        assert audio and frames
        with pytest.raises(MediaError, match=r"no data for 2 s"):
            raise stream.problem or AssertionError
    thread.join()


def test_no_peer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(MediaError, match="Connection refused"), stream_of(f"tcp://127.0.0.1:{port}"):
        pass


def test_the_opening_can_be_canceled() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started_s = time.monotonic()
    with (
        peer(lambda _: time.sleep(3.0)) as address,
        stream_of(address, timeout_s=1.0, stop=stop) as stream,
    ):
        assert not stream.labels
        assert time.monotonic() - started_s < 0.9


def test_a_playlist_reaches_no_local_file(http_server: Any, video_file: Path) -> None:
    body = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{video_file}\n#EXT-X-ENDLIST\n"
    address = http_server.serve("/list.m3u8", body.encode())
    with pytest.raises(MediaError), stream_of(address):
        pass


@pytest.mark.parametrize("source", ["file:///etc/hosts", "concat://a", "ftp://host/video.mp4", "data://x"])
def test_other_addresses_are_not_supported(source: str) -> None:
    with pytest.raises(MediaError, match="not supported"):
        requested_inputs(source)


def test_a_password_is_not_repeated() -> None:
    (request,) = requested_inputs("rtsp://me:secret@camera.local:554/one")
    assert request.inputs[0].label == "rtsp://camera.local:554/one"


def test_which_streams_of_which_inputs_are_requested() -> None:
    video_file, microphone = requested_inputs("video.mp4", microphone="alsa:hw:1")
    assert video_file.inputs == (LiveInput("video.mp4", "file", audio=False),)
    assert microphone.inputs == (LiveInput("hw:1", "device", "alsa", video=False),)
    microphones, cameras = requested_inputs(None)
    assert not microphones.required and not cameras.required
    assert all(one.audio and not one.video for one in microphones.inputs)
    (only,) = requested_inputs(None, camera=NONE)
    assert only.what == "microphone"
    assert requested_inputs("lavfi:testsrc")[0].inputs[0] == LiveInput("testsrc", "device", "lavfi")
    with pytest.raises(MediaError, match="neither audio nor video"):
        requested_inputs("video.mp4", microphone=NONE, camera=NONE)


def test_two_devices_share_one_clock() -> None:
    with stream_of(
        None, camera="lavfi:testsrc=size=160x96:rate=20", microphone="lavfi:sine=r=16000"
    ) as stream:
        assert stream.has_audio and stream.has_video and len(stream.labels) == 2
        stream.start()
        parts: list[CapturedPart] = []
        while not parts or parts[-1].end_s < 2.0:
            parts += stream.take()
            # neither is paced; both are held back to one second ahead of the clock
            assert all(one.end_s < one.at_s - stream.started_s + 1.7 for one in parts)
    audio, frames = split(parts)
    assert audio and frames
    assert_no_threads()


@pytest.mark.skipif("alsa" not in av.formats_available, reason="no ALSA in this PyAV")
def test_a_microphone_of_alsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "asound.conf"
    config.write_text("pcm.quiet { type null }\n", encoding="utf-8")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(config))
    with stream_of(None, microphone="alsa:quiet", camera=NONE) as stream:
        assert stream.has_audio and not stream.has_video and stream.labels == ("alsa:quiet",)
        stream.start()
        parts: list[CapturedPart] = []
        while not parts:
            parts += stream.take()
    assert_no_threads()


def test_one_missing_device_is_tolerated_and_none_is_an_error() -> None:
    absent = InputRequest((LiveInput("/dev/video_absent", "device", "v4l2", audio=False),), False, "camera")
    sine = InputRequest((LiveInput("sine=r=16000", "device", "lavfi", video=False),), False, "microphone")
    with LiveStream([sine, absent]) as stream:
        assert stream.has_audio and not stream.has_video
        (note,) = stream.notes
        assert note.startswith("no camera: v4l2:/dev/video_absent (")
    with pytest.raises(MediaError, match=r"Tried: v4l2:/dev/video_absent .*--camera"), LiveStream([absent]):
        pass
    assert_no_threads()


def test_a_decoder_that_cannot_keep_up_skips_frames() -> None:
    now = 0.0
    load = _DecoderLoad(lambda: now)
    skipped = []
    for idle in (0.5, 0.0, 0.0, 0.0, 0.5, 0.5):
        now += 1.0
        load.idle(idle)
        skipped.append(load.skip())
    assert skipped == ["DEFAULT", "NONREF", "NONKEY", "NONKEY", "NONREF", "DEFAULT"]


def test_a_file_that_was_paused_continues_from_there() -> None:
    now = 100.0
    clock = _StreamClock(lambda: now, 100.0, 1.0)
    clock.start_file(0.0)
    clock.note(0, 0.0)
    assert clock.wait_s(1.0) == pytest.approx(1.0)
    now += 30
    clock.wait_s(1.0)
    assert clock.wait_s(2.0) == pytest.approx(1.0)
    # a long gap in the timestamps is not waited for
    assert clock.wait_s(100_000.0) == pytest.approx(10.0)


def two_voices(path: Path) -> Path:
    """A tone at 400 Hz, the default, and one at 900 Hz."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]
        streams[0].disposition = av.stream.Disposition.default
        streams[1].disposition = av.stream.Disposition(0)
        for first in range(0, 8000, 800):
            for stream, hertz in zip(streams, (400.0, 900.0), strict=True):
                tone = media_files.tone(1.0, 8000, hertz=hertz)[:, first : first + 800]
                frame = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16), "s16", "mono")
                frame.sample_rate, frame.pts = 8000, first
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("number", "hertz"), [(None, 400.0), (1, 400.0), (2, 900.0)])
def test_the_wanted_one_of_several_streams_is_read(tmp_path: Path, number: int | None, hertz: float) -> None:
    path = two_voices(tmp_path / "two.mkv")
    with stream_of(path, streams=StreamChoice(audio=number), pace=4.0) as stream:
        assert stream.notes == (
            f"audio stream {number or 1} is read, and not {3 - (number or 1)}: see --audio-stream",
        )
        stream.start()
        audio, _ = split(read_all(stream))
    samples = np.concatenate([block.samples[0] for block in audio])
    loudest = float(np.argmax(np.abs(np.fft.rfft(samples)))) * 8000 / len(samples)
    assert loudest == pytest.approx(hertz, abs=3)


def test_a_stream_that_is_not_there(tmp_path: Path) -> None:
    path = two_voices(tmp_path / "two.mkv")
    message = "there is no audio stream 3: it has 2"
    with pytest.raises(MediaError, match=message), stream_of(path, streams=StreamChoice(audio=3)):
        pass
