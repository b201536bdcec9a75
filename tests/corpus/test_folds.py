from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Clip, Take
from emofuse.corpus.folds import PROTOCOLS, corpora_of, get_protocol, inner_folds
from emofuse.corpus.ravdess import design, parse_name, sex_of_actor


def ravdess_takes(actors: range) -> list[Take]:
    takes = []
    for actor in actors:
        for code in design():
            name = parse_name(f"03-{code}-{actor:02d}", n_actors=99)
            clip = Clip(Path("x.wav"), f"03-{name.take}", name.take, name.speaker, name.emotion, "audio")
            takes.append(Take(name.take, name.speaker, name.emotion, clip, None, {"sex": name.sex}))
    return takes


def takes_of(*speakers: str, emotions: tuple[str, ...] = EMOTIONS) -> list[Take]:
    clips = [
        Clip(Path("x.wav"), f"{speaker}-{emotion}", f"{speaker}-{emotion}", speaker, emotion, "audio")
        for speaker in speakers
        for emotion in emotions
    ]
    return [Take(clip.take, clip.speaker, clip.emotion, clip, None) for clip in clips]


INDEPENDENT = [name for name, protocol in PROTOCOLS.items() if protocol.speaker_independent]


def test_the_four_protocols_are_there() -> None:
    assert list(PROTOCOLS) == ["six-fold", "emobox-6", "luna-5", "rosred-stratified-5"]
    assert INDEPENDENT == ["six-fold", "emobox-6", "luna-5"]
    assert all(protocol.name == name and protocol.citation for name, protocol in PROTOCOLS.items())


@pytest.mark.parametrize("name", [*INDEPENDENT, "actors-2", "actors-5"])
def test_speaker_independent_folds_share_no_speaker(name: str) -> None:
    takes = ravdess_takes(range(1, 25))
    plan = get_protocol(name).plan(takes)
    assert plan.notes == ()
    tested = Counter(i for fold in plan.folds for i in fold.test)
    assert tested == Counter(range(len(takes))), "each take is tested once"
    for fold in plan.folds:
        train = {takes[i].speaker for i in fold.train}
        test = {takes[i].speaker for i in fold.test}
        assert not train & test
        assert test == set(fold.test_actors)
        assert len(fold.train) + len(fold.test) == len(takes)


def test_published_folds() -> None:
    takes = ravdess_takes(range(1, 25))
    second = {name: PROTOCOLS[name].folds(takes)[1].test_actors for name in INDEPENDENT}
    assert second == {
        "six-fold": ("05", "06", "07", "08"),
        "emobox-6": ("04", "10", "12", "14"),
        "luna-5": ("03", "06", "07", "13", "18"),
    }


def test_a_partial_corpus_drops_and_shrinks_folds_with_notes() -> None:
    takes = ravdess_takes(range(1, 21))
    six = get_protocol("six-fold").plan(takes)
    assert [fold.index for fold in six.folds] == [0, 1, 2, 3, 4]
    assert six.notes == ("fold 6 is dropped: actors 21, 22, 23, 24 are absent",)
    luna = get_protocol("luna-5").plan(takes)
    assert [len(fold.test_actors) for fold in luna.folds] == [5, 5, 5, 2, 3]
    assert luna.notes == (
        "fold 4 is run without the absent actors 21, 23, 24",
        "fold 5 is run without the absent actors 22",
    )
    some = get_protocol("six-fold").plan(ravdess_takes(range(5, 13)))
    assert [(fold.index, fold.name) for fold in some.folds] == [(1, "fold 2"), (2, "fold 3")]


def test_unknown_speakers_are_noted_and_never_tested() -> None:
    plan = get_protocol("six-fold").plan(ravdess_takes(range(3, 27)))
    assert "speakers 25, 26 are in no test part of six-fold" in plan.notes
    assert not any({"25", "26"} & set(fold.test_actors) for fold in plan.folds)


@pytest.mark.parametrize("takes", [takes_of("anna", "ben"), ravdess_takes(range(1, 5))])
def test_other_speakers_need_actors_k(takes: list[Take]) -> None:
    with pytest.raises(ExperimentError, match="actors-2"):
        get_protocol("six-fold").plan(takes)


