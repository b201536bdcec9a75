"""``emofuse status``: how far batches and shards are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emofuse.core.text import shown

if TYPE_CHECKING:
    from emofuse.folders.run_status import RunStatus


def status(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…",
            help="Tables (--out), folders of timelines (--out-dir), or folders that hold any of these.",
        ),
    ],
) -> None:
    """Tell how far batches and shards are: files that are done, failed and left, and the time that is left.

    It reads what the runs write, and disturbs none: on any machine that sees the files, also while they run.
    The time left is that at the speed of the last ten minutes. An interrupted run resumes when its command is
    repeated.

    Example: `emofuse status interviews.csv`

    Example: `emofuse status parts/`
    """
    from emofuse.folders.run_status import missing_shards, statuses

    runs = statuses(paths)
    console = Console()
    console.print(_table(runs))
    for of, numbers in missing_shards(runs).items():
        if numbers:
            from emofuse.recognition.shards import numbers_text

            console.print(f"not begun: {numbers_text(numbers)} of {of} shards")


def _table(runs: Sequence[RunStatus]) -> Table:
    table = Table("run", "shard", "state", title_justify="left")
    for name in ("done", "failed", "left", "time left"):
        table.add_column(name, justify="right")
    for one in runs:
        table.add_row(
            escape(shown(str(one.path))), "" if one.shard is None else str(one.shard), one.state,
            *_counts(one.done, one.failed, one.left if one.total else None), _about(one.left_s),
        )  # fmt: skip
    if len(runs) > 1:
        table.add_section()
        times = [one.left_s for one in runs if one.state == "running"]
        longest = max((time for time in times if time is not None), default=None)
        left = sum(one.left for one in runs)
        done, failed = sum(one.done for one in runs), sum(one.failed for one in runs)
        table.add_row("all", "", "", *_counts(done, failed, left), _about(longest))
    return table


def _counts(done: int, failed: int, left: int | None) -> tuple[str, str, str]:
    return str(done), str(failed) if failed else "", "" if left is None else str(left)


def _about(seconds: float | None) -> str:
    """A duration to about a tenth: ``40 s``, ``12 min``, ``3.5 h``.

    >>> _about(40.2), _about(700), _about(12600), _about(300_000)
    ('41 s', '12 min', '3.5 h', '3.5 days')
    """
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    if seconds < 100 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.1f} days"
