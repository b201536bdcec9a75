from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emofuse.core.errors import CorpusError
from emofuse.corpus.load import load_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.mp4", "ü b.ogg", "c.flac"):
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    table = folder / "clips.csv"
    table.write_text("\n".join(lines) + "\n", encoding=encoding)
    return table


def test_table_gives_clips_and_takes(folder: Path) -> None:
    table = write(
        folder,
        "speaker,path,emotion,take,start,end,remark",
        "anna,a.wav,happy,t1,,,fine",
        "anna,b.mp4,Happy,t1,,,",
        "ben,b.mp4,sad,,1.5,3.25,",
        "",
        f"ben,{folder / 'ü b.ogg'},calm,,0.5,,",
        encoding="utf-8-sig",
    )
    corpus = load_corpus(table)
    assert corpus.name == "clips"
    assert corpus.root == folder
    assert [clip.modality for clip in corpus.clips] == ["audio", "audio-video", "audio-video", "audio"]
    assert [(clip.start_s, clip.end_s) for clip in corpus.clips] == [
        (None, None),
        (None, None),
        (1.5, 3.25),
        (0.5, None),
    ]
    assert corpus.clips[2].clip_id == "b.mp4#1.5-3.25"
    takes = {take.take: take for take in corpus.takes()}
    assert len(takes) == 3
    assert takes["t1"].voice is corpus.clips[0]
    assert takes["t1"].face is corpus.clips[1]
    alone = takes["b.mp4#1.5-3.25"]
    assert alone.voice is alone.face is corpus.clips[2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav,furious,anna,,,", r"line 3: unknown emotion 'furious', use one of neutral, calm, happy"),
        ("nowhere.wav,sad,anna,,,", r"line 3: no file .*nowhere\.wav"),
        (",sad,anna,,,", r"line 3: path is empty"),
        ("a.wav,sad, ,,,", r"line 3: speaker is empty"),
        ("a.wav,sad,anna,,2,2", r"line 3: end 2 is not after start 2"),
        ("a.wav,sad,anna,,,0", r"line 3: end 0 is not after start 0"),
        ("a.wav,sad,anna,,-1,2", r"line 3: start -1 must be zero or more"),
        ("a.wav,sad,anna,,soon,2", r"line 3: start 'soon' is not a number"),
        ("a.wav,sad,anna,,0,inf", r"line 3: end inf must be"),
        ("c.flac,happy,anna,,,", r"line 3: c\.flac is already in line 2"),
        ("a.wav,happy,anna,t,,", r"line 3: take t already has its audio file in line 2"),
        ("b.mp4,happy,ben,t,,", r"line 3: take t has another speaker or emotion in line 2"),
    ],
)
def test_an_error_names_the_line_and_what_is_allowed(folder: Path, row: str, message: str) -> None:
    table = write(folder, "path,emotion,speaker,take,start,end", "c.flac,happy,anna,t,,", row)
    with pytest.raises(CorpusError, match=message) as caught:
        load_corpus(table)
    assert "\n" not in str(caught.value)


def test_many_errors_are_counted(folder: Path) -> None:
    table = write(folder, "path,emotion,speaker", *(f"{n}.wav,sad,anna" for n in range(9)))
    with pytest.raises(CorpusError, match=r"line 2: .*line 6: .*; and 4 more$"):
        load_corpus(table)


def test_missing_columns_are_named(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"no column emotion, speaker; .*found path, label"):
        load_corpus(write(folder, "path,label", "a.wav,sad"))


@pytest.mark.parametrize("content", [b"", b"path,emotion,speaker\n", b"\xff\xfe\x00\xd8", b'path,"emotion'])
def test_empty_or_broken_table_is_an_error(folder: Path, content: bytes) -> None:
    (folder / "clips.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=r"clips\.csv"):
        load_corpus(folder / "clips.csv")


def test_parquet_is_read_like_csv(folder: Path) -> None:
    columns = {
        "path": ["a.wav", "b.mp4"],
        "emotion": ["happy", "sad"],
        "speaker": [7, 8],
        "start": [None, 1.5],
        "end": [float("nan"), 2.0],
    }
    pq.write_table(pa.table(columns), folder / "clips.parquet")
    table = write(folder, "path,emotion,speaker,start,end", "a.wav,happy,7,,", "b.mp4,sad,8,1.5,2")
    assert load_corpus(folder / "clips.parquet").clips == load_corpus(table).clips


def test_broken_parquet_is_an_error(folder: Path) -> None:
    (folder / "clips.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(CorpusError, match="Parquet"):
        load_corpus(folder / "clips.parquet")
    pq.write_table(pa.table({"path": ["a.wav"]}), folder / "clips.parquet")
    with pytest.raises(CorpusError, match="no column emotion, speaker"):
        load_corpus(folder / "clips.parquet")
    pq.write_table(
        pa.table({"path": ["no.wav"], "emotion": ["sad"], "speaker": ["x"]}), folder / "clips.parquet"
    )
    with pytest.raises(CorpusError, match=r"row 1: no file"):
        load_corpus(folder / "clips.parquet")
