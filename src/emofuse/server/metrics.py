"""What an operator may count: requests, workers, jobs. No names, no media, no addresses of clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emofuse.server.jobs.records import STATES
from emofuse.server.jobs.store import JobStore
from emofuse.system.worker_pool import WorkerPool

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one service, in a registry of their own."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram

    @classmethod
    def new(cls) -> Metrics:
        """Figures that start at zero."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        requests = Counter(
            "emofuse_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        seconds = Histogram(
            "emofuse_request_seconds", "From a request to the start of its answer.", ["method", "route"],
            registry=registry, buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
        )  # fmt: skip
        return cls(registry, requests, seconds)

    def watch(self, pool: WorkerPool, jobs: JobStore) -> None:
        """Read the state of workers and jobs whenever somebody asks."""
        self.registry.register(_Watched(lambda: _states(pool, jobs)))

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Watched(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry would ask workers and jobs for names that never change."""
        return iter(())


def _states(pool: WorkerPool, jobs: JobStore) -> Iterator[Metric]:
    state = pool.state()
    workers = GaugeMetricFamily("emofuse_workers", "Worker processes.", labels=["state"])
    workers.add_metric(["busy"], state.busy)
    workers.add_metric(["idle"], state.workers - state.busy)
    yield workers
    waiting = GaugeMetricFamily("emofuse_waiting", "Tasks that no worker has taken.", labels=["kind"])
    waiting.add_metric(["job"], state.waiting)
    waiting.add_metric(["urgent"], state.waiting_urgent)
    yield waiting
    yield CounterMetricFamily(
        "emofuse_worker_deaths", "Worker processes that died or were killed.", value=state.died
    )
    counts = jobs.counts()
    by_state = GaugeMetricFamily("emofuse_jobs", "Jobs in the database.", labels=["state"])
    for name in STATES:
        by_state.add_metric([name], counts.get(name, 0))
    yield by_state
