"""The features of a whole corpus as arrays on disk, ready for training."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import EmofuseError, ExperimentError
from emofuse.core.label_names import FEWEST_LABELS
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Features, Take
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.corpus.folds import corpora_of
from emofuse.corpus.joined import BETWEEN
from emofuse.corpus.ravdess import NAME as RAVDESS
from emofuse.features.extraction import MODALITIES, Modality, extract_takes
from emofuse.features.face.action_units import ActionUnitTable, read_action_units
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.system.atomic_write import write_atomically
from emofuse.training.label_space import check_labels_of, supervision_of
from emofuse.training.resources import Resources
from emofuse.training.supervision import Supervision, of_rows

ModalityName = Modality
Branch = Literal["voice", "face", "both"]
"""What one network reads; ``both`` sees voice and face at once."""
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The features, labels and speakers of all takes; row i is take i. Features are on disk."""

    folder: Path
    labels: Rows
    """(n_takes,) indices into ``emotions``; zeros in a corpus that has ratings alone."""
    speakers: NDArray[np.str_]
    has: dict[ModalityName, NDArray[np.bool_]]
    n_voice_variants: int = 1
    """How many versions of each voice there are: as recorded, then at the recipe's other speeds and so on."""
    supervision: Supervision | None = None
    """Of takes of several corpora: which emotions their labels are evidence about, and how they count."""
    corpora: Mapping[str, str] = field(default_factory=dict)
    """The corpus of each speaker, where several were joined."""
    distinguished: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The emotions that each of these corpora distinguishes."""
    emotions: tuple[str, ...] = EMOTIONS
    """The label space of the run: what networks, fusions and tables of predictions answer, in this order."""
    dimensions: tuple[str, ...] = ()
    """The numeric scales on which takes were rated."""
    ratings: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    """(n_takes, n_dimensions) what raters gave; NaN where a take was not rated. Empty without dimensions."""

    @property
    def n_emotions(self) -> int:
        """How many labels are told apart."""
        return len(self.emotions)

    @property
    def modalities(self) -> tuple[ModalityName, ...]:
        """Those that any take has: one, in a corpus of audio alone."""
        return tuple(modality for modality in MODALITIES if self.has[modality].any())

    def load(self, modality: ModalityName, variant: int = 0) -> NDArray[Any]:
        """(n_takes, …) raw features, memory-mapped; rows without the modality are zeros."""
        path = self.folder / (f"{modality}-{variant}.npy" if variant else f"{modality}.npy")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def supervised(self, rows: Sequence[int] | Rows) -> Supervision | None:
        """The supervision of some rows."""
        return of_rows(self.supervision, np.asarray(rows, dtype=np.int64))

    def having(self, branch: Branch, rows: Rows) -> Rows:
        """Those of the rows that have every modality that a network reads; ``both``: all of the corpus."""
        wanted = self.modalities if branch == "both" else (branch,)
        return rows[np.logical_and.reduce([self.has[modality][rows] for modality in wanted])]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The takes that could be read, their features, and notes for whoever reads the results."""

    takes: tuple[Take, ...]
    inputs: Inputs
    fingerprint: str
    """Changes when a take, a label or a feature changes."""
    notes: tuple[str, ...]
    failed: list[dict[str, str]]
    sources: dict[str, dict[str, str | None]]
    feature_notes: dict[str, list[str]]
    action_units: tuple[str, ...]
    """Columns of the table that the face branch reads; empty where it reads none."""

    @property
    def n_speakers(self) -> int:
        """Number of speakers."""
        return len(set(self.inputs.speakers.tolist()))

    def forget(self) -> None:
        """Remove the arrays from disk; the store can provide them again."""
        for modality in MODALITIES:
            for path in self.inputs.folder.glob(f"{modality}*.npy"):
                path.unlink(missing_ok=True)


