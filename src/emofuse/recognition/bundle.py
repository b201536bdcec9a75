"""A trained recognizer in one folder: networks and fusion as ONNX, and everything that is known about them.

``bundle.json`` lists every file with its size and sha256, the recipe, the labels, the license and the
provenance. A bundle is data: it contains neither pickles nor code.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from emofuse.core.dimensions import Dimension, Scale
from emofuse.core.errors import BundleError, RecipeError
from emofuse.core.label_names import check_labels
from emofuse.core.recipes.load import parse_recipe
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.text import printable
from emofuse.features.embeddings.tabled import Modality, with_copies, with_tables
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_bounded, read_json

logger = logging.getLogger("emofuse")

SCHEMA: Final = 1
MANIFEST: Final = "bundle.json"
LICENCE: Final = "LICENSE.txt"
NON_COMMERCIAL: Final = "CC BY-NC-SA 4.0"
"""The license of RAVDESS, and of whatever is trained on it."""
FRAME_FILE: Final = "face-frame.onnx"
"""The frame-by-frame part of a face network, if it has one; ``face.onnx`` then reads its outputs."""
EMBEDDING_FILES: Final[dict[Modality, str]] = {
    "voice": "voice-embedding.onnx", "face": "face-embedding.onnx",
}  # fmt: skip
"""Copies of the ONNX files that make embeddings, if the recipe names any."""
RATINGS_FILES: Final = {"voice": "voice-ratings.onnx", "face": "face-ratings.onnx"}
"""The networks that output ratings, by modality, of a bundle with dimensions."""
LARGEST_FILE_BYTES: Final = 2 * 2**30
"""Of a file in a bundle; ONNX files can hold no more."""
NO_SHIPPED: Final = "EMOFUSE_NO_SHIPPED"
"""Environment variable that switches off the recognizer that comes with emofuse, unless it is 0."""
SHIPPED: Final = Path(__file__).parent / "shipped" / "out-of-the-box"
"""The folder of that recognizer, which has its own license. Remove it to build without the recognizer."""
UNTRAINED: Final = "the recognizer was trained on recordings without a {}"
"""Why a recognizer of one modality does not read the other."""

_LICENCE_TEXT: Final = """\
Licence of this trained recogniser: {licence}

It was trained on: {corpus}.
{terms}
The program that made it and reads it is licensed apart from it, under Apache-2.0.

What it reports is the emotion a person expresses, as acted or posed for its training recordings.
It does not know what anybody feels.
"""

_RAVDESS_TERMS: Final = """\
RAVDESS (Livingstone SR, Russo FA 2018, PLoS ONE 13(5): e0196391) is licensed under Creative Commons
Attribution-NonCommercial-ShareAlike 4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/. Whatever is
derived from it, this recogniser too, carries the same licence: name the source, no commercial use,
share alike.
"""

_NEMO_TERMS: Final = """\
nEMO (Christop I 2024, LREC-COLING) is licensed under Creative Commons
Attribution-NonCommercial-ShareAlike 4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/: whatever is
derived from it carries the same licence.
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle: its manifest was checked, and each file is checked when it is read."""

    folder: Path
    recipe: Recipe
    emotions: tuple[str, ...]
    licence: str
    provenance: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    action_units: tuple[str, ...] = ()
    """The columns that the face branch reads, in order; empty where it reads video frames."""
    dimensions: tuple[Dimension, ...] = ()
    """The numeric scales that it rates on, such as valence."""

    def read(self, name: str) -> bytes:
        """The content of one file of the bundle, checked against its sha256.

        Raises:
            BundleError: the file is missing or altered.
        """
        entry = self.files.get(name)
        if entry is None:
            raise BundleError(f"{self.folder}: this bundle has no {name}")
        try:
            data = read_bounded(
                self.folder / name, min(entry.get("bytes", LARGEST_FILE_BYTES), LARGEST_FILE_BYTES)
            )
        except OSError as error:
            raise BundleError(f"{self.folder / name}: {error.strerror or error}") from None
        except ValueError:  # larger than it should be
            raise BundleError(
                f"{self.folder / name} is altered: its size is not that in {MANIFEST}"
            ) from None
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise BundleError(f"{self.folder / name} is altered: its sha256 is not that in {MANIFEST}")
        return data

    @property
    def modalities(self) -> tuple[Literal["voice", "face"], ...]:
        """What it was trained to read: both, or one where the corpus had no other."""
        known: tuple[Literal["voice", "face"], ...] = ("voice", "face")
        return tuple(name for name in known if {f"{name}.onnx", RATINGS_FILES[name]} & self.files.keys())

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The names and ranges of its dimensions, in order."""
        return tuple(one.scale for one in self.dimensions)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """The names of its dimensions, in order."""
        return tuple(one.name for one in self.dimensions)

    @property
    def fusions(self) -> tuple[str, ...]:
        """The names of the fusion files, one per member, in the order of the members: 2 before 10."""
        return self._members("fusion-")

    @property
    def baseline_fusions(self) -> tuple[str, ...]:
        """The same, for a face that is read against the person's own baseline; empty: ``fusions`` serve."""
        return self._members("baseline-fusion-")

    def _members(self, prefix: str) -> tuple[str, ...]:
        names = [name for name in self.files if name.startswith(prefix)]
        return tuple(sorted(names, key=lambda name: (len(name), name)))


