"""A server of jobs without HTTP, which runs until it is killed."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job
from emofuse.server.jobs.scheduler import Scheduler, SchedulerRules
from emofuse.server.jobs.store import JobStore
from emofuse.system.worker_pool import WorkerPool

TARGET: Final = "tests.support.job_workers:load"
QUICK: Final = SchedulerRules(poll_s=0.05, progress_s=0.05, beat_s=0.1, dead_after_s=3.0, sweep_s=0.1)


def request_for(job: Job, out: Path) -> dict[str, Any]:
    return {"out": os.fspath(out), "name": job.name, **job.options}


def main(url: str, data: str, slots: str) -> None:
    """Serve jobs until the process is killed; say so once it has begun."""
    logging.basicConfig(level=logging.INFO)
    with JobStore.open(url) as store, WorkerPool(TARGET, {}, workers=int(slots)) as pool:
        scheduler = Scheduler(
            store, JobFiles(Path(data)), pool, request_for=request_for, slots=int(slots), rules=QUICK
        )
        scheduler.start()
        print(scheduler.server, flush=True)
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
