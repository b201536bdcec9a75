"""Find and fetch the published weight files of :mod:`emofuse.core.pretrained`.

Each is downloaded on request, copied from a file of the user's, or read where a recipe says; its sha256 is
always checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WeightFile, known_weights
from emofuse.core.progress import OnProgress
from emofuse.system.atomic_write import write_atomically
from emofuse.system.cache_dirs import cache_folder
from emofuse.system.checksums import verify_sha256
from emofuse.system.download import download

LARGEST_BYTES: Final = 512 * 1024 * 1024
"""No known weight file is near this: a server that sends more sends something else."""


def weights_folder() -> Path:
    """Where fetched weights are kept: ``EMOFUSE_WEIGHTS``, else ``weights`` in emofuse's cache folder.

    The folder need not exist yet.
    """
    return cache_folder("weights", variable="EMOFUSE_WEIGHTS")


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
    on_progress: OnProgress | None = None,
    url: str | None = None,
    timeout_s: float = 30.0,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> Path:
    """Download the weights of that name into :func:`weights_folder`; return the file.

    Args:
        name: a key of :data:`emofuse.core.pretrained.WEIGHTS`.
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
