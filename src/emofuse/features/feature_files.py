"""The features of recordings written out as a table of embeddings, which recipes and other programs read.

An ``.npy`` file holds one row per recording, and the ``.csv`` of the same name whose they are; a ``.parquet``
file holds both.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import EmofuseError, FeatureError, MissingExtraError
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Clip, Features, Take
from emofuse.core.text import encodable
from emofuse.features.extraction import MODALITIES, Modality, extract_takes
from emofuse.features.store import FeatureStore
from emofuse.system.atomic_write import write_atomically
from emofuse.system.executors import THIS_PROCESS, Executor

FileFormat = Literal["npy", "parquet"]
FILE_FORMATS: Final[tuple[FileFormat, ...]] = ("npy", "parquet")


@dataclass(frozen=True, slots=True)
class FeatureFiles:
    """What was written.

    ``shapes``: of one recording's features, by modality; ``files``: the files, by modality and format;
    ``failed``: why recordings have no row, by modality, then by recording.
    """

    shapes: dict[Modality, tuple[int, ...]] = field(default_factory=dict)
    files: dict[tuple[Modality, FileFormat], Path] = field(default_factory=dict)
    failed: dict[Modality, dict[str, str]] = field(default_factory=dict)


def write_features(
    recordings: Mapping[str, Path],
    recipe: Recipe,
    out: Path,
    *,
    formats: Sequence[FileFormat] = ("npy",),
    store: FeatureStore | None = None,
    executor: Executor = THIS_PROCESS,
    on_done: Callable[[int, int], None] | None = None,
) -> FeatureFiles:
    """Extract what a recipe reads of recordings, and write it to ``voice.npy``, ``face.npy`` and so on.

    Args:
        recordings: the files, by the names that they have in the tables.
        recipe: which features, and how.
        out: the folder; created if it does not exist, files in it are replaced.
        formats: of the tables; in a Parquet table, features with several dimensions are lists, row after row.
        store: where features are stored and looked up: an interrupted run resumes from it.
        executor: where they are computed.
        on_done: called after each recording with the number done and the total.

    Returns:
        What was written, and which recordings have no row.

    Raises:
        FeatureError: no recording has a voice or a face, or the recipe reads the face from another table.
        StoreError: the store cannot be written.
        MissingExtraError: the features or the format need an optional part of the package.
        WeightsError: they need a weight file that is missing or altered.
        OSError: the files cannot be written.
    """
    tables = [name for name in recipe.modalities if "table" in getattr(recipe, name).features.kind]
    if tables:
        raise FeatureError(f"recipe {recipe.name} reads the {tables[0]} from a table: it is written already")
    if "parquet" in formats:
        _pyarrow()
    takes = [_take(name, path) for name, path in recordings.items()]
    results = extract_takes(takes, recipe, store=store, executor=executor, on_done=on_done)
    written = FeatureFiles()
    for modality in (name for name in MODALITIES if name in recipe.modalities):
        rows, failed = _rows(list(recordings), results, modality)
        written.failed[modality] = failed
        if not rows:
            continue
        array = np.stack(list(rows.values()))
        written.shapes[modality] = array.shape[1:]
        out.mkdir(parents=True, exist_ok=True)
        for kind in formats:
            path = out / f"{modality}.{kind}"
            (_write_npy if kind == "npy" else _write_parquet)(path, list(rows), array)
            written.files[modality, kind] = path
    if not written.files:
        reasons = next(iter(written.failed.values()), {})
        raise FeatureError(next(iter(reasons.values()), "there is no recording to read"))
    return written


def _take(name: str, path: Path) -> Take:
    clip = Clip(path, name, name, "", None, "audio-video")
    return Take(name, "", None, clip, clip)


def _rows(
    names: Sequence[str], results: Sequence[Features | EmofuseError], modality: Modality
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The features of one modality by recording, and of the others why there are none."""
    rows: dict[str, NDArray[Any]] = {}
    failed: dict[str, str] = {}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, EmofuseError):
            failed[name] = str(result)
            continue
        array, missing = getattr(result, modality), getattr(result, f"{modality}_missing")
        if array is None:
            failed[name] = f"{name}: no {modality} ({missing})"
        else:
            rows[name] = array
    return rows, failed


def _write_npy(path: Path, names: Sequence[str], array: NDArray[Any]) -> None:
    index = io.StringIO(newline="")
    csv.writer(index, lineterminator="\n").writerows([["file"], *([encodable(name)] for name in names)])
    write_atomically(path.with_suffix(".csv"), index.getvalue().encode())
    with write_atomically(path) as file:
        np.save(file, array, allow_pickle=False)


def _write_parquet(path: Path, names: Sequence[str], array: NDArray[Any]) -> None:
    pyarrow, parquet = _pyarrow()
    flat = array.reshape(len(array), -1)
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.ravel()), flat.shape[1])
    table = pyarrow.table({"file": [encodable(name) for name in names], "embedding": lists})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("tables", "writing Parquet") from None
    return pyarrow, pyarrow.parquet