def find_action_units(corpus: Corpus, recipe: Recipe) -> ActionUnitTable | None:
    """The table of action units, or the folder of tables, that the recipe names in the corpus folder.

    None, too, where the recipe reads no face, or where the table is not there and no file of the corpus has a
    face: audio alone needs none. RAVDESS' audio does, whose table is published.

    Raises:
        ExperimentError: the recipe names a table that is not there.
    """
    name = recipe.face.features.table
    if name is None or "face" not in recipe.modalities:
        return None
    if corpus.parts:
        return _joined_action_units(corpus, recipe)
    root = corpus.root if corpus.root.is_dir() else corpus.root.parent
    path = root / name
    if not path.exists():
        ravdess = corpus.synthetic or corpus.name == RAVDESS
        if not ravdess and not any(take.face for take in corpus.takes()):
            return None
        raise ExperimentError(f"recipe {recipe.name} reads action units from {path}, which does not exist")
    return read_action_units(path)


def _joined_action_units(corpus: Corpus, recipe: Recipe) -> ActionUnitTable | None:
    """The tables of the joined corpora that have one, as one table."""
    name = str(recipe.face.features.table)
    tables = [
        (part.name, read_action_units(part.root / name))
        for part in corpus.parts
        if (part.root / name).exists()
    ]
    if not tables:
        if not any(part.name == RAVDESS for part in corpus.parts) and not any(
            take.face for take in corpus.takes()
        ):
            return None
        roots = " or ".join(str(part.root / name) for part in corpus.parts)
        raise ExperimentError(f"recipe {recipe.name} reads action units from {roots}, neither exists")
    first = tables[0][1]
    of_all = [(part, table.in_order(first.names)) for part, table in tables]
    return ActionUnitTable(
        first.names,
        {f"{part}{BETWEEN}{take}": row for part, table in of_all for take, row in table.rows.items()},
        first.path,
        frozenset(f"{part}{BETWEEN}{take}" for part, table in of_all for take in table.faceless),
    )


def read_dataset(corpus: Corpus, recipe: Recipe, folder: Path, resources: Resources) -> Dataset:
    """Extract the features of every take and write them as arrays into ``folder``.

    A take that cannot be read is left out and named in the result; one that lacks a modality is kept. A
    modality that no take has is left out as a whole, with a note.

    Raises:
        ExperimentError: no take has a voice or a face, or none is in the table of action units; or all takes
            have the same features.
    """
    for name in recipe.voice.conditions:
        if name not in DEGRADATIONS:
            raise ExperimentError(
                f"voice.conditions: no degradation is called {name!r}: choose from {', '.join(DEGRADATIONS)}"
            )
    takes = usable_takes(corpus)
    check_labels_of(recipe, corpus.emotions)
    table = find_action_units(corpus, recipe)
    results = extract_takes(
        takes,
        recipe,
        store=resources.store,
        table=table,
        executor=resources.executor,
        on_done=resources.on_done("features"),
    )
    readable, failed = _split(takes, results)
    has: dict[ModalityName, NDArray[np.bool_]] = {
        modality: np.array([getattr(features, modality) is not None for _, features in readable], dtype=bool)
        for modality in MODALITIES
    }
    if not readable:
        raise ExperimentError(f"{corpus.root}: no take could be read: {failed[0]['error']}")
    if table is not None and not has["face"].any():  # the table of another corpus
        raise ExperimentError(f"{corpus.root}: no take has a face: {readable[0][1].face_missing}")
    index = {emotion: i for i, emotion in enumerate(corpus.emotions)}
    labels = np.array([index[str(take.emotion)] if index else 0 for take, _ in readable], dtype=np.int64)
    speakers = np.array([take.speaker for take, _ in readable])
    others = recipe.voice.variants[1:] if has["voice"].any() else ()
    read = [take for take, _ in readable]
    inputs = Inputs(
        folder, labels, speakers, has, 1 + len(others),
        supervision_of(read, corpus), corpora_of(read), {part.name: part.emotions for part in corpus.parts},
        corpus.emotions,
        dimensions=corpus.dimensions, ratings=ratings_of(read, corpus.dimensions),
    )  # fmt: skip
    fingerprint = _write_features(readable, inputs)
    _check_differ(corpus, inputs)
    for variant, settings in enumerate(others, 1):
        fingerprint += _write_voice_variant(readable, inputs, recipe, variant, settings, resources)
    notes = [f"{len(failed)} of {len(takes)} takes could not be read"] if failed else []
    unlabeled = len(corpus.takes()) - len(takes)
    if unlabeled and not corpus.parts:
        notes.append(f"{unlabeled} of {unlabeled + len(takes)} takes have no label, and are left out")
    for modality in MODALITIES:
        without = int((~has[modality]).sum())
        if without == len(readable):
            reason = getattr(readable[0][1], f"{modality}_missing")
            other = " and ".join(inputs.modalities)
            notes.append(f"no take has a {modality} ({reason}): nothing is fused, fused is the {other} alone")
        elif without:
            notes.append(f"{without} of {len(readable)} takes have no {modality}")
    return Dataset(
        takes=tuple(take for take, _ in readable),
        inputs=inputs,
        fingerprint=hashlib.sha256(fingerprint.encode()).hexdigest()[:16] if others else fingerprint,
        notes=tuple(notes),
        failed=failed,
        sources={take.take: _sources(take, _root_of(take, corpus)) for take, _ in readable},
        feature_notes={take.take: list(features.notes) for take, features in readable if features.notes},
        action_units=() if table is None else table.names,
    )


