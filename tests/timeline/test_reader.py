"""Timelines of recordings in which the time of every event is known, compared with ffprobe."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import jsonschema
import numpy as np
import pytest

from emofuse.core.errors import MediaError, ProfileError, WeightsError
from emofuse.core.records import Waveform
from emofuse.exports.json_schema import timeline_schema
from emofuse.exports.write import FORMATS, write_timeline
from emofuse.features.own_baseline import Kind, OwnBaseline
from emofuse.features.profile import Profile
from emofuse.recognition.recognizer import Recognizer
from emofuse.timeline.marks import Marker
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window
from emofuse.timeline.segments import SegmentRules, presence
from emofuse.timeline.windows import TOLD_APART_BY_FACE, WindowRules
from tests.support import drawn_people, media_files, real_people
from tests.support.typed import not_none

EVERY_PICTURE = 60.0
N_FILM, COMES, GOES = 90, 30, 66
"""Frames of a video in which somebody is visible from one to another."""
REGULAR = [2000 * i for i in range(N_FILM)]
"""Ticks of 1/30000 s."""
VARIABLE = np.cumsum([0, *([500, 4000, 1000, 3001, 1500, 2000] * N_FILM)[: N_FILM - 1]]).tolist()
FILMS: dict[str, dict[str, Any]] = {
    "regular.mp4": {},
    "variable.mp4": {"ticks": VARIABLE},
    "late-sound.mp4": {"audio_at_s": 0.5, "container_options": {"movie_timescale": "48000"}},
    "edit-list.mp4": {"ticks": [tick - 15000 for tick in REGULAR], "audio_at_s": -0.5},
    "late-pictures.mkv": {"ticks": [tick + 22500 for tick in REGULAR]},
    "broadcast.ts": {},
}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    return Recognizer.load()


@pytest.fixture(scope="module")
def video_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos of one person who comes and goes, and whose voice starts at 2 s of the audio."""
    folder, one = tmp_path_factory.mktemp("timed"), drawn_people.draw_person(1)
    nobody = drawn_people.empty_scene(N_FILM)
    pictures = [*nobody[:COMES], *one.speaking(GOES - COMES), *nobody[GOES:]]
    sound = drawn_people.concatenate(drawn_people.silence(2.0), one.speech(2.4), drawn_people.silence(1.6))
    made = {}
    for name, how in FILMS.items():
        made[name] = drawn_people.write_video(folder / name, pictures, audio=sound, **how)
    return made


@pytest.fixture(scope="module")
def talk(recognizer: Recognizer, conversation: Path) -> Timeline:
    """The timeline of two people."""
    return recognizer.timeline(conversation)


def of(timeline: Timeline, person: str | None) -> list[Segment]:
    return [segment for segment in timeline.segments if segment.person == person]


def read(segments: Iterable[Segment]) -> list[tuple[float, float]]:
    """The stretches with a result, adjacent ones merged."""
    found: list[tuple[float, float]] = []
    for segment in segments:
        if segment.confidence is None:
            continue
        if found and abs(found[-1][1] - segment.start_s) < 1e-9:
            found[-1] = found[-1][0], segment.end_s
        else:
            found.append((segment.start_s, segment.end_s))
    return found


def covers(timeline: Timeline) -> None:
    """Everybody's segments are adjacent, cover the recording, and none is very short."""
    for person in {segment.person for segment in timeline.segments} | set(timeline.people):
        own = of(timeline, person)
        assert own[0].start_s == timeline.start_s and own[-1].end_s == pytest.approx(timeline.end_s, abs=1e-9)
        assert all(one.end_s == two.start_s for one, two in pairwise(own))
        if timeline.duration_s > 0.2:
            assert min(segment.duration_s for segment in own) > 0.05, own
        answers = [(s.emotion, s.abstained) for s in own]
        assert all(one != two for one, two in pairwise(answers))


def gone(times: list[float], tick: int, ticks: list[int]) -> int:
    """The index, among the frames that are shown, of the one with this tick."""
    return len(times) - (len(ticks) - ticks.index(tick))


def test_the_oracles_agree(video_clips: dict[str, Path]) -> None:
    import shutil

    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    for path in video_clips.values():
        one, two = drawn_people.frame_times_by_ffprobe(path), drawn_people.frame_times_by_packets(path)
        np.testing.assert_allclose(sorted(one[0]), sorted(two[0]), atol=2e-6)
        assert one[1] == pytest.approx(two[1], abs=1e-3)


