"""Frames and audio of intact files, against plain full decodes and against what was written."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from emofuse.core.errors import CancelledError
from emofuse.core.limits import ReadControl
from emofuse.media.decoding import decode, probe
from emofuse.media.frames import PacketListing
from tests.support import media_files
from tests.support.ffmpeg import luma_shown_by_ffmpeg, needs_ffmpeg
from tests.support.media_files import KINDS, VARIABLE, full_range

REGULAR = [1001 * i for i in range(45)]


def nearest(times: list[float], n: int) -> list[int]:
    return [int(np.argmin(np.abs(np.array(times) - t))) for t in np.linspace(times[0], times[-1], n)]


@pytest.mark.parametrize("n_frames", [1, 4, 20, 60])
@pytest.mark.parametrize(("name", "codec", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_chosen_frames_are_those_of_a_full_decode(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], n_frames: int
) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = media_files.write_video(tmp_path / name, REGULAR, codec=codec, options=options, pix_fmt=pix_fmt)
    every = media_files.decode_frames(path)
    origin = every[0][0] if name.endswith(".ts") else 0.0
    frames = decode(path, audio=False, n_frames=n_frames).frames
    assert frames is not None and frames.n_in_file == len(every) == 45
    chosen = nearest([time for time, _ in every], n_frames)
    np.testing.assert_allclose(frames.times_s, [every[i][0] - origin for i in chosen], atol=2e-3)
    for image, i in zip(frames.images, chosen, strict=True):
        expected = every[i][1] if codec == "mjpeg" else full_range(every[i][1])
        np.testing.assert_array_equal(image, expected)


def test_frames_are_even_in_time_if_the_rate_varies(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "variable.mp4", VARIABLE, options={"bf": "2"})
    frames = decode(path, audio=False, n_frames=5).frames
    assert frames is not None
    # In 1.4 s every 0.35 s: ticks 0, 10500 → 9000, 21000, 31500 → 31000, 42000.
    np.testing.assert_allclose(frames.times_s * media_files.TICKS, [0, 9000, 21000, 31000, 42000], atol=1)


def test_the_result_does_not_depend_on_threads(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "clip.mp4", REGULAR, options={"bf": "3", "g": "12"})
    one, four = (decode(path, audio=False, n_frames=7, threads=n).frames for n in (1, 4))
    assert one is not None and four is not None
    for a, b in zip(one.images, four.images, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.5, 1.0), (7.2, 8.4), (8.5, None), (None, 0.3)])
def test_a_span_of_a_longer_file(tmp_path: Path, start_s: float | None, end_s: float | None) -> None:
    samples = media_files.tone(10, 16000) * np.linspace(0.1, 1, 160000, dtype=np.float32)
    path = media_files.write_video(
        tmp_path / "long.mp4", [1001 * i for i in range(299)], size=(64, 48),
        audio=(samples, 16000), options={"bf": "2", "g": "30"},
    )  # fmt: skip
    span = decode(path, n_frames=6, start_s=start_s, end_s=end_s)
    whole = decode(path, n_frames=None).audio
    every = [(t, luma) for t, luma in media_files.decode_frames(path) if (start_s or 0) <= t < (end_s or 99)]
    assert span.frames is not None and span.audio is not None and whole is not None
    assert span.frames.n_in_file == len(every)
    for image, i in zip(span.frames.images, nearest([t for t, _ in every], 6), strict=True):
        np.testing.assert_array_equal(image, full_range(every[i][1]))
    first = round((start_s or 0) * 16000)
    last = whole.samples.shape[1] if end_s is None else round(end_s * 16000)
    assert abs(span.audio.start_s - (start_s or 0)) < 1 / 16000
    np.testing.assert_allclose(span.audio.samples, whole.samples[:, first:last], atol=1e-4)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotated_recordings_come_out_upright(tmp_path: Path, rotation: int) -> None:
    path = media_files.write_video(tmp_path / "phone.mp4", REGULAR[:5], rotation=rotation)
    frames = decode(path, audio=False, n_frames=1).frames
    assert frames is not None
    # The display matrix turns counterclockwise (FFmpeg's av_display_rotation_get).
    upright = np.rot90(full_range(media_files.decode_frames(path)[0][1]), {90: 1, -90: 3, 180: 2}[rotation])
    np.testing.assert_array_equal(frames.images[0], upright)
    info = probe(path)
    assert (info.height, info.width) == upright.shape and info.rotation_deg == rotation % 360


@pytest.mark.parametrize("way", media_files.ORIENTATIONS)
def test_all_eight_orientations_come_out_upright(tmp_path: Path, way: str) -> None:
    matrix, show = media_files.ORIENTATIONS[way]
    path = media_files.write_video(tmp_path / "phone.mp4", REGULAR[:3])
    media_files.set_display_matrix(path, matrix)
    coded = full_range(media_files.decode_frames(path)[0][1])
    frames = decode(path, audio=False, n_frames=1).frames
    assert frames is not None
    np.testing.assert_array_equal(frames.images[0], show(coded))
    info = probe(path)
    assert (info.height, info.width) == show(coded).shape
    turned = np.rot90(coded, info.rotation_deg // 90)
    np.testing.assert_array_equal(np.fliplr(turned) if info.mirrored else turned, show(coded))


@needs_ffmpeg
@pytest.mark.parametrize("way", media_files.ORIENTATIONS)
def test_frames_are_oriented_as_ffmpeg_shows_them(tmp_path: Path, way: str) -> None:
    path = media_files.write_video(tmp_path / "phone.mp4", REGULAR[:3])
    media_files.set_display_matrix(path, media_files.ORIENTATIONS[way][0])
    frames = decode(path, audio=False, n_frames=1).frames
    assert frames is not None
    image = frames.images[0]
    expected = full_range(luma_shown_by_ffmpeg(path, (image.shape[1], image.shape[0])))
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("matrix", "show"),
    [((0, 0, 0, 0), lambda image: image), ((3, 0, 0, 3), lambda image: image), ((-5, 1, 1, 5), np.fliplr)],
    ids=["of zeros", "scaled", "slanted"],
)
def test_an_odd_matrix_gives_the_nearest_orientation(
    tmp_path: Path, matrix: tuple[int, int, int, int], show: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = media_files.write_video(tmp_path / "phone.mp4", REGULAR[:3])
    media_files.set_display_matrix(path, matrix)
    frames = decode(path, audio=False, n_frames=1).frames
    assert frames is not None
    np.testing.assert_array_equal(frames.images[0], show(full_range(media_files.decode_frames(path)[0][1])))


@pytest.mark.parametrize("size", [(161, 97), (33, 121)])
def test_odd_sizes_and_central_square(tmp_path: Path, size: tuple[int, int]) -> None:
    path = media_files.write_video(tmp_path / "odd.mkv", REGULAR[:3], codec="ffv1", size=size)
    luma = full_range(media_files.luma_frame(0, *size))
    whole, square = (decode(path, audio=False, n_frames=1, square=s).frames for s in (False, True))
    assert whole is not None and square is not None
    np.testing.assert_array_equal(whole.images[0], luma)
    side = min(size)
    top, left = (luma.shape[0] - side) // 2, (luma.shape[1] - side) // 2
    np.testing.assert_array_equal(square.images[0], luma[top : top + side, left : left + side])


@pytest.mark.parametrize(("width", "tolerance"), [(1, 1 / 127), (2, 2e-5), (3, 1e-6), (4, 1e-6)])
@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_pcm_comes_back_as_written(tmp_path: Path, width: int, tolerance: float, rate: int) -> None:
    samples = media_files.tone(0.25, rate, channels=2)
    audio = decode(media_files.write_wav(tmp_path / "a.wav", samples, rate, width=width)).audio
    assert audio is not None and audio.sample_rate_hz == rate and audio.start_s == 0
    np.testing.assert_allclose(audio.samples, samples, atol=tolerance)


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1")])
def test_all_channels_are_decoded(tmp_path: Path, channels: int, layout: str) -> None:
    samples = media_files.tone(0.5, 48000, channels=channels)
    path = media_files.write_audio(tmp_path / "a.flac", samples, 48000, codec="flac", layout=layout)
    audio = decode(path).audio
    assert audio is not None
    np.testing.assert_allclose(audio.samples, samples, atol=1e-4)
    info = probe(path)
    assert (info.n_channels, info.sample_rate_hz, info.has_video) == (channels, 48000, False)


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.m4a", "aac")])
def test_lossy_audio_is_aligned(tmp_path: Path, name: str, codec: str) -> None:
    samples = media_files.tone(1.0, 48000)
    samples[:, :24000] = 0
    audio = decode(media_files.write_audio(tmp_path / name, samples, 48000, codec=codec)).audio
    assert audio is not None
    loud = np.flatnonzero(np.abs(audio.samples[0]) > 0.1)[0] / 48000 + audio.start_s
    assert abs(loud - 0.5) < 0.03


def test_cover_art_is_not_video(tmp_path: Path) -> None:
    path = media_files.write_video(
        tmp_path / "song.mp4", [0], codec="mjpeg", pix_fmt="yuvj420p", cover=True,
        audio=(media_files.tone(0.5, 44100), 44100),
    )  # fmt: skip
    media = decode(path, n_frames=5)
    assert media.has_audio and media.audio is not None
    assert not media.has_video and media.frames is None


def test_both_streams_come_from_one_call(tmp_path: Path) -> None:
    path = media_files.write_video(
        tmp_path / "ein schöner Fall 笑.mp4", REGULAR, audio=(media_files.tone(1.5, 48000, channels=2), 48000)
    )
    media = decode(path, n_frames=20)
    assert media.audio is not None and media.audio.n_channels == 2 and media.notes == ()
    assert media.frames is not None and len(media.frames.images) == 20
    info = probe(path)
    assert (info.width, info.height, info.n_frames, info.layout) == (160, 96, 45, "stereo")
    assert info.average_fps == pytest.approx(30000 / 1001, rel=1e-3)
    assert info.duration_s == pytest.approx(1.5, abs=0.05)


def test_a_stream_without_timestamps(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "bare.h264", REGULAR, options={"bf": "2", "g": "12"})
    frames = decode(path, audio=False, n_frames=5).frames
    assert frames is not None and len(frames.images) == 5
    assert np.all(np.diff(frames.times_s) > 0)


def test_long_files_are_read_twice_rather_than_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media_files.write_video(
        tmp_path / "clip.mp4", REGULAR, audio=(media_files.tone(1.5, 48000), 48000)
    )
    held = decode(path, n_frames=6)
    monkeypatch.setattr("emofuse.media.frames._KEEP_BYTES", 100)
    twice = decode(path, n_frames=6)
    assert held.frames is not None and twice.frames is not None
    assert held.audio is not None and twice.audio is not None
    np.testing.assert_array_equal(held.audio.samples, twice.audio.samples)
    for a, b in zip(held.frames.images, twice.frames.images, strict=True):
        np.testing.assert_array_equal(a, b)


class Kept:
    """Takes frames, as what searches faces in them does."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> None:
        self.images.append(image)


