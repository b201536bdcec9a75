from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.corpus.audformat.header import read_header
from emofuse.corpus.load import load_corpus

HEADER = """
name: mine
license: CC BY 4.0
schemes:
  emotion: {dtype: str, labels: [anger, joy]}
  speaker:
    dtype: str
    labels: {'03': {gender: male, age: 31, city: Berlin}, 08: {gender: female}, '09': }
tables:
  emotion: {type: segmented, columns: {mood: {scheme_id: emotion, rater_id: gold}}}
  files: {type: filewise, columns: {speaker: {scheme_id: speaker}}}
"""


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("exploded", "w"))


def write(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "db.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_what_a_header_says(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "db", HEADER))
    assert (header.name, header.licence, list(header.tables)) == ("mine", "CC BY 4.0", ["emotion", "files"])
    assert header.tables["emotion"].columns == {"mood": "emotion"}
    assert header.tables["emotion"].column("emotion") == "mood"
    assert header.tables["emotion"].column("speaker") is None
    assert header.speakers == {"03": {"sex": "male", "age": "31"}, "08": {"sex": "female"}}
    assert read_header(write(tmp_path / "bare", "tables: {a: {type: filewise}}")).name == "bare"


@pytest.mark.parametrize("name", ["db.emotion.pkl", "anything.PKL", "db.files.pickle"])
def test_a_database_with_a_pickle_is_refused_before_anything_is_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "db", "not: [even, yaml")
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CorpusError, match="runs what is in it: save it as CSV or Parquet"):
        read_header(folder)
    with pytest.raises(CorpusError, match="pickled tables"):
        load_corpus(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object/apply:os.system ['touch exploded']", "line 1: could not determine a c"),
        ("tables: !!python/name:os.system", "constructor"),
        ("a: &a {x: 1}\nb: {<<: [*a, *a]}", "constructor"),
        ("tables: [", "line 1"),
        ("\tx: 1", "line 1"),
        ("[" * 100_000, "nested too deeply"),
        ("- 1\n- 2", "its content: not a mapping"),
        ("name: x", "it names no tables"),
        ("tables: {}", "it names no tables"),
        ("tables: {a: 3}", "table a: not a mapping"),
        ("tables: {a: {type: odd}}", "table a: its type must be filewise or segmented"),
        ("tables: {a: {type: filewise, columns: [x]}}", "columns of a: not a mapping"),
        ("tables: {a: {type: filewise, columns: {x: y}}}", "column x: not a mapping"),
        ("when: 2001-13-45", "not YAML that can be read: month must be"),
        ("x: !!timestamp nonsense", "not YAML that can be read"),
        (b"\xff\xfe\x00", "not YAML that can be read"),
        (b"name: \x00", "special characters are not allowed"),
        ("x: " + "1" * 5_000, "not YAML that can be read: Exceeds the limit"),
        (b" " * (4 * 2**20 + 1), "larger than 4 MiB"),
    ],
)  # fmt: skip
def test_what_is_no_header_is_one_line(tmp_path: Path, text: str | bytes, problem: str) -> None:
    folder = write(tmp_path / "db", text)
    with pytest.raises(CorpusError) as caught:
        read_header(folder)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(folder / "db.yaml") in str(caught.value)


def test_aliases_that_multiply_are_no_harm(tmp_path: Path) -> None:
    """A billion laughs: ten lines, a billion values if they were written out; they never are."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    header = read_header(write(tmp_path / "db", "\n".join([*lines, HEADER])))
    assert list(header.tables) == ["emotion", "files"]


def test_no_header_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"db\.yaml: No such file"):
        read_header(tmp_path)
    with pytest.raises(CorpusError, match="No such file"):
        read_header(tmp_path / "nowhere")
