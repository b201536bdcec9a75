"""What ``--cluster`` does for batches, and ``--study`` for training, whichever command has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from emofuse.cli.interrupts import left_to_command
from emofuse.cli.printing import print_remark

if TYPE_CHECKING:
    from emofuse.recognition.worker_settings import Workers
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
def batch_workers(cluster: str | None) -> Iterator[Workers | None]:
    """What reads the files of a batch: the nodes of a cluster; None: processes of this machine.

    Raises:
        ClusterError: the cluster cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    if cluster is None:
        yield None
        return
    from emofuse.cluster.connection import connected, load_ray
    from emofuse.cluster.workers import ClusterWorkers

    load_ray()  # an interrupt while it loads ends the command at once
    with left_to_command(), connected(cluster) as joined:
        nodes = len(joined.nodes())
        what = "1 node" if nodes == 1 else f"{nodes} nodes"
        where = "started here" if joined.started_here else joined.address
        print_remark(f"cluster {where}: {what}, {joined.cores():g} cores")
        yield ClusterWorkers(joined, print_remark)


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
