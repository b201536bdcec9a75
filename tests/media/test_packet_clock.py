"""Recordings whose timestamps go back, leap or pause: against the lengths of their parts, and their tones."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from emofuse.core.records import Waveform
from emofuse.media.decoding import decode
from emofuse.media.file_stream import Frame, open_stream
from emofuse.media.live.inputs import requested_inputs
from emofuse.media.live.stream import LiveStream
from tests.support.typed import not_none

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")

STEP_S = 0.1
"""Of the tones that are measured."""
VIDEO = {
    ".ts": ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "12", "-c:a", "aac"],
    ".webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-c:a", "libopus"],
    ".mpg": ["-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"],
}


def ffmpeg(*options: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options], check=True, timeout=120)


def part(path: Path, length_s: int, hertz: int, *more: str) -> Path:
    """A film of one luma and one tone."""
    luma = hertz // 10
    ffmpeg(
        "-f", "lavfi", "-i", f"color=c=0x{luma:02x}{luma:02x}{luma:02x}:s=64x48:r=25:d={length_s}",
        "-f", "lavfi", "-i", f"sine={hertz}:d={length_s}:r=48000", *VIDEO[path.suffix], *more, str(path),
    )  # fmt: skip
    return path


def read(path: Path, **how: float | None) -> tuple[list[Frame], Waveform | None, tuple[str, ...]]:
    with open_stream(path, **how) as stream:  # type: ignore[arg-type]
        items = list(stream)
        notes = stream.notes
    blocks = [item for item in items if isinstance(item, Waveform)]
    if not blocks:
        return [item for item in items if isinstance(item, Frame)], None, notes
    samples = np.concatenate([block.samples for block in blocks], axis=1)
    audio = Waveform(samples, blocks[0].sample_rate_hz, blocks[0].start_s)
    return [item for item in items if isinstance(item, Frame)], audio, notes


def tones(audio: Waveform) -> dict[int, tuple[float, float]]:
    """For each tone, from when to when it is heard; silence is 0."""
    step = round(STEP_S * audio.sample_rate_hz)
    spans: dict[int, tuple[float, float]] = {}
    for index in range(audio.samples.shape[1] // step):
        piece = audio.samples[0, index * step : (index + 1) * step]
        hertz = 0
        if np.abs(piece).max() > 0.01:
            spectrum = np.abs(np.fft.rfft(piece * np.hanning(step), audio.sample_rate_hz))
            hertz = 10 * round(int(spectrum.argmax()) / 10)
        start_s = audio.start_s + index * STEP_S
        spans[hertz] = spans.get(hertz, (start_s, 0.0))[0], start_s + STEP_S
    return spans


def lumas(frames: list[Frame]) -> dict[int, tuple[float, float]]:
    """For each luma, in tens, the first and the last time."""
    spans: dict[int, tuple[float, float]] = {}
    for frame in frames:
        luma = round(float(frame.image.mean()), -1)
        spans[int(luma)] = spans.get(int(luma), (frame.time_s, 0.0))[0], frame.time_s
    return spans


@pytest.fixture(scope="module", params=["ts", "leap", "earlier", "wrapped", "webm", "mpg"])
def joined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of 500 Hz, and four of 900 Hz whose clock starts elsewhere, one after the other."""
    folder, kind = tmp_path_factory.mktemp("parts"), str(request.param)
    suffix = f".{kind}" if f".{kind}" in VIDEO else ".ts"
    first, second = {"leap": ("0", "1000"), "earlier": ("500", "470"), "wrapped": ("500", "0")}.get(
        kind, ("0", "0")
    )
    one = part(folder / f"a{suffix}", 5, 500, "-output_ts_offset", first)
    two = part(folder / f"b{suffix}", 4, 900, "-output_ts_offset", second)
    path = folder / f"joined{suffix}"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    return path


def test_parts_follow_one_another(joined: Path) -> None:
    frames, audio, notes = read(joined)
    heard, seen = tones(not_none(audio)), lumas(frames)
    assert heard[500] == pytest.approx((0, 5), abs=0.15) and heard[900] == pytest.approx((5, 9), abs=0.25)
    assert [seen[50][0], seen[50][1]] == pytest.approx([0, 4.8], abs=0.15)
    assert [seen[90][0], seen[90][1]] == pytest.approx([5, 8.8], abs=0.25)
    assert abs(seen[90][0] - heard[900][0]) < 0.25
    assert len(notes) == 1 and notes[0].startswith("the timestamps jump at 5.0")
    # predict reads it as timeline does, all at once or the audio alone
    for media in (decode(joined, n_frames=40), decode(joined)):
        whole = not_none(media.audio)
        assert (
            whole.duration_s == pytest.approx(not_none(audio).duration_s, abs=0.01) and media.notes == notes
        )
        assert tones(whole)[900] == pytest.approx(heard[900], abs=0.11)
    times = not_none(decode(joined, n_frames=40).frames).times_s
    assert times[0] == pytest.approx(frames[0].time_s, abs=0.01) and times[-1] == pytest.approx(
        8.96, abs=0.15
    )
    assert np.diff(times).max() < 0.35


