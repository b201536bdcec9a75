"""The recipes of docs/cluster.md, run: a job array of SLURM on this machine, and Snakemake.

SLURM's two daemons run on loopback, without authentication and without accounts, in a folder of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import batch as batch_benchmark
from tests.test_docs import DOCS, blocks

OF, LONGEST_S = 3, 300
"""Shards in place of the 40 of the page; seconds after which a wait is given up."""
SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def recipe(name: str) -> str:
    """A file of the page, with fewer shards."""
    (block,) = [block for block in blocks(DOCS / "cluster.md") if block.marked("file:") == name]
    return block.text.replace("40", str(OF))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with interviews, of which one is broken, and the table of a single run."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    Path("interviews").mkdir()
    for number in range(5):
        batch_benchmark.write_sound(Path("interviews", f"{number}.wav"), number)
    Path("interviews", "broken.wav").write_bytes(b"no sound")
    run("emofuse predict interviews --out whole.csv", status=1)


def run(command: str, status: int = 0) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def daemons(folder: Path) -> Iterator[None]:
    """A SLURM cluster of one node."""
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(SLURM_CONF.format(host=host, folder=folder, controller=free_port(), daemon=free_port()))
    os.environ["SLURM_CONF"] = str(conf)
    started = []
    try:
        for command in (
            ["slurmctld", "-D", "-i", "-f", str(conf)],
            ["slurmd", "-D", "-N", host, "-f", str(conf)],
        ):
            with (folder / f"{command[0]}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log))

        def is_up() -> bool:
            ended = [one.args for one in started if one.poll() is not None]
            assert not ended, "".join(log.read_text() for log in folder.glob("*.log"))
            done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
            return done.stdout.strip() == "idle"

        wait_until(is_up, "the node is idle")
        yield
    finally:
        subprocess.run(["scancel", "--user", "root"], capture_output=True, check=False)
        for one in reversed(started):
            one.terminate()
            one.wait()
        del os.environ["SLURM_CONF"]


@pytest.mark.usefixtures("work")
@pytest.mark.skipif(
    not (shutil.which("slurmctld") and shutil.which("slurmd") and shutil.which("sbatch")),
    reason="there is no SLURM on this machine",
)
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="SLURM's daemons need root")
def test_a_job_array_of_slurm(tmp_path_factory: pytest.TempPathFactory) -> None:
    Path("shards.sbatch").write_text(recipe("shards.sbatch"))
    (page,) = [block for block in blocks(DOCS / "cluster.md") if "sbatch --parsable" in block.text]
    folder = tmp_path_factory.mktemp("slurm")
    with daemons(folder):

        def all_ended() -> bool:
            return run("squeue --noheader") == ""

        run(page.text)
        wait_until(all_ended, "the array and the merge have ended")
        logs = "".join(log.read_text() for log in [*Path("parts").glob("*.log"), Path("merge.log")])
        assert Path("interviews.csv").exists(), logs
        assert Path("interviews.csv").read_bytes() == Path("whole.csv").read_bytes()
        lose_shard_2()
        assert f"not begun: 2 of {OF} shards" in run("emofuse status parts")
        while True:
            run("sbatch --array=2 shards.sbatch")
            wait_until(Path("parts/2.csv.partial.jsonl").exists, "the task has begun")
            run("scancel --signal=KILL --full --user root")
            wait_until(all_ended, "the task is killed")
            if not Path("parts/2.csv").exists():
                break
            lose_shard_2()  # it was faster than the kill
        run("sbatch --array=2 shards.sbatch")
        wait_until(all_ended, "the task has ended")
        run("emofuse merge parts/*.csv --out interviews.csv", status=1)
        assert Path("interviews.csv").read_bytes() == Path("whole.csv").read_bytes()


def lose_shard_2() -> None:
    for path in (*Path("parts").glob("2.csv*"), Path("interviews.csv")):
        path.unlink(missing_ok=True)


@pytest.mark.usefixtures("work")
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="there is no snakemake on this machine")
def test_snakemake() -> None:
    Path("Snakefile").write_text(recipe("Snakefile"))
    run("snakemake --cores 2 --quiet all")
    assert Path("interviews.csv").read_bytes() == Path("whole.csv").read_bytes()
    lose_shard_2()
    run("snakemake --cores 2 --quiet all")
    assert Path("interviews.csv").read_bytes() == Path("whole.csv").read_bytes()