@pytest.mark.parametrize("held_bytes", [0, 3 * 160 * 96, 10**9])
@pytest.mark.parametrize(("name", "codec", "options"), KINDS[:3], ids=[kind[0] for kind in KINDS[:3]])
@pytest.mark.parametrize("n_frames", [7, 60])
def test_large_frames_are_passed_on_one_by_one(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], n_frames: int, held_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The same frames in the same order as if they were held, repeated ones included."""
    path = media_files.write_video(tmp_path / name, REGULAR, codec=codec, options=options)
    held = decode(path, audio=False, n_frames=n_frames).frames
    monkeypatch.setattr("emofuse.media.frames.HELD_BYTES", held_bytes)
    media = decode(path, audio=False, n_frames=n_frames, sink=Kept)
    assert held is not None and media.has_frames
    if media.passed_on is None:
        assert held_bytes == 10**9 and media.frames is not None
        return
    assert media.frames is None and isinstance(media.passed_on.sink, Kept)
    np.testing.assert_array_equal(media.passed_on.times_s, held.times_s)
    for one, other in zip(media.passed_on.sink.images, held.images, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_file_starts_a_new_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media_files.write_video(tmp_path / "clip.mkv", REGULAR)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    held = decode(path, audio=False, n_frames=9)
    assert held.faults and held.frames is not None
    monkeypatch.setattr("emofuse.media.frames.HELD_BYTES", 0)
    media = decode(path, audio=False, n_frames=9, sink=Kept)
    assert media.faults == held.faults
    assert media.passed_on is not None and isinstance(media.passed_on.sink, Kept)
    np.testing.assert_array_equal(media.passed_on.sink.images, held.frames.images)


def test_an_error_of_the_sink_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Kept):
        def add(self, image: np.ndarray) -> None:  # noqa: ARG002 - of the protocol
            raise ValueError("ours")

    path = media_files.write_video(tmp_path / "clip.mp4", REGULAR)
    monkeypatch.setattr("emofuse.media.frames.HELD_BYTES", 0)
    with pytest.raises(ValueError, match="ours"):
        decode(path, audio=False, n_frames=9, sink=Broken)


def test_frames_are_freed_as_soon_as_they_are_read(tmp_path: Path) -> None:
    """A frame of 8K takes 50 MB: it must not wait for garbage collection."""
    path = media_files.write_video(tmp_path / "clip.mp4", REGULAR)
    gc.collect()
    gc.disable()
    try:
        decode(path, audio=False, n_frames=40)
        left = [one for one in gc.get_objects() if issubclass(type(one), av.VideoFrame)]
    finally:
        gc.enable()
    assert left == []


def test_progress_and_cancelling(tmp_path: Path) -> None:
    path = media_files.write_video(
        tmp_path / "long.mp4", [1001 * i for i in range(299)], size=(64, 48),
        audio=(media_files.tone(10, 16000), 16000),
    )  # fmt: skip
    told: list[tuple[float, float | None]] = []
    cancel = threading.Event()

    def on_progress(read_s: float, duration_s: float | None) -> None:
        told.append((read_s, duration_s))
        if read_s > 5:
            cancel.set()

    with pytest.raises(CancelledError):
        decode(path, n_frames=20, control=ReadControl(cancel=cancel, on_progress=on_progress))
    times = [read_s for read_s, _ in told]
    assert times == sorted(times) and 5 < times[-1] < 6 and len(times) > 20
    assert all(duration_s == pytest.approx(10, abs=0.2) for _, duration_s in told)
    with pytest.raises(CancelledError):  # even before the first packet
        decode(path, n_frames=20, control=ReadControl(cancel=cancel))


def test_a_listing_of_packets_is_small() -> None:
    """Three hours at 60 frames per second are 650,000 packets."""
    rows = ((None if i == 7 else 3 * i, i % 12 == 0, i > 4, 3) for i in range(10_000))
    listing = PacketListing.of(rows)
    parts = (listing.pts, listing.has_pts, listing.key, listing.shown, listing.durations)
    assert sum(part.nbytes for part in parts) < 20 * 10_000
    assert listing.pts[[6, 7, 8]].tolist() == [18, 0, 24] and not listing.timed
    assert listing.has_pts[[6, 7, 8]].tolist() == [True, False, True]
    assert np.flatnonzero(listing.key)[:3].tolist() == [0, 12, 24] and listing.shown.sum() == 9995
