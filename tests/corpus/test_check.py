from __future__ import annotations

import json
import os
import shutil
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emofuse.core.labels import EMOTIONS
from emofuse.corpus.check import CorpusReport, check_corpus, check_file
from emofuse.corpus.load import load_corpus
from emofuse.corpus.ravdess import design
from emofuse.media.decoding import decode
from tests.support import media_files
from tests.support.ffmpeg import ffmpeg, needs_ffmpeg
from tests.support.processes import workers_of_a_killed_parent

RATE_HZ = 16000


def noise(seed: int = 0, *, n: int = 4000, channels: int = 1) -> NDArray[np.int16]:
    """(n, channels) noise, equal in all channels."""
    mono = np.random.default_rng(seed).integers(-9000, 9000, n).astype(np.int16)
    return np.repeat(mono[:, None], channels, axis=1)


def write_wav(path: Path, samples: NDArray[np.int16]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return path


def write_av(path: Path, samples: NDArray[np.int16] | None, *, has_video: bool) -> Path:
    """A file in the format of its suffix: FLAC, or MP4 with AAC audio and 10 small frames."""
    with av.open(str(path), "w") as container:
        if has_video:
            video: Any = container.add_stream("mpeg4", rate=Fraction(30000, 1001))
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if samples is not None:
            codec = "flac" if path.suffix == ".flac" else "aac"
            audio: Any = container.add_stream(
                codec, rate=RATE_HZ, layout="mono" if samples.shape[1] == 1 else "stereo"
            )
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", audio.layout.name)
            frame.sample_rate = RATE_HZ
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        for level in range(0, 250, 25) if has_video else ():
            image = np.full((48, 64, 3), level, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        if has_video:
            container.mux(video.encode(None))
    return path


def names(report: CorpusReport, section: str) -> list[str]:
    listed = report.as_dict()[section]
    return [Path(item if isinstance(item, str) else item["path"]).name for item in listed]


def check(root: Path, jobs: int = 1) -> CorpusReport:
    return check_corpus(load_corpus(root), jobs=jobs)


def test_clean_corpus_has_no_findings(tmp_path: Path) -> None:
    (tmp_path / "SYNTHETIC.json").write_text("{}")
    for actor in ("01", "02"):
        write_wav(tmp_path / f"03-01-05-01-01-01-{actor}.wav", noise(int(actor)))
        write_av(tmp_path / f"01-01-05-01-01-01-{actor}.mp4", noise(int(actor)), has_video=True)
    report = check(tmp_path)
    assert report.ok
    assert report.counts == {
        "audio, speech": {"01": {"angry": 1}, "02": {"angry": 1}},
        "audio-video, speech": {"01": {"angry": 1}, "02": {"angry": 1}},
    }
    plain = report.as_dict()
    assert plain["labels"] == list(EMOTIONS)
    facts = {"speakers", "labels"}
    findings = {key: value for key, value in plain.items() if isinstance(value, list) and key not in facts}
    assert findings == {key: [] for key in findings}
    assert len(findings) == 13
    assert json.loads(json.dumps(plain)) == plain
    assert report.as_text().count(": none\n") == 10, "missing and absent share a line"


def test_unreadable_files_are_listed_and_the_others_are_checked(tmp_path: Path) -> None:
    good = write_wav(tmp_path / "03-01-05-01-01-01-01.wav", noise())
    (tmp_path / "03-01-05-01-01-02-01.wav").touch()
    (tmp_path / "03-01-05-01-02-01-01.wav").write_text("this is a letter, not a recording")
    (tmp_path / "01-01-05-01-02-02-01.mp4").write_bytes(good.read_bytes()[:20])
    report = check(tmp_path)
    assert not report.ok
    assert names(report, "unreadable") == [
        "01-01-05-01-02-02-01.mp4",
        "03-01-05-01-01-02-01.wav",
        "03-01-05-01-02-01-01.wav",
    ]
    assert all(why for _, why in report.unreadable)
    assert str(tmp_path) not in report.unreadable[0][1], "the path is not repeated"
    assert sum(file.has_audio for file in report.files) == 1


def test_only_audio_below_the_threshold_is_silent(tmp_path: Path) -> None:
    quiet = (noise() // 2000).astype(np.int16)  # peak 5/32768, above -80 dB
    write_wav(tmp_path / "03-01-05-01-01-01-01.wav", np.zeros((4000, 1), np.int16))
    write_wav(tmp_path / "03-01-05-01-01-02-01.wav", np.zeros((4000, 1), np.int16) + 3)
    write_wav(tmp_path / "03-01-05-01-02-01-01.wav", quiet)
    write_wav(tmp_path / "03-01-05-01-02-02-01.wav", np.zeros((0, 1), np.int16))
    report = check(tmp_path)
    assert names(report, "silent") == ["03-01-05-01-01-01-01.wav", "03-01-05-01-01-02-01.wav"]
    assert names(report, "without_sound") == ["03-01-05-01-02-02-01.wav"]
    assert report.identical == (), "silent files are not identical"


def test_identical_audio_is_found_across_formats_and_channels(tmp_path: Path) -> None:
    write_wav(tmp_path / "03-01-05-01-01-01-01.wav", noise(1))
    write_wav(tmp_path / "03-01-05-01-02-01-01.wav", noise(1, channels=2))
    write_av(tmp_path / "03-01-05-02-02-02-07.flac", noise(1), has_video=False)
    write_wav(tmp_path / "03-01-05-01-02-02-01.wav", noise(2))
    write_wav(tmp_path / "03-01-04-01-01-01-01.wav", noise(3))
    shutil.copy(tmp_path / "03-01-04-01-01-01-01.wav", tmp_path / "03-01-04-01-01-02-01.wav")
    report = check(tmp_path)
    groups = {tuple(path.name for path in group.paths): group.same_bytes for group in report.identical}
    assert groups == {
        ("03-01-05-01-01-01-01.wav", "03-01-05-01-02-01-01.wav", "03-01-05-02-02-02-07.flac"): False,
        ("03-01-04-01-01-01-01.wav", "03-01-04-01-01-02-01.wav"): True,
    }
    assert names(report, "stereo") == ["03-01-05-01-02-01-01.wav"]


def test_channels_that_cancel_do_not_make_recordings_identical(tmp_path: Path) -> None:
    for seed, name in ((1, "03-01-05-01-01-01-01.wav"), (2, "03-01-04-01-01-02-01.wav")):
        samples = 0.2 * np.random.default_rng(seed).uniform(-1, 1, (1, 16000)).astype(np.float32)
        media_files.write_wav(tmp_path / name, np.concatenate([samples, -samples]), 16000)
    assert check(tmp_path).identical == ()


@needs_ffmpeg
def test_several_streams_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    tone = ["-f", "lavfi", "-i", "sine=duration=1"]
    ffmpeg(*tone, *tone, "-map", "0", "-map", "1", "-c:a", "flac", path)
    assert check_file(path).damage == () and decode(path).notes != ()


def test_files_of_one_take_may_share_their_audio(tmp_path: Path) -> None:
    write_wav(tmp_path / "a/03-01-05-01-01-01-01.wav", noise(1))
    write_wav(tmp_path / "b/03-01-05-01-01-01-01.wav", noise(1))
    write_wav(tmp_path / "01-01-05-01-01-01-01.wav", noise(1))
    write_wav(tmp_path / "copy of 03-01-05-01-01-01-01.wav", noise(1))
    report = check(tmp_path)
    assert [{path.name for path in group.paths} for group in report.identical] == [
        {"03-01-05-01-01-01-01.wav", "01-01-05-01-01-01-01.wav", "copy of 03-01-05-01-01-01-01.wav"}
    ], "the misnamed copy is a finding"
    (tmp_path / "copy of 03-01-05-01-01-01-01.wav").unlink()
    report = check(tmp_path)
    assert report.identical == ()
    assert report.as_dict()["duplicate_names"] == [
        {"used": "a/03-01-05-01-01-01-01.wav", "left_out": "b/03-01-05-01-01-01-01.wav"}
    ]
    assert names(report, "without_picture") == ["01-01-05-01-01-01-01.wav"]


def test_streams_that_the_name_implies(tmp_path: Path) -> None:
    write_av(tmp_path / "01-01-05-01-01-01-01.mp4", None, has_video=True)
    write_av(tmp_path / "02-01-05-01-01-01-01.mp4", None, has_video=True)
    write_av(tmp_path / "02-01-05-01-01-02-01.mp4", noise(1, n=16000), has_video=False)
    report = check(tmp_path)
    assert names(report, "without_sound") == ["01-01-05-01-01-01-01.mp4"]
    assert names(report, "without_picture") == ["02-01-05-01-01-02-01.mp4"]
    assert report.ok


def test_misnamed_files_are_explained(tmp_path: Path) -> None:
    write_wav(tmp_path / "03-01-05-01-01-01-01.wav", noise(1))
    write_wav(tmp_path / "03-01-05-01-03-01-01.wav", noise(2))
    report = check(tmp_path)
    assert [(path.name, why) for path, why in report.misnamed] == [
        ("03-01-05-01-03-01-01.wav", "statement is '03', must be 01 to 02")
    ]
    assert len(report.files) == 2, "they are read too"


def test_missing_takes_follow_the_design(tmp_path: Path) -> None:
    for number, code in enumerate(design()):
        if number != 7:
            write_wav(tmp_path / f"03-{code}-01.wav", noise(number, n=200))
    write_wav(tmp_path / "03-02-01-01-01-01-03.wav", noise(99, n=200))
    report = check(tmp_path)
    lacking = {(m.kind, m.speaker): m for m in report.missing}
    assert lacking["audio, speech", "01"].takes == (f"{design()[7]}-01",)
    assert len(lacking["audio, speech", "03"].takes) == 60
    assert len(lacking["audio, song", "03"].takes) == 43
    assert report.absent == ("02", *(f"{n:02d}" for n in range(4, 25)))
    text = report.as_text()
    assert "everything of 02, 04–24" in text
    assert f"audio, speech: 01 lacks 1 of 60 takes ({design()[7]}-01)" in text
    assert "audio, speech: 03 lacks all 60 takes" in text
    assert "audio, song: 01 lacks all 44 takes" in text


def test_missing_takes_of_a_synthetic_corpus_follow_its_other_actors(tmp_path: Path) -> None:
    (tmp_path / "SYNTHETIC.json").write_text("{}")
    for name in ("03-01-05-01-01-01-41", "03-01-04-01-01-01-41", "03-01-05-01-01-01-42"):
        write_wav(tmp_path / f"{name}.wav", noise(1, n=200))
    report = check(tmp_path)
    assert [(m.speaker, m.takes) for m in report.missing] == [("42", ("01-04-01-01-01-42",))]
    assert report.absent == ()


def test_table_of_clips_is_checked_too(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", noise(1))
    write_wav(tmp_path / "other.wav", noise(1))
    (tmp_path / "clips.csv").write_text(
        "path,emotion,speaker,start,end\nlong.wav,sad,ann,0,0.1\nlong.wav,calm,ann,0.1,0.2\nother.wav,sad,ben,,\n"
    )
    report = check(tmp_path / "clips.csv")
    assert report.counts == {"audio": {"ann": {"calm": 1, "sad": 1}, "ben": {"sad": 1}}}
    assert len(report.files) == 2
    assert [[path.name for path in group.paths] for group in report.identical] == [["long.wav", "other.wav"]]
    assert report.missing == ()
    assert report.absent == ()


def test_processes_find_the_same_as_one(tmp_path: Path) -> None:
    for number, code in enumerate(design()[:20]):
        write_wav(tmp_path / f"03-{code}-01.wav", noise(number // 2, n=300))
    (tmp_path / "03-01-08-01-01-01-01.wav").touch()
    corpus = load_corpus(tmp_path)
    seen: list[tuple[int, int]] = []
    report = check_corpus(corpus, jobs=2, on_done=lambda done, total: seen.append((done, total)))
    assert report == check_corpus(corpus)
    assert seen == [(n, 21) for n in range(1, 22)]
    assert len(report.identical) == 10


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_killed_check_leaves_no_worker_behind(tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", noise(n=300 * RATE_HZ))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for code in design()[:1000]:
        (corpus / f"03-{code}-01.wav").symlink_to(long)
    script = tmp_path / "check.py"
    script.write_text(
        "from pathlib import Path\n"
        "from emofuse.corpus.check import check_corpus\n"
        "from emofuse.corpus.load import load_corpus\n"
        "if __name__ == '__main__':\n"
        f"    check_corpus(load_corpus(Path({str(corpus)!r})), jobs=2)\n"
    )
    assert workers_of_a_killed_parent(script, 2) == []


@pytest.mark.ravdess
def test_real_recordings() -> None:
    if "EMOFUSE_RAVDESS" not in os.environ:
        pytest.skip("EMOFUSE_RAVDESS is not set")
    report = check(Path(os.environ["EMOFUSE_RAVDESS"]), jobs=2)
    assert report.ok
    assert {
        kind: sum(sum(row.values()) for row in rows.values()) for kind, rows in report.counts.items()
    } == {
        "audio, speech": 1200,
        "audio-video, speech": 5,
        "video, speech": 4,
    }
    assert names(report, "stereo") == [
        "03-01-02-01-01-02-01.flac",
        "03-01-08-01-02-02-01.flac",
        "03-01-02-01-02-02-05.flac",
        "03-01-03-01-02-01-20.flac",
        "03-01-06-01-01-02-20.flac",
    ]
    assert names(report, "silent") == [
        "02-01-01-01-01-01-01.mp4",
        "02-01-02-01-01-02-01.mp4",
        "02-01-04-01-02-01-01.mp4",
        "02-01-08-01-01-01-01.mp4",
    ]
    (pair,) = report.identical
    assert [path.stem for path in pair.paths] == ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07"]
    assert pair.same_bytes
    assert report.absent == ("21", "22", "23", "24")
    assert not [m for m in report.missing if m.kind.startswith("audio, ")]
