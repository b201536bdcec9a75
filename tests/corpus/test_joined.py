"""Several corpora as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.joined import join_corpora, joined_licence
from emofuse.corpus.load import load_corpora, load_corpus

NEMO_EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "surprised")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """RAVDESS, nEMO, and a table of clips whose speaker is called like an actor of RAVDESS."""
    ravdess, nemo, mine = (tmp_path / name for name in ("ravdess", "nemo", "mine"))
    for path in (ravdess / "03-01-05-01-01-01-01.wav", ravdess / "03-01-02-01-01-01-02.wav",
                 nemo / "EB0_anger_11.opus", nemo / "SM0_fear_2.opus",
                 mine / "a.wav", mine / "b.wav"):  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (mine / "clips.csv").write_text("path,emotion,speaker\na.wav,W,01\nb.wav,L,01\n")
    return ravdess, nemo, mine


def test_people_of_different_corpora_are_never_confused(folders: tuple[Path, Path, Path]) -> None:
    joined = load_corpora(folders, labels={"mine": "emo-db-7"}, weights={"nemo": 2.5})
    assert joined.name == "RAVDESS + nEMO + mine"
    assert joined.speakers == ("RAVDESS:01", "RAVDESS:02", "mine:01", "nEMO:EB0", "nEMO:SM0")
    takes = {take.take: take for take in joined.takes()}
    assert [(take.speaker, take.emotion, take.facts["corpus"]) for take in takes.values()] == [
        ("RAVDESS:02", "calm", "RAVDESS"), ("RAVDESS:01", "angry", "RAVDESS"),
        ("mine:01", "angry", "mine"), ("mine:01", None, "mine"),
        ("nEMO:EB0", "angry", "nEMO"), ("nEMO:SM0", "fearful", "nEMO"),
    ]  # fmt: skip
    assert takes["nEMO:SM0_fear_2"].clip_id == "nEMO:SM0_fear_2.opus"
    assert [(part.name, part.root, part.weight) for part in joined.parts] == [
        ("RAVDESS", folders[0], 1), ("nEMO", folders[1], 2.5), ("mine", folders[2], 1)
    ]  # fmt: skip
    assert [part.emotions for part in joined.parts] == [
        EMOTIONS, NEMO_EMOTIONS, tuple(e for e in EMOTIONS if e not in ("calm", "surprised"))
    ]  # fmt: skip
    assert (joined.emotions, joined.root) == (EMOTIONS, folders[0].parent)
    assert joined.licence == "CC BY-NC-SA 4.0; mine: not stated"


def test_one_corpus_is_as_it_always_was(folders: tuple[Path, Path, Path]) -> None:
    for path in folders[:2]:
        assert load_corpora([path]) == load_corpus(path)
    (folders[2] / "clips.csv").write_text("path,emotion,speaker\na.wav,Happy,01\nb.wav,calm,01\n")
    alone = load_corpora([folders[2] / "clips.csv"])
    assert (alone.name, alone.emotions) == ("clips", ("calm", "happy"))
    assert load_corpora([folders[2]]).name == "mine"
    assert [clip.speaker for clip in alone.clips] == ["01", "01"]


def test_a_table_can_have_the_labels_of_a_set(folders: tuple[Path, Path, Path]) -> None:
    table = folders[2] / "clips.csv"
    table.write_text("path,emotion,speaker\na.wav,Sadness,x\nb.wav,surprised,y\n")
    corpus = load_corpora([table], labels={"": "nemo-6"})
    assert [clip.emotion for clip in corpus.clips] == ["sad", "surprised"]
    assert corpus.emotions == NEMO_EMOTIONS
    assert load_corpora([table]).emotions == ("surprised", "Sadness")
    with pytest.raises(CorpusError, match=r"unknown labels .*'surprised'.* emo-db-7 has W, L, E"):
        load_corpora([table], labels={"": "emo-db-7"})


def test_a_licence_that_a_corpus_does_not_state_can_be_given(folders: tuple[Path, Path, Path]) -> None:
    joined = load_corpora(folders, labels={"": "emo-db-7"}, licences={"mine": "CC BY 4.0"})
    assert joined.licence == "CC BY-NC-SA 4.0"
    assert joined.parts[2].licence == "CC BY 4.0"
    with pytest.raises(CorpusError, match=r"the licence of nEMO is CC BY-NC-SA 4.0"):
        load_corpora(folders[:2], licences={"nemo": "CC0-1.0"})


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("CC0-1.0", "CC BY 4.0"), "CC BY 4.0"),
        (("CC BY-NC-SA 4.0", "CC BY-NC-SA 4.0"), "CC BY-NC-SA 4.0"),
        (("CC BY-NC-SA 4.0", "CC BY-SA 4.0"), "CC BY-NC-SA 4.0"),
        (("on request", "CC0-1.0"), "CC0-1.0; a: on request"),
        (("on request", "not stated"), "a: on request; b: not stated"),
    ],
)
def test_the_strictest_licence_is_said(licences: tuple[str, str], expected: str) -> None:
    assert joined_licence(list(zip("ab", licences, strict=True))) == expected


def test_errors_say_what_is_wrong(folders: tuple[Path, Path, Path]) -> None:
    ravdess, nemo, _ = folders
    with pytest.raises(CorpusError, match=r"--weight emodb: no corpus is called so, only RAVDESS, nEMO"):
        load_corpora([ravdess, nemo], weights={"emodb": 2.0})
    with pytest.raises(CorpusError, match="two corpora are called RAVDESS"):
        load_corpora([ravdess, ravdess])
    with pytest.raises(CorpusError, match="the file names of nEMO have labels of nemo-6"):
        load_corpora([ravdess, nemo], labels={"nEMO": "tess-7"})
    with pytest.raises(ValueError, match="unknown label set 'nemo-7': use one of"):
        load_corpora([ravdess, nemo], labels={"nEMO": "nemo-7"})
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(CorpusError, match=r"the weight of nEMO .* must be above 0"):
            load_corpora([ravdess, nemo], weights={"nemo": weight})
    with pytest.raises(CorpusError, match="several corpora already"):
        join_corpora([load_corpora([ravdess, nemo]), Corpus("other", ravdess, ())])
    with pytest.raises(CorpusError, match="no corpus was given"):
        join_corpora([])
