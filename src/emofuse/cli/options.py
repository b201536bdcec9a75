"""Options shared by several commands, and the functions that interpret their values."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from emofuse.cli.quiet import set_quiet
from emofuse.core.errors import MissingExtraError, ShardError
from emofuse.core.times import parse_seconds
from emofuse.recognition.shards import Shard
from emofuse.system.cores import usable_cores

if TYPE_CHECKING:
    from emofuse.corpus.corpus import Corpus
    from emofuse.features.profile import Profile
    from emofuse.features.store import FeatureStore
    from emofuse.system.executors import Executor
    from emofuse.timeline.windows import WindowRules
    from emofuse.training.compute import Compute


class DeviceChoice(enum.StrEnum):
    """Where networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(enum.StrEnum):
    """Number format of products in training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


_NAME: Final = re.compile(r"(?:person[ -]?)?([1-9]\d{0,5})\s*=\s*(\S.*)", re.IGNORECASE | re.DOTALL)
_NEXT_NAME: Final = re.compile(r",(?=\s*(?:person[ -]?)?\d+\s*=)", re.IGNORECASE)
"""The comma before another person; names may have commas too."""


def _protocol(help_text: str) -> Any:
    return typer.Option("--protocol", "-p", metavar="P", help=help_text)


def _stream(help_text: str) -> Any:
    return typer.Option(metavar="N", min=1, help=help_text)


Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=set_quiet, help="Print results and errors only."),
]


def seconds(least: float = -math.inf, most: float = math.inf) -> Callable[[str | float], float]:
    """The parser of an option in seconds, which takes clock times too: ``90``, ``1:30``, ``1:02:03.5``."""

    def parse(text: str | float) -> float:
        try:
            value = parse_seconds(str(text))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        if not math.isfinite(value) or not least <= value <= most:
            limits = f" from {least:g} to {most:g}" if math.isfinite(most) else f" from {least:g} on"
            raise typer.BadParameter(f"{text} is not a time{limits if math.isfinite(least) else ''}")
        return value

    return parse


def shard(text: str | Shard) -> Shard:
    """The parser of ``--shard``."""
    try:
        return Shard.parse(str(text))
    except ShardError as error:
        raise typer.BadParameter(str(error)) from None


# Training and evaluation

CorpusPath = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="A folder with file names as in RAVDESS, CREMA-D, SAVEE, TESS, EMO-DB, nEMO; or a table (.csv).",
    ),
]
CorpusPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR…",
        help="One corpus, or several that are joined: folders with file names as in RAVDESS, CREMA-D, SAVEE, "
        "TESS, EMO-DB, nEMO; or tables (.csv).",
    ),
]
CorpusNames = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus", metavar="NAME",
        help="Whose file names to read, such as emo-db, where several fit; table: only the table in it; "
        "audformat or audformat:TABLE: that of a database. Once for all, or once for each corpus.",
    ),
]  # fmt: skip
LabelSets = Annotated[
    list[str] | None,
    typer.Option(
        "--labels", metavar="[NAME=]MAP",
        help="What the labels of tables become: a label set such as nemo-6, or a file with a map, .csv or "
        ".toml; NAME: only of that corpus. By default labels are used as they are written.",
    ),
]  # fmt: skip
DimensionNames = Annotated[
    str | None,
    typer.Option(
        "--dimensions", metavar="NAME,…",
        help="Columns of tables with ratings on numeric scales, which are predicted too; none: no column. By "
        "default valence, arousal and dominance, where there are such columns.",
    ),
]  # fmt: skip
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weight", metavar="NAME=W",
        help="How much a clip of that corpus counts in training, where there are several; default: 1.",
    ),
]  # fmt: skip
Licenses = Annotated[
    list[str] | None,
    typer.Option("--license", metavar="NAME=TEXT", help="License of a corpus that is a table."),
]
MeasureOn = Annotated[
    list[Path] | None,
    typer.Option(
        "--measure", metavar="DIR",
        help="A corpus that the finished recognizer reads once, to say how well; nothing is fitted on it.",
    ),
]  # fmt: skip
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder written by emofuse evaluate.")]
RunOut = Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder for the results.")]
BundleOut = Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder for the bundle.")]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe", "-r", metavar="R", help="A recipe's name (see: emofuse recipes), or a TOML file."
    ),
]
ProtocolName = Annotated[
    str, _protocol("six-fold, emobox-6, luna-5, rosred-stratified-5 (speaker-dependent), or actors-K.")
]
SpeakerIndependentProtocol = Annotated[
    str, _protocol("Speaker-independent folds: six-fold, emobox-6, luna-5 or actors-K.")
]
CacheFolder = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where to store features; default: the user's cache folder."),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=0, metavar="N", help="Number of processes; 0: one per core.")
]

TrainingDevice = Annotated[
    DeviceChoice,
    typer.Option(
        "--device",
        help="Where networks are trained: cpu, as all published figures were; cuda: a GPU, with the same "
        "figures up to rounding; auto: a GPU if there is one.",
    ),
]
TrainingPrecision = Annotated[
    Precision,
    typer.Option("--precision", help="Products in training; bfloat16 is coarser, and changes the figures."),
]

# Several machines

_SHARDS: Final = "Several machines"
ShardNumber = Annotated[
    Shard | None,
    typer.Option(
        metavar="K/N", parser=shard, rich_help_panel=_SHARDS,
        help="Read only the K-th of N parts of the files, counted from 1: each part by a command of its own, "
        "on any machine. emofuse merge joins the results.",
    ),
]  # fmt: skip
ListFile = Annotated[
    Path | None,
    typer.Option(
        "--list", metavar="LIST", rich_help_panel=_SHARDS,
        help="Without --shard: write the list of all files with their sizes, and end. With --shard: take the "
        "files from this list, which all shards must share, instead of searching folders again.",
    ),
]  # fmt: skip
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="auto|HOST:PORT", rich_help_panel=_SHARDS,
        help="Work on all nodes of the Ray cluster with this head, of which this machine must be one; auto: "
        "the cluster that was started on this machine, or one that is started for this command and ends with "
        "it. Needs emofuse\\[cluster].",
    ),
]  # fmt: skip

# Reading recordings

BundleFolder = Annotated[
    Path | None,
    typer.Option(
        "--bundle", "-b", metavar="BUNDLE",
        help="A trained recognizer (see: emofuse train); default: the one that comes with emofuse.",
    ),
]  # fmt: skip
SessionDevice = Annotated[
    DeviceChoice,
    typer.Option(
        "--device",
        help="Where networks run: cpu; cuda: a GPU, with onnxruntime-gpu; auto: a GPU if there is one.",
    ),
]
ActionUnits = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="Action units (a .csv, or a folder of them), for a bundle whose face branch reads them.",
    ),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(metavar="PROFILE", help="Profile of the person in the recording (see: emofuse enroll)."),
]
NoBaseline = Annotated[
    bool,
    typer.Option(
        "--no-baseline",
        help="Do not read people against their own baseline, which the recording gives once it holds 24 s of "
        "their voice or face (8 windows) in several moods.",
    ),
]
ProfileFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--profile", metavar="PROFILE",
        help="Profile of the person in the recording (see: emofuse enroll). Given several times: people are "
        "found by their faces and named after the files, which emofuse enroll --with-face made.",
    ),
]  # fmt: skip
AudioStream = Annotated[
    int | None, _stream("Which of several audio streams; default: the marked or audible one.")
]
VideoStream = Annotated[
    int | None, _stream("Which of several video streams; default: the marked or largest one.")
]
WindowLength = Annotated[float, typer.Option(metavar="SECONDS", parser=seconds(), help="Length of a window.")]
Hop = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", parser=seconds(), help="Time from the start of one window to that of the next."
    ),
]
FacesPerSecond = Annotated[
    float, typer.Option(metavar="N", help="Frames per second that are searched for faces.")
]


def recording(name: str) -> Path:
    """The path of a recording; an empty name, as of an unset shell variable, is a usage error."""
    if not name:
        raise typer.BadParameter("an empty name is not a recording: check the variable that it comes from")
    return Path(name)


def recordings(help_text: str) -> Any:
    """The argument FILE… of a command that reads several recordings."""
    return typer.Argument(metavar="FILE…", help=help_text, parser=recording)


def load_corpora(
    paths: Sequence[Path],
    labels: Sequence[str] | None,
    weights: Sequence[str] | None = None,
    licenses: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    dimensions: str | None = None,
) -> Corpus:
    """The corpus of :data:`CorpusPaths` and the options beside it; several are joined.

    Raises:
        CorpusError: one cannot be read, or an option contradicts it.
    """
    from emofuse.corpus.joined import join_corpora

    counts = corpus_weights(weights)
    parts = separate_corpora(paths, labels, licenses, names, dimensions, weighted=list(counts))
    return join_corpora(parts, [counts.get(part.name.lower(), 1.0) for part in parts])


def corpus_weights(given: Sequence[str] | None) -> dict[str, float]:
    """Weights by the name of a corpus in small letters."""
    try:
        return {name.lower(): float(value) for name, value in _named("--weight", given).items()}
    except ValueError as error:
        raise typer.BadParameter(f"--weight: {error}") from None


def separate_corpora(
    paths: Sequence[Path],
    labels: Sequence[str] | None,
    licenses: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    dimensions: str | None = None,
    *,
    weighted: Sequence[str] = (),
) -> list[Corpus]:
    """Several corpora, each on its own; ``weighted``: names that one of them must have.

    Raises:
        CorpusError: one cannot be read, or an option contradicts it.
    """
    from emofuse.corpus import load
    from emofuse.corpus.rating_columns import parse_dimensions

    sets = {}
    for text in labels or ():
        name, _, known = text.rpartition("=")
        sets[name.strip()] = known.strip()
    try:
        scales = None if dimensions is None else parse_dimensions(dimensions)
    except ValueError as error:
        raise typer.BadParameter(f"--dimensions: {error}") from None
    try:
        return load.separate_corpora(
            paths, labels=sets, weights=dict.fromkeys(weighted, 1.0), corpora=list(names or ()),
            licences=_named("--license", licenses), dimensions=scales,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(f"--labels: {error}") from None


def _named(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """Values by the name of a corpus, from texts such as ``nemo=2``."""
    out = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise typer.BadParameter(f"{option} {text}: write the name of a corpus and a value, as in nemo=2")
        out[name.strip()] = value.strip()
    return out


def people_names(given: Sequence[str]) -> dict[str, str]:
    """The names that ``--names`` gives: ``1=Anna``, ``person-1=Anna``, ``1=Anna,2=Bert``."""
    names: dict[str, str] = {}
    for part in (part for text in given for part in _NEXT_NAME.split(text)):
        found = _NAME.fullmatch(part.strip())
        if found is None:
            raise typer.BadParameter(f"--names {part}: write the number of a person and a name, as in 1=Anna")
        number, name = int(found[1]), found[2].strip()
        if f"person {number}" in names or name in names.values():
            raise typer.BadParameter(f"--names {part}: each person has one name, and no two have the same")
        names[f"person {number}"] = name
    return names


def purpose(text: str | None) -> str | None:
    """What ``--purpose`` gives."""
    if text is not None and not text.strip():
        raise typer.BadParameter("--purpose needs a text, such as 'a study of interviews'")
    return None if text is None else text.strip()


def known_people(files: Sequence[Path]) -> Profile | dict[str, Profile] | None:
    """What ``--profile`` gives: that of everybody; or of several, those of each, named after the files.

    Raises:
        ProfileError: a file is missing, damaged or not a profile.
    """
    from emofuse.features.profile import Profile

    if len(files) < 2:
        return Profile.load(files[0]) if files else None
    people: dict[str, Profile] = {}
    for file in files:
        if file.stem in people or re.fullmatch(r"\s*(person \d+)?\s*", file.stem, re.IGNORECASE):
            raise typer.BadParameter(f"--profile {file}: each of several needs a file name of its own")
        people[file.stem] = Profile.load(file)
    return people


def processes(jobs: int) -> int:
    """Number of processes for ``--jobs``: 0 means one per core that this process may use."""
    return jobs or usable_cores()


def executor(jobs: int) -> Executor:
    """What computes tasks, for ``--jobs``."""
    from emofuse.system import executors

    return executors.processes(processes(jobs))


def compute(device: DeviceChoice, precision: Precision = Precision.FLOAT32) -> Compute:
    """What ``--device`` and ``--precision`` ask for.

    Raises:
        DeviceError: a GPU is asked for, and there is none.
    """
    from emofuse.training.compute import Compute

    return Compute.of(device.value, precision.value)


def feature_store(cache: Path | None) -> FeatureStore:
    """The feature store in ``cache``; by default the one in the user's cache folder."""
    from emofuse.features.store import FeatureStore, default_store_folder

    return FeatureStore(cache or default_store_folder())


def check_training() -> None:
    """Fail early if the training extra is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("train", "training and evaluating recognizers")


def window_rules(window: float, hop: float, faces_per_second: float) -> WindowRules:
    """The rules for the three window options; invalid values are a usage error."""
    from emofuse.timeline.windows import WindowRules

    try:
        return WindowRules(window, hop, faces_per_second)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