def usable_takes(corpus: Corpus) -> list[Take]:
    """The takes with a label; of a corpus that has ratings alone, those with a rating.

    Raises:
        ExperimentError: there are none.
    """
    if not corpus.emotions:
        takes = [take for take in corpus.takes() if take.ratings]
        if not takes:
            raise ExperimentError(f"{corpus.root}: no takes with a label or a rating")
        return takes
    takes = [take for take in corpus.takes() if take.emotion is not None]
    if not takes:
        raise ExperimentError(f"{corpus.root}: no takes with a known emotion")
    if len(corpus.emotions) < FEWEST_LABELS:
        raise ExperimentError(
            f"{corpus.root}: all clips have the label {corpus.emotions[0]}: there is nothing to tell apart"
        )
    return takes


def need_labels(corpus: Corpus, purpose: str) -> None:
    """Fail early where labels are measured, and a corpus has ratings alone.

    Raises:
        ExperimentError: it has; ``purpose`` says what cannot be done, such as "a leakage audit".
    """
    if corpus.dimensions and not corpus.emotions:
        raise ExperimentError(f"{corpus.root}: {purpose} measures labels, and this corpus has ratings alone")


def ratings_of(takes: Sequence[Take], dimensions: Sequence[str]) -> NDArray[np.float64]:
    """(n_takes, n_dimensions) ratings; NaN where a take was not rated."""
    if not dimensions:
        return np.zeros((0, 0))
    return np.array([[take.ratings.get(name, np.nan) for name in dimensions] for take in takes])


class PartEntry(TypedDict):
    """What bundles and results say of one of several joined corpora; ``clips`` counts takes."""

    name: str
    clips: int
    actors: int
    licence: str
    emotions: list[str]
    weight: float


def part_entries(corpus: Corpus, takes: Sequence[Take]) -> list[PartEntry]:
    """The corpora that a corpus was joined from, and how many of the takes that could be read are theirs."""
    out: list[PartEntry] = []
    for part in corpus.parts:
        own = [take for take in takes if take.facts[CORPUS_FACT] == part.name]
        out.append(
            {
                "name": part.name,
                "clips": len(own),
                "actors": len({take.speaker for take in own}),
                "licence": part.licence,
                "emotions": list(part.emotions),
                "weight": part.weight,
            }
        )
    return out


def _check_differ(corpus: Corpus, inputs: Inputs) -> None:
    """Fail early where a modality has the same features in every take: training on it takes hours.

    Raises:
        ExperimentError: one has.
    """
    for modality in inputs.modalities:
        rows = inputs.load(modality)
        first, *others = np.flatnonzero(inputs.has[modality])
        if len(others) and all(np.array_equal(rows[first], rows[other]) for other in others):
            raise ExperimentError(
                f"{corpus.root}: the {modality} features of all {1 + len(others)} takes are the same: there "
                "is nothing to learn from"
            )


