"""Figures against scikit-learn and krippendorff on the same tiers, as other programs read them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import krippendorff
import numpy as np
import pympi
import pytest
import textgrid
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix

from emofuse.coding.agreement import Agreement, compare_codings
from emofuse.coding.assignment import CodingRules
from emofuse.coding.recordings import read_recordings
from emofuse.coding.timeline_files import read_timeline_coding
from emofuse.core.errors import AnnotationError
from emofuse.core.labels import EMOTIONS
from tests.coding.conftest import DURATION_S, LABELS, PEOPLE, write_coded
from tests.support.annotation_files import Span, write_csv, write_eaf
from tests.support.typed import not_none

UNIT_MS = 100


def in_units(spans: list[Span]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Slowly: the label of each unit's middle, -1 where there is none."""
    found = np.full(round(1000 * DURATION_S) // UNIT_MS, -1)
    for start_s, end_s, label in spans:
        for n in range(len(found)):
            middle = UNIT_MS * n + UNIT_MS / 2
            if round(1000 * start_s) <= middle < round(1000 * end_s):
                found[n] = EMOTIONS.index(label)
    return found


def tiers_by_others(folder: Path) -> dict[str, dict[str, list[Span]]]:
    """What each coder said of each person, by the readers of other packages."""
    found: dict[str, dict[str, list[Span]]] = {}
    for coder in ("eva", "tim"):
        document = pympi.Eaf(str(folder / f"talk.{coder}.eaf"))
        found[coder] = {
            person: [
                (a / 1000, b / 1000, text) for a, b, text in document.get_annotation_data_for_tier(person)
            ]
            for person in PEOPLE
        }
    grid = textgrid.TextGrid.fromFile(str(folder / "talk.zoe.TextGrid"))
    found["zoe"] = {
        tier.name: [(float(i.minTime), float(i.maxTime), i.mark) for i in tier if i.mark] for tier in grid
    }
    told = read_timeline_coding(folder / "talk.mp4.json")
    found["emofuse"] = {
        person: [(s.start_s, s.end_s, s.label) for s in told.spans if s.person == person] for person in PEOPLE
    }
    return found


def compared(folder: Path, **more: object) -> Agreement:
    files = [*sorted(folder.glob("*.eaf")), folder / "talk.zoe.TextGrid"]
    recordings, _ = read_recordings(folder / "talk.mp4.json", files)
    return compare_codings(recordings, **more)  # type: ignore[arg-type]


def test_figures_equal_those_of_others(coded: Path) -> None:
    found = compared(coded)
    units = {
        coder: {person: in_units(spans) for person, spans in tiers.items()}
        for coder, tiers in tiers_by_others(coded).items()
    }
    assert found.coders == ("eva", "tim", "zoe", "emofuse") == tuple(units)
    assert found.labels == EMOTIONS
    scopes: list[tuple[str | None, tuple[str, ...]]] = [(None, PEOPLE), *((one, (one,)) for one in PEOPLE)]
    pairs = {(one.first, one.second, one.person): one for one in found.pairs}
    groups = {(one.coders, one.person): one for one in found.groups}
    assert len(pairs) == 6 * 3 and len(groups) == 2 * 3
    for person, people in scopes:
        whole = {coder: np.concatenate([own[one] for one in people]) for coder, own in units.items()}
        for first, second in combinations(found.coders, 2):
            pair = pairs[first, second, person]
            both = (whole[first] >= 0) & (whole[second] >= 0)
            a, b = whole[first][both], whole[second][both]
            assert pair.n_units == both.sum() > 1000
            np.testing.assert_array_equal(pair.confusion, confusion_matrix(a, b, labels=range(len(EMOTIONS))))
            assert not_none(pair.agreement.value) == pytest.approx(accuracy_score(a, b), abs=1e-9)
            assert not_none(pair.kappa.value) == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)
            low, high = not_none(pair.kappa.interval)
            assert low < not_none(pair.kappa.value) < high
        for coders in (found.coders[:-1], found.coders):
            ratings = np.stack([whole[coder] for coder in coders]).astype(float)
            ratings[ratings < 0] = np.nan
            wanted = krippendorff.alpha(ratings, level_of_measurement="nominal")
            group = groups[coders, person]
            assert not_none(group.alpha.value) == pytest.approx(wanted, abs=1e-9)
            assert group.n_units == ((ratings >= 0).sum(axis=0) > 1).sum()
    assert found.coded_s("eva") == pytest.approx(sum((one >= 0).sum() for one in units["eva"].values()) / 10)


