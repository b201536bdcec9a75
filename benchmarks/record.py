"""Record what a refactoring must not change, and compare two such records.

    python benchmarks/record.py before.json [--ravdess DIR]
    python benchmarks/record.py after.json [--ravdess DIR] --compare before.json

The record holds the hash of every recipe, the stored arrays of some files, the sha256 of the shipped
bundle's files, the probabilities of `predict` and `timeline` on a synthetic corpus and on real clips, the
results and predictions of small evaluations, the files of a trained bundle, and the public names. It uses
only the command line and the public names, so that the same script runs before and after. Elapsed times,
software versions, file paths and prose (notes, messages) are left out. Equal means equal to the bit.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import emofuse

SMALL = """extends = "demo"
name = "small"
[voice.training]
epochs = 3
[face.network.emotion_cnn]
frame_epochs = 3
[face.training]
epochs = 3
[fusion]
inner_folds = 2
trials = 3
"""
ENSEMBLE = """extends = "ravdess-ensemble"
name = "small-ensemble"
[voice]
speeds = []
[voice.network.ensemble]
networks = 1
[voice.training]
epochs = 4
[face.network.ensemble]
networks = 1
[face.training]
epochs = 4
[fusion]
inner_folds = 2
trials = 3
[enrolment.both]
networks = 1
"""
LEFT_OUT = {
    "software",
    "created",
    "command",
    "seconds",
    "duration_s",
    "started",
    "finished",
    "notes",
    "features_notes",
    "versions",
}
REAL_ACTORS = 6


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--ravdess", type=Path, help="folder of real recordings")
    parser.add_argument("--compare", type=Path, help="an earlier record")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = take_record(Path(folder), given.ravdess)
    given.out.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if given.compare is None:
        return 0
    before = json.loads(given.compare.read_text(encoding="utf-8"))
    after = json.loads(given.out.read_text(encoding="utf-8"))
    return compare(before, after)


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print the differences; public names may be added, not removed."""
    added = sorted(set(after["public names"]) - set(before["public names"]))
    after["public names"] = [name for name in after["public names"] if name not in added]
    for record in (before, after):
        for part in record.values():
            if isinstance(part, dict) and isinstance(part.get("store"), dict):  # of an earlier version
                part["store"] = sorted(part["store"].values())
    found = list(differences(before, after, ""))
    n_values = sum(1 for _ in leaves(before))
    print(f"{n_values} values compared, {len(found)} differ; public names added: {len(added)}")
    for line in found[:50]:
        print(line)
    return 1 if found else 0


