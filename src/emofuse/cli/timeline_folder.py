"""``emofuse timeline DIR --out-dir R``: the timelines of all recordings of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from emofuse.cli import options
from emofuse.cli.bundles import load_bundle
from emofuse.cli.clusters import batch_workers
from emofuse.cli.interrupts import resumable
from emofuse.cli.printing import (
    counted,
    print_bundle,
    print_failures,
    print_line,
    print_remark,
)
from emofuse.cli.progress import counting_failures
from emofuse.cli.sharding import write_list
from emofuse.recognition.batch_inputs import find_recordings
from emofuse.recognition.file_list import FileList

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.folders.timelines import TimelineOptions
    from emofuse.recognition.shards import Shard

MAX_ERRORS = 20
"""How many failed recordings are named; ``files.csv`` names all."""


def suffixes(formats: Sequence[str] | None) -> tuple[str, ...]:
    """The suffixes that ``--format`` names, with or without their point, in any case; or by their format."""
    from emofuse.exports.write import FORMATS
    from emofuse.folders.timelines import SUFFIXES

    known = {name: suffix for kind, suffix in FORMATS.items() for name in (kind, suffix.lower().lstrip("._"))}
    chosen = []
    for given in formats or SUFFIXES:
        suffix = known.get(given.lower().lstrip("._"))
        if suffix is None:
            raise typer.BadParameter(f"--format {given}: use one of {', '.join(FORMATS.values())}")
        chosen.append(suffix)
    return tuple(dict.fromkeys(chosen))


def list_folder(recordings: Path, list_file: Path) -> None:
    """Write the list of the recordings below a folder, by names relative to it."""
    root = recordings if recordings.is_dir() else recordings.parent
    found = find_recordings(recordings)
    if str(root) in found.files:
        raise typer.BadParameter(f"{recordings}: there is no recording in this folder")
    write_list(found, list_file, root)


def write_folder(
    recordings: Path,
    out_dir: Path,
    bundle: Path | None,
    *,
    embeddings: Sequence[str] | None,
    formats: Sequence[str] | None,
    jobs: int,
    cluster: str | None,
    shard: Shard | None,
    list_file: Path | None,
    conditions: Path | None,
    how: TimelineOptions,
    profile: Profile | None,
    timeout: float | None,
    purpose: str | None,
) -> None:
    """Read the folder with a progress bar; exit with status 1 if a recording failed."""
    from emofuse.folders.timelines import FILES, SUMMARY, write_timelines

    chosen, loaded = suffixes(formats), load_bundle(bundle, embeddings)
    listed = None if list_file is None else FileList.load(list_file)
    print_bundle(loaded, bundle)
    with (
        resumable(),
        batch_workers(cluster) as workers,
        counting_failures("recordings") as on_progress,
    ):
        result = write_timelines(
            recordings, out_dir, loaded, suffixes=chosen, jobs=options.processes(jobs), workers=workers,
            shard=shard, file_list=listed, conditions=conditions, options=how, profile=profile,
            timeout_s=timeout, purpose=purpose, on_progress=on_progress,
        )  # fmt: skip
    for line in result.left_out:
        print_remark(line)
    print_failures(result.errors[:MAX_ERRORS], len(result.errors), FILES)
    files = counted(result.files, "recording", resumed=result.resumed, failed=result.failed)
    written = f"wrote {result.folder / SUMMARY}" if shard is None else f"{result.folder}, shard {shard}"
    print_line(f"{written}: {files}")
    if result.failed:
        raise typer.Exit(1)
