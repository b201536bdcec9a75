"""openSMILE's functionals of recordings, as a table of embeddings. Runs in openSMILE's own environment.

    python benchmarks/peers/opensmile_features.py ravdess/audio --set eGeMAPSv02 --out work/eGeMAPSv02

Writes OUT.npy, with a row per recording, and OUT.csv, whose column ``file`` says of which: the tables of
docs/embeddings.md. Recordings are read as openSMILE reads them by default: at their own rate, the first
channel. Nothing is fitted.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".flac", ".wav")


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="eGeMAPSv02", help="a name of opensmile.FeatureSet")
    parser.add_argument("--out", type=Path, required=True, help="without a suffix")
    given = parser.parse_args()

    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet[given.set], feature_level=opensmile.FeatureLevel.Functionals
    )
    paths = recordings(given.folder)
    rows = [smile.process_file(str(path)).to_numpy(np.float64)[0] for path in paths]
    write_table(given.out, [path.relative_to(given.folder).as_posix() for path in paths], np.array(rows))
    print(f"{len(rows)} recordings, {len(rows[0])} values each: {given.out}.npy")


def recordings(folder: Path) -> list[Path]:
    """Sound files below a folder, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)


def write_table(out: Path, files: list[str], values: NDArray[np.float64]) -> None:
    """Write a table of embeddings: (n_files, n_values) numbers, and their files."""
    broken = ~np.isfinite(values).all(axis=1)
    if broken.any():
        raise SystemExit(f"values that are not finite: {[files[row] for row in np.flatnonzero(broken)]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out.with_name(out.name + ".npy"), values)
    with out.with_name(out.name + ".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("file",), *((name,) for name in files)])


if __name__ == "__main__":
    main()
