from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.load import load_corpus
from emofuse.corpus.ravdess import design, parse_name, read_ravdess


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_names_are_parsed() -> None:
    name = parse_name("03-01-06-02-01-02-12")
    assert (name.modality, name.channel, name.emotion, name.intensity) == (
        "audio",
        "speech",
        "fearful",
        "strong",
    )
    assert (name.statement, name.repetition, name.actor, name.sex) == (1, 2, 12, "female")
    assert (name.take, name.speaker) == ("01-06-02-01-02-12", "12")


def test_emotion_codes_are_in_label_order() -> None:
    found = [parse_name(f"03-01-{code:02d}-01-01-01-01").emotion for code in range(1, 9)]
    assert tuple(found) == EMOTIONS


@pytest.mark.parametrize(
    ("stem", "field"),
    [
        ("04-01-01-01-01-01-01", "modality"),
        ("03-03-01-01-01-01-01", "channel"),
        ("03-01-09-01-01-01-01", "emotion"),
        ("03-01-00-01-01-01-01", "emotion"),
        ("03-01-02-03-01-01-01", "intensity"),
        ("03-01-01-02-01-01-01", "intensity is 02 .* neutral has no strong"),
        ("03-02-07-01-01-01-01", "emotion is 07 .* not sung"),
        ("03-01-01-01-03-01-01", "statement"),
        ("03-01-01-01-01-1-01", "repetition"),
        ("03-01-01-01-01-01-25", "actor is '25', must be 01 to 24"),
        ("03-01-01-01-01-01-0١", "actor"),
        ("03-01-01-01-01-01", "7 fields"),
        ("03-01-01-01-01-01-01 copy", "actor"),
        ("", "7 fields"),
    ],
)
def test_an_invalid_name_is_an_error_that_names_the_field(stem: str, field: str) -> None:
    with pytest.raises(CorpusError, match=field):
        parse_name(stem)


def test_design_has_60_spoken_and_44_sung_takes() -> None:
    assert (len(design("speech")), len(design("song"))) == (60, 44)
    for channel in ("speech", "song"):
        for code in design(channel):
            assert parse_name(f"03-{code}-01").channel == channel


def test_any_folder_tree_is_read_in_order_of_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b/deep/er/03-01-01-01-01-01-01.WAV",
        "a/01-01-02-01-01-01-02.mp4",
        "03-01-01-01-02-01-01.flac",
        "ä ö/02-01-02-01-01-01-02.mp4",
        "._03-01-01-01-01-01-03.wav",
        ".hidden/03-01-01-01-01-01-04.wav",
        "openface_au_mean.csv",
        "faces/Actor_01.npz",
    )
    corpus = read_ravdess(tmp_path)
    assert [clip.clip_id for clip in corpus.clips] == [
        "01-01-02-01-01-01-02",
        "02-01-02-01-01-01-02",
        "03-01-01-01-01-01-01",
        "03-01-01-01-02-01-01",
    ]
    assert corpus.misnamed == ()
    assert not corpus.synthetic
    assert corpus.licence == "CC BY-NC-SA 4.0"
    assert corpus.speakers == ("01", "02")
    assert corpus.clips[0].facts == {
        "channel": "speech",
        "intensity": "normal",
        "statement": "Kids are talking by the door",
        "repetition": "1",
        "sex": "female",
    }


@pytest.mark.parametrize(
    ("modalities", "voice", "face"),
    [
        (("01", "02", "03"), "03", "01"),
        (("01", "02"), "01", "01"),
        (("02", "03"), "03", "02"),
        (("02",), None, "02"),
        (("03",), "03", None),
    ],
)
def test_take_prefers_the_better_file(
    tmp_path: Path, modalities: tuple[str, ...], voice: str | None, face: str | None
) -> None:
    for modality in modalities:
        touch(tmp_path, f"{modality}-01-03-02-01-01-05.{'wav' if modality == '03' else 'mp4'}")
    (take,) = read_ravdess(tmp_path).takes()
    assert (take.take, take.speaker, take.emotion) == ("01-03-02-01-01-05", "05", "happy")
    assert (take.voice.clip_id[:2] if take.voice else None) == voice
    assert (take.face.clip_id[:2] if take.face else None) == face


