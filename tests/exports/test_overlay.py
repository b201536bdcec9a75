"""The overlay has every frame and all the audio of its source at the same times."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from emofuse.core.colors import label_colors
from emofuse.core.dimensions import Rated
from emofuse.core.errors import ExportError, MediaError
from emofuse.core.labels import EMOTIONS
from emofuse.exports.overlay import write_overlay
from emofuse.exports.overlay_drawing import Drawing, plain_text
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window
from tests.support import media_files
from tests.support.label_studies import LABELS
from tests.support.rated_timelines import rated_timeline
from tests.support.typed import not_none

STEADY = [1001 * index for index in range(20)]
UNEVEN = np.cumsum(np.random.default_rng(4).integers(300, 3000, 30)).tolist()
"""Ticks of 1/30000 s; the first frame is late."""


def talk(duration_s: float = 2.0, size: tuple[int, int] = (160, 96), **more: Any) -> Timeline:
    width, height = size
    happy = np.full(8, 0.02)
    happy[2] = 0.86
    given: dict[str, Any] = {
        "source": "a.mp4", "duration_s": duration_s, "start_s": 0.0, "emotions": EMOTIONS, "recogniser": "r",
        "windows": (Window(0.0, duration_s, None, None, happy, person="Anna", speaker="Anna"),),
        "segments": (Segment(0.0, duration_s, "happy", 0.86, person="Anna"),), "people": ("Anna",),
        "faces": tuple(
            FaceBox(t / 5, "Anna", width * 0.5, height * 0.2, width * 0.8, height * 0.7)
            for t in range(int(duration_s * 5))
        ),
        "picture_size": size,
    }  # fmt: skip
    return Timeline(**(given | more))


def times(path: Path, kind: str) -> tuple[Fraction, list[Fraction]]:
    """Clock and presentation times of every decoded frame."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return stream.time_base, [f.pts * f.time_base for f in container.decode(stream)]


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def sound(ticks: Sequence[int], rate: int = 44100) -> tuple[Any, int]:
    return media_files.tone(max(ticks) / media_files.TICKS + 0.1, rate, channels=2), rate


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
@pytest.mark.parametrize("ticks", [STEADY, UNEVEN], ids=["steady", "uneven"])
def test_every_frame_and_the_audio_keep_their_times(suffix: str, ticks: list[int], tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / f"a{suffix}", ticks, audio=sound(ticks))
    out = write_overlay(source, talk(), tmp_path / "out" / "b.mp4")
    (base, before), (out_base, after) = times(source, "video"), times(out, "video")
    assert len(before) == len(ticks)
    assert (out_base, after) == (base, before)
    (base, before), (_, after) = times(source, "audio"), times(out, "audio")
    # audio times are in samples in MP4, and in milliseconds in Matroska
    slack = 0 if suffix in {".mp4", ".mov"} else 0.001
    assert len(after) == len(before)
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= slack
    assert [p.name for p in out.parent.iterdir()] == ["b.mp4"]


