"""Databases that the format's own library wrote, read without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import CorpusError
from emofuse.corpus.audformat.reading import is_audformat, read_audformat
from emofuse.corpus.load import load_corpora, load_corpus

audformat = pytest.importorskip("audformat", reason="audformat is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
"""The library writes for an older pandas."""


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def column(table: Any, name: str, scheme: str | None, values: list[Any]) -> None:
    table[name] = audformat.Column(scheme_id=scheme)
    table[name].set(values)


def database() -> Any:
    """Three segments of two files, a table of files, and an emotion in a second table."""
    db = audformat.Database("mine", usage="research", license="CC BY 4.0")
    db.schemes["emotion"] = audformat.Scheme("str", labels=["anger", "très gai", "n/a, or so"])
    db.schemes["speaker"] = audformat.Scheme(
        "str", labels={"03": {"gender": "male", "age": 31}, "08": {"gender": "female"}}
    )
    db.schemes["arousal"] = audformat.Scheme("float", minimum=-1, maximum=1)
    files = ["wav/a.wav", "wav/b.flac"]
    db["emotion"] = audformat.Table(
        audformat.segmented_index(
            [files[0], files[0], files[1]], ["0s", "1.5s", "0s"], ["1.25s", "86401.000001s", pd.NaT]
        )
    )
    column(db["emotion"], "emotion", "emotion", ["anger", "très gai", None])
    column(db["emotion"], "arousal", "arousal", [0.5, None, -1.0])
    db["files"] = audformat.Table(audformat.filewise_index(files))
    column(db["files"], "speaker", "speaker", ["03", "08"])
    db["other"] = audformat.Table(audformat.filewise_index(files))
    column(db["other"], "emotion", "emotion", ["anger", "anger"])
    return db


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_a_database_of_the_library_is_read(tmp_path: Path, storage: str) -> None:
    folder = tmp_path / "db"
    database().save(str(folder), storage_format=storage)
    touch(folder, "wav/a.wav", "wav/b.flac")
    assert is_audformat(folder)
    corpus = load_corpus(folder)
    assert (corpus.name, corpus.licence, corpus.root) == ("mine", "CC BY 4.0", folder)
    assert corpus.emotions == ("anger", "très gai")
    assert corpus.dimensions == ("arousal",)
    found = [(clip.speaker, clip.emotion, clip.start_s, clip.end_s, clip.ratings) for clip in corpus.clips]
    assert found == [
        ("03", "anger", 0.0, 1.25, {"arousal": 0.5}),
        ("03", "très gai", 1.5, 86401.000001, {}),
        ("08", None, None, None, {"arousal": -1.0}),
    ]  # fmt: skip
    assert corpus.clips[0].facts == {"sex": "male", "age": "31"}
    assert corpus == load_corpus(folder, corpus="Audformat")


def test_which_table_and_whose_labels_can_be_said(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    database().save(str(folder), storage_format="csv")
    touch(folder, "wav/a.wav", "wav/b.flac")
    corpus = load_corpora([folder], corpora=["audformat:other"])
    assert [(clip.emotion, clip.start_s) for clip in corpus.clips] == [("anger", None)] * 2
    mapped = read_audformat(folder, "nemo-6", table="other")
    assert [clip.emotion for clip in mapped.clips] == ["angry", "angry"]
    with pytest.raises(CorpusError, match="no table nothing with emotions, only emotion, other"):
        load_corpus(folder, corpus="audformat:nothing")


def test_several_tables_and_none_called_emotion_must_be_chosen_from(tmp_path: Path) -> None:
    db = database()
    for name in ("first", "second"):
        db[name] = db["other"].copy()
    for name in ("emotion", "other"):
        db.drop_tables(name)
    db.save(str(tmp_path), storage_format="csv")
    with pytest.raises(CorpusError, match="first, second; say which, as in --corpus audformat:first"):
        load_corpus(tmp_path)


HEADER = """
name: mine
tables:
  emotion: {type: filewise, columns: {emotion: {}, speaker: {}}}
"""


@pytest.mark.parametrize(
    "file",
    ["../secret.wav", "/etc/passwd", "wav/../../secret.wav", "C:\\\\secret.wav", "\\\\\\\\host\\\\x.wav",
     "link.wav", "linked/secret.wav", "~/x.wav/../../../secret.wav", "..\\\\secret.wav"],
)  # fmt: skip
def test_media_outside_the_folder_are_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "db"
    touch(tmp_path, "secret.wav", "db/wav/a.wav")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "db.yaml").write_text(HEADER)
    (folder / "db.emotion.csv").write_text(f'file,emotion,speaker\nwav/a.wav,sad,x\n"{file}",angry,y\n')
    with pytest.raises(CorpusError, match=r"db\.emotion\.csv, line 3: .* is not a file below the database"):
        load_corpus(folder)


@pytest.mark.parametrize(
    ("header", "table", "problem"),
    [
        (HEADER, None, r"no db\.emotion\.csv or \.parquet, which db\.yaml names"),
        (HEADER, "path,emotion\n", "no column file, found path, emotion"),
        (HEADER, "file,emotion,speaker\n", "the table has no rows"),
        (HEADER, "file,emotion,speaker\ngone.wav,sad,x\n", r"db\.emotion\.csv, line 2: no file .*gone\.wav"),
        (HEADER, "file,emotion,speaker\na.wav,sad,\n", "speaker is empty"),
        (HEADER, 'file,emotion,speaker\n"a.wav,sad,\n', "cannot be read as a CSV table"),
        (HEADER, "file,emotion,speaker\n,sad,x\n", "'' is not a file below"),
        (
            HEADER.replace(", speaker: {}", ""),
            "file,emotion\na.wav,sad\n",
            "no table of files has a column",
        ),
        (HEADER.replace("emotion: {type", "../x: {type"), None, "'../x' cannot be the name of a table"),
        (
            HEADER.replace("{emotion: {}, speaker: {}}", "{mood: {}}"),
            None,
            "none; there must be one",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, header: str, table: str | None, problem: str
) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / "db.yaml").write_text(header)
    if table is not None:
        (tmp_path / "db.emotion.csv").write_text(table)
    with pytest.raises(CorpusError, match=problem) as caught:
        load_corpus(tmp_path)
    assert "\n" not in str(caught.value)
