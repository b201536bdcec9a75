"""results.json of a run: the types of its entries, and the one place where it is written and read.

Its keys are a file format. Every entry may be missing: older versions did not write all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, cast

from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Take
from emofuse.core.text import printable_data
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.folds import Protocol
from emofuse.evaluation.entry_types import Interval, check_entries
from emofuse.evaluation.rater_figures import RaterFigures
from emofuse.evaluation.rating_outputs import DimensionFigures
from emofuse.system.json_files import read_json
from emofuse.training.compute import ComputeEntry
from emofuse.training.corpus_figures import CorpusFigures
from emofuse.training.dataset import PartEntry, part_entries
from emofuse.training.run_folder import software, write_json

RESULTS_FILE: Final = "results.json"
_SCHEMA: Final = 1

SYSTEMS: Final[dict[str, str]] = {
    "voice": "Voice alone",
    "face": "Face alone",
    "fused:pool": "Fusion by calibrated product",
    "fused:lr": "Fusion by logistic regression",
    "fused:pca-lr": "Fusion by PCA and logistic regression",
    "fused:svm": "Fusion by support vector machine",
    "fused:nn": "Fusion by neural network",
    "fused": "Fusion, chosen on inner folds",
}
"""What may be compared, in the order of every table and figure."""
System = Literal["voice", "face", "fused"]
MAIN_SYSTEMS: Final[tuple[System, ...]] = ("voice", "face", "fused")
"""Each modality alone, and the fusion that inner folds chose."""


class RecipeEntry(TypedDict, total=False):
    """The recipe that was measured; ``settings`` are those of a TOML file."""

    name: str
    hash: str
    settings: dict[str, Any]


class _BranchSettings(TypedDict, total=False):
    features: dict[str, Any]
    network: dict[str, Any]
    training: dict[str, Any]


class _Settings(TypedDict, total=False):
    """The outline of a recipe, by which reports look settings up; those of any version have it."""

    voice: _BranchSettings
    face: _BranchSettings
    fusion: dict[str, Any]


class CorpusEntry(TypedDict, total=False):
    """The corpus that a recipe was measured on; ``clips`` counts takes."""

    name: str
    clips: int
    actors: int
    synthetic: bool
    licence: str
    parts: list[PartEntry]
    """Where several corpora were joined: each apart."""


class FoldFigures(TypedDict, total=False):
    """One system on the test part of one fold."""

    fold: str
    test_actors: list[str]
    n: int
    accuracy: float
    uar: float


class CoveragePoint(TypedDict, total=False):
    """Accuracy on the takes of highest confidence, and the confidence from which a take is one of them."""

    accuracy: float
    ci95: Interval
    threshold: float


class AnsweredPoint(TypedDict):
    """Accuracy on the test takes whose confidence reaches a threshold that training actors set.

    ``answered``: the share of test takes that do; ``accuracy``: None if there are none;
    ``threshold``: its mean over the folds.
    """

    answered: float
    answered_ci95: Interval
    accuracy: float | None
    ci95: Interval | None
    threshold: float


class CoverageFigures(TypedDict, total=False):
    """The coverage–accuracy curve, and its points at a few coverages, such as ``"0.9"``.

    ``beforehand``: by the share of training actors' takes that is to be answered.
    """

    coverage: list[float]
    accuracy: list[float]
    at: dict[str, CoveragePoint]
    beforehand: dict[str, AnsweredPoint]


class SystemFigures(TypedDict, total=False):
    """One system over all folds. Figures are fractions; intervals are 95 %, over speakers.

    Voice, face and the chosen fusion alone have ``ece_ci95`` and ``coverage``.
    """

    accuracy: float
    uar: float
    f1_macro: float
    log_loss: float
    ece: float
    accuracy_ci95: Interval
    uar_ci95: Interval
    ece_ci95: Interval
    n: int
    coverage: CoverageFigures
    folds: list[FoldFigures]


class GroupEntry(TypedDict, total=False):
    """One system on one group of takes, as :class:`emofuse.evaluation.group_metrics.GroupFigures`."""

    kind: str
    value: str
    n: int
    n_actors: int
    accuracy: float
    accuracy_ci95: Interval | None
    uar: float
    uar_ci95: Interval | None


class EnrollmentPoint(TypedDict, total=False):
    """One system after a number of enrolled clips per speaker, or after ``"all"`` of them."""

    clips: int | str
    accuracy: float
    ci95: Interval
    log_loss: float
    ece: float
    draws: int
    n: int


class EnrollmentFigures(TypedDict, total=False):
    """Each system's curve over the number of enrolled clips."""

    systems: dict[str, list[EnrollmentPoint]]


