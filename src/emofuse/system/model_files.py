"""Find and fetch the published weight files of :mod:`emofuse.core.pretrained`.

Each is downloaded on request, copied from a file of the user's, or read from the path in a recipe; its sha256
is always checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WeightFile, known_weights
from emofuse.core.progress import OnProgress
from emofuse.system.atomic_write import write_atomically
from emofuse.system.cache_dirs import cache_folder
from emofuse.system.checksums import verify_sha256

if TYPE_CHECKING:
    from emofuse.system.download import Retries

MAX_BYTES: Final = 512 * 1024 * 1024
"""Far above any known weight file: a server that sends more sends something else."""


def weights_folder() -> Path:
    """Where fetched weights are kept: ``EMOFUSE_WEIGHTS``, else ``weights`` in emofuse's cache folder.

    The folder need not exist yet.
    """
    return cache_folder("weights", variable="EMOFUSE_WEIGHTS")


def find_weights(name: str, path: Path | None = None) -> Path:
    """The weight file of that name, at ``path`` or else in :func:`weights_folder`, its sha256 checked.

    Raises:
        WeightsError: the name is unknown, the file is missing (the message gives the two ways to get it), or
            it has another sha256.
    """
    known = known_weights(name)
    found = weights_folder() / known.file_name if path is None else path
    if not found.is_file():
        raise WeightsError(
            f"{found}: the weights {name} are missing: run `emofuse weights fetch {name}`, "
            f"{_other_way(known)}"
        )
    verify_sha256(found, known.sha256)
    return found


def _other_way(known: WeightFile) -> str:
    if known.recipe_key is not None:
        return f"or set the path of your copy in the recipe, {known.recipe_key}"
    return f"or use your copy: `emofuse weights fetch {known.name} --from PATH`"


def take_weights(name: str, path: Path) -> Path:
    """Copy a weight file into :func:`weights_folder`; return the copy.

    Raises:
        WeightsError: the name is unknown, the file cannot be read or has another sha256, or the folder
            cannot be written.
    """
    known = known_weights(name)
    verify_sha256(path, known.sha256)
    copy = weights_folder() / known.file_name
    try:
        write_atomically(copy, path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{copy}: cannot be written: {error.strerror or error}") from None
    return copy


def fetch_weights(
    name: str,
    *,
    on_progress: OnProgress | None = None,
    url: str | None = None,
    retries: Retries | None = None,
) -> Path:
    """Download the weights of that name into :func:`weights_folder`; return the file.

    Args:
        name: a key of :data:`emofuse.core.pretrained.WEIGHTS`.
        on_progress: called with the file's name, the bytes done and the total.
        url: a mirror of the published address; the sha256 must still be the published one.
        retries: timeout and attempts; None: the defaults.

    Raises:
        WeightsError: the name is unknown.
        DownloadError: the download failed or has another sha256.
    """
    # finding weights, which prediction does, needs no HTTP client
    from emofuse.system.download import DEFAULT_RETRIES, download

    known = known_weights(name)
    return download(
        known.url if url is None else url,
        weights_folder() / known.file_name,
        checksum=("sha256", known.sha256),
        size=known.size,
        limit=MAX_BYTES,
        on_progress=on_progress,
        retries=DEFAULT_RETRIES if retries is None else retries,
    )