def test_late_audio_stays_late(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.mp4", STEADY, audio=sound(STEADY))
    late = tmp_path / "late.mp4"
    with av.open(str(source)) as first, av.open(str(late), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in first.streams}
        for packet in first.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                packet.pts = not_none(packet.pts) + 22050
                packet.dts += 22050
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    before, after = (
        times(late, "audio")[1],
        times(write_overlay(late, talk(), tmp_path / "b.mp4"), "audio")[1],
    )
    assert before[0] == pytest.approx(0.5, abs=0.03)
    assert after == before
    assert times(late, "video") == times(tmp_path / "b.mp4", "video")


def test_copied_audio_is_unchanged(tmp_path: Path) -> None:
    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    source = media_files.write_video(tmp_path / "a.mp4", STEADY, audio=sound(STEADY))
    assert packets(write_overlay(source, talk(), tmp_path / "b.mp4")) == packets(source)


def test_audio_that_mp4_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    silent = media_files.write_video(tmp_path / "silent.mkv", STEADY)
    samples = media_files.tone(1.0, 22050)
    wav = media_files.write_wav(tmp_path / "a.wav", samples, 22050)
    with av.open(str(silent)) as one, av.open(str(wav)) as two, av.open(str(source), "w") as out:
        pairs = [(c, out.add_stream_from_template(c.streams[0])) for c in (one, two)]
        for container, stream in pairs:
            for packet in container.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    out_path = write_overlay(source, talk(), tmp_path / "b.mp4")
    with av.open(str(out_path)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("aac", 22050)
        frames = list(container.decode(stream))
    decoded = np.concatenate([f.to_ndarray()[0] for f in frames])
    first = round(not_none(frames[0].time) * 22050)
    shift = np.argmax(
        [
            np.dot(decoded[3000 + k : 9000 + k], samples[0, 3000 + first : 9000 + first])
            for k in range(-50, 50)
        ]
    )
    assert abs(int(shift) - 50) <= 1
    assert times(source, "video") == times(out_path, "video")


def broadcast(path: Path, first_s: int, layout: str, rate: int, early_s: float = 0.0) -> bytes:
    """One second of MPEG-TS with audio that MP4 cannot hold; the audio ends a little early."""
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("mp2", rate=rate, layout=layout)
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 9 * index, np.uint8), format="bgr24")
            frame.pts, frame.time_base = 25 * first_s + index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        noise = np.random.default_rng(first_s).normal(
            0, 3000, (1, rate * 9 // 10 * audio.codec_context.channels)
        )
        sound = av.AudioFrame.from_ndarray(noise.astype(np.int16), format="s16", layout=layout)
        sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
        sound.pts = round((first_s - early_s) * rate)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(("layout", "rate"), [("stereo", 48000), ("mono", 32000), ("stereo", 32000)], ids=str)
def test_audio_that_changes_format(layout: str, rate: int, tmp_path: Path) -> None:
    source = tmp_path / "a.ts"
    parts = broadcast(tmp_path / "b.ts", 0, "mono", 48000), broadcast(tmp_path / "c.ts", 1, layout, rate)
    source.write_bytes(b"".join(parts))
    out = write_overlay(source, talk(), tmp_path / "b.mp4")
    for kind in ("video", "audio"):
        (_, before), (_, after) = times(source, kind), times(out, kind)
        assert float(after[-1] - after[0]) == pytest.approx(float(before[-1] - before[0]), abs=0.1)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.layout.name == "mono"
        decoded = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(decoded) == pytest.approx(1.8 * 48000, abs=4000)
    assert all(np.abs(part).mean() > 0.03 for part in np.array_split(decoded[2000:-5000], 20))


def test_repeated_audio_is_written_once(tmp_path: Path) -> None:
    source = tmp_path / "a.ts"
    parts = (
        broadcast(tmp_path / "b.ts", 0, "mono", 48000),
        broadcast(tmp_path / "c.ts", 1, "mono", 48000, 0.15),
    )
    source.write_bytes(b"".join(parts))
    out = write_overlay(source, talk(), tmp_path / "b.mp4")
    (_, before), (_, after) = times(source, "audio"), times(out, "audio")
    assert before != sorted(before), "this file tests nothing: no sound comes again"
    assert after == sorted(after)
    assert float(after[-1] - after[0]) == pytest.approx(float(before[-1] - before[0]), abs=0.1)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
@pytest.mark.parametrize("offset_s", ["0", "1000"], ids=["back", "leap"])
def test_joined_recordings_are_drawn_one_after_the_other(offset_s: str, tmp_path: Path) -> None:
    content = b""
    for length_s, offset in ((2, "0"), (3, offset_s)):
        part = tmp_path / f"{length_s}.ts"
        made_of = f"-f lavfi -i testsrc2=s=160x96:r=25:d={length_s} -f lavfi -i sine=440:d={length_s}"
        how = f"-c:v libx264 -preset ultrafast -c:a aac -output_ts_offset {offset}"
        command = ["ffmpeg", "-v", "error", *made_of.split(), *how.split(), str(part)]
        subprocess.run(command, check=True, timeout=60)
        content += part.read_bytes()
    source = tmp_path / "joined.ts"
    source.write_bytes(content)
    out = write_overlay(source, talk(5.0), tmp_path / "b.mp4")
    _, shown = times(out, "video")
    _, heard = times(out, "audio")
    assert len(shown) == 25 * (2 + 3)
    assert np.diff(np.array(shown, dtype=np.float64)) == pytest.approx(np.full(124, 0.04), abs=0.07)
    for one in (shown, heard):
        assert one == sorted(one) and float(one[-1] - one[0]) == pytest.approx(5, abs=0.15)


def test_avi_times_are_sorted(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.avi", STEADY, audio=sound(STEADY))
    _, before = times(source, "video")
    assert before != sorted(before), "this file tests nothing: its frames come in order"
    assert times(write_overlay(source, talk(), tmp_path / "b.mp4"), "video")[1] == sorted(before)


@pytest.mark.parametrize("way", media_files.ORIENTATIONS)
def test_turned_and_mirrored_recordings_come_out_upright(way: str, tmp_path: Path) -> None:
    matrix, show = media_files.ORIENTATIONS[way]
    source = media_files.set_display_matrix(media_files.write_video(tmp_path / "a.mp4", STEADY), matrix)
    with av.open(str(source)) as container:
        wanted = show(next(container.decode(video=0)).to_ndarray(format="bgr24"))
    height, width = wanted.shape[:2]
    empty = talk(size=(width, height), windows=(), segments=(), faces=())
    out = write_overlay(source, empty, tmp_path / "b.mp4")
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (width, height, 0)
        assert np.abs(frame.to_ndarray(format="bgr24").astype(float) - wanted).mean() < 4
    assert times(source, "video") == times(out, "video")


def test_odd_sizes_grow_by_one(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.mkv", STEADY, size=(161, 97), pix_fmt="yuv444p")
    out = write_overlay(source, talk(size=(161, 97)), tmp_path / "b.mp4")
    assert frames_of(out)[0].shape == (98, 162, 3)
    assert times(source, "video") == times(out, "video")


def test_boxes_are_drawn_where_the_face_is(tmp_path: Path) -> None:
    size = (640, 360)
    dark = [np.full((360, 640), 60, np.uint8)] * 20
    source = media_files.write_video(tmp_path / "a.mp4", STEADY, size=size, frames=dark)
    drawn = frames_of(write_overlay(source, talk(size=size), tmp_path / "b.mp4"))[10].astype(int)
    plain = frames_of(
        write_overlay(source, talk(size=size, windows=(), segments=(), faces=()), tmp_path / "c.mp4")
    )[10]
    changed = np.abs(drawn - plain).max(axis=2) > 40
    # the corner of the box, at half the width and a fifth of the height, in the color of happy
    assert changed[72 - 3 : 72 + 4, 320 : 320 + 20].any()
    blue, _, red = drawn[72, 330]
    assert red > blue + 60
    assert not changed[80:240, 340:500].any(), "the face itself is to be seen"
    assert changed[220:350, 10:160].any(), "there is no panel"
    assert not changed[:, 560:].any()


@pytest.mark.parametrize("space", [1, 2, 5, 6], ids=["bt709", "unsaid", "bt470bg", "smpte170m"])
def test_colors_are_preserved(space: int, tmp_path: Path) -> None:
    def planes(path: Path) -> tuple[int, Any]:
        with av.open(str(path)) as container:
            frames = [f.to_ndarray().astype(float) for f in container.decode(video=0)]
            return int(container.streams.video[0].codec_context.colorspace), frames[-1]

    colours = np.random.default_rng(1).integers(40, 220, (6, 10, 3)).astype(np.uint8)
    image: Any = cv2.resize(colours, (320, 192), interpolation=cv2.INTER_NEAREST)
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        stream.codec_context.colorspace = space
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    empty = talk(size=(320, 192), windows=(), segments=(), faces=())
    (space_before, before), (space_after, after) = (
        planes(source),
        planes(write_overlay(source, empty, tmp_path / "b.mp4")),
    )
    assert space_before == space_after == space
    assert np.abs(before[:192] - after[:192]).mean() < 3
    assert np.abs(before[192:] - after[192:]).mean() < 3
    assert abs((before - after).mean()) < 1.5


def test_boxes_follow_straight_lines_and_vanish_in_gaps() -> None:
    def at(*times: float) -> tuple[FaceBox, ...]:
        return tuple(FaceBox(t, "Anna", 100 * t, 10.0, 100 * t + 50, 60.0) for t in times)

    def seen(faces: tuple[FaceBox, ...], time_s: float) -> Any:
        image = np.zeros((400, 1000, 3), np.uint8)
        timeline = talk(10.0, (1000, 400), windows=(), segments=(), faces=faces)
        Drawing(timeline, 1000, 400).draw(image, time_s)
        columns = np.flatnonzero(image[35:75].max(axis=(0, 2)) > 100)
        return None if not len(columns) else pytest.approx((columns[0], columns[-1]), abs=4)

    faces = at(1.0, 1.2, 2.2, 3.5)
    assert seen(faces, 1.1) == (110, 160)
    assert seen(faces, 1.7) == (170, 220)
    assert seen(faces, 2.25) == (220, 270)
    assert seen(faces, 2.8) is None
    assert seen(faces, 3.45) == (350, 400)
    assert seen(faces, 0.5) is None
    assert seen(faces, 5.0) is None
    assert seen((), 1.0) is None


def test_what_is_excluded_is_named() -> None:
    def drawn(**more: Any) -> Any:
        image = np.zeros((400, 1000, 3), np.uint8)
        segments = (Segment(0.0, 10.0, None, person="Anna", **more),)
        timeline = talk(10.0, (1000, 400), windows=(), segments=segments, faces=())
        Drawing(timeline, 1000, 400).draw(image, 5.0)
        return image

    assert (drawn(excluded=True) > 100).sum() > (drawn() > 100).sum() + 100


@pytest.mark.parametrize("emotions", [True, False])
def test_ratings_are_drawn_where_they_are_on_their_scale(*, emotions: bool) -> None:
    source = rated_timeline(emotions=emotions)

    def drawn(value: float) -> Any:
        rated = {"valence": Rated(value, max(1.0, value - 1), min(7.0, value + 1))}
        window = replace(source.windows[0], ratings=rated)
        image = np.zeros((720, 1280, 3), np.uint8)
        Drawing(replace(source, windows=(window,), faces=()), 1280, 720).draw(image, 1.5)
        return image.astype(int)

    def mark(value: float) -> float:
        """The whitest column of the bar, which lies between the name and the value."""
        image = drawn(value)
        changed = np.flatnonzero(np.abs(image - drawn(1.0)).max(axis=(1, 2)) > 60)
        whiteness = image[changed[0] : changed[-1] + 1, 150:260].min(axis=2).mean(axis=0)
        return float(whiteness.argmax())

    places = [mark(value) for value in (2.5, 4.0, 5.5)]
    assert places[0] < places[1] < places[2]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=3)
    nothing = np.zeros((720, 1280, 3), np.uint8)
    unrated = replace(source, windows=(replace(source.windows[0], ratings={}),), faces=())
    Drawing(unrated, 1280, 720).draw(nothing, 1.5)
    assert (drawn(4.0) > 100).sum() > (nothing > 100).sum() + 300


def test_bars_have_the_colors_of_all_labels_and_stay_in_their_panel() -> None:
    """Also with names that are as long as may be, and that begin alike; the panel is wider for them."""
    labels = (*LABELS[50][:-2], *(f"{LABELS[50][-2][:-2]} {number}" for number in (1, 2)))
    unit, gray = 360 / 400, np.full((360, 640, 3), 128, np.uint8)
    names = set()
    for number, (label, color) in enumerate(label_colors(labels).items()):
        sure = np.eye(len(labels))[number]
        windows = (Window(0.0, 2.0, sure, None, sure),)
        timeline = talk(emotions=labels, people=(), faces=(), windows=windows,
                        segments=(Segment(0.0, 2.0, label, 0.86),))  # fmt: skip
        drawing, image = Drawing(timeline, 640, 360), gray.copy()
        drawing.draw(image, 1.0)
        red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
        bar = [round(channel + (255 - channel) * 0.25) for channel in (blue, green, red)]
        assert (image == bar).all(axis=2).sum() > 200, label
        changed = np.flatnonzero((image != gray).any(axis=(0, 2)))
        assert 170 * unit < np.ptp(changed) < 240 * unit
        names.update(drawing._bar_names)
    assert len(names) == len(labels)


def test_boxes_are_scaled_to_the_frame_and_may_leave_it() -> None:
    wide = FaceBox(1.0, "Anna", -1e9, -50.0, 1e9, 1e6)
    image = np.zeros((240, 320, 3), np.uint8)
    Drawing(talk(2.0, (640, 480), faces=(wide,)), 320, 240).draw(image, 1.0)
    image = np.zeros((240, 320, 3), np.uint8)
    half = FaceBox(1.0, "Anna", 200.0, 100.0, 400.0, 300.0)
    Drawing(talk(2.0, (640, 480), faces=(half,), windows=(), segments=()), 320, 240).draw(image, 1.0)
    rows = np.flatnonzero(image[:, 98:104].max(axis=(1, 2)) > 100)
    assert abs(rows[-1] - 150) <= 4


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Anna", "Anna"), ("Zoë Müller", "Zoe Muller"), ("李", "person 1"), ("a\n%s\x1b", "a %s"),
        ("--", "person 1"), ("x" * 90, "x" * 22 + ".."),
    ],
)  # fmt: skip
def test_names_are_drawn_in_characters_of_the_font(name: str, drawn: str) -> None:
    assert plain_text(name, "person 1") == drawn


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (2000, 40), (40, 2000)])
def test_frames_of_every_shape_can_be_drawn_on(size: tuple[int, int]) -> None:
    people = tuple(f"person {n}" for n in range(9))
    windows = tuple(Window(0.0, 2.0, None, None, None, person=p) for p in people)
    faces = tuple(FaceBox(1.0, p, 0.0, 0.0, 9.0, 9.0) for p in people)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    Drawing(talk(2.0, size, people=people, windows=windows, segments=(), faces=faces), *size).draw(image, 1.0)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="there is no ffprobe")