@pytest.mark.parametrize("name", FILMS)
def test_somebody_is_present_from_the_first_frame_to_the_last(
    recognizer: Recognizer, video_clips: dict[str, Path], name: str
) -> None:
    times, end_s = drawn_people.frame_times(video_clips[name])
    ticks = FILMS[name].get("ticks", REGULAR)
    shown = [i for i, tick in enumerate(ticks) if tick >= 0]
    assert len(times) == len(shown), "the oracle does not see what was written"
    comes_s, goes_s = (times[shown.index(i)] for i in (COMES, GOES))

    every = recognizer.timeline(video_clips[name], rules=WindowRules(1.0, 0.5, EVERY_PICTURE), identity=False)
    assert every.people == ("person 1",) and every.notes == ()
    assert read(of(every, "person 1")) == [pytest.approx((comes_s, goes_s), abs=1e-3)]
    seen = [box.time_s for box in every.faces]
    expected = times[shown.index(COMES) : shown.index(GOES)]
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    assert every.start_s == 0 and every.end_s == pytest.approx(end_s, abs=1e-3)

    some = recognizer.timeline(video_clips[name], identity=False)
    ((from_s, to_s),) = read(of(some, "person 1"))
    frame_s = max(np.diff(times))
    assert comes_s - 1e-3 <= from_s <= comes_s + 0.2 + frame_s
    assert goes_s - 1e-3 <= to_s <= goes_s + 0.2 + frame_s
    assert some.end_s == pytest.approx(end_s, abs=1e-3)
    for timeline in (every, some):
        covers(timeline)
        limits = [limit for s in timeline.segments for limit in (s.start_s, s.end_s)]
        inner = [limit for limit in limits if times[0] < limit < times[-1]]
        assert all(np.abs(np.array(times) - limit).min() <= frame_s for limit in inner)


@pytest.mark.parametrize("name", FILMS)
def test_speech_is_where_it_is_heard(recognizer: Recognizer, video_clips: dict[str, Path], name: str) -> None:
    windows = list(recognizer.stream(video_clips[name], rules=WindowRules(0.5, 0.1)))
    plain = list(recognizer.stream(video_clips["regular.mp4"], rules=WindowRules(0.5, 0.1)))
    late_s = FILMS[name].get("audio_at_s", 0.0)

    def begins(found: list[Window]) -> float:
        return next(w.end_s for w in found if w.speech is not None and w.speech > 0)

    voice = np.abs(drawn_people.draw_person(1).voice)
    onset_s = 2.0 + int((voice > 0.1 * voice.max()).argmax()) / drawn_people.RATE
    assert begins(plain) == pytest.approx(onset_s, abs=0.2)
    assert begins(windows) - begins(plain) == pytest.approx(late_s, abs=0.11)


def test_late_audio_gives_the_same_results_later(
    recognizer: Recognizer, video_clips: dict[str, Path]
) -> None:
    rules = WindowRules(2.0, 0.5)

    def windows_with_voice(name: str) -> dict[float, Window]:
        windows = recognizer.stream(video_clips[name], rules=rules)
        return {w.start_s: w for w in windows if w.voice is not None}

    plain, late = windows_with_voice("regular.mp4"), windows_with_voice("late-sound.mp4")
    compared = 0
    for start_s, window in plain.items():
        if start_s + 0.5 in late and window.start_s + 2.5 <= 6.0:
            voice = late[start_s + 0.5].voice
            assert voice is not None and window.voice is not None
            np.testing.assert_allclose(window.voice, voice, atol=1e-5)
            compared += 1
    assert compared >= 3


def test_two_people_change_sides_and_keep_their_names(talk: Timeline) -> None:
    assert talk.people == ("person 1", "person 2")
    assert talk.picture_size == (640, 360)
    for box in talk.faces:
        left = box.left + box.right < 640
        assert left == ((box.person == "person 1") == (box.time_s < 6.0)), box
    for person in talk.people:
        boxes = [box.time_s for box in talk.faces if box.person == person]
        assert len(boxes) == pytest.approx(15 * 5, abs=2)
    covers(talk)


