"""Reproduce docs/results.md: run the commands, read their results, write the tables.

    python benchmarks/results.py --ravdess DIR --fer2013 DIR --runs runs/results --docs docs/results.md

Finished steps are skipped, interrupted ones resume. Takes hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emofuse.core import metrics
from emofuse.evaluation.run_files import Scores, read_run

BEGIN, END = "<!-- made by benchmarks/results.py -->", "<!-- end -->"
SEEDS = (0, 1, 2)
RECIPE = "ravdess-ensemble"
ROBUST_RECIPE = "ravdess-robust"
FILTERED_RECIPE = "benchmarks/ravdess-ensemble-filtered.toml"
BELOW_A_VOICE = ("clean", "dc-0.03", "rumble-10hz", "hum-60hz")
N_RESAMPLES = 2000
SHIPPED_RECIPE = "benchmarks/shipped-voice-first.toml"
LEAK_RECIPE = "benchmarks/leak.toml"
EMOTION_EPOCHS = 60
SYSTEMS = ("voice", "face", "fused")


def main() -> None:
    """Run the missing steps, then write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ravdess", type=Path, required=True, help="RAVDESS, with openface_au_mean.csv")
    parser.add_argument("--fer2013", type=Path, required=True, help="folder of train.npz and public_test.npz")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    parser.add_argument("--docs", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--only-write", action="store_true", help="write the tables of existing results")
    given = parser.parse_args()
    steps = commands(given.ravdess, given.fer2013, given.runs)
    if not given.only_write:
        for name, (command, finished) in steps.items():
            if not finished.exists():
                run(name, command, given.runs)
    write(given.docs, tables(given.runs))
    figure = given.runs / "leak" / "leak.svg"
    if figure.is_file():
        shutil.copy(figure, given.docs.parent / figure.name)


def commands(ravdess: Path, fer2013: Path, runs: Path) -> dict[str, tuple[list[str], Path]]:
    """The command of each step, and the file that exists when it has finished."""
    emofuse = [sys.executable, "-m", "emofuse"]
    steps: dict[str, tuple[list[str], Path]] = {}
    for seed in SEEDS:
        out = runs / f"seed-{seed}"
        steps[f"seed-{seed}"] = (
            [*emofuse, "evaluate", str(ravdess), "--recipe", RECIPE, "--protocol", "six-fold",
             "--seed", str(seed), "--out", str(out)],
            out / "results.json",
        )  # fmt: skip
    others = (("robust", ROBUST_RECIPE), ("shipped-voice", SHIPPED_RECIPE), ("filtered", FILTERED_RECIPE))
    for name, recipe in others:
        steps[name] = (
            [*emofuse, "evaluate", str(ravdess), "--recipe", recipe, "--protocol", "six-fold",
             "--seed", "0", "--out", str(runs / name)],
            runs / name / "results.json",
        )  # fmt: skip
    degraded = {
        "robustness": "seed-0", "robust-robustness": "robust", "shipped-voice-robustness": "shipped-voice",
        "filtered-robustness": "filtered",
    }  # fmt: skip
    for name, run_folder in degraded.items():
        steps[name] = (
            [*emofuse, "robustness", str(runs / run_folder), str(ravdess)],
            runs / f"{name}.done",
        )
    steps["leak"] = (
        [*emofuse, "leak", str(ravdess), "--recipe", LEAK_RECIPE, "--out", str(runs / "leak")],
        runs / "leak" / "leak.json",
    )
    compact, emotion = (runs / f"faces-{kind}" for kind in ("compact", "emotion"))
    steps["faces-compact"] = (
        [*emofuse, "faces", "train", str(fer2013), "--architecture", "compact", "--out", str(compact)],
        compact / "results.json",
    )
    steps["faces-emotion"] = (
        [*emofuse, "faces", "train", str(fer2013), "--architecture", "emotion", "--epochs",
         str(EMOTION_EPOCHS), "--teacher", str(compact / "weights.safetensors"), "--out", str(emotion)],
        emotion / "results.json",
    )  # fmt: skip
    return steps


def run(name: str, command: list[str], runs: Path) -> None:
    """Run one step and record its duration."""
    print(f"{name}: {' '.join(command[2:])}", flush=True)
    started = time.monotonic()
    runs.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)
    times = runs / "seconds.json"
    durations = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else {}
    durations[name] = round(durations.get(name, 0) + time.monotonic() - started)
    times.write_text(json.dumps(durations, indent=1) + "\n", encoding="utf-8")
    if name.endswith("robustness"):
        (runs / f"{name}.done").touch()