def shipped_bundle() -> Path:
    """The folder of the recognizer that comes with emofuse.

    Raises:
        BundleError: it is switched off by ``EMOFUSE_NO_SHIPPED``, or is not part of this installation.
    """
    alternatives = "train one (emofuse train) and give its folder (--bundle BUNDLE)"
    if os.environ.get(NO_SHIPPED, "0") not in ("", "0"):
        raise BundleError(
            f"the recognizer that comes with emofuse is switched off by {NO_SHIPPED}: unset it for "
            f"non-commercial use, or {alternatives}"
        )
    if not (SHIPPED / MANIFEST).is_file():
        raise BundleError(f"this installation of emofuse comes without a recognizer: {alternatives}")
    return SHIPPED


def licence_text(licence: str, corpus: str, more: str = "") -> str:
    """The license file for everything that was trained on a corpus.

    Args:
        licence: of the trained recognizer.
        corpus: the training data.
        more: terms of further training data.
    """
    terms = more
    if NON_COMMERCIAL in licence:
        of_nemo = "nEMO" in corpus
        of_ravdess = "RAVDESS" in corpus or not (of_nemo or more)
        terms = _RAVDESS_TERMS * of_ravdess + _NEMO_TERMS * of_nemo + more
    return _LICENCE_TEXT.format(licence=licence, corpus=printable(corpus), terms=terms)