def test_speech_is_attributed_to_the_mouth_that_moves(talk: Timeline) -> None:
    speakers = {"person 1": (0.0, 6.0), "person 2": (6.0, 12.0)}
    n = 0
    for window in talk.windows:
        for person, (from_s, end_s) in speakers.items():
            if from_s <= window.start_s and window.end_s <= end_s:
                assert window.speaker == person, window
                assert (window.voice is not None) == (window.person == person)
                n += 1
    assert n == 2 * 2 * 4


def test_speech_is_attributed_to_nobody_when_both_are_still(
    recognizer: Recognizer, conversation: Path
) -> None:
    windows = recognizer.timeline(conversation, start_s=12.0, rules=WindowRules(3.0, 3.0)).windows
    assert [w.person for w in windows] == ["person 1", "person 2", None]
    assert {w.speaker for w in windows} == {None}
    for window in windows[:2]:
        assert window.voice is None and window.reasons == ("voice:unattributed",)
    assert windows[2].voice is not None and windows[2].face is None and windows[2].reasons == ()


@pytest.mark.ravdess
def test_a_real_pair(recognizer: Recognizer, ravdess: Path, tmp_path: Path) -> None:
    """Two clips of one man side by side, one of them tinted; one speaks, and they change sides."""
    import cv2

    films, sound = [], None
    for path in sorted(ravdess.glob("video/*/01-*.mp4"))[:2]:
        with av.open(str(path)) as container:
            every: list[Any] = [f.reformat(640, 360, "bgr24").to_ndarray() for f in container.decode(video=0)]
        films.append([np.ascontiguousarray(bgr[:, 160:480]) for bgr in every[::2]])
        if sound is None:
            with av.open(str(path)) as container:
                sound = np.concatenate([f.to_ndarray()[:1] for f in container.decode(audio=0)], axis=1)
    assert sound is not None and sound.dtype == np.float32
    n = min(map(len, films))
    speaks = films[0][:n]
    tinted = np.rint(cv2.GaussianBlur(films[1][0], (0, 0), 0.5) * (1.0, 0.8, 0.6)).astype(np.uint8)
    listens = drawn_people.breathing(tinted, n)
    half = n // 2
    pair = [
        *drawn_people.side_by_side(speaks[:half], listens[:half]),
        *drawn_people.side_by_side(listens[half:], speaks[half:]),
    ]
    path = drawn_people.write_video(
        tmp_path / "pair.mp4", pair, audio=sound, ticks=[2002 * i for i in range(n)]
    )
    found = recognizer.timeline(path, rules=WindowRules(2.0, 0.5))
    assert found.people == ("person 1", "person 2")
    half_s = half * 2002 / 30000
    for box in found.faces:
        left = box.left + box.right < 640
        assert left == ((box.person == "person 1") == (box.time_s < half_s - 1e-6)), box
    speakers = {w.speaker for w in found.windows if w.speech is not None and w.speech > 0.5}
    assert "person 1" in speakers and "person 2" not in speakers


