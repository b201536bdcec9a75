"""``emofuse merge``: the results of all shards become those of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import counted, print_failures
from emofuse.cli.quiet import is_quiet
from emofuse.core.text import shown


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD…", help="The tables that predict --shard wrote, in any order."),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="TABLE", help="The merged table, of the same kind as the shards."
        ),
    ],
    _quiet: options.Quiet = False,
) -> None:
    """Merge the results of all shards: the same, to the byte, as if one run had read all files.

    Beside its result, each shard leaves a record (.shard.json): which files of which list are in it, and what
    they were read by. A shard that is missing, given twice or unfinished is named, and so are those that were
    dealt from another list or read by another recognizer or version. Nothing is written then. The exit
    status is 1 if files failed, as of a single run.

    Example: `emofuse merge part-*.csv --out interviews.csv`
    """
    from emofuse.recognition.merged_table import merge_tables

    result = merge_tables(shards, out)
    print_failures(result.errors, result.failed, "column error")
    if not is_quiet():
        typer.echo(
            f"{shown(str(out))}: {counted(result.rows, 'file', resumed=0, failed=result.failed)}", err=True
        )
    if result.failed:
        raise typer.Exit(1)
