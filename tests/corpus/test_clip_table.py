from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
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
        (
            "a.wav,sad=1,anna,,,",
            r"clips\.csv: line 3: the label 'sad=1' has an equals sign, which names of labels must not",
        ),
        ("nowhere.wav,sad,anna,,,", r"line 3: no file .*nowhere\.wav"),
        (",sad,anna,,,", r"line 3: path is empty"),
        ("a.wav,sad, ,,,", r"line 3: speaker is empty"),
        ("a.wav,sad,anna,,2,2", r"line 3: end 2 is not after start 2"),
        ("a.wav,sad,anna,,,0", r"line 3: end 0 is not after start 0"),
        ("a.wav,sad,anna,,-1,2", r"line 3: start -1 must be zero or more"),
        ("a.wav,sad,anna,,soon,2", r"line 3: start 'soon' is not a time"),
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


def test_labels_that_a_map_does_not_name_are_one_message(folder: Path) -> None:
    rows = [f"a.wav,{'joy' if n % 3 else 'Fear'},anna" for n in range(900)]
    with pytest.raises(CorpusError) as caught:
        load_corpus(write(folder, "path,emotion,speaker", *rows, "no.wav,sad,anna"), "crema-d-6")
    assert str(caught.value) == (
        f"{folder / 'clips.csv'}: unknown labels 'joy' (600 lines, first 3, 4, 6), 'Fear' (300 lines, first "
        f"2, 5, 8), crema-d-6 has ANG, DIS, FEA, HAP, NEU, SAD; line 902: no file {folder / 'no.wav'}"
    )
    many = [f"a.wav,x{n},anna" for n in range(50)]
    with pytest.raises(CorpusError, match=r"'x4' \(line 6\) and 45 more, crema-d-6 has"):
        load_corpus(write(folder, "path,emotion,speaker", *many), "crema-d-6")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "sep=;", "sep=,", '"sep=;"', "sep=\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_of_spreadsheets_are_read(folder: Path, encoding: str, separator: str, line_end: str) -> None:
    delimiter = separator.strip('"').removeprefix("sep=")
    first = [separator] if "sep" in separator else []
    rows = [
        ("speaker", "path", "emotion", "start", "end"),
        ("Änne", "a.wav", "happy", "", ""),
        ("お", "ü b.ogg", "sad", "0,5" if delimiter != "," else "0.5", "1.5"),
    ]
    lines = [*first, *(delimiter.join(row) for row in rows), ""]
    text = line_end.join(lines)
    bom = "\ufeff" if encoding.endswith(("-le", "-be")) else ""
    table = folder / "clips.csv"
    table.write_bytes((bom + text).encode(encoding))
    clips = load_corpus(table).clips
    assert [(clip.speaker, clip.path.name, clip.emotion) for clip in clips] == [
        ("Änne", "a.wav", "happy"),
        ("お", "ü b.ogg", "sad"),
    ]
    assert (clips[1].start_s, clips[1].end_s) == (0.5, 1.5)
    wrong = bom + text.replace("sad", "s=d")
    table.write_bytes(wrong.encode(encoding))
    with pytest.raises(CorpusError, match=rf"line {4 if first else 3}: the label 's=d' has"):
        load_corpus(table)


@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".TSV"])
def test_other_suffixes_of_tables(folder: Path, suffix: str) -> None:
    table = folder / f"clips{suffix}"
    table.write_text("path\temotion\tspeaker\na.wav\tsad\tanna\n")
    assert len(load_corpus(table).clips) == 1


def test_other_encodings_are_named(folder: Path) -> None:
    table = folder / "clips.csv"
    table.write_bytes("path,emotion,speaker\na.wav,sad,Änne\n".encode("cp1252"))
    with pytest.raises(CorpusError, match="as a CSV table in UTF-8 or UTF-16: it is not text in UTF-8"):
        load_corpus(table)


def test_a_table_that_is_too_large_is_not_read(folder: Path) -> None:
    with (folder / "clips.csv").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(CorpusError, match="larger than 256 MiB"):
        load_corpus(folder / "clips.csv")


def test_a_small_parquet_file_asks_for_no_gigabytes(folder: Path) -> None:
    """Repeated values take next to no space on disk."""
    path = folder / "clips.parquet"
    text = "x" * 1_000_000
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array([text]))
    columns = {"path": repeated, "emotion": pa.array(["sad"] * 100_000), "speaker": pa.array(["a"] * 100_000)}
    pq.write_table(pa.table(columns), path)
    assert path.stat().st_size < 2_000_000  # of 100 GB
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match="row 1: path has 1000000 characters, too many"):
            load_corpus(path)
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()
    rows = pa.nulls(6_000_000, pa.string())
    pq.write_table(pa.table({"path": rows, "emotion": rows, "speaker": rows}), path)
    assert path.stat().st_size < 100_000
    with pytest.raises(CorpusError, match="too large for a table of clips: 6000000 rows"):
        load_corpus(path)
    lists = pa.array([["a.wav"]])
    pq.write_table(pa.table({"path": lists, "emotion": lists, "speaker": lists}), path)
    with pytest.raises(CorpusError, match="column path holds lists or structures"):
        load_corpus(path)


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
