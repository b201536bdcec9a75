"""Try the plain wheel as a user would: build it, install it with every Python that is found, read a clip.

    .venv/bin/python tests/smoke.py               with every Python from 3.11 to 3.13 that is found
    python tests/smoke.py --only 3.12 --wheel WHEEL --clip CLIP.mp4

Each Python gets two environments: one with the newest versions of the dependencies, one with the lowest
that pyproject.toml allows. Without a clip, the development environment draws one. Nothing else is taken from
there, so that a missing dependency is noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
TRAINING_ONLY = ("torch", "sklearn", "librosa", "pandas", "matplotlib", "optuna")
"""What the plain install must do without."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=VERSIONS, action="append", help="try this Python; may be repeated")
    parser.add_argument("--wheel", type=Path, help="try this wheel instead of building one")
    parser.add_argument("--clip", type=Path, help="read this video with sound instead of drawing one")
    arguments = parser.parse_args()
    wanted = arguments.only or VERSIONS
    pythons = {version: python for version in wanted if (python := find_python(version)) is not None}
    for version in wanted:
        print(f"Python {version}: {pythons.get(version, 'not found')}", flush=True)
    if not pythons or (arguments.only and len(pythons) < len(wanted)):
        return 1
    with tempfile.TemporaryDirectory(prefix="emofuse-smoke-") as folder:
        wheel = arguments.wheel or build_wheel(Path(folder) / "wheel")
        clip = arguments.clip or draw_clip(Path(folder) / "clips")
        for version, python in pythons.items():
            for kind, bounds in (("newest", []), ("lowest", lowest_versions())):
                home = Path(folder) / version / kind
                scripts = install(wheel.resolve(), python, home, bounds)
                read_clip(scripts / "emofuse", clip.resolve(), home)
                print(f"Python {version}, {kind} versions: passed", flush=True)
    return 0


def find_python(version: str) -> Path | None:
    """An interpreter of this version: this one, one on the path, pyenv's, or one of the Windows launcher."""
    for command in candidates(version):
        code = "import sys; print(*sys.version_info[:2], sep='.'); print(sys.executable)"
        try:
            done = subprocess.run([*command, "-c", code], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue  # a shim of pyenv is there for versions that are not
        found, executable = done.stdout.splitlines()[:2]
        if found == version:
            return Path(executable)
    return None


def candidates(version: str) -> Iterator[list[str]]:
    yield [sys.executable]
    yield [f"python{version}"]
    if os.name == "nt":
        yield ["py", f"-{version}"]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted(root.glob(f"versions/{version}.*"), reverse=True):
        yield [str(folder / "bin" / "python")]


def build_wheel(folder: Path) -> Path:
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT])
    (wheel,) = folder.glob("emofuse-*.whl")
    print(f"built {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
    return wheel


def draw_clip(folder: Path) -> Path:
    run([sys.executable, "-m", "emofuse", "corpus", "synth", folder, "--actors", "1", "--takes", "1"])
    return min(folder.rglob("01-*.mp4"))


def lowest_versions() -> list[str]:
    """Of each dependency, the lowest version that pyproject.toml allows, as requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [re.match(r"([\w-]+)>=([\d.]+)", dependency) for dependency in project["dependencies"]]
    assert all(bounds), "a dependency has no lower bound"
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def install(wheel: Path, python: Path, folder: Path, bounds: Sequence[str]) -> Path:
    """Install the wheel and what it depends on into a new environment; return the folder of its commands.

    Args:
        wheel: of emofuse.
        python: the interpreter.
        folder: for the environment.
        bounds: requirements that the installed versions must meet as well.
    """
    run([python, "-m", "venv", folder / "venv"])
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--only-binary", ":all:", wheel, *bounds])
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {TRAINING_ONLY!r}))"
    extra = run([scripts / "python", "-c", code]).split()
    assert not extra, f"the plain install brings {', '.join(extra)}"
    return scripts


def read_clip(emofuse: Path, clip: Path, folder: Path) -> None:
    """Run ``--help``, ``predict``, ``timeline`` and ``live`` in a folder far from the sources."""
    assert "timeline" in run([emofuse, "--help"], folder)
    assert "Example" in run([emofuse, "predict", "--help"], folder)
    (prediction,) = json.loads(run([emofuse, "predict", clip, "--format", "json"], folder))
    assert prediction["used"] == ["voice", "face"], prediction
    assert abs(sum(prediction["probabilities"].values()) - 1) < 1e-6, prediction
    suffixes = (".json", ".csv", ".vtt", ".eaf", ".TextGrid", ".html")
    outputs = [folder / f"timeline{suffix}" for suffix in suffixes]
    run([emofuse, "timeline", clip, *(word for path in outputs for word in ("--out", path))], folder)
    assert json.loads(outputs[0].read_text(encoding="utf-8"))["windows"]
    assert [path.name for path in outputs if not path.stat().st_size] == []
    lines = run([emofuse, "live", clip, "--format", "json"], folder).splitlines()
    assert lines and all(json.loads(line)["end_s"] for line in lines), lines


def run(command: Sequence[object], folder: Path | None = None) -> str:
    """What a command prints; where it fails, what it complained of."""
    # neither the sources nor another environment may lend a module
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        print(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}", file=sys.stderr)
        raise SystemExit(f"{Path(words[0]).name} failed with status {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
