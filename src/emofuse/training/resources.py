"""What a long run may use: an executor, a device, stored features, and a way to report progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from emofuse.core.progress import OnProgress, ignore_progress
from emofuse.features.store import FeatureStore
from emofuse.system.executors import THIS_PROCESS, Executor
from emofuse.training.compute import CPU, Compute, computing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resources:
    """What computes tasks, a store of features, a way to report progress, and where networks are trained."""

    executor: Executor = THIS_PROCESS
    """Where networks, folds and features are computed. No result depends on it."""
    store: FeatureStore | None = None
    """Where features are kept and found again; None extracts them each time."""
    on_progress: OnProgress = ignore_progress
    """Told of every step."""
    compute: Compute = CPU
    """Where networks are trained, and in which number format. All processes share one GPU."""

    def computing(self) -> AbstractContextManager[None]:
        """In here, and in the tasks of :meth:`map`, networks are trained on :attr:`compute`."""
        return computing(self.compute)

    def on_done(self, stage: str) -> Callable[[int, int], None]:
        """A function that reports how much of a stage is done, and how much there is."""
        return lambda done, total: self.on_progress(stage, done, total)

    def map(self, stage: str, function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Call a function with each of the arguments, and report progress.

        Args:
            stage: what progress calls it.
            function: found by name in other processes.
            arguments: of each call.

        Returns:
            The results, in the order of the arguments.
        """
        report = self.on_done(stage)
        report(0, len(arguments))
        if self.compute != CPU:  # processes start with the default
            function = partial(_computed, self.compute, function)
        results: dict[int, T] = {}
        with closing(self.executor.as_completed(function, arguments)) as completed:
            for index, result in completed:
                results[index] = result
                report(len(results), len(arguments))
        return [results[index] for index in range(len(arguments))]


def _computed(compute: Compute, function: Callable[..., T], *arguments: Any) -> T:
    with computing(compute):
        return function(*arguments)


ONE_PROCESS: Final = Resources()
"""This process on the CPU, nothing stored, no progress."""
