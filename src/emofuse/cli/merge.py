"""``emofuse merge``: the results of all shards become those of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from emofuse.cli import options
from emofuse.cli.printing import counted, print_failures, print_line
from emofuse.cli.quiet import is_quiet
from emofuse.core.text import shown

MAX_ERRORS: Final = 20
"""How many failed recordings are named; ``files.csv`` names all."""


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHARD…",
            help="The tables that predict --shard wrote, or folders of them; or the folders of timeline "
            "--shard. In any order.",
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="RESULT",
            help="The merged table, of the same kind as those of the shards; or the folder of all timelines, "
            "which may be one of those given.",
        ),
    ],
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Merge the results of all shards: the same, to the byte, as if one run had read all files.

    Beside its result, each shard leaves a record (.shard.json): which files of which list are in it, and what
    they were read by. A shard that is missing, given twice or unfinished is named, and so are those that were
    dealt from another list or read by another recognizer or version. Nothing is written then. The exit
    status is 1 if files failed, as of a single run.

    Example: `emofuse merge parts --out interviews.csv`

    Example: `emofuse merge part-*.csv --out interviews.csv`

    Example: `emofuse merge results --out results`
    """
    from emofuse.recognition.tables import TABLES

    is_table = out.suffix.lower() in TABLES or not any(one.is_dir() for one in shards)
    failed = _tables(shards, out) if is_table else _timelines(shards, out)
    if failed:
        raise typer.Exit(1)


def _tables(tables: Sequence[Path], out: Path) -> int:
    """Merge tables; return the number of failed files."""
    from emofuse.recognition.merged_table import merge_tables

    result = merge_tables(tables, out)
    print_failures(result.errors, result.failed, "column error")
    if not is_quiet():
        files = counted(result.rows, "file", resumed=0, failed=result.failed)
        typer.echo(f"{shown(str(out))}: {files}", err=True)
    return result.failed


def _timelines(folders: Sequence[Path], out: Path) -> int:
    """Merge folders of timelines; return the number of failed recordings."""
    from emofuse.folders.merged import merge_timelines
    from emofuse.folders.timelines import FILES, SUMMARY

    result = merge_timelines(folders, out)
    print_failures(result.errors[:MAX_ERRORS], len(result.errors), FILES)
    files = counted(result.files, "recording", resumed=0, failed=result.failed)
    print_line(f"wrote {out / SUMMARY}: {files}")
    return result.failed
