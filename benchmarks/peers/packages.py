"""Which packages of peers have their weights inside: reads wheels and source archives in a folder.

    pip download --no-deps --dest work/packages fer deepface …
    python benchmarks/peers/packages.py work/packages --out benchmarks/peers/results/packages.json

Nothing of a package is run. Files that look like weights are listed with their size, and so are the
addresses in its code from which files with such endings are fetched.
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

WEIGHTS = (
    ".h5", ".hdf5", ".keras", ".pt", ".pth", ".pt2", ".onnx", ".tflite", ".task", ".safetensors", ".pb",
    ".caffemodel", ".joblib", ".pkl", ".bin", ".npz", ".ckpt", ".dat",
)  # fmt: skip
SMALLEST = 50_000
"""Bytes of a file that may hold weights."""
_ADDRESS = re.compile(rb"https?://[^\s\"'<>)\\]+")
_HOSTS = ("github.com", "githubusercontent", "huggingface.co", "drive.google", "dropbox", "zenodo")
_PARTS = ("/releases/download", "/resolve/", "?raw=true", "/blob/main/models")
_CLIENTS = {b"hf_hub_download(": "https://huggingface.co", b"snapshot_download(": "https://huggingface.co"}
"""Calls that fetch, and from where."""


def main() -> None:
    """Write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = [contents(path) for path in sorted(given.folder.iterdir())]
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def contents(path: Path) -> dict[str, Any]:
    """What a wheel or a source archive holds."""
    weights, fetched = [], set[str]()
    for name, size, code in members(path):
        if size >= SMALLEST and may_be_weights(name):
            weights.append({"file": name, "bytes": size})
        elif name.endswith(".py") and not name.endswith("setup.py"):
            fetched |= addresses(code)
    return {
        "archive": path.name, "bytes": path.stat().st_size, "weights": weights, "fetches": sorted(fetched)
    }  # fmt: skip


def may_be_weights(name: str) -> bool:
    """By its ending; or one without an ending in a folder of models."""
    path = PurePosixPath(name)
    in_models = not path.suffix and "models" in path.parts
    return (name.endswith(WEIGHTS) or in_models) and "tests" not in path.parts


def addresses(source: bytes) -> set[str]:
    """Addresses of weights that a piece of code names, and hosts that it fetches weights from by a client."""
    out = {address for call, address in _CLIENTS.items() if call in source}
    for found in _ADDRESS.findall(source):
        address = found.decode("ascii", "replace")
        named = PurePosixPath(urlsplit(address).path).suffix in {*WEIGHTS, ".zip", ".bz2", ".gz"}
        named |= address.endswith("/blob/main/") or any(part in address for part in _PARTS)
        if named and any(host in address for host in _HOSTS):
            out.add(address)
    return out


def members(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Name, size and, of code, the contents of each file of an archive."""
    if path.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(path) as archive:
            for one in archive.infolist():
                code = archive.read(one) if one.filename.endswith(".py") else b""
                yield one.filename, one.file_size, code
        return
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                yield member.name, member.size, file.read() if member.name.endswith(".py") else b""


if __name__ == "__main__":
    main()
