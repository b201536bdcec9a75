"""Databases that are written here are those of the format's own library, and come back as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import CorpusError
from emofuse.corpus.audformat.writing import Storage, write_audformat
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.load import load_corpus

audformat = pytest.importorskip("audformat", reason="audformat is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
"""The library writes for an older pandas."""


@pytest.fixture
def table(tmp_path: Path) -> Corpus:
    """Segments with takes, ratings, raters' shares, and labels that need quotes."""
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.wav", "sub/ä, b.wav", "=c.wav"):
        (folder / name).write_bytes(name.encode())
    (folder / "clips.csv").write_text(
        "path,emotion,speaker,take,start,end,valence,share:tense,share:at ease\n"
        "a.wav,,007,t1,0,1.5,0.25,2,1\n"
        "a.wav,at ease,007,t2,1.5,3.0000005,,,\n"
        '"sub/ä, b.wav",at ease,Ünal,t3,,,-1,,\n'
        "=c.wav,tense,Ünal,t4,5,,0,0,3\n",
        encoding="utf-8",
    )
    return load_corpus(folder, corpus="table")


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_a_corpus_comes_back_as_it_was(tmp_path: Path, table: Corpus, storage: Storage) -> None:
    seen: list[tuple[int, int]] = []
    write_audformat(table, tmp_path / "db", storage, lambda *told: seen.append(told))
    back = load_corpus(tmp_path / "db")
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (back.name, back.emotions, back.dimensions) == (table.name, table.emotions, table.dimensions)
    for one, other in zip(table.clips, back.clips, strict=True):
        assert other.path.read_bytes() == one.path.read_bytes()
        assert other.end_s == pytest.approx(one.end_s, abs=1e-6)
        assert (other.start_s or 0) == (one.start_s or 0)
        kept = ("take", "speaker", "emotion", "modality", "shares", "ratings")
        assert [getattr(other, name) for name in kept] == [getattr(one, name) for name in kept]


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_the_library_reads_the_same(tmp_path: Path, table: Corpus, storage: Storage) -> None:
    write_audformat(table, tmp_path / "db", storage)
    db = audformat.Database.load(str(tmp_path / "db"), load_data=True)
    frame = db["emotion"].get()
    assert list(frame["emotion"].astype(object)) == ["tense", "at ease", "at ease", "tense"]
    assert list(frame["take"]) == ["t1", "t2", "t3", "t4"]
    assert frame["share:tense"].iloc[0] == pytest.approx(2 / 3)
    starts = frame.index.get_level_values("start").total_seconds()
    assert list(starts) == [0, 1.5, 0, 5]
    assert list(db["files"].get()["speaker"].astype(object)) == ["007", "Ünal", "Ünal"]
    assert set(db.files) == {"a.wav", "sub/ä, b.wav", "=c.wav"}
    assert list(db.schemes["emotion"].labels) == list(table.emotions)
    assert db.license == table.licence


def test_a_corpus_of_known_names_keeps_what_they_say(tmp_path: Path) -> None:
    folder = tmp_path / "emodb"
    folder.mkdir()
    for name in ("03a01Fa.wav", "08a01La.wav", "08b02Wa.wav"):
        (folder / name).touch()
    result = CliRunner().invoke(app, ["corpus", "export", str(folder), "--audformat", str(tmp_path / "db")])
    assert result.exit_code == 0, result.output
    db: Any = audformat.Database.load(str(tmp_path / "db"), load_data=True)
    assert (db.name, db.languages, db.usage) == ("EMO-DB", ["deu"], "research")
    assert db.schemes["speaker"].labels["03"] == {"gender": "male", "age": 31, "language": "de"}
    corpus = load_corpus(tmp_path / "db")
    assert [(clip.take, clip.speaker, clip.emotion) for clip in corpus.clips] == [
        ("03a01Fa", "03", "happy"), ("08a01La", "08", None), ("08b02Wa", "08", "angry"),
    ]  # fmt: skip
    assert corpus.clips[0].facts["sex"] == "male"
    # the names are still there, for who wants them
    assert load_corpus(tmp_path / "db", corpus="emo-db").name == "EMO-DB"


def test_a_file_of_two_people_and_files_of_other_folders(tmp_path: Path, table: Corpus) -> None:
    elsewhere = tmp_path / "a.wav"
    elsewhere.write_bytes(b"other")
    clips = (table.clips[0], replace(table.clips[1], speaker="both"), replace(table.clips[3], path=elsewhere))
    write_audformat(replace(table, clips=clips), tmp_path / "db")
    back = load_corpus(tmp_path / "db")
    assert [clip.speaker for clip in back.clips] == ["007", "both", "Ünal"]
    assert [clip.path.read_bytes() for clip in back.clips] == [b"a.wav", b"a.wav", b"other"]


def test_what_is_there_is_not_written_over(tmp_path: Path, table: Corpus) -> None:
    (tmp_path / "db").mkdir()
    write_audformat(table, tmp_path / "db")
    marked = replace(table, synthetic=True)
    (marked.root / "SYNTHETIC.json").write_text("{}")
    write_audformat(marked, tmp_path / "drawn")
    assert load_corpus(tmp_path / "drawn").synthetic
    for folder in (tmp_path / "db", tmp_path / "db/db.yaml"):
        with pytest.raises(CorpusError, match="there is something already"):
            write_audformat(table, folder)