class RobustnessFigures(TypedDict, total=False):
    """One system under one degradation, which the key ``condition`` names."""

    condition: str
    system: str
    accuracy: float
    ci95: Interval
    ece: float
    n: int


class Figures(TypedDict, total=False):
    """Everything that is measured on out-of-fold predictions."""

    systems: dict[str, SystemFigures]
    groups: dict[str, list[GroupEntry]]
    corpora: dict[str, list[CorpusFigures]]
    """Each system on each of several corpora, in the same order everywhere."""
    raters: dict[str, RaterFigures]
    """Each system against the shares of several raters, where a corpus has them."""
    enrolment: EnrollmentFigures
    dimensions: list[DimensionFigures]
    """Where takes were rated: each numeric scale."""


class Results(Figures, total=False):
    """What results.json holds."""

    schema: int
    flattered: bool
    """True where the evaluation leaks on purpose, in a leakage audit."""
    condition: str
    """Key of the leakage condition, where ``flattered``."""
    protocol: str
    protocol_hash: str
    speaker_independent: bool
    recipe: RecipeEntry
    pretrained_sha256: str | None
    seed: int
    emotions: list[str]
    """The labels that are told apart, in the order of every probability; see :func:`emotions_of`."""
    corpus: CorpusEntry
    notes: list[str]
    fused_choice: dict[str, str]
    """The classifier that inner folds chose in each fold."""
    software: dict[str, str]
    compute: ComputeEntry
    """On what the networks were trained."""
    started: str
    finished: str
    seconds: float
    robustness: list[RobustnessFigures]


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """When a run began."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return round(time.monotonic() - self.clock, 1)


def corpus_entry(corpus: Corpus, *, clips: int, actors: int, takes: Sequence[Take] = ()) -> CorpusEntry:
    """What results say of a corpus, of which ``clips`` takes by ``actors`` speakers could be read.

    ``takes``: these; needed where several corpora were joined.
    """
    entry: CorpusEntry = {
        "name": corpus.name,
        "clips": clips,
        "actors": actors,
        "synthetic": corpus.synthetic,
        "licence": corpus.licence,
    }
    if corpus.parts:
        entry["parts"] = part_entries(corpus, takes)
    return entry


def run_results(
    recipe: Recipe,
    protocol: Protocol,
    corpus: CorpusEntry,
    figures: Figures,
    *,
    pretrained_sha256: str | None,
    notes: Sequence[str],
    fused_choice: dict[str, str],
    emotions: Sequence[str],
    compute: ComputeEntry,
    stopwatch: Stopwatch,
) -> Results:
    """The results of a run that has just finished.

    Args:
        recipe: what was measured.
        protocol: the folds.
        corpus: on what.
        figures: the outcome.
        pretrained_sha256: digest of the weights that the recipe's face started from.
        notes: what a reader of the figures must know.
        fused_choice: the classifier that was chosen in each fold.
        emotions: the labels that the systems tell apart, in their order.
        compute: on what the networks were trained.
        stopwatch: started with the run.
    """
    results: Results = {
        "schema": _SCHEMA,
        "protocol": protocol.name,
        "protocol_hash": protocol.hash(),
        "speaker_independent": protocol.speaker_independent,
        "recipe": {"name": recipe.name, "hash": recipe.hash(), "settings": recipe.model_dump(mode="json")},
        "pretrained_sha256": pretrained_sha256,
        "seed": recipe.seed,
        "emotions": list(emotions),
        "corpus": corpus,
        "notes": list(notes),
        "systems": figures["systems"],
    }
    if "groups" in figures:
        results["groups"] = figures["groups"]
    if "corpora" in figures:
        results["corpora"] = figures["corpora"]
    if "raters" in figures:
        results["raters"] = figures["raters"]
    if "enrolment" in figures:
        results["enrolment"] = figures["enrolment"]
    if "dimensions" in figures:
        results["dimensions"] = figures["dimensions"]
    results["fused_choice"] = fused_choice
    results["software"] = software()
    results["compute"] = compute
    results["started"] = stopwatch.started.isoformat(timespec="seconds")
    results["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    results["seconds"] = stopwatch.seconds
    return results


def write_results(run: Path, results: Results) -> None:
    """Write ``run``/results.json."""
    write_json(run / RESULTS_FILE, results)


def read_results(path: Path) -> Results:
    """Read a results.json.

    Raises:
        ExperimentError: it is missing, is not JSON or is not what ``emofuse evaluate`` writes.
    """
    results = read_json_object(path, fix="run emofuse evaluate first")
    systems = results.get("systems")
    rated = bool(results.get("dimensions"))
    if results.get("schema") != _SCHEMA or not isinstance(systems, dict) or not (systems or rated):
        raise ExperimentError(f"{path}: not results of emofuse evaluate, schema {_SCHEMA}: evaluate again")
    try:
        check_entries(results, Results)
        check_entries(results.get("recipe", {}).get("settings", {}), _Settings, "recipe.settings")
    except ValueError as error:
        raise ExperimentError(f"{path}: not results of emofuse evaluate: {error}: evaluate again") from None
    return cast(Results, results)


def emotions_of(results: Results) -> tuple[str, ...]:
    """The labels that were told apart, in order; versions before 0.12 knew the eight emotions alone."""
    return tuple(results["emotions"]) if "emotions" in results else EMOTIONS


def recipe_of(results: Results, source: Path) -> Recipe:
    """The recipe that was measured.

    Raises:
        ExperimentError: ``results``, which were read from ``source``, hold none.
        RecipeError: this version cannot read it.
    """
    settings = results.get("recipe", {}).get("settings")
    if settings is None:
        raise ExperimentError(f"{source} holds no recipe: evaluate again")
    return parse_recipe(settings, source=str(source))


def read_json_object(path: Path, *, fix: str) -> dict[str, Any]:
    """Read a JSON file that holds an object; bytes of file names in it that are not UTF-8 are escaped.

    Raises:
        ExperimentError: it is missing or damaged; the text ends with ``fix``.
    """
    try:
        data = read_json(path)
    except FileNotFoundError:
        raise ExperimentError(f"{path} is missing: {fix}") from None
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): {fix}") from None
    if not isinstance(data, dict):
        raise ExperimentError(f"{path} is not a JSON object: {fix}")
    printed: dict[str, Any] = printable_data(data)
    return printed


def in_order(systems: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of systems in canonical order, unknown ones last."""
    known = [name for name in SYSTEMS if name in systems]
    return tuple(known + sorted(set(systems) - set(SYSTEMS)))


def shown(systems: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of the systems that are shown, in order: of a corpus or recipe of one modality that alone.

    ``fused`` is then the same, because nothing is fused.

    >>> shown({"fused": {}, "voice": {}}), shown({"fused": {}, "voice": {}, "face": {}})
    (('voice',), ('voice', 'face', 'fused'))
    """
    names = in_order(systems)
    return names[:1] if len(names) == 2 and names[1] == "fused" else names


def title(system: str) -> str:
    """What a system is called in the report."""
    return SYSTEMS.get(system, system)


def natural(label: str) -> tuple[int, str]:
    """Sort key that puts actor 2 before actor 10."""
    return (int(label), "") if label.isascii() and label.isdigit() else (2**31, label)
