"""What a long run may use: an executor, a device, stored features, and a way to report progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from emofuse.core.progress import OnProgress, ignore_progress
from emofuse.core.recipes.recipe import Recipe
from emofuse.features.store import FeatureStore
from emofuse.system.executors import THIS_PROCESS, Executor
from emofuse.training.compute import CPU, Compute, computing
from emofuse.training.run_folder import RunMarks
from emofuse.training.shared_studies import SharedStudies, sharing

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
    studies: SharedStudies | None = None
    """A database in which workers share the trials of fusions; None: each fold computes its own."""

    @contextmanager
    def computing(self) -> Iterator[None]:
        """In here, and in the tasks of :meth:`map`, :attr:`compute` and :attr:`studies` are used."""
        with computing(self.compute), sharing(self.studies):
            yield

    def marks(self, recipe: Recipe) -> RunMarks:
        """What tells a run's folder from another's; nothing for the default."""
        marks = self.compute.marks
        if self._order_counts(recipe):
            marks["trials"] = "shared"
        return marks

    def notes(self, recipe: Recipe) -> list[str]:
        """What readers of the results need to know of how they were computed."""
        if not self._order_counts(recipe):
            return []
        return [
            "the trials of the fusions were shared by several workers, and each drew its settings from those "
            "that were complete by then: computed again, other settings may be chosen (fusion.sampler = "
            "'random' does not depend on that)"
        ]

    def _order_counts(self, recipe: Recipe) -> bool:
        """Whether it matters in which order trials end."""
        return self.studies is not None and recipe.fusion.sampler != "random"

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
        if self.compute != CPU or self.studies is not None:  # processes start with the default
            function = partial(_computed, self.compute, self.studies, function)
        results: dict[int, T] = {}
        with closing(self.executor.as_completed(function, arguments)) as completed:
            for index, result in completed:
                results[index] = result
                report(len(results), len(arguments))
        return [results[index] for index in range(len(arguments))]


def _computed(
    compute: Compute, studies: SharedStudies | None, function: Callable[..., T], *arguments: Any
) -> T:
    with computing(compute), sharing(studies):
        return function(*arguments)


ONE_PROCESS: Final = Resources()
"""This process on the CPU, nothing stored, no progress."""