@pytest.fixture
def film_of_stills(ravdess: Path, tmp_path: Path) -> Path:
    """The 24 actors, each for 1.2 s."""
    rng = np.random.default_rng(0)
    frames = [real_people.noisy(one, rng) for one in real_people.read_stills(ravdess) for _ in range(6)]
    ticks = [6000 * i for i in range(len(frames))]
    return drawn_people.write_video(tmp_path / "stills.mp4", frames, ticks=ticks)


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_a_film_of_24_real_people_has_24(recognizer: Recognizer, film_of_stills: Path) -> None:
    found = recognizer.timeline(film_of_stills)
    assert found.people == tuple(f"person {i + 1}" for i in range(24))
    assert [box.person for box in found.faces] == [f"person {i // 6 + 1}" for i in range(144)]
    assert found.notes == (TOLD_APART_BY_FACE,)
    streamed = list(recognizer.stream(film_of_stills))
    assert [(one.person, one.start_s) for one in streamed] == [
        (one.person, one.start_s) for one in found.windows
    ]
    by_looks = recognizer.timeline(film_of_stills, identity=False)
    assert len(by_looks.people) < 24 and by_looks.notes == ()


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_a_real_person_keeps_the_name_in_other_light_and_before_another_wall(
    recognizer: Recognizer, ravdess: Path, tmp_path: Path
) -> None:
    clips = [real_people.read_clip(path)[:14] for path in sorted(ravdess.glob("video/*/*.mp4"))[1::2][:3]]
    frames = [
        *real_people.warm_and_close(clips[0]), *real_people.before_a_green_wall(clips[1]), *clips[2],
        *real_people.warm_and_close(clips[1]),
    ]  # fmt: skip
    path = drawn_people.write_video(
        tmp_path / "cuts.mp4", frames, ticks=[6000 * i for i in range(len(frames))]
    )
    found = recognizer.timeline(path, identity=True)
    assert found.people == ("person 1",)
    assert len(found.faces) == len(frames)
    assert len(recognizer.timeline(path, identity=False).people) > 1


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_a_profile_is_used_for_its_own_person_alone(
    recognizer: Recognizer, ravdess: Path, tmp_path: Path
) -> None:
    pictures, rng = real_people.read_stills(ravdess), np.random.default_rng(0)
    stands_for_films = [real_people.noisy(pictures[who], rng) for who in (0, 6) for _ in range(8)]
    ticks = [9000 * i for i in range(len(stands_for_films))]
    path = drawn_people.write_video(tmp_path / "two.mp4", stands_for_films, ticks=ticks)
    fingerprint = recognizer._model.baselines.fingerprint
    baselines: dict[Kind, OwnBaseline] = {"face": OwnBaseline(30, np.linspace(2, -2, 8), 2.0)}
    anna, carla = (
        Profile(fingerprint, {}, 8, baselines=baselines, face=real_people.embedded(pictures[who]))
        for who in (0, 11)
    )
    plain = recognizer.timeline(path)
    found = recognizer.timeline(path, profile={"Carla": carla, "Anna": anna})
    assert plain.people == ("person 1", "person 2") and found.people == ("Anna", "person 2")
    assert {box.person for box in found.faces if box.time_s < 2.3} == {"Anna"}
    n_changed = 0
    for one, other in zip(plain.windows, found.windows, strict=True):
        assert (one.person == "person 1") == (other.person == "Anna")
        if one.face is not None and other.face is not None:
            assert np.array_equal(one.face, other.face) == (one.person == "person 2")
            n_changed += one.person == "person 1"
    assert n_changed >= 2
    streamed = list(recognizer.stream(path, profile={"Anna": anna}))
    assert {one.person for one in streamed} == {"Anna", "person 2"}
    with pytest.raises(ProfileError, match="made with another recognizer"):
        recognizer.timeline(path, profile={"Anna": replace(anna, recogniser="another")})


@pytest.mark.usefixtures("no_identity")
def test_without_the_network_nothing_is_embedded_unless_asked_for(
    recognizer: Recognizer, conversation: Path
) -> None:
    found = recognizer.timeline(conversation, identity=False)
    again = recognizer.timeline(conversation)
    assert (again.people, again.faces, again.notes) == (found.people, found.faces, found.notes)
    assert again.segments == found.segments
    with pytest.raises(WeightsError, match=r"pip install 'emofuse\[identity\]'"):
        recognizer.timeline(conversation, identity=True)


def test_stream_gives_the_windows_of_the_timeline(
    recognizer: Recognizer, conversation: Path, talk: Timeline
) -> None:
    again = recognizer.timeline(io.BytesIO(conversation.read_bytes()))
    streamed = list(recognizer.stream(conversation.read_bytes()))
    assert again.segments == talk.segments and again.faces == talk.faces
    assert (again.duration_s, again.people, again.picture_size) == (
        talk.duration_s, talk.people, talk.picture_size,
    )  # fmt: skip
    for others in (again.windows, streamed):
        assert len(others) == len(talk.windows)
        for one, other in zip(talk.windows, others, strict=True):
            for name in Window.__dataclass_fields__:
                np.testing.assert_equal(getattr(one, name), getattr(other, name))
    assert talk.source == str(conversation) and talk.recogniser == recognizer.bundle.recipe.name
    assert talk.licence == recognizer.licence and talk.emotions == recognizer.emotions