def test_song_and_speech_are_distinguished(tmp_path: Path) -> None:
    touch(tmp_path, "03-01-03-02-01-01-05.wav", "03-02-03-02-01-01-05.wav")
    corpus = read_ravdess(tmp_path)
    assert [take.take for take in corpus.takes()] == ["01-03-02-01-01-05"]
    assert [take.take for take in corpus.takes(channel="song")] == ["02-03-02-01-01-05"]
    assert len(corpus.takes(channel=None)) == 2


def test_a_second_file_of_the_same_name_is_reported_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "wav/03-01-03-02-01-01-05.wav", "flac/03-01-03-02-01-01-05.flac")
    corpus = read_ravdess(tmp_path)
    assert [clip.path.suffix for clip in corpus.clips] == [".flac"]
    assert [[path.suffix for path in pair] for pair in corpus.duplicate_names] == [[".flac", ".wav"]]


def test_misnamed_files_are_listed_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "03-01-03-02-01-01-05.wav", "03-01-03-02-01-01-05 (1).wav", "holiday.mp4")
    corpus = read_ravdess(tmp_path)
    assert len(corpus.clips) == 1
    assert [path.name for path in corpus.misnamed] == ["03-01-03-02-01-01-05 (1).wav", "holiday.mp4"]


def test_synthetic_corpus_may_have_more_actors(tmp_path: Path) -> None:
    touch(tmp_path, "03-01-03-02-01-01-61.wav")
    assert len(read_ravdess(tmp_path).misnamed) == 1
    (tmp_path / "SYNTHETIC.json").write_text("{}")
    corpus = read_ravdess(tmp_path)
    assert corpus.synthetic
    assert corpus.speakers == ("61",)
    assert "NC" not in corpus.licence


def test_linked_folders_are_followed_and_cycles_end(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    touch(elsewhere, "03-01-03-02-01-01-05.wav")
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    corpus = read_ravdess(root)
    assert len(corpus.clips) == 1
    assert corpus.duplicate_names == ()


@pytest.mark.parametrize("name", ["nothing here", "empty", "file.txt"])
def test_a_path_without_a_corpus_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(CorpusError, match=name):
        load_corpus(tmp_path / name)


def test_a_folder_without_permission_is_reported() -> None:
    # tmp_path is below folders that another user may not enter
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        touch(root, "03-01-03-02-01-01-05.wav", "locked/03-01-03-02-01-01-06.wav")
        (root / "locked").chmod(0)
        as_root = os.geteuid() == 0
        try:
            if as_root:
                os.seteuid(65534)  # root may read everything: switch to an unprivileged user
            corpus = read_ravdess(root)
        finally:
            if as_root:
                os.seteuid(0)
            (root / "locked").chmod(0o755)
        assert corpus.unlistable == (root / "locked",)
        assert len(corpus.clips) == 1


@pytest.mark.ravdess
def test_real_recordings() -> None:
    if "EMOFUSE_RAVDESS" not in os.environ:
        pytest.skip("EMOFUSE_RAVDESS is not set")
    corpus = load_corpus(os.environ["EMOFUSE_RAVDESS"])
    assert Counter(clip.modality for clip in corpus.clips) == {"audio": 1200, "audio-video": 5, "video": 4}
    assert corpus.misnamed == corpus.duplicate_names == ()
    takes = corpus.takes()
    assert len(takes) == 1200
    assert all(take.voice is not None and take.voice.modality == "audio" for take in takes)
    # Nine clips of eight takes: one take has both 01- and 02-.
    faces = Counter(take.face.modality for take in takes if take.face is not None)
    assert faces == {"audio-video": 5, "video": 3}
    assert Counter(take.emotion for take in takes) == {e: 80 if e == "neutral" else 160 for e in EMOTIONS}
