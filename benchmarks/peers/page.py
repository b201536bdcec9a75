"""The tables of docs/comparison.md, from the raw results beside this file.

    python benchmarks/peers/page.py

Intervals are percentiles of 2,000 resamples of whole speakers, or of takes where the material has one person,
with one seed; differences are of the same resamples. A test makes the page again and compares.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.peers.speed import TOOLS
from emofuse.core.labels import emotion_index
from emofuse.core.metrics import Metric, accuracy, bootstrap_difference, bootstrap_interval, uar
from emofuse.corpus.ravdess import parse_name

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "comparison.md"
BEGIN, END = "<!-- made by benchmarks/peers/page.py: {} -->", "<!-- end -->"
SEED = 0
OWN = ":own"
OURS = ("whisper-only", "ravdess-whisper")
"""Runs of emofuse that every other system is compared with."""
MOST_NAMED = 3
"""Files of weights that a row names."""
FACE_TOOLS = ("fer", "emofuse", "emofuse, calm left out")
"""The networks, and a second way to read one that has calm, which the other has not."""

Labels = NDArray[np.int64]
Texts = NDArray[np.str_]


@dataclass(frozen=True)
class Answers:
    """What is expressed, what each system predicts, and whose takes they are: all (n,)."""

    expressed: Labels
    groups: Texts
    """Speakers, or takes of a single one."""
    systems: Mapping[str, Labels]

    def figure(self, system: str, metric: Metric) -> str:
        """In %, with its interval."""
        predicted = self.systems[system]
        bounds = bootstrap_interval(metric, self.expressed, predicted, self.groups, seed=SEED)
        return shown(metric(self.expressed, predicted), bounds)

    def difference(self, system: str, other: str, metric: Metric = accuracy) -> str:
        """Percentage points that ``system`` has more than ``other``, with the interval."""
        pair = self.systems[system], self.systems[other]
        bounds = bootstrap_difference(metric, self.expressed, *pair, self.groups, seed=SEED)
        values = [metric(self.expressed, one) for one in pair]
        return shown(values[0] - values[1], bounds, sign="+")


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE}: {', '.join(TABLES)}\n")


def with_tables(text: str) -> str:
    """The page with all of its tables made again."""
    for name, make in TABLES.items():
        begin = BEGIN.format(name)
        before, found, rest = text.partition(begin)
        if not found:
            raise SystemExit(f"{PAGE} has no line {begin}")
        text = f"{before}{begin}\n{make()}{END}{rest.partition(END)[2]}"
    return text


def shown(value: float, bounds: tuple[float, float], sign: str = "") -> str:
    """A figure in %, and its interval."""
    text, low, high = (f"{100 * one:{sign}.1f}" for one in (value, *bounds))
    return f"{text} ({low} to {high})"


def read_voices(path: Path = RESULTS / "voices.csv") -> Answers:
    """All systems of voices.py."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    systems = [name for name in rows[0] if name not in ("take", "actor", "fold", "expressed")]
    return Answers(
        _indices(rows, "expressed"),
        np.array([row["actor"] for row in rows]),
        {name: _indices(rows, name) for name in systems},
    )


def _indices(rows: list[dict[str, str]], column: str) -> Labels:
    return np.array([emotion_index(row[column]) for row in rows], dtype=np.int64)


def voices_table() -> str:
    """Every system on the same takes, folds and speakers, and how much better emofuse is."""
    voices = read_voices()
    ours = [name for name in OURS if name in voices.systems]
    against = [f"`{one}` against it" for one in ours]
    lines = [
        f"| voice alone, new speakers | accuracy % | mean recall % | {' | '.join(against)} |",
        "|---" * (3 + len(ours)) + "|",
    ]
    others = [name for name in voices.systems if not name.endswith(OWN) and name not in ours]
    for system in (*others, *ours):
        against = [voices.difference(one, system) if one != system else "" for one in ours]
        cells = [_title(system), voices.figure(system, accuracy), voices.figure(system, uar), *against]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def own_table() -> str:
    """The same features where each speaker's recordings are known beforehand."""
    voices = read_voices()
    lines = ["| voice alone, standardized by speaker | accuracy % | gain |", "|---|---|---|"]
    for system in voices.systems:
        if system.endswith(OWN):
            plain = system.removesuffix(OWN)
            gain = voices.difference(system, plain)
            lines.append(f"| {_title(plain)} | {voices.figure(system, accuracy)} | {gain} |")
    return "\n".join(lines) + "\n"


def _title(system: str) -> str:
    """Recipes of emofuse are code."""
    return re.sub(r"^(whisper-only|ravdess-\w+)", r"emofuse, `\1`", system)


@dataclass(frozen=True)
class Faces:
    """One material: names, what is expressed, and each tool's answers; −1: it found no face."""

    names: tuple[str, ...]
    answers: Answers

    def right(self, tool: str) -> int:
        """Of how many it is right."""
        return int((self.answers.systems[tool] == self.answers.expressed).sum())

    def unseen(self, tool: str) -> int:
        """In how many it found no face."""
        return int((self.answers.systems[tool] < 0).sum())