def test_ffprobe_agrees(tmp_path: Path) -> None:
    def probed(path: Path) -> Any:
        options = ["-show_entries", "frame=pts_time,media_type:stream=codec_name,pix_fmt,width,height"]
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-of", "json", *options, path], capture_output=True, check=True
        )
        assert done.stderr == b""
        return json.loads(done.stdout)

    source = media_files.write_video(tmp_path / "a.mp4", UNEVEN, audio=sound(UNEVEN))
    before, after = probed(source), probed(write_overlay(source, talk(), tmp_path / "b.mp4"))
    assert after["streams"][0] == {"codec_name": "h264", "pix_fmt": "yuv420p", "width": 160, "height": 96}
    for kind in ("video", "audio"):
        found = [[f["pts_time"] for f in p["frames"] if f["media_type"] == kind] for p in (before, after)]
        assert found[0] == found[1] and found[0]


def test_progress_is_reported(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.mp4", STEADY)
    shares: list[float] = []
    write_overlay(source, talk(), tmp_path / "b.mp4", on_progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 5


# --- what can go wrong


def test_bad_names_and_sources(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.mp4", STEADY)
    with pytest.raises(ExportError, match=r"ends in \.mp4"):
        write_overlay(source, talk(), tmp_path / "b.mkv")
    with pytest.raises(ExportError, match="the recording itself"):
        write_overlay(source, talk(), source)
    wav = media_files.write_wav(tmp_path / "a.wav", media_files.tone(1.0, 8000), 8000)
    with pytest.raises(ExportError, match="no video to draw on"):
        write_overlay(wav, talk(), tmp_path / "b.mp4")
    with pytest.raises(MediaError, match="no such file"):
        write_overlay(tmp_path / "none.mp4", talk(), tmp_path / "b.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.wav"]


def test_a_cut_source_is_drawn_as_far_as_it_goes(tmp_path: Path) -> None:
    ticks = [1001 * n for n in range(90)]
    whole = media_files.write_video(tmp_path / "a.mkv", ticks, options={"g": "10"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, after = times(write_overlay(cut, talk(3.0), tmp_path / "b.mp4"), "video")
    assert 10 < len(after) < 90
    assert after == times(whole, "video")[1][: len(after)]


def test_an_interrupt_leaves_the_old_file(tmp_path: Path) -> None:
    source = media_files.write_video(tmp_path / "a.mp4", STEADY)
    out = tmp_path / "out" / "b.mp4"
    out.parent.mkdir()
    out.write_bytes(b"old")

    def stop(share: float) -> None:
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(source, talk(), out, on_progress=stop)
    assert [(p.name, p.read_bytes()) for p in out.parent.iterdir()] == [("b.mp4", b"old")]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    source = media_files.write_video(
        tmp_path / "a.mp4", [1001 * n for n in range(60)], size=(640, 360), audio=sound(STEADY)
    )
    out = tmp_path / "out" / "b.mp4"
    code = (
        "import resource, signal\n"
        "from emofuse.exports.overlay import write_overlay\n"
        "from emofuse.timeline.records import Timeline\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        f"write_overlay({str(source)!r}, Timeline('a', 2.0, 0.0, (), (), ('sad',), 'r'), {str(out)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 1
    assert "OSError: [Errno 27]" in done.stderr.splitlines()[-1], done.stderr
    assert list(out.parent.iterdir()) == []


def test_mpeg4_is_used_where_x264_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emofuse.exports.overlay._ENCODERS", ("mpeg4",))
    source = media_files.write_video(tmp_path / "a.ts", UNEVEN, audio=sound(UNEVEN))
    out = write_overlay(source, talk(), tmp_path / "b.mp4")
    assert times(source, "video") == times(out, "video")
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert cv2.Laplacian(frames_of(out)[5], cv2.CV_64F).var() > 10