@pytest.mark.parametrize(("start_s", "end_s"), [(6.0, 8.0), (7.5, 9.0)])
def test_a_span_counts_from_the_start_of_the_first_part(tmp_path: Path, start_s: float, end_s: float) -> None:
    one, two = part(tmp_path / "a.ts", 5, 500, "-output_ts_offset", "30"), part(tmp_path / "b.ts", 4, 900)
    path = tmp_path / "joined.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    frames, audio, _ = read(path, start_s=start_s, end_s=end_s)
    assert frames[0].time_s == pytest.approx(start_s, abs=0.05)
    assert frames[-1].time_s == pytest.approx(end_s, abs=0.25)
    media = decode(path, start_s=start_s, end_s=end_s, n_frames=4)
    for one_audio in (not_none(audio), not_none(media.audio)):
        assert one_audio.start_s == pytest.approx(start_s, abs=0.001)
        assert one_audio.duration_s == pytest.approx(end_s - start_s, abs=0.05)
        assert set(tones(one_audio)) == {900}
    assert not_none(media.frames).times_s[0] == pytest.approx(frames[0].time_s, abs=1e-6)


def live_parts(path: Path, pace: float) -> list[Waveform | Frame]:
    parts: list[Waveform | Frame] = []
    with LiveStream(requested_inputs(path), pace=pace) as stream:
        stream.start()
        while taken := stream.take(0.1) or not stream.ended:
            parts += [] if taken is True else [one.part for one in taken]
    return parts


def test_live_reads_the_parts_on_one_clock(joined: Path) -> None:
    parts = live_parts(joined, pace=20.0)
    audio_s = max(one.start_s + one.duration_s for one in parts if isinstance(one, Waveform))
    video_s = max(one.time_s for one in parts if isinstance(one, Frame))
    assert audio_s == pytest.approx(9.05, abs=0.2) and video_s == pytest.approx(8.9, abs=0.3)


def paused(path: Path, gap: str, *codec: str, video: bool = True) -> Path:
    """130 s of 500 Hz, without those of a gap, and of video throughout."""
    picture = ["-f", "lavfi", "-i", "color=c=gray:s=64x48:r=5:d=130"] if video else []
    ffmpeg(
        *picture, "-f", "lavfi", "-i", "sine=500:d=130:r=48000", "-af", f"aselect='{gap}'",
        "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", *codec, str(path),
    )  # fmt: skip
    return path


@pytest.mark.parametrize("video", [True, False], ids=["with video", "audio alone"])
@pytest.mark.parametrize("live", ["0", "1"], ids=["declared", "live"])
def test_a_gap_of_over_a_minute_stays(tmp_path: Path, live: str, video: bool) -> None:
    codec = ["-c:a", "libopus", "-f", "webm", "-live", live]
    path = paused(tmp_path / "x.webm", "lt(t,10)+gt(t,100)", *codec, video=video)
    with av.open(str(path)) as container:  # the oracle: when the container says that the audio is
        packets = [p for p in container.demux(audio=0) if p.pts is not None and p.time_base is not None]
        stamps = np.array([float(not_none(p.pts) * p.time_base) for p in packets])
    edges = stamps[np.diff(stamps).argmax() :][:2]
    assert edges == pytest.approx([10, 100], abs=0.1)
    frames, audio, notes = read(path)
    media = decode(path)
    assert notes == media.notes == ()
    for one in (not_none(audio), not_none(media.audio)):
        assert one.start_s + one.duration_s == pytest.approx(130, abs=0.1)
        rate = one.sample_rate_hz
        loud = np.abs(one.samples[0, : 130 * rate].reshape(-1, rate // 10)).max(axis=1) > 0.01
        assert loud[:99].all() and not loud[102:999].any() and loud[1002:1298].all()
    assert not video or frames[-1].time_s == pytest.approx(129.8, abs=0.1)


def test_live_audio_after_a_long_gap_has_its_time(tmp_path: Path) -> None:
    path = paused(tmp_path / "x.webm", "lt(t,10)+gt(t,100)", "-c:a", "libopus", "-f", "webm", "-live", "1")
    starts = [one.start_s for one in live_parts(path, pace=50.0) if isinstance(one, Waveform)]
    assert not [start_s for start_s in starts if 10.1 < start_s < 99.9]
    assert starts[0] < 1 and starts[-1] == pytest.approx(129.9, abs=0.2)


def test_rare_audio_keeps_its_time_beside_video(tmp_path: Path) -> None:
    """One second of audio in thirty: far more silence than audio."""
    path = paused(tmp_path / "x.webm", "lt(mod(t,30),1)", "-c:a", "libopus", "-f", "webm", "-live", "1")
    frames, audio, _ = read(path)
    assert frames[-1].time_s == pytest.approx(129.8, abs=0.1)
    for one in (not_none(audio), not_none(decode(path).audio)):
        rate = one.sample_rate_hz
        loud = np.abs(one.samples[0, : 121 * rate].reshape(-1, rate)).max(axis=1) > 0.01
        assert set(np.flatnonzero(loud)) >= {0, 30, 60, 90, 120} and loud[[10, 40, 70, 100]].sum() == 0