def read_faces(material: str, folder: Path = RESULTS) -> Faces:
    """What the tools predict in one material, among the seven labels of both; clips of calm are left out."""
    fer, emofuse = (_face_rows(folder / f"faces-{tool}.csv", material) for tool in FACE_TOOLS[:2])
    if list(fer) != list(emofuse):
        raise SystemExit(f"{material}: the tools read other files")
    expressed = {name: _expressed(material, name) for name in fer}
    names = tuple(name for name, emotion in expressed.items() if emotion != "calm")
    groups = [name if material == "still" else parse_name(name).take for name in names]
    answers = (
        [_first(fer[name]) for name in names],
        [_first(_with_calm_as_neutral(emofuse[name])) for name in names],
        [_first({label: one for label, one in emofuse[name].items() if label != "calm"}) for name in names],
    )
    systems = {tool: np.array(one) for tool, one in zip(FACE_TOOLS, answers, strict=True)}
    truth = np.array([emotion_index(expressed[name]) for name in names], dtype=np.int64)
    return Faces(names, Answers(truth, np.array(groups), systems))


def _face_rows(path: Path, material: str) -> dict[str, dict[str, float]]:
    """The probabilities of each file by label; none where there is no face."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.pop("material") == material]
    return {row.pop("name"): {label: float(one) for label, one in row.items() if one} for row in rows}


def _with_calm_as_neutral(probabilities: Mapping[str, float]) -> dict[str, float]:
    out = dict(probabilities)
    if out:
        out["neutral"] += out.pop("calm")
    return out


def _first(probabilities: Mapping[str, float]) -> int:
    """The most probable label; −1 where there is no face."""
    return emotion_index(max(probabilities, key=lambda one: probabilities[one])) if probabilities else -1


def _expressed(material: str, name: str) -> str:
    return "neutral" if material == "still" else parse_name(name).emotion


def faces_table() -> str:
    """Each material and tool, with the paired difference."""
    titles = {
        "sequence": "sequences of actor 1, 20 frames each",
        "video": "videos of actor 1",
        "still": "neutral stills of 24 people",
    }
    lines = [
        "| face alone, seven labels | read by | right | accuracy % | emofuse against it | no face |",
        "|---" * 6 + "|",
    ]
    for material, title in titles.items():
        faces = read_faces(material)
        answers = _decided(faces.answers)
        for tool in FACE_TOOLS:
            against = "" if tool == "emofuse" else answers.difference("emofuse", tool)
            right = f"{faces.right(tool)} of {len(faces.names)}"
            cells = [title, tool, right, answers.figure(tool, accuracy), against, str(faces.unseen(tool))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _decided(answers: Answers) -> Answers:
    """No face is an answer that is never right: a number beyond all labels, as metrics take none below 0."""
    wrong = 1 + max(int(answers.expressed.max()), *(int(one.max()) for one in answers.systems.values()))
    return Answers(
        answers.expressed,
        answers.groups,
        {name: np.where(one < 0, wrong, one) for name, one in answers.systems.items()},
    )


def neutral_table() -> str:
    """How often each label is predicted in the sequences: what the accuracy is made of."""
    faces = read_faces("sequence")
    labels = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    lines = [f"| sequences | {' | '.join(labels)} |", "|---" * (1 + len(labels)) + "|"]
    for title, one in {"expressed": faces.answers.expressed, **faces.answers.systems}.items():
        counts = [str(int((one == emotion_index(label)).sum())) for label in labels]
        name = title if title == "expressed" else f"predicted by {title}"
        lines.append(f"| {name} | {' | '.join(counts)} |")
    return "\n".join(lines) + "\n"


def speed_table() -> str:
    """Processor time of each tool, against decoding."""
    facts = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    lines = [
        "| what | seconds of processor time for a minute of recording | times decoding |",
        "|---|---|---|",
    ]
    for tool, times in facts["work"].items():
        kind = TOOLS[tool][1]
        base = facts["work"][f"decoding, {kind[:-1]}"]
        minutes = sum(facts["seconds"][kind]) / 60
        lines.append(f"| {tool} | {sum(times) / minutes:.2f} | {sum(times) / sum(base):.1f} |")
    return "\n".join(lines) + "\n"


def packages_table() -> str:
    """Which packages come with their weights."""
    packages = json.loads((RESULTS / "packages.json").read_text(encoding="utf-8"))
    lines = ["| package | size, MB | weights inside | weights from elsewhere |", "|---|---|---|---|"]
    for one in packages:
        found = re.match(r"(.+?)-(\d[\d.]*\d)(?=[-.])", one["archive"])
        if found is None:
            raise SystemExit(f"{one['archive']}: no name and version")
        files = [f"`{Path(weights['file']).name}`" for weights in one["weights"]]
        more = [f"{len(files) - MOST_NAMED} others"] if len(files) > MOST_NAMED else []
        inside = ", ".join([*files[:MOST_NAMED], *more]) or "none"
        hosts = sorted({str(urlsplit(address).hostname) for address in one["fetches"]})
        size = f"{one['bytes'] / 1e6:.2f}"
        cells = [f"{found[1]} {found[2]}", size, inside, ", ".join(hosts) or "none named"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "voices": voices_table,
    "voices by speaker": own_table,
    "faces": faces_table,
    "labels of faces": neutral_table,
    "speed": speed_table,
    "packages": packages_table,
}


if __name__ == "__main__":
    main()
