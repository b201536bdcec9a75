"""What ``--cluster`` does for batches, whichever command has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from emofuse.cli.interrupts import left_to_command
from emofuse.cli.printing import print_remark

if TYPE_CHECKING:
    from emofuse.recognition.worker_settings import Workers


def check_cluster(cluster: str | None, jobs: int) -> None:
    """Refuse what does not go together."""
    if cluster is not None and jobs != 1:
        raise typer.BadParameter(
            "--jobs are processes of this machine, --cluster has nodes of its own: give one"
        )


@contextmanager
def batch_workers(cluster: str | None) -> Iterator[Workers | None]:
    """What reads the files of a batch: the nodes of a cluster; None: processes of this machine.

    Raises:
        ClusterError: the cluster cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    if cluster is None:
        yield None
        return
    from emofuse.cluster.connection import connected
    from emofuse.cluster.workers import ClusterWorkers

    with left_to_command(), connected(cluster) as joined:
        nodes = len(joined.nodes())
        what = "1 node" if nodes == 1 else f"{nodes} nodes"
        where = "started here" if joined.started_here else joined.address
        print_remark(f"cluster {where}: {what}, {joined.cores():g} cores")
        yield ClusterWorkers(joined, print_remark)
