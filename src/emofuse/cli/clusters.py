"""What ``--cluster`` and ``--study`` do, whichever command has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from emofuse.cli import options
from emofuse.cli.interrupts import left_to_command
from emofuse.cli.printing import print_remark

if TYPE_CHECKING:
    from emofuse.cluster.connection import Cluster
    from emofuse.corpus.corpus import Corpus
    from emofuse.recognition.worker_settings import Workers
    from emofuse.system.executors import Executor
    from emofuse.training.compute import Compute
    from emofuse.training.shared_studies import SharedStudies

_PANEL: Final = "Several machines"

StudyUrl = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="URL", envvar="EMOFUSE_STUDY", rich_help_panel=_PANEL,
        show_default="a file in each fold's folder",
        help="A database in which workers share the trials of the fusions, also those of the same command on "
        "other machines: postgresql://USER@HOST/NAME. Needs emofuse\\[postgres].",
    ),
]  # fmt: skip
StudyPasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--study-password-file", metavar="FILE", envvar="EMOFUSE_STUDY_PASSWORD_FILE",
        rich_help_panel=_PANEL, show_default="the password in URL, if there is one",
        help="The file with the password of that database, which others could read in a command.",
    ),
]  # fmt: skip


def check_cluster(cluster: str | None, jobs: int) -> None:
    """Refuse what does not go together."""
    if cluster is not None and jobs != 1:
        raise typer.BadParameter(
            "--jobs are processes of this machine, --cluster has nodes of its own: give one"
        )


@contextmanager
def executor(
    cluster: str | None, jobs: int, folders: Sequence[Path] = (), files: Iterable[Path] = ()
) -> Iterator[Executor]:
    """What computes tasks: the nodes of a cluster, or processes of this machine.

    Args:
        cluster: what ``--cluster`` gives.
        jobs: what ``--jobs`` gives; 0: one per core.
        folders: that tasks write to.
        files: that they read; one of each folder is looked for on the nodes.

    Raises:
        ClusterError: the cluster cannot be reached, or a node cannot do the work.
        MissingExtraError: Ray is not installed.
    """
    if cluster is None:
        yield options.executor(jobs)
        return
    from emofuse.cluster.executor import on_cluster

    with _joined(cluster) as joined, on_cluster(joined, folders, files) as found:
        yield found


def recordings_of(corpus: Corpus) -> Iterator[Path]:
    """The files of a corpus."""
    return (path for take in corpus.takes() for path in take.paths)


def check_training(cluster: str | None, jobs: int, compute: Compute) -> None:
    """Refuse what does not go together, in commands that train."""
    check_cluster(cluster, jobs or 1)
    if cluster is not None and compute.device != "cpu":
        raise typer.BadParameter("on a cluster, networks are trained on processors: leave out --device")


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
    from emofuse.cluster.connection import load_ray
    from emofuse.cluster.workers import ClusterWorkers

    load_ray()  # an interrupt while it loads ends the command at once
    with left_to_command(), _joined(cluster) as joined:
        yield ClusterWorkers(joined, print_remark)


@contextmanager
def _joined(cluster: str) -> Iterator[Cluster]:
    from emofuse.cluster.connection import connected

    with connected(cluster) as joined:
        nodes = len(joined.nodes())
        what = "1 node" if nodes == 1 else f"{nodes} nodes"
        where = "started here" if joined.started_here else joined.address
        print_remark(f"cluster {where}: {what}, {joined.cores():g} cores")
        yield joined


def studies(url: str | None, password_file: Path | None) -> SharedStudies | None:
    """What ``--study`` and ``--study-password-file`` ask for.

    Raises:
        ExperimentError: the database cannot be used.
        ServiceError: the file holds no password.
    """
    if url is None:
        if password_file is not None:
            raise typer.BadParameter("--study-password-file is the password of a --study")
        return None
    from emofuse.server.password_file import read_password
    from emofuse.training.shared_studies import SharedStudies

    found = SharedStudies(url, None if password_file is None else read_password(password_file))
    found.check()
    return found
