from __future__ import annotations

from emofuse.core.recipes.load import load_recipe
from emofuse.evaluation.contamination import SeenBefore, bundle_seen, contaminated_by, seen_before
from emofuse.recognition.bundle import load_bundle


def test_parts_of_recipes_say_what_they_had_seen() -> None:
    (encoder,) = seen_before(load_recipe("whisper-only"))
    assert (encoder.part, encoder.corpora) == ("speech encoder (Whisper)", None)
    assert "680,000 hours" in encoder.trained_on
    parts = {part.part: part for part in seen_before(load_recipe("out-of-the-box"))}
    assert parts["expression network"].corpora == ("FER2013",)
    assert [part.part for part in seen_before(load_recipe("default"))] == ["deepface-emotion"]
    assert seen_before(load_recipe("ravdess-ensemble")) == []
    assert contaminated_by(list(parts.values()), "RAVDESS") == []


def test_the_shipped_recognizer_has_seen_ravdess_and_nemo_and_not_emo_db() -> None:
    shipped = bundle_seen("shipped", load_bundle())
    assert shipped.corpora == ("RAVDESS", "nEMO")
    seen = {name: shipped.has_seen(name) for name in ("RAVDESS", "nemo", "EMO-DB", "EMO DB")}
    assert seen == {"RAVDESS": True, "nemo": True, "EMO-DB": False, "EMO DB": False}


def test_names_are_compared_as_words() -> None:
    told = SeenBefore("emotion2vec+", "IEMOCAP, RAVDESS, EMO_DB and others", None)
    assert contaminated_by([told], "RAVDESS") == ["emotion2vec+"]
    assert not told.has_seen("EMOD")
    assert not told.has_seen("AVD")
    assert not told.has_seen("")
    assert told.has_seen("EMO-DB")
    assert told.has_seen("EmoDB")
    listed = SeenBefore("mine", "RAVDESS and more", ("EMO-DB",))
    assert listed.has_seen("emo-db")
    assert not listed.has_seen("RAVDESS")  # where the list is complete, the text does not count