@pytest.mark.parametrize("name", [*PROTOCOLS, "actors-3"])
def test_one_speaker_is_too_few(name: str) -> None:
    with pytest.raises(ExperimentError, match="2 speakers or more, got 1"):
        get_protocol(name).plan(takes_of("anna"))


@pytest.mark.parametrize("name", ["sixfold", "actors-1", "actors-0", "actors-", "actors-02", ""])
def test_an_unknown_protocol_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        ExperimentError, match=r"six-fold, emobox-6, luna-5, rosred-stratified-5, or actors-K"
    ):
        get_protocol(name)


def test_more_folds_than_speakers() -> None:
    with pytest.raises(ExperimentError, match="actors-4"):
        get_protocol("actors-4").plan(takes_of("anna", "ben", "cem"))


def test_dealt_folds_are_balanced_by_sex() -> None:
    for k in (2, 3, 4, 5):
        for fold in get_protocol(f"actors-{k}").folds(ravdess_takes(range(1, 13))):
            men = sum(int(actor) % 2 for actor in fold.test_actors)
            assert abs(2 * men - len(fold.test_actors)) <= 1


def test_dealt_folds_without_sexes() -> None:
    folds = get_protocol("actors-2").folds(takes_of("cem", "anna", "ben"))
    assert [fold.test_actors for fold in folds] == [("anna", "cem"), ("ben",)]


@pytest.mark.parametrize("n_actors", [20, 24])
def test_stratified_agrees_with_scikit_learn(n_actors: int) -> None:
    takes = ravdess_takes(range(1, n_actors + 1))
    order = np.argsort([take.take for take in takes])
    labels = np.array([takes[i].emotion for i in order])
    oracle = StratifiedKFold(5, shuffle=True, random_state=7).split(labels, labels)
    for fold, (train, test) in zip(get_protocol("rosred-stratified-5").folds(takes), oracle, strict=True):
        assert fold.test == tuple(sorted(order[test].tolist()))
        assert fold.train == tuple(sorted(order[train].tolist()))


def test_stratified_with_rare_and_unsorted_labels_agrees_with_scikit_learn() -> None:
    takes = takes_of("a", "b", "c", "d", "e", "f") + takes_of("g", "h", emotions=("sad", "angry"))
    takes = [take for take in takes if take.take not in ("a-calm", "b-calm", "c-calm")]
    takes = [takes[i] for i in np.random.default_rng(0).permutation(len(takes))]
    order = np.argsort([take.take for take in takes])
    labels = np.array([takes[i].emotion for i in order])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = list(StratifiedKFold(5, shuffle=True, random_state=7).split(labels, labels))
    plan = get_protocol("rosred-stratified-5").plan(takes)
    assert [fold.test for fold in plan.folds] == [tuple(sorted(order[test].tolist())) for _, test in oracle]
    assert "too few takes to be in every fold: calm" in plan.notes


def test_stratified_does_not_depend_on_the_order_of_takes() -> None:
    takes = ravdess_takes(range(1, 4))
    protocol = get_protocol("rosred-stratified-5")
    before = [{takes[i].take for i in fold.test} for fold in protocol.folds(takes)]
    takes.reverse()
    assert [{takes[i].take for i in fold.test} for fold in protocol.folds(takes)] == before
    assert "speaker-dependent" in protocol.plan(takes).notes[0]


def test_stratified_needs_one_take_per_fold() -> None:
    with pytest.raises(ExperimentError, match="5 takes, got 4"):
        get_protocol("rosred-stratified-5").plan(takes_of("a", "b", emotions=("sad", "calm")))


def test_hashes_differ_and_never_change() -> None:
    hashes = {name: get_protocol(name).hash() for name in (*PROTOCOLS, "actors-2", "actors-3")}
    assert len(set(hashes.values())) == 6
    assert hashes["six-fold"] == "ccd8132964652675"


