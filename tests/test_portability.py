"""What would fail on Windows, where many who read recordings work: checked here, on any system."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import DownloadError
from emofuse.evaluation import robustness
from emofuse.exports.write import FORMATS
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.system.atomic_write import write_atomically
from emofuse.system.download import download
from tests.support import small_faces
from tests.support.file_server import FileServer
from tests.support.windows_rules import WindowsRules, bad_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "emofuse"
SOURCES = sorted(PACKAGE.rglob("*.py"))

POSIX_MODULES = frozenset({
    "crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd",
    "syslog", "termios", "tty",
})  # fmt: skip
"""Modules of the standard library that Windows lacks (its documentation: "Availability: Unix")."""

POSIX_NAMES = {
    "os": frozenset({
        "chown", "chroot", "ctermid", "fchmod", "fchown", "fdatasync", "fork", "forkpty", "fstatvfs",
        "geteuid", "getegid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getppid",
        "getpriority", "getresuid", "getsid", "getuid", "getxattr", "initgroups", "killpg", "lchown",
        "listxattr", "lockf", "mkfifo", "mknod", "nice", "openpty", "pipe2", "posix_fadvise",
        "posix_fallocate", "posix_spawn", "pread", "preadv", "pwrite", "pwritev", "sched_getaffinity",
        "sched_setaffinity", "sched_yield", "sendfile", "setegid", "seteuid", "setgid", "setgroups",
        "setpgid", "setpriority", "setresuid", "setsid", "setuid", "setxattr", "statvfs", "sync",
        "sysconf", "tcgetpgrp", "ttyname", "uname", "wait", "wait3", "wait4", "waitid",
        # not absent, but they do something else: kill ends any process, whatever the signal
        "kill", "link", "readlink", "symlink", "umask",
        "O_ASYNC", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "WEXITSTATUS",
        "WIFEXITED", "WIFSIGNALED", "WTERMSIG",
    }),
    "signal": frozenset({
        "alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt",
        "sigpending", "sigtimedwait", "sigwait", "sigwaitinfo", "ITIMER_REAL", "SIGALRM", "SIGBUS",
        "SIGCHLD", "SIGCONT", "SIGHUP", "SIGIO", "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSTOP",
        "SIGSYS", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2",
        "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
    }),
    "socket": frozenset({"AF_UNIX", "fromfd", "sethostname"}),
    "time": frozenset({"clock_settime", "pthread_getcpuclockid", "tzset"}),
    "select": frozenset({"epoll", "kqueue", "poll"}),
    "Path": frozenset({"group", "is_mount", "owner", "lchmod", "hardlink_to", "symlink_to"}),
}  # fmt: skip
"""Names that Windows lacks, or that mean something else there."""

POSIX_PATHS = ("/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/usr", "/var")


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def posix_only(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a module uses what only POSIX has."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in POSIX_MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            if node.module.split(".")[0] in POSIX_MODULES:
                yield node.lineno, f"from {node.module}"
            for alias in node.names:
                if alias.name in POSIX_NAMES.get(node.module, ()):
                    yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in POSIX_NAMES.get(of, ()) or node.attr in POSIX_NAMES["Path"] - {"group"}:
                yield node.lineno, f"{of}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            parts = node.value.split("/")
            if "/".join(parts[:2]) in POSIX_PATHS:
                yield node.lineno, node.value


def test_posix_only_calls_are_found() -> None:
    code = '''
        """Of /dev/null and os.fork."""
        import os, signal, fcntl.x
        from os import getppid
        from pathlib import Path
        def f(match):
            os.fork(); signal.SIGKILL; match.group(1); Path("/dev/video0"); "a/dev"; join("/usr/share")
    '''
    tree = ast.parse("\n".join(line[8:] for line in code.splitlines()))
    assert {what for _, what in posix_only(tree)} == {
        "import fcntl.x", "os.getppid", "os.fork", "signal.SIGKILL", "/dev/video0", "/usr/share",
    }  # fmt: skip


def test_posix_only_calls_stay_in_system() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {what}"
        for path in SOURCES
        if path.relative_to(PACKAGE).parts[0] != "system"
        for line, what in posix_only(parsed(path))
    ]
    assert found == []


def unnamed_encodings(tree: ast.AST) -> Iterator[int]:
    """Lines where text is read or written in the encoding of the user's system."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if "encoding" in keywords:
            continue
        constants = [one.value for one in (*node.args, *keywords.values()) if isinstance(one, ast.Constant)]
        modes = [value for value in constants if isinstance(value, str) and set(value) <= set("rwaxbt+U")]
        if _reads_or_writes_text(node, name, keywords, is_text=not any("b" in mode for mode in modes)):
            yield node.lineno


