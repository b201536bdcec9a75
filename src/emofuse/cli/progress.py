"""Progress on standard error with time left, so that what a command prints can be piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from emofuse.core.progress import OnProgress


@contextmanager
def _when_there_is_something(bars: Progress) -> Iterator[None]:
    """Stop what was started: a step that fails at once leaves no empty line."""
    try:
        yield
    finally:
        if bars.tasks:
            bars.stop()


@contextmanager
def _shown(*columns: ProgressColumn) -> Iterator[OnProgress]:
    """A bar a label, in the order in which they are first told of."""
    text = TextColumn("{task.description}", markup=False)  # it may be the name of a file
    console = Console(stderr=True)
    bars = Progress(text, BarColumn(), *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
    with _when_there_is_something(bars):
        tasks: dict[str, TaskID] = {}

        def on_progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                bars.start()
                # what an earlier run has done says nothing of this one's speed
                tasks[label] = bars.add_task(label, total=total or None, completed=done)
            bars.update(tasks[label], completed=done, total=total or None)

        yield on_progress


@contextmanager
def stages() -> Iterator[OnProgress]:
    """Steps of a run: ``on_progress(stage, done, total)``."""
    with _shown(MofNCompleteColumn()) as on_progress:
        yield on_progress


@contextmanager
def transfers() -> Iterator[OnProgress]:
    """Downloads: ``on_progress(file, bytes done, bytes in all)``."""
    with _shown(DownloadColumn(), TransferSpeedColumn()) as on_progress:
        yield on_progress


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """One step: ``on_done(done, total)``."""
    with stages() as on_progress:
        yield lambda done, total: on_progress(what, done, total)


@contextmanager
def counting_failures(what: str, *, passing: bool = False) -> Iterator[Callable[[int, int, int], None]]:
    """One step that goes on when files fail: ``on_progress(done, failed, total)``, the failed in the done.

    ``passing``: for somebody who waits, and gone at the end; nothing where standard error is no terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # files differ in length: the time left is told from the last ten minutes
    bars = Progress(
        *columns, console=console, speed_estimate_period=600, transient=passing,
        disable=passing and not console.is_terminal,
    )  # fmt: skip
    with _when_there_is_something(bars):
        task: TaskID | None = None

        def on_progress(done: int, failed: int, total: int) -> None:
            nonlocal task
            failures = f"[red]{failed} failed[/red]" if failed else ""
            if task is None:
                bars.start()
                task = bars.add_task(what, total=total or None, completed=done, failures=failures)
            bars.update(task, completed=done, total=total or None, failures=failures)

        yield on_progress