def test_windows_are_stored_as_they_were_read(recognizer: Recognizer, video_clips: dict[str, Path]) -> None:
    rules = WindowRules(1.0, 1.0)
    stored = recognizer.timeline(video_clips["regular.mp4"], rules=rules).windows
    read = list(recognizer.stream(video_clips["regular.mp4"], rules=rules))
    for name in ("voice", "face", "fused"):
        there = [getattr(window, name) is not None for window in stored]
        assert any(there) and not all(there), f"this video tests nothing: {name}"
    for one, other in zip(stored, read, strict=True):
        for name in Window.__dataclass_fields__:
            mine, its = getattr(one, name), getattr(other, name)
            assert type(mine) is type(its), name
            np.testing.assert_array_equal(mine, its, strict=True)


def test_every_format_writes_a_real_timeline(talk: Timeline, tmp_path: Path) -> None:
    marked = replace(talk, markers=tuple(Marker(second, f"question number {second}") for second in range(10)))
    for suffix in FORMATS.values():
        assert write_timeline(marked, tmp_path / f"talk{suffix}").stat().st_size > 200
    document = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(timeline_schema()).validate(document)
    assert len(document["windows"]) == len(talk.windows) and len(document["faces"]) == len(talk.faces)


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(4.5, 7.25), (9.0, None), (None, 2.5), (-3.0, 2.0), (0.0, 99.0)]
)
def test_a_span(
    recognizer: Recognizer, conversation: Path, talk: Timeline, start_s: float | None, end_s: float | None
) -> None:
    reports: list[tuple[float, float | None]] = []
    found = recognizer.timeline(
        conversation,
        start_s=start_s,
        end_s=end_s,
        on_progress=lambda done, total: reports.append((done, total)),
    )
    from_s, to_s = max(0.0, start_s or 0.0), min(end_s or 99.0, talk.end_s)
    assert (found.start_s, found.end_s) == pytest.approx((from_s, to_s), abs=1e-6)
    covers(found)
    assert all(from_s <= box.time_s < to_s for box in found.faces)
    assert all(len(read(of(found, person))) == 1 for person in found.people)
    done, total = reports[-1]
    assert total == pytest.approx(to_s - from_s, abs=0.05) and done == pytest.approx(total, abs=0.3)


@pytest.mark.parametrize("span", [(3.0, 3.0), (5.0, 3.0), (float("nan"), None), (0.0, float("inf"))])
def test_an_invalid_span_is_refused(
    recognizer: Recognizer, conversation: Path, span: tuple[float, float | None]
) -> None:
    with pytest.raises(ValueError, match=r"after the start|finite"):
        recognizer.timeline(conversation, start_s=span[0], end_s=span[1])


@pytest.mark.parametrize("span", [(100.0, 101.0), (100.0, None)])
def test_an_empty_span_is_an_empty_timeline(
    recognizer: Recognizer, conversation: Path, span: tuple[float, float | None]
) -> None:
    found = recognizer.timeline(conversation, start_s=span[0], end_s=span[1])
    assert (found.duration_s, found.windows, found.segments, found.faces) == (0, (), (), ())


@pytest.mark.parametrize("rules", [WindowRules(1.0, 1.0), WindowRules(5.0, 2.0), WindowRules(20.0, 4.0, 2.0)])
def test_other_windows(recognizer: Recognizer, conversation: Path, rules: WindowRules) -> None:
    found = recognizer.timeline(conversation, rules=rules)
    covers(found)
    assert found.people == ("person 1", "person 2")
    starts = sorted({w.start_s for w in found.windows})
    assert all(b - a <= rules.hop_s + 1e-6 for a, b in pairwise(starts))
    assert max(w.end_s for w in found.windows) == pytest.approx(found.end_s, abs=0.05)


def test_segment_rules_are_used(recognizer: Recognizer, conversation: Path) -> None:
    none = recognizer.timeline(conversation, end_s=4.0, segment_rules=SegmentRules(abstain_below=1.0))
    assert {segment.emotion for segment in none.segments} == {None}
    every = recognizer.timeline(conversation, end_s=4.0, segment_rules=SegmentRules(abstain_below=0.0))
    assert all(segment.emotion for segment in every.segments if segment.confidence is not None)


def test_audio_blocks_are_passed_on(recognizer: Recognizer, conversation: Path) -> None:
    blocks: list[Waveform] = []
    recognizer.timeline(conversation, start_s=1.0, end_s=3.5, on_sound=blocks.append)
    assert blocks[0].start_s == pytest.approx(1.0, abs=1e-3)
    assert sum(block.duration_s for block in blocks) == pytest.approx(2.5, abs=1e-3)