def _reads_or_writes_text(
    call: ast.Call, name: str, keywords: dict[str | None, ast.expr], *, is_text: bool
) -> bool:
    if name in ("read_text", "write_text"):
        return len(call.args) < (2 if name == "write_text" else 1)
    if name in ("open", "fdopen"):
        return is_text and not _is_other_open(call)
    if name in ("NamedTemporaryFile", "TemporaryFile"):
        return is_text and bool(call.args or "mode" in keywords)
    return name in ("run", "Popen", "check_output") and bool({"text", "universal_newlines"} & set(keywords))


def _is_other_open(call: ast.Call) -> bool:
    """``os.open``, ``av.open`` and the like, which open no text: a path is opened with a mode or nothing."""
    of = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    others = ("av", "os", "tarfile", "archive", "encoder", "page", "_OPENER", "JobStore")
    return of in others or of.endswith("_Audit")


def test_text_has_an_encoding() -> None:
    """Else it is that of the user's system, which on Windows is seldom UTF-8."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (*SOURCES, *sorted((ROOT / "benchmarks").rglob("*.py")))
        for line in unnamed_encodings(parsed(path))
    ]
    assert found == []


def test_tables_have_their_own_line_ends() -> None:
    """Writers say how lines end; readers see line ends as they are: else Windows adds a third kind."""
    found = []
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if (
                isinstance(node, ast.Call)
                and called in ("csv.writer", "csv.DictWriter")
                and not any(keyword.arg == "lineterminator" for keyword in node.keywords)
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {called}")
    assert found == []


@pytest.mark.parametrize(
    ("name", "is_bad"),
    [
        *((name, True) for name in ("con", "Aux.txt", "com1", "a:b", "a?", "a.", "a ", "a\tb")),
        *((name, False) for name in ("console", ".hidden", "tuning-0.sqlite3", "ü é")),
    ],
)
def test_names_that_windows_cannot_hold(name: str, is_bad: bool) -> None:
    assert bad_name(name) == is_bad


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WindowsRules]:
    """Everything in the test is held to the rules of Windows for files."""
    if sys.platform != "linux":
        pytest.skip("imitates Windows on Linux")
    from tests.support.fake_msvcrt import lock_as_windows_does

    lock_as_windows_does(monkeypatch)
    rules = WindowsRules(monkeypatch)
    yield rules
    assert rules.broken == []
    assert [path for path in tmp_path.rglob("*") if bad_name(path.name)] == []


def emofuse(*command: object) -> str:
    done = CliRunner().invoke(app, [*map(str, command)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_the_rules_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What Windows refuses, and nothing else."""
    rules = WindowsRules(monkeypatch)
    path, other = tmp_path / "a", tmp_path / "b"
    np.save(path.with_suffix(".npy"), np.zeros(5000))
    path.with_suffix(".npy").rename(path)
    with path.open("rb"):
        for refused in (
            path.unlink, lambda: path.replace(other), lambda: path.rename(other),
            lambda: shutil.rmtree(tmp_path),
        ):  # fmt: skip
            with pytest.raises(PermissionError):
                refused()
    mapped = np.load(path, mmap_mode="r")
    with pytest.raises(PermissionError):
        path.unlink()
    assert mapped.shape == (5000,)
    del mapped
    with path.open("rb") as file:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=file)
    with process:
        with pytest.raises(PermissionError):
            path.unlink()
        process.kill()
    n = len(rules.broken)
    path.replace(other)
    other.unlink()
    (tmp_path / "folder").mkdir()
    write_atomically(tmp_path / "folder" / "c", b"")
    shutil.rmtree(tmp_path / "folder")
    assert len(rules.broken) == n == 6


