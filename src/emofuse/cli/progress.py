"""Progress bars with the remaining time, on standard error, so that output can be piped."""

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

from emofuse.cli.quiet import is_quiet
from emofuse.core.progress import OnProgress, ignore_progress


@contextmanager
def _stopped_if_started(bars: Progress) -> Iterator[None]:
    """Stop the bars if there are any: a step that fails at once leaves no empty line."""
    try:
        yield
    finally:
        if bars.tasks:
            bars.stop()


@contextmanager
def _bars(*columns: ProgressColumn) -> Iterator[OnProgress]:
    """One bar per label, in order of their first report; none with ``--quiet``."""
    if is_quiet():
        yield ignore_progress
        return
    text = TextColumn("{task.description}", markup=False)  # may be a file name
    console = Console(stderr=True)
    bars = Progress(text, BarColumn(), *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
    with _stopped_if_started(bars):
        tasks: dict[str, TaskID] = {}

        def on_progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                bars.start()
                # work done by an earlier run must not count towards the speed
                tasks[label] = bars.add_task(label, total=total or None, completed=done)
            bars.update(tasks[label], completed=done, total=total or None)

        yield on_progress


@contextmanager
def stages() -> Iterator[OnProgress]:
    """Stages of a run: ``on_progress(stage, done, total)``."""
    with _bars(MofNCompleteColumn()) as on_progress:
        yield on_progress


@contextmanager
def transfers() -> Iterator[OnProgress]:
    """Downloads: ``on_progress(file, bytes done, bytes in total)``."""
    with _bars(DownloadColumn(), TransferSpeedColumn()) as on_progress:
        yield on_progress


@contextmanager
def counting(label: str) -> Iterator[Callable[[int, int], None]]:
    """A single stage: ``on_done(done, total)``."""
    with stages() as on_progress:
        yield lambda done, total: on_progress(label, done, total)


@contextmanager
def counting_failures(label: str, *, transient: bool = False) -> Iterator[Callable[[int, int, int], None]]:
    """A stage that continues when files fail: ``on_progress(done, failed, total)``; done includes failed.

    ``transient``: removed at the end, and shown only if standard error is a terminal.
    """
    if is_quiet():
        yield lambda done, failed, total: None  # noqa: ARG005
        return
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # files differ in length: estimate the speed over ten minutes
    bars = Progress(
        *columns, console=console, speed_estimate_period=600, transient=transient,
        disable=transient and not console.is_terminal,
    )  # fmt: skip
    with _stopped_if_started(bars):
        task: TaskID | None = None

        def on_progress(done: int, failed: int, total: int) -> None:
            nonlocal task
            failures = f"[red]{failed} failed[/red]" if failed else ""
            if task is None:
                bars.start()
                task = bars.add_task(label, total=total or None, completed=done, failures=failures)
            bars.update(task, completed=done, total=total or None, failures=failures)

        yield on_progress
