"""benchmarks/peers: its tables are those of its raw results, and its parts do what its page says."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks.peers import fer_faces, page, speed, voices
from benchmarks.peers.faces import named
from benchmarks.peers.opensmile_features import recordings, write_table
from benchmarks.peers.packages import contents
from emofuse.core.labels import EMOTIONS
from emofuse.core.metrics import accuracy
from emofuse.corpus.folds import Fold, get_protocol
from emofuse.corpus.ravdess import parse_name
from tests.support.small_corpora import speech, write_wav

DOCS = page.ROOT / "docs"
SPEAKERS = ("01", "02", "03", "04", "05", "06")


def test_the_tables_of_the_page_are_those_of_the_raw_results() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_tables(text) == text


def test_a_changed_figure_is_noticed() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    row = next(line for line in page.voices_table().splitlines() if "linear SVM" in line)
    changed = text.replace(row, re.sub(r"\d\.\d", "0.0", row, count=1))
    assert changed != text
    assert page.with_tables(changed) == text


def test_the_raw_results_are_of_the_protocol() -> None:
    with (page.RESULTS / "voices.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["take"] for row in rows}) == len(rows) == 1200
    fold_of = {
        actor: str(number)
        for number, actors in enumerate(get_protocol(voices.PROTOCOL).actors, 1)
        for actor in actors
    }
    for row in rows:
        name = parse_name(f"03-{row['take']}")
        assert (row["actor"], row["fold"], row["expressed"]) == (
            name.speaker, fold_of[name.speaker], name.emotion
        )  # fmt: skip
    facts = json.loads((page.RESULTS / "voices.json").read_text(encoding="utf-8"))
    for system, costs in facts["costs"].items():
        assert len(costs) == len(facts["folds"])
        assert set(costs) <= set(voices.COSTS)
        assert system in rows[0]


def test_figures_from_the_page_of_results_are_those_of_that_page() -> None:
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    row = next(line for line in results.splitlines() if line.startswith("| voice, `ravdess-whisper` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    text = page.PAGE.read_text(encoding="utf-8")
    (descriptors,) = re.findall(r"without an encoder, are right in ([\d.]+) %", text)
    assert re.search(rf"^\| voice \|.*\| \*\*{re.escape(descriptors)}\*\* ", results, re.MULTILINE)
    (enrolled,) = re.findall(r"for that case is ([\d.]+)", text)
    assert cells[3].startswith(f"{enrolled};")
    by_seed = re.search(r"By seed, unenrolled: voice ([\d.]+),", results)
    assert by_seed
    assert f"| {by_seed[1]} (" in page.voices_table()


def test_every_raw_file_is_described() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for path in page.RESULTS.iterdir():
        assert f"`{path.name}`" in text
        assert path.stat().st_size < 400_000


# what voices.py fits, and on whom


def drawn(seed: int = 0, n_values: int = 40) -> tuple[np.ndarray[Any, Any], voices.Voices]:
    """Six speakers, four takes of each of three emotions, whose features differ by emotion and speaker."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(3), 4), len(SPEAKERS))
    speakers = np.repeat(SPEAKERS, 12)
    directions, habits = rng.normal(size=(3, n_values)), rng.normal(size=(len(SPEAKERS), n_values))
    noise = rng.normal(size=(len(labels), n_values))
    values = 5 + directions[labels] + habits[np.searchsorted(SPEAKERS, speakers)] + noise
    values[:, 0] = 7.0
    folds = tuple(
        Fold(number, f"fold {number + 1}", *_parts(speakers, pair), test_actors=pair)
        for number, pair in enumerate([SPEAKERS[:2], SPEAKERS[2:4], SPEAKERS[4:]])
    )
    takes = np.array([f"01-01-01-01-{row:02d}-{speaker}" for row, speaker in enumerate(speakers)])
    return values, voices.Voices(takes, speakers, labels, folds)