def test_one_recording_is_resampled_by_minutes_and_several_whole(tmp_path: Path) -> None:
    for number in range(6):
        write_coded(tmp_path, f"{'abcdef'[number]}.mp4", number)
    recordings, _ = read_recordings(tmp_path, [*tmp_path.glob("*.eaf")])
    of_all = compare_codings(recordings)
    assert (of_all.resampled, of_all.n_blocks, of_all.has_intervals) == ("recordings", 6, True)
    of_one = compare_codings(recordings[:1])
    assert (of_one.resampled, of_one.n_blocks, of_one.has_intervals) == ("minutes", 10, True)
    of_three = compare_codings(recordings[:3])
    assert not of_three.has_intervals
    assert {one.kappa.interval for one in of_three.pairs} == {None}
    assert of_all.pairs == compare_codings(recordings).pairs


def test_an_interval_is_that_of_theory(tmp_path: Path) -> None:
    """Of 200 minutes with agreement drawn for each: the mean, 1.96 standard errors to each side."""
    rng = np.random.default_rng(4)
    shares = rng.uniform(0.2, 0.9, 200).round(2)
    first = [(60.0 * n, 60.0 * (n + 1), LABELS[n % 2]) for n in range(200)]
    second = []
    for n, share in enumerate(shares):
        middle = 60.0 * n + 60.0 * float(share)
        second += [(60.0 * n, middle, LABELS[n % 2]), (middle, 60.0 * (n + 1), LABELS[1 - n % 2])]
    from emofuse.exports.write import write_timeline
    from tests.support import timelines

    path = write_timeline(timelines.timeline(source="t.mp4", duration_s=12000.0), tmp_path / "t.json")
    files = [write_csv(tmp_path / "t.a.csv", first), write_csv(tmp_path / "t.b.csv", second)]
    recordings, _ = read_recordings(path, files)
    (pair,) = compare_codings(recordings).pairs
    error = shares.std(ddof=1) / np.sqrt(200)
    assert not_none(pair.agreement.value) == pytest.approx(shares.mean(), abs=1e-3)
    low, high = not_none(pair.agreement.interval)
    assert low == pytest.approx(shares.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(shares.mean() + 1.96 * error, abs=0.2 * error)


def test_what_nobody_coded_is_not_agreement(coded: Path) -> None:
    """Two coders of the first minute and of nothing else agree about a minute."""
    minute = [(0.0, 30.0, "happy"), (30.0, 60.0, "sad")]
    files = [write_eaf(coded / f"talk.{coder}.eaf", {"Anna": minute}) for coder in ("eva", "tim")]
    found = compare_codings(read_recordings(coded / "talk.mp4.json", files)[0])
    pair = next(one for one in found.pairs if (one.first, one.second) == ("eva", "tim"))
    assert (pair.n_units, pair.agreement.value, pair.kappa.value) == (600, 1.0, 1.0)
    assert {one.person for one in found.pairs} == {None}, "one person is everybody"


def test_other_units_and_labels_of_their_own(coded: Path) -> None:
    write_eaf(coded / "talk.eva.eaf", {"Anna": [(0.0, 10.0, "bored"), (10.0, 20.0, "Happy")]})
    write_eaf(coded / "talk.tim.eaf", {"Anna": [(0.0, 15.0, "bored"), (15.0, 20.0, "happy")]})
    rules = CodingRules(labels={"bored": "bored"})
    found = compared(coded, rules=rules, unit_s=0.5)
    pair = next(one for one in found.pairs if (one.first, one.second, one.person) == ("eva", "tim", "Anna"))
    assert found.labels == (*EMOTIONS, "bored")
    assert (pair.n_units, pair.agreement.value) == (40, 0.75)
    with pytest.raises(ValueError, match="whole milliseconds"):
        compared(coded, unit_s=0.0)


def test_what_is_left_out_is_said(coded: Path) -> None:
    tiers = {
        "Anna": [(0.0, 10.0, "sad"), (10.0, 12.0, "dull")], "ANNA": [(5.0, 10.0, "happy")],
        "Bert": [(700.0, 710.0, "sad")], "Carl": [(0.0, 1.0, "sad")],
    }  # fmt: skip
    write_eaf(coded / "talk.eva.eaf", tiers)
    remarks = compared(coded).remarks
    assert remarks == (
        "eva, talk.eva.eaf: 1 spans of tier 'Carl' are of nobody in talk.mp4: they are left out "
        "(--tier 'Carl=Anna')",
        "eva, talk.eva.eaf: labels that are not mapped count as not coded: dull (2.0 s) "
        "(--labels LABEL=EMOTION)",
        "eva, talk.eva.eaf: 1 spans lie outside of talk.mp4, which has 600.0 s: are they of this recording?",
        "eva, talk.eva.eaf: 5.0 s have two labels at once, and count as not coded",
    )


def test_nothing_about_anybody_is_an_error(coded: Path) -> None:
    file = write_eaf(coded / "talk.eva.eaf", {"Carl": [(0.0, 1.0, "sad")]})
    recordings, _ = read_recordings(coded / "talk.mp4.json", [file])
    with pytest.raises(AnnotationError, match=r"nothing that was coded is about somebody .* of nobody in"):
        compare_codings(recordings)
