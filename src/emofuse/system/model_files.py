"""Weight files that others published: where each comes from, and how to know that it is the right one.

None comes with the package. Each is fetched on request, taken from a copy, or its path is given; its sha256
is checked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.core.errors import WeightsError
from emofuse.system.atomic_write import write_atomically
from emofuse.system.download import Progress, download, file_digest

LARGEST_BYTES: Final = 512 * 1024 * 1024
"""No known weight file is near this: a server that sends more sends something else."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A published weight file."""

    name: str
    """What emofuse calls it."""
    file_name: str
    url: str
    sha256: str
    licence: str
    """SPDX identifier."""
    about: str
    trained_on: str
    """What it had seen before it came to us, for the model card: a clause that follows "trained on"."""
    size: int | None = None
    """Bytes, where they are published."""
    recipe_key: str | None = None
    """The key of a recipe that takes the path of a copy, where there is one."""


WEIGHTS: Final[dict[str, WeightFile]] = {
    weights.name: weights
    for weights in (
        WeightFile(
            name="deepface-emotion",
            file_name="facial_expression_model_weights.h5",
            url="https://github.com/serengil/deepface_models/releases/download/v1.0/"
            "facial_expression_model_weights.h5",
            sha256="e8e8851d3fa05c001b1c27fd8841dfe08d7f82bb786a53ad8776725b7a1e824c",
            licence="MIT",
            about="DeepFace's Emotion CNN: 48×48 grey faces to seven classes (5.98 MB, Keras HDF5)",
            trained_on="FER2013 (Goodfellow et al. 2013), grey pictures of faces found on the web in seven "
            "expressions, years before RAVDESS was published",
            recipe_key="face.network.emotion_cnn.path",
        ),
        WeightFile(
            name="face-landmarker",
            file_name="face_landmarker.task",
            url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
            "face_landmarker.task",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            licence="Apache-2.0",
            about="MediaPipe's Face Landmarker, float16/1: pictures to 478 landmarks, 52 blendshapes and the "
            "pose of the head (3.8 MB)",
            trained_on="pictures of faces that Google has not published",
            size=3_758_596,
        ),
        WeightFile(
            name="yunet",
            file_name="face_detection_yunet_2023mar.onnx",
            url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
            "face_detection_yunet_2023mar.onnx",
            sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            licence="MIT",
            about="YuNet, a face detector (Wu et al. 2023): pictures to boxes and five points (0.2 MB)",
            trained_on="WIDER FACE (Yang et al. 2016), pictures of crowds and people found on the web",
            size=232_589,
        ),
    )
}
"""Every weight file that emofuse knows, by name."""


def known_weights(name: str) -> WeightFile:
    """The weight file of that name.

    Raises:
        WeightsError: there is none; the text lists those there are.
    """
    try:
        return WEIGHTS[name]
    except KeyError:
        raise WeightsError(f"unknown weights {name!r}: use one of {', '.join(WEIGHTS)}") from None


def weights_of_sha256(sha256: str) -> WeightFile | None:
    """The known weight file with these bytes; None where emofuse does not know them."""
    return next((known for known in WEIGHTS.values() if known.sha256 == sha256.lower()), None)


def weights_folder() -> Path:
    """Where fetched weights lie: ``EMOFUSE_WEIGHTS``, else ``emofuse/weights`` in the user's cache folder.

    The cache folder is ``XDG_CACHE_HOME``, else ``~/.cache``. The folder need not be there yet.
    """
    if own := os.environ.get("EMOFUSE_WEIGHTS"):
        return Path(own).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG base directory specification says to pass over a path that is not absolute.
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "emofuse" / "weights"


def find_weights(name: str, path: Path | None = None) -> Path:
    """The weight file of that name, at ``path`` or else in :func:`weights_folder`, its sha256 checked.

    Raises:
        WeightsError: the name is unknown, the file is absent (the text gives the two ways to get it), or
            its sha256 is another.
    """
    known = known_weights(name)
    place = weights_folder() / known.file_name if path is None else path
    if not place.is_file():
        raise WeightsError(
            f"{place}: the weights {name} are not there: run `emofuse weights fetch {name}`, "
            f"{_other_way(known)}"
        )
    verify_sha256(place, known.sha256)
    return place


def _other_way(known: WeightFile) -> str:
    if known.recipe_key is not None:
        return f"or give the path of your copy in the recipe, {known.recipe_key}"
    return f"or take it from your copy: `emofuse weights fetch {known.name} --from PATH`"


def take_weights(name: str, path: Path) -> Path:
    """Copy the weights of that name from a file of your own into :func:`weights_folder`; return the copy.

    Raises:
        WeightsError: the name is unknown, the file cannot be read or has another sha256, or the folder
            cannot be written.
    """
    known = known_weights(name)
    verify_sha256(path, known.sha256)
    place = weights_folder() / known.file_name
    try:
        write_atomically(place, path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{place}: cannot be written: {error.strerror or error}") from None
    return place


def fetch_weights(
    name: str,
    *,
    on_progress: Progress | None = None,
    url: str | None = None,
    timeout_s: float = 30.0,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> Path:
    """Download the weights of that name into :func:`weights_folder`; return the file.

    Args:
        name: a key of :data:`WEIGHTS`.
        on_progress: called with the file's name, bytes done and bytes in all.
        url: a mirror to use in place of the published address. The sha256 stays the published one.
        timeout_s: as in :func:`emofuse.system.download.download`, like the two that follow.
        attempts: tries in a row that bring nothing.
        pause_s: pause after the first failure.

    Raises:
        WeightsError: the name is unknown.
        DownloadError: the download failed or has another sha256.
    """
    known = known_weights(name)
    return download(
        known.url if url is None else url,
        weights_folder() / known.file_name,
        checksum=("sha256", known.sha256),
        size=known.size,
        limit=LARGEST_BYTES,
        on_progress=on_progress,
        timeout_s=timeout_s,
        attempts=attempts,
        pause_s=pause_s,
    )


def verify_sha256(path: Path, wanted: str) -> None:
    """Check that a file is the one that was published.

    Raises:
        WeightsError: it cannot be read, or its sha256 is another.
    """
    try:
        got = file_digest(path, "sha256")
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if got != wanted.lower():
        raise WeightsError(
            f"{path}: wrong sha256: expected {wanted.lower()}, got {got}: fetch the file again"
        )