def _parts(speakers: Any, tested: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    in_test = np.isin(speakers, tested)
    return tuple(np.flatnonzero(~in_test).tolist()), tuple(np.flatnonzero(in_test).tolist())


@pytest.mark.parametrize("classifier", voices.CLASSIFIERS)
def test_nothing_of_a_test_speaker_enters_a_fit(classifier: str) -> None:
    values, given = drawn()
    predicted, costs = voices.out_of_fold(values, given, classifier)
    assert (predicted == given.labels).mean() > 0.6, "three emotions that differ are told apart"
    # the labels of the tested, and the features of all other tested takes, may be anything
    first = given.folds[0]
    asked, others = first.test[0], list(first.test[1:])
    labels, changed = given.labels.copy(), values.copy()
    labels[list(first.test)] = 7
    changed[others] = np.random.default_rng(1).normal(100, 50, (len(others), values.shape[1]))
    again = voices.Voices(given.takes, given.speakers, labels, (first,))
    found, cost = voices.out_of_fold(changed, again, classifier)
    assert (found[asked], cost[0]) == (predicted[asked], costs[0])


def test_a_feature_that_never_varies_says_nothing() -> None:
    values, _ = drawn()
    scaled = voices.standardized(values, np.arange(24))
    assert (scaled[:, 0] == 0).all()
    assert (scaled[:24, 1:] ** 2).sum(axis=1).mean() == pytest.approx(39 / 40)
    nearly = values.copy()
    nearly[30:, 0] += 1e9  # beyond the rows it is fitted on
    assert (voices.standardized(nearly, np.arange(24))[:, 0] == 0).all()


def test_standardized_by_speaker_leaves_no_habits() -> None:
    values, given = drawn()
    scaled = voices.standardized_by_speaker(values, given.speakers)
    for speaker in SPEAKERS:
        own = scaled[given.speakers == speaker]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(own[:, 1:].std(axis=0) * np.sqrt(40), 1)


def test_kernels_and_rotation_are_those_of_the_field() -> None:
    values, given = drawn(n_values=90)
    train, test = np.arange(0, 48), np.arange(48, 72)
    scaled = voices.standardized(values, train)
    linear = voices.kernels(scaled, train, test, radial=False)
    np.testing.assert_allclose(linear[1], scaled[test] @ scaled[train].T)
    radial = voices.kernels(scaled, train, test, radial=True)
    for one, rows in zip(radial, (train, test), strict=True):
        np.testing.assert_allclose(one, rbf_kernel(scaled[rows], scaled[train], gamma=1.0))
    plain = LogisticRegression(C=10, max_iter=5000, tol=1e-8).fit(scaled[train], given.labels[train])
    fitted_on, asked = voices.rotated(scaled[train], scaled[test])
    rotated = LogisticRegression(C=10, max_iter=5000, tol=1e-8).fit(fitted_on, given.labels[train])
    np.testing.assert_allclose(rotated.predict_proba(asked), plain.predict_proba(scaled[test]), atol=1e-4)


def write_run(folder: Path, given: voices.Voices, predicted: Any, **changed: Any) -> Path:
    folder.mkdir()
    columns = {
        "take": given.takes, "clip": given.takes, "actor": given.speakers,
        "emotion": np.array(EMOTIONS)[given.labels], "fold": given.fold_of, **changed,
    }  # fmt: skip
    order = np.random.default_rng(3).permutation(len(given.takes))
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "system", *EMOTIONS])
        for row in order:
            shares = np.eye(len(EMOTIONS))[predicted[row]]
            writer.writerow([*(column[row] for column in columns.values()), "voice", *shares])
    results = {
        "schema": 1, "systems": {"voice": {"accuracy": 0.5}}, "protocol": "six-fold",
        "recipe": {"name": "drawn", "hash": "0123", "settings": {"seed": 4}},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_a_run_is_of_the_same_takes_labels_and_folds(tmp_path: Path) -> None:
    _, given = drawn()
    answers = np.random.default_rng(2).integers(0, 8, len(given.labels))
    found, recipe = voices.of_run(write_run(tmp_path / "same", given, answers), given)
    np.testing.assert_array_equal(found, answers)
    assert recipe == {"name": "drawn", "hash": "0123", "seed": 4}
    other_folds = write_run(tmp_path / "folds", given, answers, fold=np.roll(given.fold_of, 1))
    with pytest.raises(SystemExit, match="other folds"):
        voices.of_run(other_folds, given)
    other_takes = write_run(tmp_path / "takes", given, answers, take=np.char.add(given.takes, "0"))
    with pytest.raises(SystemExit, match="not the 72 of the corpus"):
        voices.of_run(other_takes, given)


def test_tables_and_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    values, given = drawn()
    for take in given.takes:
        path = tmp_path / "audio" / f"Actor_{take[-2:]}" / f"03-{take}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "audio" / "README.md").touch()
    files = [path.relative_to(tmp_path).as_posix() for path in recordings(tmp_path / "audio")]
    assert [Path(file).stem for file in files] == [f"03-{take}" for take in given.takes]
    write_table(tmp_path / "features", files[::-1], values[::-1])
    np.testing.assert_array_equal(voices.read_table(tmp_path / "features.npy", given.takes), values)
    with pytest.raises(SystemExit, match="no row for 1 takes"):
        voices.read_table(tmp_path / "features.npy", np.append(given.takes, "01-01-01-01-99-01"))
    with pytest.raises(SystemExit, match=r"not finite.*Actor_01"):
        write_table(tmp_path / "broken", files, np.where(values == values[0, 1], np.nan, values))
    systems = {"one": given.labels, "two:own": np.roll(given.labels, 1)}
    voices.write(tmp_path / "voices.csv", given, systems)
    facts = {"costs": {"one": [1.0]}, "recipes": {}}
    (tmp_path / "voices.json").write_text(json.dumps(facts))
    again, costs, recipes = voices.read_systems(tmp_path / "voices.csv", given)
    assert (list(again), costs, recipes) == (list(systems), facts["costs"], {})
    np.testing.assert_array_equal(again["two:own"], systems["two:own"])
    other = voices.Voices(given.takes, given.speakers, np.roll(given.labels, 4), given.folds)
    with pytest.raises(SystemExit, match="another expressed"):
        voices.read_systems(tmp_path / "voices.csv", other)
    read = page.read_voices(tmp_path / "voices.csv")
    np.testing.assert_array_equal(read.expressed, given.labels)
    assert list(read.systems) == list(systems)
    np.testing.assert_array_equal(read.systems["two:own"], systems["two:own"])
    assert read.figure("one", accuracy) == "100.0 (100.0 to 100.0)"
    wrong = 100 * (np.roll(given.labels, 1) != given.labels).mean()
    assert read.difference("one", "two:own").startswith(f"+{wrong:.1f} (+")


# faces, packages, speed


def test_what_fer_gives_is_renamed_and_averaged() -> None:
    gives = {
        "angry": 0.5, "disgust": 0.0, "fear": 0.1, "happy": 0.2, "sad": 0.0,
        "surprise": 0.1, "neutral": 0.0,
    }  # fmt: skip
    named = fer_faces.renamed(gives)
    assert sum(named.values()) == pytest.approx(1)
    assert (named["angry"], named["fearful"]) == pytest.approx((0.5 / 0.9, 0.1 / 0.9))
    assert set(named) == set(EMOTIONS) - {"calm"}
    other = dict.fromkeys(named, 1 / 7)
    mean = fer_faces.mean_of([named, None, other])
    assert mean is not None
    assert mean["happy"] == pytest.approx((0.2 / 0.9 + 1 / 7) / 2)
    assert fer_faces.mean_of([None, None]) is None
    # fer reads ten pixels beyond each side
    left, top, width, height = fer_faces.inner_box(96, 90)
    assert (left - 10, top - 10, left + width + 10, top + height + 10) == (0, 0, 90, 96)


def test_faces_are_scored_among_the_labels_of_both(tmp_path: Path) -> None:
    names = ["01-01-03-01-01-01-01", "02-01-03-01-01-01-01", "01-01-02-01-01-01-01", "01-01-05-01-01-01-01"]

    def sure(label: str | None) -> dict[str, float] | None:
        return None if label is None else {**dict.fromkeys(EMOTIONS, 0.05), label: 0.65}

    def write(tool: str, answers: list[str | None], labels: tuple[str, ...]) -> None:
        rows: list[fer_faces.Row] = [
            ("sequence", name, sure(label)) for name, label in zip(names, answers, strict=False)
        ]
        still: fer_faces.Row = ("still", "Actor_01", named(np.eye(8)[3], EMOTIONS))
        fer_faces.write_rows(tmp_path / f"faces-{tool}.csv", [*rows, still], labels)

    seven = tuple(fer_faces.LABELS.values())
    write("fer", ["happy", None, "sad", "neutral"], seven)
    write("emofuse", ["happy", "happy", "neutral", "sad"], EMOTIONS)
    faces = page.read_faces("sequence", tmp_path)
    assert faces.names == (names[0], names[1], names[3]), "clips of calm are left out"
    assert [faces.right(tool) for tool in page.FACE_TOOLS] == [1, 2, 2]
    assert [faces.unseen(tool) for tool in page.FACE_TOOLS] == [1, 0, 0]
    assert len(set(faces.answers.groups)) == 2, "two files of one take count together"
    assert page.read_faces("still", tmp_path).right("fer") == 0
    write("emofuse", ["happy"], EMOTIONS)
    with pytest.raises(SystemExit, match="other files"):
        page.read_faces("sequence", tmp_path)
    assert named(None, EMOTIONS) is None


def test_calm_counts_as_neutral_or_is_left_out(tmp_path: Path) -> None:
    name = "01-01-03-01-01-01-01"
    shares = dict(zip(EMOTIONS, [0.2, 0.3, 0.4, 0.02, 0.02, 0.02, 0.02, 0.02], strict=True))
    fer_faces.write_rows(tmp_path / "faces-emofuse.csv", [("sequence", name, shares)], EMOTIONS)
    fer_faces.write_rows(tmp_path / "faces-fer.csv", [("sequence", name, shares)])
    answers = page.read_faces("sequence", tmp_path).answers.systems
    assert [EMOTIONS[answers[tool][0]] for tool in page.FACE_TOOLS] == ["happy", "neutral", "happy"]


def test_what_a_package_holds(tmp_path: Path) -> None:
    code = (
        b'A = "https://github.com/one/two/releases/download/v1/net.pt"\n'
        b'B = "https://github.com/one/two"\nC = "https://example.org/net.h5"\n'
        b'D = "https://huggingface.co/one/two/resolve/main/net.onnx"\n'
    )
    with zipfile.ZipFile(tmp_path / "one-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("one/data/net.hdf5", b"\0" * 60_000)
        archive.writestr("one/data/small.hdf5", b"\0" * 100)
        archive.writestr("one/tests/net.hdf5", b"\0" * 60_000)
        archive.writestr("one/code.py", code)
    with tarfile.open(tmp_path / "two-2.0.tar.gz", "w:gz") as tar:
        for name, data in {"two-2.0/two/code.py": code, "two-2.0/two/net.pt": b"\0" * 60_000}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    wheel, source = (contents(path) for path in sorted(tmp_path.iterdir()))
    assert wheel["weights"] == [{"file": "one/data/net.hdf5", "bytes": 60_000}]
    assert [Path(one["file"]).name for one in source["weights"]] == ["net.pt"]
    addresses = [re.findall(rb'"(.*)"', code)[number].decode() for number in (0, 3)]
    assert wheel["fetches"] == source["fetches"] == sorted(addresses)


def test_tools_take_turns(tmp_path: Path) -> None:
    paths = [write_wav(tmp_path / f"{number}.wav", speech(2, number, 1)) for number in (1, 2)]
    found = speed.compare({"emofuse": sys.executable}, {"voices": paths, "videos": []}, rounds=2)
    assert list(found["work"]) == ["decoding, voice", "emofuse, voice"]
    assert Counter(len(times) for times in found["work"].values()) == {2: 2}
    assert all(time > 0 for time in found["work"]["emofuse, voice"])
    assert sum(found["work"]["emofuse, voice"]) > sum(found["work"]["decoding, voice"])
    assert all(seconds > 0.5 for seconds in found["seconds"]["voices"])
    with pytest.raises(SystemExit, match="ended before it answered"):
        speed.compare({"emofuse": sys.executable}, {"voices": [tmp_path / "none.wav"], "videos": []}, 1)