def tables(runs: Path) -> str:
    """All results that exist, as Markdown."""
    seeds = {seed: read(runs / f"seed-{seed}" / "results.json") for seed in SEEDS}
    found = {seed: results for seed, results in seeds.items() if results}
    parts: list[str] = []
    if found:
        scores = {seed: read_run(runs / f"seed-{seed}").scores for seed in found}
        parts += [unenrolled(found, scores), enrolled(found), abstention(found)]
        first = next(iter(found.values()))
        robust = read(runs / "robust" / "results.json")
        if first.get("robustness"):
            shipped = read(runs / "shipped-voice" / "results.json")
            parts.append(robustness(first, robust, shipped))
            filtered = read(runs / "filtered" / "results.json")
            if filtered.get("robustness"):
                parts.append(below_a_voice(filtered, shipped))
        parts.append(groups(first))
    leak = read(runs / "leak" / "leak.json")
    if leak:
        findings = (runs / "leak" / "leak.md").read_text(encoding="utf-8").replace("\n#", "\n##")
        parts.append(f"#{findings}\n\n`emofuse leak ravdess --recipe {LEAK_RECIPE} --out RUN`")
    faces = {kind: read(runs / f"faces-{kind}" / "results.json") for kind in ("compact", "emotion")}
    if any(faces.values()):
        parts.append(expression(faces))
    times = read(runs / "seconds.json")
    if times:
        steps = ", ".join(f"{name} {seconds / 60:.0f} min" for name, seconds in times.items())
        parts.append(
            f"Run times on the machine that made this page: {steps}. Features computed by an earlier "
            "step are taken from the store; other load on the machine counts, too."
        )
    if found:
        versions = next(iter(found.values()))["software"]
        parts.append(
            "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."
        )
    return "\n\n".join(parts)