def test_no_audio(recognizer: Recognizer, tmp_path: Path) -> None:
    film = drawn_people.write_video(tmp_path / "mute.mp4", drawn_people.draw_person(2).speaking(60))
    found = recognizer.timeline(film)
    assert {w.reasons for w in found.windows} == {("voice:no_audio_stream",)}
    assert {w.speech for w in found.windows} == {None}
    assert read(found.segments) == [(0.0, pytest.approx(found.end_s))]
    covers(found)
    part = recognizer.timeline(film, start_s=2.0)
    assert (part.start_s, part.end_s) == (2.0, pytest.approx(found.end_s))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg")
def test_the_last_frame_is_read_as_long_as_it_is_shown(recognizer: Recognizer, tmp_path: Path) -> None:
    """A frame per second, for 12 s: the face is there until the end, not until the last frame starts."""
    path = tmp_path / "slow.mp4"
    made = "-f lavfi -i color=gray:s=64x48:r=1:d=12 -c:v libx264 -preset ultrafast"
    subprocess.run(["ffmpeg", "-v", "error", *made.split(), str(path)], check=True, timeout=60)
    timeline = recognizer.timeline(path)
    assert timeline.notes == () and timeline.end_s == pytest.approx(12, abs=0.01)
    assert timeline.windows[-1].end_s == pytest.approx(12, abs=0.01)
    covers(timeline)


def test_no_video(recognizer: Recognizer, tmp_path: Path) -> None:
    sound = media_files.write_wav(
        tmp_path / "a.wav", drawn_people.draw_person(1).speech(4.4), drawn_people.RATE
    )
    found = recognizer.timeline(sound)
    assert (found.people, found.faces, found.picture_size) == ((), (), None)
    assert found.duration_s == pytest.approx(4.4) and {s.person for s in found.segments} == {None}
    covers(found)


@pytest.mark.parametrize(("rate", "length_s"), [(16000, 5.97), (48000, 5.995)])
def test_audio_with_a_padded_last_frame(
    recognizer: Recognizer, tmp_path: Path, rate: int, length_s: float
) -> None:
    sound = media_files.write_audio(tmp_path / "a.m4a", media_files.tone(length_s, rate), rate, codec="aac")
    found = recognizer.timeline(sound)
    assert found.end_s == pytest.approx(length_s, abs=0.1)
    assert [w.start_s for w in found.windows] == pytest.approx([0, 1, 2, 3], abs=0.05)
    assert all(0 <= w.start_s < w.end_s <= found.end_s for w in found.windows)
    covers(found)


def test_an_estimated_length_is_not_trusted(recognizer: Recognizer, tmp_path: Path) -> None:
    rate = 44100
    noise = np.random.default_rng(0).normal(0, 0.2, (1, 6 * rate)).astype(np.float32)
    samples = np.concatenate([np.zeros((1, 3 * rate), np.float32), noise], axis=1)
    sound = media_files.write_audio(tmp_path / "a.aac", samples, rate, codec="aac", format="adts")
    with av.open(str(sound)) as container:
        assert not_none(container.duration) > 20e6, "this file tests nothing: its length is guessed well"
    found = recognizer.timeline(sound)
    assert found.end_s == pytest.approx(9.0, abs=0.1)
    assert max(w.end_s for w in found.windows) == pytest.approx(9.0, abs=0.1)
    covers(found)


@pytest.mark.parametrize("per_s", [0.5, 1.0])
def test_frames_far_apart(recognizer: Recognizer, tmp_path: Path, per_s: float) -> None:
    film = media_files.write_video(tmp_path / "a.mp4", [1000 * i for i in range(299)])
    found = recognizer.timeline(film, rules=WindowRules(pictures_per_s=per_s))
    assert found.end_s == pytest.approx(299 / 30, abs=1e-3)
    assert found.windows[0].start_s == 0 and found.windows[-1].end_s == pytest.approx(found.end_s, abs=0.05)
    covers(found)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_shorter_than_a_window(recognizer: Recognizer, tmp_path: Path, n: int) -> None:
    film = drawn_people.write_video(tmp_path / "short.mp4", drawn_people.draw_person(1).still(n))
    found = recognizer.timeline(film)
    _, end_s = drawn_people.frame_times(film)
    assert found.end_s == pytest.approx(end_s, abs=1e-3)
    assert [(w.start_s, w.person) for w in found.windows] == [(0.0, "person 1")]
    assert found.windows[0].face is not None and found.windows[0].face_present == 1
    covers(found)
    sound = media_files.write_wav(
        tmp_path / "a.wav", drawn_people.draw_person(1).speech(0.3, 0.8), drawn_people.RATE
    )
    (window,) = recognizer.timeline(sound).windows
    assert (window.start_s, window.end_s) == pytest.approx((0.0, 0.3)) and window.voice is not None