def check_free(folder: Path) -> None:
    """Fail early if a bundle cannot be written to a folder.

    Raises:
        BundleError: the folder is not empty, or it is a file.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise BundleError(f"{folder} is not empty: give another folder or remove it")
    if folder.exists() and not folder.is_dir():
        raise BundleError(f"{folder} is a file: name a folder")


def save_bundle(
    folder: Path,
    *,
    files: Mapping[str, bytes],
    recipe: Recipe,
    emotions: tuple[str, ...],
    licence: str,
    provenance: Mapping[str, Any],
    action_units: tuple[str, ...] = (),
    terms: str = "",
    dimensions: Sequence[Dimension] = (),
) -> Bundle:
    """Write a bundle, whole or not at all.

    The license file is taken from ``files``; if it is not there, it is generated, with ``terms`` added.

    Raises:
        BundleError: ``folder`` is not empty, or cannot be written.
    """
    check_free(folder)
    text = licence_text(licence, str(provenance.get("corpus", "?")), terms)
    contents = {LICENCE: text.encode(), **files}
    manifest = {
        "schema": SCHEMA,
        "emotions": list(emotions),
        "licence": licence,
        "provenance": dict(provenance),
        "recipe": recipe.model_dump(mode="json"),
        "action_units": list(action_units),
        **({"dimensions": [one.to_dict() for one in dimensions]} if dimensions else {}),
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in sorted(contents.items())
        },
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for name, data in contents.items():
                write_atomically(draft / name, data)
            write_atomically(draft / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
            draft.chmod(0o755)
            if folder.exists():
                folder.rmdir()
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise BundleError(f"{folder}: the bundle could not be written: {error.strerror or error}") from None
    return load_bundle(folder)


def load_bundle(
    folder: str | Path | None = None, embeddings: Mapping[Modality, Path | str] | None = None
) -> Bundle:
    """Read the manifest of a bundle; its networks are read, and checked, when they are needed.

    Args:
        folder: of the bundle; None: that of the recognizer that comes with emofuse.
        embeddings: tables of the recordings to be read, for a bundle that reads voice or face from tables.

    Raises:
        BundleError: it is missing, incomplete, or made by an incompatible version.
        FeatureError: it reads no table there.
    """
    folder = shipped_bundle() if folder is None else Path(folder)
    try:
        manifest = read_json(folder / MANIFEST)
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST} (emofuse train makes one)"
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read: {error}") from None
    try:
        if manifest["schema"] != SCHEMA:
            raise BundleError(f"{folder}: bundle schema {manifest['schema']}, this version reads {SCHEMA}")
        bundle = Bundle(
            folder=folder,
            recipe=with_tables(_recipe(manifest, folder), embeddings or {}),
            emotions=check_labels(_names(manifest, "emotions"), fewest=0),
            licence=_of_type(manifest, "licence", str),
            provenance=_of_type(manifest, "provenance", dict),
            files={name: dict(entry) for name, entry in manifest["files"].items()},
            action_units=_names(manifest, "action_units"),
            dimensions=tuple(map(Dimension.from_dict, manifest.get("dimensions", []))),
        )
    except RecipeError as error:
        raise BundleError(f"{error}: was it made by another version of emofuse?") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST} is not a manifest of this version: {error}") from None
    for name, entry in bundle.files.items():
        if Path(name).name != name:
            raise BundleError(f"{folder / MANIFEST} names a file outside the bundle: {name}")
        if not (folder / name).is_file():
            raise BundleError(f"{folder}: {name} is missing")
        size = entry.get("bytes", 0)
        if not isinstance(entry.get("sha256"), str) or not isinstance(size, int) or size < 0:
            raise BundleError(f"{folder / MANIFEST} has no sha256 and size of {name}")
    bundle.read(LICENCE)
    return bundle


def _recipe(manifest: Mapping[str, Any], folder: Path) -> Recipe:
    """The recipe of a manifest, which finds the bundle's copies of ONNX files."""
    recipe = parse_recipe(manifest["recipe"], source=f"{folder / MANIFEST}")
    copies = {name: folder / file for name, file in EMBEDDING_FILES.items() if file in manifest["files"]}
    return with_copies(recipe, copies)


T = TypeVar("T")


def _of_type(manifest: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = manifest[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key} is a {type(value).__name__}")
    return value


def _names(manifest: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names: list[Any] = _of_type(manifest, key, list)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise TypeError(f"{key} must be different names")
    return tuple(names)


def warn_of_licence(bundle: Bundle) -> None:
    """Log that a recognizer is not licensed for commercial use, if that is so.

    Once for each bundle in a run of a program, and not in its worker processes.
    """
    if NON_COMMERCIAL in bundle.licence and _is_main_process():
        _warn_once(bundle.licence, bundle.folder.absolute())


@functools.cache
def _warn_once(licence: str, _folder: Path) -> None:
    logger.warning("this recognizer is licensed %s: no commercial use", licence)


def _is_main_process() -> bool:
    """Also told apart from workers that multiprocessing has not started, as joblib's, which have names."""
    return multiprocessing.parent_process() is None and (
        multiprocessing.current_process().name == "MainProcess"
    )
