"""Coded recordings as corpora: rows of the table, and a recording of real clips that trains and predicts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.coding.clips import ClipRules, clips_of_annotations, write_clip_table
from emofuse.core.errors import AnnotationError
from emofuse.corpus.load import load_corpus
from emofuse.media.decoding import decode
from tests.support import small_corpora
from tests.support.annotation_files import Span, write_csv, write_eaf
from tests.support.typed import not_none


def media(folder: Path, *names: str) -> list[Path]:
    return [small_corpora.write_wav(folder / name, np.zeros(160, np.float32)) for name in names]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_spans_become_rows_that_are_a_corpus(tmp_path: Path) -> None:
    (wav,) = media(tmp_path / "films", "talk.wav")
    tiers = {
        "mood@Anna": [(0.0, 1.5, "Happy"), (1.5, 11.5, "sad"), (11.5, 11.7, "sad")],
        "mood@person 1": [(2.0, 3.25, "sad"), (3.25, 5.0, "abstained")],
        "words": [(0.0, 1.0, "hello")],
    }
    found = clips_of_annotations([wav, write_eaf(tmp_path / "talk.eaf", tiers)])
    write_clip_table(found, tmp_path / "out" / "talks.csv")
    assert rows(tmp_path / "out" / "talks.csv") == [
        {"path": "../films/talk.wav", "emotion": emotion, "speaker": who, "start": start, "end": end}
        for emotion, who, start, end in (
            ("happy", "Anna", "0.000", "1.500"), ("sad", "Anna", "1.500", "4.833"),
            ("sad", "Anna", "4.833", "8.166"), ("sad", "Anna", "8.166", "11.500"),
            ("sad", "talk: person 1", "2.000", "3.250"),
        )
    ]  # fmt: skip
    assert found.remarks == ("1 spans are shorter than 0.5 s, and are left out",)
    assert found.duration_s == pytest.approx(1.5 + 10 + 1.25)
    corpus = load_corpus(tmp_path / "out" / "talks.csv")
    assert corpus.emotions == ("happy", "sad")
    assert [clip.start_s for clip in corpus.clips] == [0.0, 1.5, 4.833, 8.166, 2.0]


def test_whose_a_tier_is(tmp_path: Path) -> None:
    a, b = media(tmp_path, "a.wav", "b.wav")
    one = write_eaf(tmp_path / "a.eaf", {"emotion": [(0.0, 1.0, "sad")]})
    two = write_eaf(tmp_path / "b.eaf", {"Anna": [(0.0, 1.0, "sad")], "Bert": [(0.0, 1.0, "happy")]})
    speakers = {clip.speaker for clip in clips_of_annotations([a, b, one, two]).clips}
    assert speakers == {"a", "Anna", "Bert"}
    rules = ClipRules(tiers={"Anna": "A.", "emotion": None})
    assert {clip.speaker for clip in clips_of_annotations([a, b, one, two], rules).clips} == {"a", "A."}


def test_labels_of_their_own(tmp_path: Path) -> None:
    (wav,) = media(tmp_path, "a.wav")
    file = write_csv(tmp_path / "a.csv", [(0, 1, "Bored"), (1, 2, "joy"), (2, 3, "dull"), (3, 4, "angry")])
    with pytest.raises(AnnotationError, match=r"name the tier .* found emotion: x; emotion: y"):
        other = write_csv(tmp_path / "other" / "a.csv", [(0, 1, "x"), (1, 2, "y")], "start,end,emotion")
        clips_of_annotations([wav, other])
    found = clips_of_annotations([wav, file], ClipRules(labels={"joy": "happy", "dull": None}))
    assert [clip.label for clip in found.clips] == ["Bored", "happy", "angry"]


def test_several_coders_give_the_majority_and_their_shares(tmp_path: Path) -> None:
    (wav,) = media(tmp_path, "a.wav")
    said: dict[str, list[Span]] = {
        "eva": [(0.0, 4.0, "happy"), (4.0, 6.0, "sad")],
        "tim": [(0.0, 3.0, "happy"), (3.0, 6.0, "sad")],
        "zoe": [(0.0, 2.0, "sad"), (2.0, 5.0, "sad")],
    }
    files = [write_csv(tmp_path / f"a.{coder}.csv", spans) for coder, spans in said.items()]
    found = clips_of_annotations([wav, *files])
    assert [(c.label, c.start_ms, c.end_ms) for c in found.clips] == [("happy", 0, 3000), ("sad", 3000, 6000)]
    write_clip_table(found, tmp_path / "a.csv.table.csv")
    first, second = rows(tmp_path / "a.csv.table.csv")
    assert (first["share:happy"], first["share:sad"]) == ("0.6667", "0.3333")
    # of 3 to 6 s: eva one second of happy and two of sad, tim three of sad, zoe two of sad
    assert (second["share:happy"], second["share:sad"]) == ("0.1250", "0.8750")
    (clip, *_) = load_corpus(tmp_path / "a.csv.table.csv").clips
    assert dict(clip.shares) == pytest.approx({"happy": 0.6667, "sad": 0.3333}, abs=1e-3)


def test_contradictions_and_ties_are_no_clips(tmp_path: Path) -> None:
    (wav,) = media(tmp_path, "a.wav")
    file = write_csv(tmp_path / "a.csv", [(0, 3, "happy"), (2, 5, "sad")])
    found = clips_of_annotations([wav, file])
    assert [(c.label, c.start_ms, c.end_ms, c.shares) for c in found.clips] == [
        ("happy", 0, 2000, {}), ("sad", 3000, 5000, {}),
    ]  # fmt: skip


def test_names_that_are_formulas(tmp_path: Path) -> None:
    (wav,) = media(tmp_path, "=a.wav")
    file = write_csv(tmp_path / "=a.csv", [(0, 1, "happy"), (1, 2, "sad")])
    write_clip_table(clips_of_annotations([wav, file]), tmp_path / "t.csv")
    assert load_corpus(tmp_path / "t.csv").clips[0].path.samefile(wav)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    (wav,) = media(tmp_path, "a.wav")
    file = write_csv(tmp_path / "a.csv", [(0, 1, "happy")])
    for given, says in (
        ([wav], "no annotations were named"), ([file], "no recording was named"),
        ([wav, tmp_path / "none.mp4"], r"none\.mp4: No such file"),
        ([*media(tmp_path, "x/a.wav"), wav, file], "have one name"),
    ):  # fmt: skip
        with pytest.raises(AnnotationError, match=says):
            clips_of_annotations(given)
    for lengths in ((1.0, 2.0), (1.0, 0.0), (float("inf"), 1.0)):
        with pytest.raises(ValueError, match="the shortest must be above 0"):
            ClipRules(*lengths)


@pytest.mark.ravdess
def test_a_recording_coded_by_hand_trains_and_predicts(ravdess: Path, tmp_path: Path) -> None:
    """Real clips one after the other, and an ELAN file that says what they are: the truth is known."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.training.train_bundle import train

    wanted = ("happy", "angry")
    spoken = [
        clip
        for clip in load_corpus(ravdess).clips
        if clip.emotion in wanted and clip.path.name.startswith("03-01-") and "-01-" in clip.path.name[8:12]
    ]
    people = sorted({clip.speaker for clip in spoken})[:4]
    files: list[Path] = []
    for person in people:
        sound: list[Any] = []
        spans: list[Span] = []
        at = 0
        for clip in (one for one in spoken if one.speaker == person):
            waveform = not_none(decode(clip.path).audio)
            samples = waveform.samples.mean(axis=0)
            assert waveform.sample_rate_hz == 48000
            spans.append((at / 48000, (at + len(samples)) / 48000, str(clip.emotion)))
            sound += [samples, np.zeros(4800, np.float32)]
            at += len(samples) + 4800
        path = tmp_path / f"person{person}.wav"
        files.append(small_corpora.write_wav(path, np.concatenate(sound), 48000))
        files.append(write_eaf(path.with_suffix(".eaf"), {"emotion": spans}))
    found = clips_of_annotations(files, ClipRules(longest_s=10.0))
    write_clip_table(found, tmp_path / "coded.csv")
    corpus = load_corpus(tmp_path / "coded.csv")
    assert corpus.emotions == wanted
    assert len(corpus.clips) == len([one for one in spoken if one.speaker in people]) >= 4 * 6
    assert {clip.speaker for clip in corpus.clips} == {path.stem for path in files}
    (tmp_path / "small.toml").write_text(small_corpora.AU_RECIPE)
    recipe = load_recipe(tmp_path / "small.toml")
    truth = [one for person in people for one in spoken if one.speaker == person]
    for coded, real in zip(corpus.clips, truth, strict=True):
        assert coded.emotion == real.emotion
    for coded, real in list(zip(corpus.clips, truth, strict=True))[::9]:
        cut = not_none(decode(coded.path, start_s=coded.start_s, end_s=coded.end_s).audio).samples[0]
        whole = not_none(decode(real.path).audio).samples.mean(axis=0)
        # times are whole milliseconds, 48 samples
        n = min(len(cut), len(whole)) - 150
        apart = min(float(np.abs(cut[50 : 50 + n] - whole[at : at + n]).max()) for at in range(100))
        assert abs(len(cut) - len(whole)) <= 100 and apart < 1e-4
    train(corpus, recipe, tmp_path / "bundle")
    recognizer = Recognizer.load(tmp_path / "bundle")
    prediction = recognizer.predict(files[0], start_s=0.0, end_s=3.0)
    assert prediction.emotion in wanted