@pytest.mark.usefixtures("windows")
def test_predictions_and_batches(tmp_path: Path, video_clips: dict[str, Path], au_folder: Path) -> None:
    emofuse("predict", video_clips["happy"])
    sounds = sorted(au_folder.rglob("*.wav"))[:3]
    for suffix in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"table.{suffix}"
        for _ in range(2):  # the second replaces the first
            emofuse("predict", *sounds, "-j", 2, "-o", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.jsonl", "table.parquet"]


@pytest.mark.usefixtures("windows")
def test_timelines(tmp_path: Path, conversation: Path) -> None:
    names = [f"a{suffix}" for suffix in (*FORMATS.values(), ".overlay.mp4")]
    outputs = [argument for name in names for argument in ("-o", tmp_path / name)]
    for _ in range(2):
        emofuse("timeline", conversation, *outputs)
    assert {path.name for path in tmp_path.iterdir()} >= set(names)


@pytest.fixture
def toml(au_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with a single classifier, which is tuned."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(f'{au_toml.read_text()}classifiers = ["lr"]\n')
    return path


@pytest.mark.usefixtures("windows")
def test_an_evaluation(tmp_path: Path, few_folder: Path, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "DEGRADATIONS", {"noise-5-db": DEGRADATIONS["noise-5-db"]})
    options, run = ["-j", 1, "--cache", tmp_path / "cache"], tmp_path / "run"
    for _ in range(2):  # the second finds everything there
        emofuse("evaluate", few_folder, "-r", toml, "-p", "actors-2", "-o", run, *options)
    emofuse("robustness", run, few_folder, *options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run"]
    assert not list((run / "work").glob("*.npy"))


@pytest.mark.usefixtures("windows")
def test_training_in_several_processes(tmp_path: Path, few_folder: Path, toml: Path) -> None:
    emofuse(
        "train", few_folder, "-r", toml, "-o", tmp_path / "bundle", "-j", 2, "--cache", tmp_path / "cache"
    )
    emofuse("predict", min(few_folder.rglob("*.wav")), "-b", tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "cache"]


@pytest.mark.usefixtures("windows")
def test_expression_networks(tmp_path: Path) -> None:
    small_faces.write_split(tmp_path / "fer", "train", small_faces.wave_images(140, 0))
    small_faces.write_split(tmp_path / "fer", "public_test", small_faces.wave_images(16, 1))
    emofuse("faces", "train", tmp_path / "fer", "-o", tmp_path / "run", "-a", "compact", "--epochs", 2)


@pytest.mark.usefixtures("windows")
def test_synthetic_corpora_and_enrollment(tmp_path: Path, ensemble_bundle: Path, few_folder: Path) -> None:
    emofuse("corpus", "synth", tmp_path / "corpus", "--actors", 1, "--takes", 1, "-j", 2)
    emofuse("corpus", "check", tmp_path / "corpus", "-j", 2)
    sounds = sorted(few_folder.rglob("*.wav"))[:2]
    for _ in range(2):
        emofuse("enroll", *sounds, "-b", ensemble_bundle, "-o", tmp_path / "profile")


@pytest.mark.usefixtures("windows")
def test_live_lines(tmp_path: Path, video_clips: dict[str, Path]) -> None:
    """A file of lines, and one that stays empty and is removed."""
    emofuse("live", video_clips["happy"], "--save-to", tmp_path / "live.jsonl")
    done = CliRunner().invoke(
        app, ["live", str(tmp_path / "absent.mp4"), "--save-to", str(tmp_path / "empty")]
    )
    assert done.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["live.jsonl"]


@pytest.mark.usefixtures("windows")
def test_downloads(tmp_path: Path, http_server: FileServer) -> None:
    """Whole, with a wrong checksum, and over an older file."""
    data = os.urandom(10_000)
    url, target = http_server.serve("/f", data), tmp_path / "f"
    for wanted in ("0" * 64, hashlib.sha256(data).hexdigest()):
        target.write_bytes(b"old")
        with contextlib.nullcontext() if wanted.strip("0") else pytest.raises(DownloadError):
            download(url, target, checksum=("sha256", wanted), size=len(data))
    assert target.read_bytes() == data and [path.name for path in tmp_path.iterdir()] == ["f"]
