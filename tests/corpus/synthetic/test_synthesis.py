from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import dlib
import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import UInt8
from emofuse.corpus.corpus import SYNTHETIC_MARK
from emofuse.corpus.synthetic.clip import TakeCode, face_poses, n_frames, person, take_speech
from emofuse.corpus.synthetic.encode import write_mp4
from emofuse.corpus.synthetic.expression import FACE_SPREAD, VOICE_SPREAD, face_style
from emofuse.corpus.synthetic.synthesis import GENERATOR, synthesize
from tests.support.processes import workers_of_a_killed_parent
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One actor, one take of each emotion, made by two processes."""
    out = tmp_path_factory.mktemp("synthetic")
    calls: list[tuple[int, int]] = []
    made = synthesize(
        out, n_actors=1, n_takes=1, seed=5, jobs=2, on_clip=lambda *now: calls.append(now), first_actor=2
    )
    assert calls == [(done, 8) for done in range(1, 9)]
    assert made == sorted(out.glob("Actor_02/*.*"))
    return out


def read_wav(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def test_names_are_those_of_ravdess(corpus: Path) -> None:
    names = {path.name for path in corpus.glob("Actor_02/*")}
    assert names == {
        f"{modality}-01-{emotion:02d}-01-01-01-02.{ending}"
        for emotion in range(1, 9)
        for modality, ending in (("01", "mp4"), ("03", "wav"))
    }
    assert json.loads((corpus / SYNTHETIC_MARK).read_text()) == {
        "generator": GENERATOR,
        "seed": 5,
        "n_actors": 1,
        "n_takes": 1,
    }


def test_formats_are_those_of_ravdess(corpus: Path) -> None:
    for path in sorted(corpus.glob("Actor_02/*.mp4")):
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", 1280, 720)
            assert video.codec_context.pix_fmt == "yuv420p"
            assert video.average_rate == Fraction(30000, 1001)
            assert (audio.codec_context.name, audio.sample_rate) == ("aac", 48_000)
            packets = [packet for packet in container.demux(video) if packet.pts is not None]
            times = sorted(not_none(packet.pts) * packet.time_base for packet in packets)
        steps = {later - earlier for earlier, later in pairwise(times)}
        assert times[0] == 0
        assert steps == {Fraction(1001, 30000)}
        with wave.open(str(path.with_name(path.name.replace("01-", "03-", 1)).with_suffix(".wav"))) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (48_000, 2, 1)
            assert abs(file.getnframes() / 48_000 - len(times) * 1001 / 30000) < 1e-4
        assert 2.4 < len(times) * 1001 / 30000 < 4.7


def test_video_and_recording_have_the_same_audio(corpus: Path) -> None:
    for path in sorted(corpus.glob("Actor_02/*.wav"))[:3]:
        recording = read_wav(path).astype(float) / 32768
        with av.open(
            str(path.with_name(path.name.replace("03-", "01-", 1)).with_suffix(".mp4"))
        ) as container:
            frames = list(container.decode(audio=0))
        from_video = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        start = round(float(frames[0].time or 0) * 48_000)
        from_video = from_video[-start:] if start < 0 else np.pad(from_video, (start, 0))
        n = min(len(from_video), len(recording))
        assert n > 0.98 * len(recording)
        assert np.corrcoef(from_video[:n], recording[:n])[0, 1] > 0.99


def test_audio_is_speech_between_silences(corpus: Path) -> None:
    for path in corpus.glob("Actor_02/*.wav"):
        samples = read_wav(path).astype(float) / 32768
        assert np.abs(samples).max() < 0.99
        blocks = samples[: len(samples) // 480 * 480].reshape(-1, 480)
        level_db = 10 * np.log10((blocks**2).mean(axis=1) + 1e-12)
        loud = np.flatnonzero(level_db > level_db.max() - 30)
        assert 0.35 < loud[0] / 100 < 0.95
        assert 0.3 < (len(level_db) - loud[-1]) / 100 < 1.0
        # librosa's trimming at 60 dB finds the silence
        assert level_db[:30].max() < level_db.max() - 55


def test_the_same_seed_makes_the_same_corpus_with_any_number_of_jobs(corpus: Path, tmp_path: Path) -> None:
    stems = ("01-01-06-01-01-01-02.mp4", "03-01-06-01-01-01-02.wav")
    code = TakeCode(6, 1, 1, 1, 2)
    speech = take_speech(5, code)
    first = decoded(corpus / "Actor_02" / stems[0])
    # all but two files exist: only these are made again, in this process
    for path in corpus.glob("Actor_02/*"):
        target = tmp_path / "Actor_02" / path.name
        target.parent.mkdir(exist_ok=True)
        if path.name not in stems:
            target.write_bytes(path.read_bytes())
    (tmp_path / SYNTHETIC_MARK).write_bytes((corpus / SYNTHETIC_MARK).read_bytes())
    synthesize(tmp_path, n_actors=1, n_takes=1, seed=5, first_actor=2)
    assert (tmp_path / "Actor_02" / stems[1]).read_bytes() == (corpus / "Actor_02" / stems[1]).read_bytes()
    again = decoded(tmp_path / "Actor_02" / stems[0])
    assert len(first) == len(again) == n_frames(speech)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(take_speech(6, code).samples[:48_000], speech.samples[:48_000])


def test_existing_files_are_not_made_again(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.glob("Actor_02/*")}
    calls: list[tuple[int, int]] = []
    made = synthesize(
        corpus, n_actors=1, n_takes=1, seed=5, first_actor=2, on_clip=lambda *now: calls.append(now)
    )
    assert {path: path.stat().st_mtime_ns for path in made} == before
    assert calls == []


def test_a_failure_leaves_no_partial_file(tmp_path: Path) -> None:
    def breaks() -> Iterator[UInt8]:
        yield np.zeros((512, 512, 3), np.uint8)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_mp4(
            tmp_path / "clip.mp4",
            np.zeros((720, 1280, 3), np.uint8),
            breaks(),
            np.zeros(48_000, np.float32),
            48_000,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_killed_synthesis_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "synthesize.py"
    script.write_text(
        "from pathlib import Path\n"
        "from emofuse.corpus.synthetic.synthesis import synthesize\n"
        "if __name__ == '__main__':\n"
        f"    synthesize(Path({str(tmp_path / 'out')!r}), n_actors=24, n_takes=8, seed=1, jobs=2)\n"
    )
    assert workers_of_a_killed_parent(script, 2) == []


@pytest.mark.parametrize("emotion", range(1, 9))
def test_detector_finds_the_face(emotion: int) -> None:
    detector = dlib.get_frontal_face_detector()
    code = TakeCode(emotion, 1 if emotion == 1 else 2, 1, 1, 3)
    portrait = person(5, 3).portrait
    poses = face_poses(5, code, take_speech(5, code))
    rng = np.random.default_rng(0)
    for index in range(0, len(poses), 12):
        frame = portrait.frame(portrait.patch(poses[index], rng))
        square = cv2.cvtColor(frame[:, 280:1000], cv2.COLOR_BGR2GRAY)
        small = detector(cv2.resize(square, (240, 240), interpolation=cv2.INTER_AREA))
        assert len(small) == 1, f"frame {index}"
        assert small[0].width() >= 80 - 7
        assert abs(3 * small[0].center().x - 360) < 60
        if index == 36:
            full = detector(square)
            assert len(full) == 1
            assert abs(full[0].center().x - 3 * small[0].center().x) < 25


def test_mouth_moves_with_the_voice() -> None:
    code = TakeCode(1, 1, 1, 1, 1)
    speech = take_speech(5, code)
    poses = face_poses(5, code, speech)
    level = [np.abs(block).mean() for block in np.array_split(speech.samples, len(poses))]
    assert np.corrcoef([pose.speech for pose in poses], level)[0, 1] > 0.5


def test_an_actor_is_the_same_in_any_corpus_and_others_differ() -> None:
    assert person(1, 4).voice == person.__wrapped__(1, 4).voice
    assert person(1, 4).portrait.identity == person.__wrapped__(1, 4).portrait.identity
    assert person(1, 4).portrait.identity != person(1, 6).portrait.identity
    assert person(1, 3).voice.pitch_hz < 150 < person(1, 4).voice.pitch_hz


def test_emotions_overlap_but_differ() -> None:
    """The nearest prototype is right for most takes of a new person, but not for all."""
    assert 0 < FACE_SPREAD.p_lean < 0.5
    assert 0 < VOICE_SPREAD.p_flat < 0.5
    rng = np.random.default_rng(0)
    styles = [face_style(rng) for _ in range(30)]
    centers = np.mean([style.amounts for style in styles], axis=0)
    hits = []
    for style in styles:
        for index, emotion in enumerate(EMOTIONS):
            take = style.perform(emotion, False, rng)
            amounts = np.array([getattr(take, name) for name in take.__dataclass_fields__])
            distance = (((centers - amounts) / style.scale) ** 2).sum(axis=1)
            hits.append(distance.argmin() == index)
    assert 0.6 < np.mean(hits) < 0.95


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_takes": 9}, "1 to 8"),
        ({"n_takes": 0}, "1 to 8"),
        ({"n_actors": 0}, "at least 1"),
        ({"n_actors": 99, "first_actor": 2}, "1 to 99"),
        ({"seed": -1}, "0 or more"),
        ({"jobs": 0}, "1 or more"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        synthesize(tmp_path / "out", **{"n_actors": 1, "n_takes": 1, "seed": 0, **wrong})
    assert not (tmp_path / "out").exists()


def test_without_scipy_the_error_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.modules['scipy.signal'] = None\n"
        "from emofuse.corpus.synthetic.synthesis import synthesize\n"
        "synthesize(Path(sys.argv[1]), n_actors=1, n_takes=1, seed=0)"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", script, str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "making a synthetic corpus needs an optional part: pip install 'emofuse[train]'" in done.stderr
    assert not out.exists()


def test_another_corpus_is_not_mixed_with_it(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="seed 5"):
        synthesize(corpus, n_actors=1, n_takes=1, seed=6, first_actor=2)
    real = tmp_path / "Actor_01" / "03-01-01-01-01-01-01.wav"
    real.parent.mkdir()
    real.write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match="not synthetic"):
        synthesize(tmp_path, n_actors=1, n_takes=1, seed=6)
    assert real.read_bytes() == b"RIFF"


def test_voices_alone_are_those_of_the_whole_corpus(corpus: Path, tmp_path: Path) -> None:
    made = synthesize(tmp_path, n_actors=1, n_takes=1, seed=5, first_actor=2, voices_only=True)
    assert [path.name for path in made] == sorted(path.name for path in corpus.glob("Actor_02/*.wav"))
    assert made == sorted(path for path in tmp_path.rglob("*") if path.suffix in (".wav", ".mp4"))
    for path in made:
        assert path.read_bytes() == (corpus / "Actor_02" / path.name).read_bytes()
    code = TakeCode(6, 1, 1, 1, 2)
    for video in corpus.glob("Actor_02/*.mp4"):
        if video.stem != code.name(1):
            shutil.copy(video, tmp_path / "Actor_02")
    synthesize(tmp_path, n_actors=1, n_takes=1, seed=5, first_actor=2)  # adds what is missing
    again = tmp_path / "Actor_02" / f"{code.name(1)}.mp4"
    assert len(decoded(again)) == len(decoded(corpus / "Actor_02" / again.name))
