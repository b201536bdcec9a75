"""Carry out the Dockerfile step by step on a machine without Docker, and try what comes of it.

    .venv/bin/python -m tests.container [--clip CLIP.mp4]

It needs Linux and root. In place of the base image there is a copy-on-write view of this machine with one of
its Pythons; in it, the instructions are run as they are. Then the service runs as in the container: read-only
but for its volume and /tmp, as the image's user, without capabilities and without a network, its health check
that of the Dockerfile. Whether the base image has what is needed is not tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.smoke import ROOT, VERSIONS, draw_clip, find_python
from tests.support.dockerfile import Ignored, Instruction, Stage, assignments, stages

FOREVER_S = 600
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOOPBACK_UP = (
    "import fcntl, os, socket, struct, sys\n"
    "with socket.socket() as any: fcntl.ioctl(any, 0x8914, struct.pack('16sh14x', b'lo', 0x1 | 0x40))\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
"""A new network has a loopback interface alone, which is down: SIOCSIFFLAGS, IFF_UP | IFF_RUNNING."""
_TRY = """\
import os, sys
from pathlib import Path
from emofuse.server.client import Client
with Client("http://127.0.0.1:8000", token=Path("/data/token").read_text().strip()) as client:
    assert list(client.predict("/clips/clip.mp4").used) == ["voice", "face"]
    job = client.wait(client.submit("/clips/clip.mp4").id)
    assert job.state == "done", job
    client.export(job.id, "html", "/tmp/clip.html")
    assert "a study" in Path("/tmp/clip.html").read_text()