def read(path: Path) -> dict[str, Any]:
    """A JSON file; empty if it does not exist."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def percent(value: float) -> str:
    """In percent, with one decimal."""
    return f"{100 * value:.1f}"


def interval(record: dict[str, Any], key: str = "accuracy") -> str:
    """A figure with its interval."""
    low, high = record.get(f"{key}_ci95") or record["ci95"]
    return f"{percent(record[key])} ({percent(low)} to {percent(high)})"


def mean(values: list[float]) -> str:
    """The mean over seeds."""
    return f"**{percent(sum(values) / len(values))}**"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)])


def mean_interval(
    scores: Mapping[int, Mapping[str, Scores]],
    system: str,
    metric: Callable[[Any, Any], float],
    *,
    of_decisions: bool,
) -> str:
    """The mean over seeds, and its interval: each draw takes the same actors in all seeds."""
    found = [by_system[system] for by_system in scores.values()]
    outputs = [one.predicted if of_decisions else one.probabilities for one in found]
    assert all((one.takes == found[0].takes).all() for one in found)
    names, actors = np.unique(found[0].actors, return_inverse=True)
    rng = np.random.default_rng(0)
    values = []
    for times in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=N_RESAMPLES):
        rows = np.repeat(np.arange(len(actors)), times[actors])
        values.append(np.mean([metric(found[0].truth[rows], output[rows]) for output in outputs]))
    low, high = np.quantile(values, [0.025, 0.975])
    value = np.mean([metric(found[0].truth, output) for output in outputs])
    return f"**{percent(float(value))}** ({percent(low)} to {percent(high)})"


def unenrolled(found: dict[int, dict[str, Any]], scores: Mapping[int, Mapping[str, Scores]]) -> str:
    """Accuracy by seed, and means of accuracy, UAR and ECE."""
    rows = []
    for name in SYSTEMS:
        systems = [results["systems"][name] for results in found.values()]
        rows.append(
            [name, *(interval(one) for one in systems),
             mean_interval(scores, name, metrics.accuracy, of_decisions=True),
             mean_interval(scores, name, metrics.uar, of_decisions=True),
             mean_interval(scores, name, metrics.expected_calibration_error, of_decisions=False)]
        )  # fmt: skip
    hashes = ", ".join(f"`{results['recipe']['hash']}`" for results in found.values())
    first = next(iter(found.values()))
    head = ["system", *(f"seed {seed}" for seed in found), "mean", "UAR, mean", "ECE, mean"]
    return (
        "## Unenrolled speakers\n\n"
        f"`emofuse evaluate ravdess --recipe {RECIPE} --protocol six-fold --seed S --out RUN`\n\n"
        f"{first['corpus']['name']}, {first['corpus']['clips']} clips of {first['corpus']['actors']} actors; "
        f"{'; '.join(first['notes']) or 'all folds'}. Recipe hashes {hashes}. "
        "Accuracy in %, 95 % interval. Resampling biases the interval of a calibration error (ECE) upwards."
        "\n\n" + table(head, rows)
    )


def enrolled(found: dict[int, dict[str, Any]]) -> str:
    """Accuracy by number of enrolled clips."""
    curves = [results["enrolment"]["systems"] for results in found.values() if "enrolment" in results]
    rows = []
    for i, point in enumerate(curves[0]["fused"]):
        row = [str(point["clips"]) + (" (transductive)" if point["clips"] == "all" else "")]
        for name in SYSTEMS:
            points = [curve[name][i] for curve in curves]
            row.append(f"{mean([p['accuracy'] for p in points])}; seed 0: {interval(points[0])}")
        rows.append([*row, str(point["draws"])])
    return (
        "## Enrolled speakers\n\n"
        "The same runs, once some unlabeled clips of the speaker are enrolled. Enrolled clips are never "
        "scored, except at “all”, where all clips of the speaker, including the scored one, were used "
        "without labels.\n\n" + table(["enrolled clips", *SYSTEMS, "draws"], rows)
    )


def abstention(found: dict[int, dict[str, Any]]) -> str:
    """Accuracy at thresholds that training actors set, and the share of test clips that reaches them."""
    wanted = list(next(iter(found.values()))["systems"]["fused"]["coverage"]["beforehand"])
    rows = []
    for share in wanted:
        at = [results["systems"]["fused"]["coverage"]["beforehand"][share] for results in found.values()]
        rows.append(
            [f"{float(share):.0%}",
             *(f"{interval(one)}; {percent(one['answered'])} % answered" for one in at),
             mean([one["accuracy"] for one in at]), mean([one["answered"] for one in at])]
        )  # fmt: skip
    head = ["wanted", *(f"seed {seed}" for seed in found), "mean", "answered, mean"]
    return (
        "## Abstention, fused, unenrolled speakers\n\n"
        "The same runs, when a clip is answered only if its highest probability reaches a threshold. Each "
        "fold's threshold is the one that the wanted share of its training actors' clips reaches, each "
        "judged by networks and a fusion that had not seen the actor; test clips set nothing. Accuracy on "
        "the answered clips in %, 95 % interval; the means have none of their own.\n\n" + table(head, rows)
    )


def robustness(results: dict[str, Any], robust: dict[str, Any], shipped: dict[str, Any]) -> str:
    """Accuracy under degradations, seed 0: of the recipe, and of the one trained with some of them."""
    order = list(dict.fromkeys(one["condition"] for one in results["robustness"]))
    found = [results, *([robust] if robust.get("robustness") else [])]
    rows = []
    for condition in order:
        row = [condition]
        for one in found:
            by_system = {r["system"]: r for r in one["robustness"] if r["condition"] == condition}
            row += [interval(by_system[name]) if name in by_system else "" for name in ("voice", "fused")]
        if shipped.get("robustness"):
            row.append(next((interval(r) for r in shipped["robustness"]
                             if (r["condition"], r["system"]) == (condition, "voice")), ""))  # fmt: skip
        rows.append(row)
    names = [RECIPE, ROBUST_RECIPE][: len(found)]
    head = ["degradation", *(f"{system}, `{name}`" for name in names for system in ("voice", "fused"))]
    if shipped.get("robustness"):
        head.append("voice of the shipped recognizer")
    text = (
        "## Degraded audio\n\n`emofuse robustness RUN ravdess`, six-fold, seed 0: the same networks and "
        "clips, with degraded audio."
    )
    if len(found) > 1:
        clean = (f"{name} {interval(robust['systems'][name])}" for name in SYSTEMS)
        enrolled_all = robust["enrolment"]["systems"]["fused"][-1]["accuracy"]
        text += (
            f" `{ROBUST_RECIPE}` was trained with three of these degradations (noise at 20 dB, telephone, "
            f"MP3); recipe hash `{robust['recipe']['hash']}`; unenrolled speakers, clean: "
            f"{', '.join(clean)}; fused, enrolled with all clips {percent(enrolled_all)}."
        )
    if shipped.get("robustness"):
        text += (
            f" The voice network of the shipped recognizer is smaller: `{SHIPPED_RECIPE}`, recipe hash "
            f"`{shipped['recipe']['hash']}`."
        )
    return text + "\n\n" + table(head, rows)


def below_a_voice(filtered: dict[str, Any], shipped: dict[str, Any]) -> str:
    """Accuracy under an offset, rumble and hum, of the recipes that leave out what lies below a voice."""
    rows = []
    for condition in BELOW_A_VOICE:
        row = [condition]
        for results, systems in ((filtered, ("voice", "fused")), (shipped, ("voice",))):
            for name in systems:
                row += [interval(one) for one in results["robustness"]
                        if (one["condition"], one["system"]) == (condition, name)]  # fmt: skip
        rows.append(row)
    name = filtered["recipe"]["name"]
    head = ["degradation", f"voice, `{name}`", f"fused, `{name}`", "voice of the shipped recognizer"]
    return (
        "## An offset, rumble and hum\n\n"
        f"`emofuse evaluate ravdess --recipe {FILTERED_RECIPE} --protocol six-fold --seed 0 --out RUN`, then "
        f"`emofuse robustness RUN ravdess`; recipe hash `{filtered['recipe']['hash']}`. It is `{RECIPE}` "
        "with `highpass_hz = 80.0` and `start_at_speech = true`, which the shipped recognizer has, too.\n\n"
        + table(head, rows)
    )


def groups(results: dict[str, Any]) -> str:
    """Accuracy by group, seed 0."""
    kinds = ("sex", "intensity", "statement", "emotion")
    rows = [
        [one["kind"], one["value"], str(one["n"]), interval(one)]
        for one in results["groups"]["fused"]
        if one["kind"] in kinds and one["accuracy_ci95"]
    ]  # fmt: skip
    actors = [one for one in results["groups"]["fused"] if one["kind"] == "actor"]
    worst, best = (f(actors, key=lambda one: one["accuracy"]) for f in (min, max))
    return (
        "## By group, fused, seed 0\n\n" + table(["group", "", "clips", "accuracy"], rows) + "\n\n"
        f"Individual actors: from {percent(worst['accuracy'])} (actor {worst['value']}) to "
        f"{percent(best['accuracy'])} (actor {best['value']})."
    )


def of_images(accuracy: float, n: int) -> str:
    """An accuracy on single images with its interval: resampling images is a binomial draw."""
    draws = np.random.default_rng(0).binomial(n, accuracy, N_RESAMPLES) / n
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{percent(accuracy)} ({percent(low)} to {percent(high)})"


def expression(faces: dict[str, dict[str, Any]]) -> str:
    """The expression networks on public_test."""
    rows = []
    for kind, results in faces.items():
        if results:
            figures = results["figures"]
            labels = ("fer2013", "fer_plus_majority", "fer_plus_most_voted")
            cells = [of_images(figures[f"{name}_accuracy"], figures[f"{name}_n"]) for name in labels]
            rows.append([kind, f"{results['parameters']:,}", *cells])
    figures = next(results for results in faces.values() if results)["figures"]
    head = ["network", "parameters", f"FER labels (n {figures['fer2013_n']})",
            f"FER+ majority (n {figures['fer_plus_majority_n']})",
            f"FER+ most voted (n {figures['fer_plus_most_voted_n']})"]  # fmt: skip
    return (
        "## Expression networks on FER2013's public_test\n\n"
        "`emofuse faces train FER2013 --architecture compact --out COMPACT`, then the Emotion CNN, which "
        "also learns the predictions of the compact network: "
        f"`--architecture emotion --epochs {EMOTION_EPOCHS} --teacher COMPACT/weights.safetensors`. The "
        "number of epochs is fixed in advance, the last weights are kept, one prediction per face. Changes "
        "to the training were compared on these very faces (below): public_test is a development set here, "
        "and the private test set is not at hand. 95 % intervals over images. Training "
        "faces that are also in public_test were left out. The Emotion CNN's FER+ figures come from an "
        "additional head that is used in training only. As reported by others: DeepFace's own CNN 57.4 %, "
        "mini-XCEPTION 66 % (private test), VGG13 with FER+ votes 84.99 % (private test, majority labels)."
        "\n\n" + table(head, rows)
    )


def write(path: Path, text: str) -> None:
    """Put the tables between the marks."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
