"""``emofuse embed``: the features that a recipe reads, written as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.cli import options
from emofuse.cli.interrupts import resumable
from emofuse.cli.printing import print_failures, print_line, print_remark
from emofuse.cli.progress import stages

if TYPE_CHECKING:
    from emofuse.features.feature_files import FeatureFiles

_MAX_ERRORS = 20


def embed(
    files: Annotated[
        list[Path], options.recordings("Recordings; folders are searched for them.")
    ],
    *,
    recipe: options.RecipeName,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="X", help="A folder for the tables.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", metavar="F", show_default="npy",
            help="npy, with a .csv beside it that says whose the rows are; or parquet. Can be given twice.",
        ),
    ] = None,
    jobs: options.Jobs = 0,
    cache: options.CacheFolder = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Write the features that a recipe reads of recordings: one row each, as .npy or Parquet.

    A recording that cannot be read has no row and is named, and the exit status is 1. Features are stored as
    they are computed: repeat the command to resume an interrupted run. The tables can be given to a recipe
    whose features are a table, and to any other program.

    Example: `emofuse embed recordings/ --recipe whisper-only --out features`
    """
    from emofuse.core.recipes.load import load_recipe
    from emofuse.features.feature_files import FILE_FORMATS, write_features
    from emofuse.recognition.batch_inputs import find_recordings

    chosen = tuple(one for one in FILE_FORMATS if one in (formats or ["npy"]))
    if unknown := set(formats or ()) - set(FILE_FORMATS):
        raise typer.BadParameter(f"--format {min(unknown)}: use one of {', '.join(FILE_FORMATS)}")
    settings, listing = load_recipe(recipe), find_recordings(files)
    for line in listing.left_out:
        print_remark(line)
    found = {
        _name(path, files): path for path in map(Path, listing.files) if str(path) not in listing.refused
    }
    with resumable(), stages() as on_progress:
        written = write_features(
            found, settings, out, formats=chosen, store=options.feature_store(cache),
            executor=options.executor(jobs), on_done=lambda done, total: on_progress("features", done, total),
        )  # fmt: skip
    _print(written)
    problems = [f"{name}: {why}" for name, why in listing.refused.items()]
    problems += [why for failed in written.failed.values() for why in failed.values()]
    print_failures(problems[:_MAX_ERRORS], len(problems), "the list of files")
    if problems:
        raise typer.Exit(1)


def _name(path: Path, given: list[Path]) -> str:
    """What a recording is called in the tables: relative to a single folder, else as it is listed."""
    inside = len(given) == 1 and path != given[0] and path.is_relative_to(given[0])
    return (path.relative_to(given[0]) if inside else path).as_posix()


def _print(written: FeatureFiles) -> None:
    """What was written, and what a recipe needs to read it."""
    from emofuse.system.checksums import file_digest

    for (modality, _), path in written.files.items():
        shape = written.shapes[modality]
        print_line(f"wrote {path}: {' × '.join(map(str, shape))} values of the {modality} each")
        if len(shape) == 1:
            print_line(f'sha256 = "{file_digest(path)}"')
