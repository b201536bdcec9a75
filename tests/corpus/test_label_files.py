"""Maps of labels that a study writes itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import CorpusError
from emofuse.corpus.label_files import read_label_file, table_labels
from emofuse.corpus.load import load_corpora, load_corpus

TOML = """
"très content" = "content"
content = "content"
"pas content" = "mécontent"
neutre = ""
"""
CSV = "label;becomes\ntrès content;content\ncontent;content\npas content;mécontent\nneutre;\n"


def clips(folder: Path) -> Path:
    labels = ["Très content", "content", "pas content", "neutre"]
    for number in range(len(labels)):
        (folder / f"{number}.wav").touch()
    rows = [f"{number}.wav,{label},s" for number, label in enumerate(labels)]
    (folder / "clips.csv").write_text("\n".join(["path,emotion,speaker", *rows]), encoding="utf-8")
    return folder / "clips.csv"


@pytest.mark.parametrize(("name", "text"), [("map.toml", TOML), ("map.csv", CSV), ("MAP.TSV", CSV)])
def test_a_map_renames_joins_and_drops_labels(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    corpus = load_corpus(clips(tmp_path), str(tmp_path / name))
    assert [clip.emotion for clip in corpus.clips] == ["content", "content", "mécontent", None]
    assert corpus.emotions == ("content", "mécontent")
    assert load_corpora([clips(tmp_path)], labels={"": str(tmp_path / name)}).clips == corpus.clips


def test_labels_are_shown_in_the_order_of_the_map(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('l = "low"\nm = "medium"\nh = "high"\nhh = "high"\n')
    assert read_label_file(path).emotions == ("low", "medium", "high")
    path.write_text('s = "sad"\nh = "happy"\n')
    assert read_label_file(path).emotions == ("happy", "sad")  # of the eight: their order


def test_a_label_that_the_map_does_not_name_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('content = "content"\n"très content" = "content"\nneutre = "neutre"\n', encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"unknown label 'pas content' \(line 4\), .*map\.toml has content, "
    ):
        load_corpus(clips(tmp_path), str(path))


def test_a_known_set_is_found_by_its_name() -> None:
    found = table_labels("nemo-6")
    assert found.meant["anger"] == "angry"
    assert found.emotions == ("neutral", "happy", "sad", "angry", "fearful", "surprised")


@pytest.mark.parametrize("name", ["nemo", "map.json", ""])
def test_what_is_neither_a_set_nor_a_file_is_an_error(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"unknown label set .*: use one of ravdess-8, .* or the file of a map"
    ):
        table_labels(name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("map.toml", b'a = "x"\nA = "y"', "'A' is mapped twice"),
        ("map.toml", b"a = 1", "'a' must become a text"),
        ("map.toml", b'[a]\nb = "c"', "'a' must become a text"),
        ("map.toml", b"a = ", "cannot be read as a map of labels"),
        ("map.toml", b"\xff\xfe", "cannot be read as a map of labels"),
        ("map.toml", b"a = " + b"[" * 50_000, "cannot be read as a map of labels"),
        ("map.toml", b'a = ""', "there is no label"),
        ("map.toml", b'a = "file"', "'a': the label 'file' is the name of a column"),
        ("map.toml", b'a = "X"\nb = "x"', "'X' and 'x' differ only in capitals"),
        ("map.csv", b"from,to\na,b\n", "no column label, becomes; .* found from, to"),
        ("map.csv", b"label,becomes\n,b\n", "a label on the left is empty"),
        ("map.csv", b"", "cannot be read as a map of labels"),
        ("map.csv", b"label,becomes\n" + b"x" * 2**21, "larger than 1 MiB"),
    ],
)
def test_a_broken_map_is_refused_in_a_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=reason) as caught:
        table_labels(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    with pytest.raises(CorpusError, match="No such file"):
        table_labels(str(tmp_path / f"not-{name}"))


@pytest.mark.parametrize("name", ["map.toml", "map.csv"])
def test_broken_files_are_errors_of_one_line(tmp_path: Path, name: str) -> None:
    """Bytes of a valid map, changed at random."""
    rng = np.random.default_rng(5)
    valid = np.frombuffer((TOML if name.endswith("toml") else CSV).encode(), np.uint8)
    for _ in range(50):
        broken = valid.copy()
        chosen = rng.integers(0, len(broken), 4)
        broken[chosen] = rng.integers(0, 256, len(chosen), dtype=np.uint8)
        (tmp_path / name).write_bytes(broken.tobytes()[: rng.integers(1, len(broken) + 1)])
        try:
            read_label_file(tmp_path / name)
        except CorpusError as error:
            assert "\n" not in str(error)