def _split(
    takes: Sequence[Take], results: Sequence[Features | EmofuseError]
) -> tuple[list[tuple[Take, Features]], list[dict[str, str]]]:
    """Takes with features, and takes without, each with the reason."""
    readable, failed = [], []
    for take, result in zip(takes, results, strict=True):
        if isinstance(result, EmofuseError):
            failed.append({"clip": take.clip_id, "error": str(result)})
        elif result.voice is None and result.face is None:
            reasons = f"no voice ({result.voice_missing}), no face ({result.face_missing})"
            failed.append({"clip": take.clip_id, "error": reasons})
        else:
            readable.append((take, result))
    return readable, failed


def _root_of(take: Take, corpus: Corpus) -> Path:
    part = take.facts.get(CORPUS_FACT)
    return next((one.root for one in corpus.parts if one.name == part), corpus.root)


def _sources(take: Take, root: Path) -> dict[str, str | None]:
    """The files of a take, relative to the corpus where they are inside it."""

    def relative(path: Path) -> str:
        return str(path.relative_to(root)) if path.is_relative_to(root) else path.name

    return {
        "voice": relative(take.voice.path) if take.voice else None,
        "face": relative(take.face.path) if take.face else None,
    }


def _write_features(readable: Sequence[tuple[Take, Features]], inputs: Inputs) -> str:
    """Write one array per modality, one row per take; returns a fingerprint of everything."""
    free = shutil.disk_usage(inputs.folder.parent if inputs.folder.parent.exists() else Path.cwd()).free
    digest = hashlib.sha256()
    for take, _ in readable:
        digest.update(f"{take.take}\t{take.speaker}\t{take.emotion}\n".encode())
    if inputs.emotions != EMOTIONS:  # of the eight, fingerprints are those of earlier versions
        digest.update("\t".join(inputs.emotions).encode())
    if inputs.supervision is not None:
        digest.update(inputs.supervision.mark())
    if inputs.dimensions:
        digest.update("\t".join(inputs.dimensions).encode() + inputs.ratings.tobytes())
    for modality in inputs.modalities:
        rows: list[NDArray[Any] | None] = [getattr(features, modality) for _, features in readable]
        if sum(row.nbytes for row in rows if row is not None) > free:
            raise ExperimentError(f"{inputs.folder}: {free} bytes are free, which is too few")
        _write_rows(inputs.folder / f"{modality}.npy", rows, digest)
    return digest.hexdigest()[:16]


def _write_rows(path: Path, rows: Sequence[NDArray[Any] | None], digest: Any) -> None:
    """Write one row per take, zeros where there is None, without holding them all in memory."""
    first = next(row for row in rows if row is not None)
    empty = np.zeros_like(first)
    with write_atomically(path) as file:
        header = {"descr": first.dtype.str, "fortran_order": False, "shape": (len(rows), *first.shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for row in rows:
            if row is not None and row.shape != first.shape:
                raise ExperimentError(
                    f"{path.stem} features of one corpus have shapes {first.shape}, {row.shape}"
                )
            data = np.ascontiguousarray(empty if row is None else row).tobytes()
            digest.update(data)
            file.write(data)


def _write_voice_variant(
    readable: Sequence[tuple[Take, Features]],
    inputs: Inputs,
    recipe: Recipe,
    variant: int,
    settings: VoiceFeatures,
    resources: Resources,
) -> str:
    """Write the voices at another speed or under a degradation; returns a fingerprint.

    A voice that cannot be read that way stays as it is.
    """
    takes = [replace(take, face=None) for take, features in readable if features.voice is not None]
    stage = f"features, {settings.condition or f'speed {settings.speed:g}'}"
    results = iter(
        extract_takes(
            takes,
            recipe.with_voice_features(settings),
            store=resources.store,
            executor=resources.executor,
            on_done=resources.on_done(stage),
        )
    )
    rows: list[NDArray[Any] | None] = []
    for _, features in readable:
        result = next(results) if features.voice is not None else None
        is_read = isinstance(result, Features) and result.voice is not None
        rows.append(result.voice if is_read and isinstance(result, Features) else features.voice)
    digest = hashlib.sha256()
    _write_rows(inputs.folder / f"voice-{variant}.npy", rows, digest)
    return digest.hexdigest()[:16]