assert os.getuid() == os.getgid() == int(sys.argv[1])
assert "CapBnd:\\t0000000000000000" in Path("/proc/self/status").read_text()
for path in ("/clips", "/opt/emofuse", "/"):
    assert not os.access(path, os.W_OK) and os.statvfs(path).f_flag & os.ST_RDONLY, path
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", type=Path, help="read this video with sound instead of drawing one")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        build_and_try(arguments.inside)
        return 0
    if reason := why_not():
        print(f"Dockerfile: not tried, {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="emofuse-container-") as folder:
        clip = arguments.clip or draw_clip(Path(folder) / "drawn")
        (Path(folder) / "clips").mkdir()
        shutil.copy(clip, Path(folder) / "clips" / "clip.mp4")
        inside = [sys.executable, "-m", "tests.container", "--inside", folder]
        done = subprocess.run([*_UNSHARED, *inside], cwd=ROOT, check=False)
    return done.returncode


_UNSHARED = ("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")


def why_not() -> str | None:
    """Why it cannot be tried here; None: it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "which needs Linux and root"
    mount = (
        "mount -t tmpfs t /mnt && cd /mnt && mkdir u w && "
        "mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w /mnt"
    )
    try:
        done = subprocess.run([*_UNSHARED, "sh", "-c", mount], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return f"this machine mounts no overlay: {done.stderr.strip()}" if done.returncode else None


def build_and_try(work: Path) -> None:
    """Build all stages, then run the last. In mount and process namespaces of its own."""
    call("mount", "-t", "tmpfs", "tmpfs", made(work / "layers"))
    context = made(work / "context")
    copy_context(context)
    python = base_python(stages(ROOT / "Dockerfile")[0].image)
    built: dict[str, Path] = {}
    image = None
    for number, stage in enumerate(stages(ROOT / "Dockerfile")):
        image = Image(work / "layers" / str(number), stage, python)
        image.build(context, built)
        if stage.name is not None:
            built[stage.name] = image.root
        print(f"Dockerfile: built {stage.name or 'the last stage'} on {python}", flush=True)
    assert image is not None
    run_and_try(image, work)
    print("Dockerfile: passed", flush=True)


def base_python(image: str) -> Path:
    """The interpreter of the base image's version; any other that emofuse supports where there is none."""
    wanted = image.partition(":")[2].partition("-")[0]
    assert wanted in VERSIONS, f"{image} has no version of Python that emofuse is tested with"
    found = filter(None, map(find_python, (wanted, *VERSIONS)))
    return next(found).resolve()


def copy_context(folder: Path) -> None:
    """What the build may see: all but what .dockerignore keeps out."""
    ignored = Ignored(ROOT / ".dockerignore")
    for path in sorted(ROOT.iterdir()):
        if Path(path.name) in ignored:
            continue
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            relative = file.relative_to(ROOT)
            if file.is_file() and relative not in ignored:
                made((folder / relative).parent)
                shutil.copy(file, folder / relative)


class Image:
    """A view of this machine in which changes stay apart, and what a Dockerfile makes of it."""

    def __init__(self, folder: Path, stage: Stage, python: Path) -> None:
        self.stage = stage
        self.root = made(folder / "root")
        self.environment = {"PATH": f"{python.parent}:{_SYSTEM_PATH}"}
        self.directory = "/"
        self.user = "0:0"
        parts = {name: made(folder / name) for name in ("upper", "work")}
        options = f"lowerdir=/,upperdir={parts['upper']},workdir={parts['work']}"
        call("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        call("mount", "-t", "proc", "proc", self.root / "proc")
        call("mount", "--rbind", "/dev", self.root / "dev")
        for above in python.parents[:-1]:  # the image's user may start it, wherever it is
            inside = self.root / above.relative_to("/")
            inside.chmod(inside.stat().st_mode | 0o055)
        if not (python.parent / "python").exists():
            (self.root / "usr/local/bin/python").symlink_to(python)

    def build(self, context: Path, built: Mapping[str, Path]) -> None:
        """Carry out all instructions."""
        arguments: dict[str, str] = {}
        for step in self.stage.steps:
            match step.name:
                case "ARG":
                    arguments |= assignments(step, self.environment)
                case "ENV":
                    self.environment |= assignments(step, self.environment)
                case "WORKDIR":
                    self.directory = step.text
                    made(self.root / step.text.lstrip("/"))
                case "USER":
                    self.user = step.text
                case "COPY":
                    self._copy(step, context if (of := step.flag("from")) is None else built[of])
                case "RUN":
                    given = {**outside_environment(), **arguments, **self.environment}
                    self.run(["/bin/sh", "-c", step.text], given)
                case "EXPOSE" | "VOLUME" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                    pass
                case _:
                    raise AssertionError(f"{step.name}: not known here")

    def _copy(self, step: Instruction, source: Path) -> None:
        *names, target = step.words
        into = self.root / str(Path(self.directory) / target).lstrip("/")
        for name in names:
            found = source / name.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, into, symlinks=True)
            else:
                shutil.copy(found, into / found.name if into.is_dir() else into)

    def command(self, words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """The command that runs another in the image, where its instructions say."""
        pairs = [f"{name}={value}" for name, value in environment.items()]
        return ["chroot", str(self.root), "env", "-i", f"--chdir={self.directory}", *pairs, *words]

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        subprocess.run(self.command(words, environment), check=True, stdin=subprocess.DEVNULL)

    def confined(self, words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """The same as the image's user without any capability, as compose.yaml has it."""
        user, group = self.user.split(":")
        dropped = [
            "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs",
            "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all",
        ]  # fmt: skip
        return self.command([*dropped, *words], {**self.environment, **environment})


def run_and_try(image: Image, work: Path) -> None:
    """Start what the image starts, wait until it is healthy, read a clip, end it."""
    volume = image.root / image.stage.last("VOLUME").text.lstrip("/")
    kept = made(work / "volume")
    shutil.copystat(volume, kept)
    os.chown(kept, volume.stat().st_uid, volume.stat().st_gid)
    clips = made(image.root / "clips")
    call("mount", "-o", "remount,ro", image.root)
    call("mount", "--bind", kept, volume)
    call("mount", "--bind", "-o", "ro", work / "clips", clips)
    call("mount", "-t", "tmpfs", "-o", "mode=1777,size=256m", "tmpfs", image.root / "tmp")

    start = [*image.stage.last("ENTRYPOINT").words, *image.stage.last("CMD").words]
    kind, _, check = image.stage.last("HEALTHCHECK").text.partition(" ")
    assert kind == "CMD"
    check_words = Instruction("CMD", (), check).words
    alone = ["unshare", "--net", sys.executable, "-c", _LOOPBACK_UP]
    nobody = subprocess.run([*alone, *image.confined(check_words, {})], capture_output=True, check=False)
    assert nobody.returncode == 1, "the health check passes where no service is"

    service = subprocess.Popen(
        [*alone, *image.confined(start, {"EMOFUSE_PURPOSE": "a study"})], stdin=subprocess.DEVNULL
    )
    try:
        beside = ["nsenter", f"--net=/proc/{service.pid}/ns/net"]
        checking = [*beside, *image.confined(check_words, {})]
        deadline = time.monotonic() + FOREVER_S
        while subprocess.run(checking, capture_output=True, check=False).returncode:
            assert service.poll() is None, f"the service ended with status {service.returncode}"
            assert time.monotonic() < deadline, "the service does not become healthy"
            time.sleep(0.5)
        user = image.user.partition(":")[0]
        subprocess.run([*beside, *image.confined(["python", "-c", _TRY, user], {})], check=True)
        service.terminate()
        assert service.wait(FOREVER_S) == 0, f"the service ended with status {service.returncode}"
    finally:
        service.kill()
        service.wait()
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in kept.rglob("*")}
    assert owners == {tuple(map(int, image.user.split(":")))}, owners


def outside_environment() -> dict[str, str]:
    """What pip needs to reach its index from here; nothing of this Python."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "EMOFUSE")) and name not in ("PATH", "VIRTUAL_ENV")
    }


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def call(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    sys.exit(main())