def test_inner_folds_are_balanced_in_number_and_sex() -> None:
    speakers = [f"{n:02d}" for n in range(5, 21)]
    groups = inner_folds(speakers, 4)
    assert sorted(speaker for group in groups for speaker in group) == speakers
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    for group in groups:
        assert Counter(sex_of_actor(int(speaker)) for speaker in group) == {"male": 2, "female": 2}
    assert inner_folds(list(reversed(speakers)) * 2, 4) == groups, "order and repetition do not matter"


def test_inner_folds_of_other_speakers() -> None:
    assert inner_folds(["dora", "anna", "cem", "ben"], 2) == [("anna", "cem"), ("ben", "dora")]
    sexes = {"anna": "f", "ben": "m", "cem": "m", "dora": "f"}
    assert inner_folds(["dora", "anna", "cem", "ben"], 2, sexes=sexes) == [("anna", "ben"), ("cem", "dora")]


@pytest.mark.parametrize(("speakers", "k"), [(["a"], 2), (["a", "b", "c"], 4), (["a", "b"], 1), ([], 2)])
def test_inner_folds_need_one_speaker_each(speakers: list[str], k: int) -> None:
    with pytest.raises(ExperimentError, match="inner folds"):
        inner_folds(speakers, k)


def joined_takes(*names: str, per_corpus: int = 6) -> list[Take]:
    """RAVDESS' actors if it is named, and ``per_corpus`` women, then men, of each other corpus."""
    out = []
    for name in names:
        if name == "RAVDESS":
            own = ravdess_takes(range(1, 21))
        else:
            own = takes_of(*(f"{'FM'[i % 2]}{i}" for i in range(per_corpus)))
        for take in own:
            sex = take.facts.get("sex") or {"F": "female", "M": "male"}[take.speaker[0]]
            facts = {"sex": sex, "corpus": name}
            speaker, code = f"{name}:{take.speaker}", f"{name}:{take.take}"
            out.append(Take(code, speaker, take.emotion, take.voice, None, facts))
    return out


@pytest.mark.parametrize("protocol", ["six-fold", "emobox-6", "luna-5", "actors-3", "actors-6"])
def test_every_fold_has_speakers_of_every_joined_corpus(protocol: str) -> None:
    takes = joined_takes("RAVDESS", "nEMO")
    folds = get_protocol(protocol).folds(takes)
    tested = Counter(i for fold in folds for i in fold.test)
    assert tested == Counter(range(len(takes))), "each take is tested once"
    for fold in folds:
        for part in (fold.train, fold.test):
            assert {takes[i].facts["corpus"] for i in part} == {"RAVDESS", "nEMO"}
    if protocol == "actors-3":  # two of nEMO each: a woman and a man
        of_nemo = [sorted(s[5] for s in fold.test_actors if s.startswith("nEMO:")) for fold in folds]
        assert of_nemo == [["F", "M"]] * 3


def test_named_actors_are_tested_where_they_always_are() -> None:
    joined = get_protocol("six-fold").plan(joined_takes("RAVDESS", "nEMO"))
    alone = get_protocol("six-fold").plan(ravdess_takes(range(1, 21)))
    assert joined.notes == alone.notes
    for one, other in zip(joined.folds, alone.folds, strict=False):
        assert tuple(s[8:] for s in one.test_actors if s.startswith("RAVDESS:")) == other.test_actors


def test_a_corpus_with_too_few_speakers_for_the_folds_is_an_error() -> None:
    with pytest.raises(ExperimentError, match=r"6 groups: .* got 4 speakers of small"):
        get_protocol("actors-6").plan(joined_takes("RAVDESS", "small", per_corpus=4))


def test_inner_folds_have_every_corpus_and_both_sexes() -> None:
    takes = joined_takes("RAVDESS", "nEMO")
    corpora = corpora_of(takes)
    groups = inner_folds(sorted(corpora), 4, corpora=corpora)
    assert sorted(s for group in groups for s in group) == sorted(corpora)
    for group in groups:
        assert {corpora[s] for s in group} == {"RAVDESS", "nEMO"}
        actors = [int(s[8:]) for s in group if s.startswith("RAVDESS:")]
        assert {actor % 2 for actor in actors} == {0, 1}