def leaves(value: Any) -> Any:
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def differences(before: Any, after: Any, path: str) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            if key not in before or key not in after:
                yield f"{path}/{key}: {'new' if key in after else 'gone'}"
            else:
                yield from differences(before[key], after[key], f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (a, b) in enumerate(zip(before, after, strict=True)):
            yield from differences(a, b, f"{path}/{index}")
    elif before != after:
        yield f"{path}: {str(before)[:80]} -> {str(after)[:80]}"


def take_record(folder: Path, ravdess: Path | None) -> dict[str, Any]:
    corpus = folder / "corpus"
    run_emofuse("corpus", "synth", corpus, "--actors", 4, "--takes", 2, "--seed", 5)
    clips = sorted(corpus.rglob("01-01-0[1357]-*.mp4"))[:6] + sorted(corpus.rglob("03-01-0[28]-*.wav"))[:2]
    record: dict[str, Any] = {
        "public names": sorted(emofuse.__all__),
        "recipes": recipes(),
        "shipped bundle": shipped_bundle(),
        "synthetic corpus": digests(corpus, "*.mp4") | digests(corpus, "*.wav"),
        "predictions": predictions(clips),
        "timelines": timelines(clips[:1], folder),
        "evaluation": evaluation(folder, corpus, SMALL, "actors-2"),
    }
    if ravdess is not None:
        real = sorted(ravdess.glob("video/Actor_01/*.mp4")) + sorted(
            ravdess.glob("audio/Actor_0[2-5]/03-01-05-*.flac")
        )
        record["real predictions"] = predictions(real)
        record["real timelines"] = timelines(real[:2], folder)
        record["real evaluation"] = evaluation(folder, part_of(ravdess, folder), ENSEMBLE, "actors-3")
    return record


def recipes() -> dict[str, Any]:
    listed = run_emofuse("recipes").splitlines()
    names = sorted(line.split()[0] for line in listed if line[:1].strip())
    return {name: emofuse.load_recipe(name).hash() for name in names}


def shipped_bundle() -> dict[str, str]:
    package = Path(emofuse.__file__).parent
    (manifest,) = package.glob("**/out-of-the-box/bundle.json")
    return digests(manifest.parent, "*.onnx") | digests(manifest.parent, "bundle.json")


def predictions(paths: list[Path]) -> dict[str, Any]:
    recognizer = emofuse.Recognizer.load()
    record = {}
    for path in paths:
        answer = recognizer.predict(path)
        assert answer.probabilities is not None, path
        record[path.name] = {
            "probabilities": [float(value).hex() for value in answer.probabilities],
            "used": list(answer.used),
            "n_notes": len(answer.notes),
        }
    return record


def timelines(paths: list[Path], folder: Path) -> dict[str, Any]:
    record = {}
    for path in paths:
        outs = [folder / f"{path.stem}.{kind}" for kind in ("csv", "json", "vtt", "TextGrid")]
        run_emofuse("timeline", path, *(x for out in outs for x in ("--out", out)))
        data = json.loads(outs[1].read_text(encoding="utf-8"))
        record[path.name] = {
            "windows": digest(json.dumps(data["windows"], sort_keys=True).encode()),
            "segments": digest(json.dumps(data["segments"], sort_keys=True).encode()),
            "csv": digest(outs[0].read_bytes()),
            "vtt": digest(outs[2].read_bytes()),
            "textgrid": digest(outs[3].read_bytes()),
        }
    return record


def evaluation(folder: Path, corpus: Path, recipe: str, protocol: str) -> dict[str, Any]:
    work = folder / f"work-{digest(recipe.encode())[:8]}"
    work.mkdir()
    settings = work / "recipe.toml"
    settings.write_text(recipe, encoding="utf-8")
    given = ("--recipe", settings, "--jobs", 2, "--cache", work / "cache")
    run_emofuse("evaluate", corpus, *given, "--protocol", protocol, "--out", work / "run")
    run_emofuse("train", corpus, *given, "--out", work / "bundle")
    results = json.loads((work / "run" / "results.json").read_text(encoding="utf-8"))
    bundle = digests(work / "bundle", "*.onnx") | digests(work / "bundle", "*.npz")
    with (work / "run" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    store = []
    for path in sorted((work / "cache").rglob("*.npz")):
        with np.load(path, allow_pickle=False) as entry:
            store.append(digest(entry["array"].tobytes()) if "array" in entry else "none")
    return {
        "results": without(results),
        "predictions": digest(json.dumps(rows).encode()),
        "bundle": bundle,
        "store": sorted(store),  # without keys, which hold the versions of libraries
    }


def part_of(ravdess: Path, folder: Path) -> Path:
    """Recordings of a few actors, one statement and one repetition each, with their action units."""
    part = folder / "ravdess"
    part.mkdir()
    wanted = [f"{actor:02d}" for actor in range(1, REAL_ACTORS + 1)]
    for path in sorted(ravdess.glob("audio/Actor_*/03-01-*-01-01-??.flac")):
        if path.stem[-2:] in wanted:
            shutil.copyfile(path, part / path.name)
    shutil.copyfile(ravdess / "openface_au_mean.csv", part / "openface_au_mean.csv")
    return part


def without(value: Any) -> Any:
    """A copy without what may differ between runs; floating-point numbers in full precision."""
    if isinstance(value, dict):
        return {k: without(v) for k, v in value.items() if k not in LEFT_OUT}
    if isinstance(value, list):
        return [without(one) for one in value]
    return float(value).hex() if isinstance(value, float) else value


def digests(folder: Path, pattern: str) -> dict[str, str]:
    return {path.name: digest(path.read_bytes()) for path in sorted(folder.rglob(pattern))}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run_emofuse(*words: Any) -> str:
    command = [sys.executable, "-m", "emofuse", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


if __name__ == "__main__":
    raise SystemExit(main())