def test_video_that_ends_before_the_audio(recognizer: Recognizer, tmp_path: Path) -> None:
    one = drawn_people.draw_person(1)
    film = drawn_people.write_video(tmp_path / "a.mp4", one.speaking(30), audio=one.speech(14.0))
    found = recognizer.timeline(film)
    covers(found)
    ((from_s, end_s),) = read(of(found, "person 1"))
    assert from_s == 0 and end_s == pytest.approx(2.0, abs=0.21), "nobody is visible after the last frame"
    assert read(of(found, None))[-1][1] == pytest.approx(found.end_s)


def test_audio_that_ends_before_the_video(recognizer: Recognizer, tmp_path: Path) -> None:
    one = drawn_people.draw_person(1)
    film = drawn_people.write_video(tmp_path / "a.mp4", one.speaking(210), audio=one.speech(2.0))
    found = recognizer.timeline(film)
    covers(found)
    assert read(found.segments) == [(0.0, pytest.approx(found.end_s))]
    assert [w.voice is not None for w in found.windows[:3]] == [True, False, False]
    assert {w.reasons for w in found.windows[3:]} == {("voice:no_sound_here",)}


def test_a_file_that_was_cut_off(recognizer: Recognizer, tmp_path: Path) -> None:
    one = drawn_people.draw_person(1)
    whole = drawn_people.write_video(
        tmp_path / "whole.mp4", one.speaking(120), audio=one.speech(8.0),
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    # in this MP4 all video packets come first, and then the audio
    cut = tmp_path / "cut.mp4"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 5])
    found = recognizer.timeline(cut)
    assert found.notes
    assert found.end_s == pytest.approx(8.0, abs=0.05)
    ((_, end_s),) = read(of(found, "person 1"))
    assert end_s == pytest.approx(max(box.time_s for box in found.faces), abs=0.25) and end_s < 7.0
    assert found.segments[-1].confidence is None and found.segments[-1].end_s == found.end_s
    covers(found)


def test_a_file_that_was_cut_off_after_its_first_frame(recognizer: Recognizer, tmp_path: Path) -> None:
    whole = drawn_people.write_video(
        tmp_path / "whole.mp4", drawn_people.draw_person(1).still(60),
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    with av.open(str(whole)) as container:
        positions = sorted(not_none(packet.pos) for packet in container.demux(video=0) if packet.size)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: positions[1]])
    assert len(media_files.decode_frames(cut)) == 1
    found = recognizer.timeline(cut)
    assert found.notes and found.end_s == pytest.approx(drawn_people.frame_times(whole)[1], abs=1e-3)
    assert [(w.start_s, w.person) for w in found.windows] == [(0.0, "person 1")]
    assert read(of(found, "person 1")) == [(0.0, pytest.approx(found.windows[0].end_s))]
    covers(found)


def test_what_is_not_a_recording(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        recognizer.timeline(path)
    with pytest.raises(MediaError, match=r"none\.mp4"):
        recognizer.timeline(tmp_path / "none.mp4")
    with pytest.raises(MediaError):
        list(recognizer.stream(b""))


def boxes(person: str, *times: float) -> list[FaceBox]:
    return [FaceBox(time, person, 0, 0, 10, 10) for time in times]


def test_presence_is_from_frame_to_frame() -> None:
    frame_times = np.arange(0, 10, 0.2)
    seen = boxes("a", *frame_times[5:10], *frame_times[12:15], *frame_times[40:])
    found = presence(seen, frame_times, 10.0)["a"]
    np.testing.assert_allclose(found, [(1.0, 3.0), (8.0, 10.0)])
    assert presence([], frame_times, 10.0) == {}
