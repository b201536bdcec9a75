"""How much processor time tools take for the same recordings, as ratios to decoding them.

    python benchmarks/peers/speed.py --voices VOICE... --videos VIDEO... --python opensmile=PYTHON \
        --python fer=PYTHON --out benchmarks/peers/results/speed.json

Each tool runs in a process of its own environment, loads what it needs, and reads every recording once before
the clock starts. Then the tools take turns, round after round. What counts is processor time, of all threads:
it depends less on what else the machine does; of each recording the least of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

TOOLS = {
    "decoding, voice": ("emofuse", "voices"),
    "emofuse, voice": ("emofuse", "voices"),
    "openSMILE, eGeMAPS": ("opensmile", "voices"),
    "openSMILE, ComParE": ("opensmile", "voices"),
    "decoding, video": ("emofuse", "videos"),
    "emofuse, voice and face": ("emofuse", "videos"),
    "fer, 20 frames": ("fer", "videos"),
}
"""What is measured: the environment that it runs in, and the recordings that it reads."""


def main() -> None:
    """Measure, as the driver or as the process of one tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voices", type=Path, nargs="+", default=[])
    parser.add_argument("--videos", type=Path, nargs="+", default=[])
    parser.add_argument("--python", action="append", default=[], metavar="ENVIRONMENT=PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    recordings = {"voices": given.voices, "videos": given.videos}
    if given.tool is not None:
        serve(work_of(given.tool), recordings[TOOLS[given.tool][1]])
        return
    pythons = {"emofuse": sys.executable, **dict(pair.split("=", 1) for pair in given.python)}
    facts = compare(pythons, recordings, given.rounds)
    text = json.dumps(facts, indent=1) + "\n"
    if given.out is None:
        sys.stdout.write(text)
    else:
        given.out.write_text(text, encoding="utf-8")


def work_of(tool: str) -> Callable[[Path], Any]:
    """What the tool does with a recording, loaded and ready."""
    if tool.startswith("decoding"):
        return decode
    if tool.startswith("emofuse"):
        from emofuse import Recognizer

        return Recognizer.load().predict
    if tool.startswith("openSMILE"):
        import opensmile

        name = {"openSMILE, eGeMAPS": "eGeMAPSv02", "openSMILE, ComParE": "ComParE_2016"}[tool]
        smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[name], feature_level=opensmile.FeatureLevel.Functionals
        )
        return lambda path: smile.process_file(str(path))
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from fer.fer import FER

    from benchmarks.peers.fer_faces import found, spread_frames

    network = FER()
    return lambda path: [found(network, frame) for frame in spread_frames(path)]


def decode(path: Path) -> float:
    """Decode every frame and sample, discard them, and return the seconds of the recording."""
    import av

    with av.open(str(path)) as file:
        for packet in file.demux():
            for _ in packet.decode():
                pass
        return (file.duration or 0) / av.time_base


def serve(work: Callable[[Path], Any], paths: Sequence[Path]) -> None:
    """Read every recording once, and again for each line that comes; print the processor times of each."""
    for path in paths:
        work(path)
    # what the tool itself prints must not be taken for an answer
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps([processor_time(work, path) for path in paths]), file=answers, flush=True)


def processor_time(work: Callable[[Path], Any], path: Path) -> float:
    """Seconds, of all threads of this process."""
    before = time.process_time()
    work(path)
    return time.process_time() - before


def compare(
    pythons: Mapping[str, str], recordings: Mapping[str, Sequence[Path]], rounds: int
) -> dict[str, Any]:
    """Have the tools whose environment is given take turns.

    Returns:
        ``seconds``: of recordings, by kind; ``work``: by tool, the least processor time of each recording.
    """
    tools = {tool: env for tool, (env, kind) in TOOLS.items() if env in pythons and recordings[kind]}
    processes = {tool: start(pythons[env], tool, recordings[TOOLS[tool][1]]) for tool, env in tools.items()}
    try:
        for process in processes.values():
            answer(process)
        measured: dict[str, list[list[float]]] = {tool: [] for tool in tools}
        for _ in range(rounds):
            for tool, process in processes.items():
                write_line(process)
                measured[tool].append(answer(process))
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    work = {tool: [min(times) for times in zip(*rows, strict=True)] for tool, rows in measured.items()}
    return {
        "rounds": rounds, "python": platform.python_version(), "machine": platform.machine(),
        "cores": os.cpu_count(),
        "seconds": {kind: [decode(path) for path in paths] for kind, paths in recordings.items()},
        "work": {tool: [round(one, 6) for one in times] for tool, times in work.items()},
    }  # fmt: skip


def start(python: str, tool: str, paths: Sequence[Path]) -> subprocess.Popen[str]:
    """A process of one tool."""
    kind = TOOLS[tool][1]
    command = [python, __file__, "--tool", tool, f"--{kind}", *map(str, paths)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


def write_line(process: subprocess.Popen[str]) -> None:
    """Ask for one round."""
    pipe = _open(process.stdin)
    pipe.write("\n")
    pipe.flush()


def answer(process: subprocess.Popen[str]) -> Any:
    """The next line that is JSON; what a library prints while it loads is passed over."""
    for line in _open(process.stdout):
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            continue
    raise SystemExit(f"{process.args!r} ended before it answered")


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


if __name__ == "__main__":
    main()
