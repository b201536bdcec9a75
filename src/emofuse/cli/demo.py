"""``emofuse demo``: corpus, evaluation, training and prediction in a few minutes, without any data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_line, print_predictions, print_results
from emofuse.cli.progress import stages
from emofuse.core.errors import BundleError, ExperimentError

if TYPE_CHECKING:
    from emofuse.training.compute import Compute

RECIPE = "demo"
PROTOCOL = "actors-3"
N_ACTORS = 9
N_TAKES = 1
UNSEEN_ACTOR = 99
"""Number of the actor who is not in the corpus."""


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for all output.")] = Path(
        "demo-run"
    ),
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Another seed draws other people.")] = 1,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    _quiet: options.Quiet = False,
) -> None:
    """Run every step in a few minutes, without any data.

    Draws a clip and asks the recognizer that comes with emofuse. Then makes a synthetic corpus, evaluates the
    recipe `demo` on it with every actor held out once, trains a bundle, and predicts the clip again, whose
    actor is not in the corpus. Repeat the command to resume an interrupted run.

    Example: `emofuse demo --out demo-run`
    """
    options.check_training()
    from emofuse.recognition.recognizer import Recognizer

    compute = options.compute(device, precision)
    _claim(out, seed)
    n_processes = options.processes(jobs)
    console = Console()
    clip = _draw_unseen(out, seed, n_processes)
    _answer_first(clip, console)
    _synthesize(out, seed, n_processes)
    results = _evaluate(out, n_processes, compute)
    bundle = _train(out, n_processes, compute)
    print_line("")
    print_results(results, out / "run", console)
    recognizer = Recognizer.load(bundle)
    print_line(f"\nbundle: {bundle}\na clip of an actor who is not in the training data (acted: angry):")
    print_predictions([recognizer.predict(clip)], console)


def _claim(out: Path, seed: int) -> None:
    """Write the settings into the folder, or check those of an earlier demo.

    Raises:
        ExperimentError: the folder holds a demo with other settings.
    """
    from emofuse.training.run_folder import read_run_json

    mark = out / "demo.json"
    settings = {"seed": seed, "actors": N_ACTORS, "takes": N_TAKES}
    if mark.is_file() and read_run_json(mark) != settings:
        raise ExperimentError(f"{out} holds a demo with other settings: choose another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(settings) + "\n", encoding="utf-8")


def _draw_unseen(out: Path, seed: int, jobs: int) -> Path:
    """Make the clips of the actor who is not in the corpus; return one."""
    unseen = out / "unseen"
    _draw("a first clip", unseen, n_actors=1, n_takes=1, seed=seed, jobs=jobs, first_actor=UNSEEN_ACTOR)
    return sorted(unseen.rglob("01-01-05-*.mp4"))[0]


def _answer_first(clip: Path, console: Console) -> None:
    """Print what the recognizer that comes with emofuse predicts, if it is installed."""
    from emofuse.recognition.recognizer import Recognizer

    try:
        recognizer = Recognizer.load()
    except BundleError:
        return
    print_line(
        f"\nA first answer, by emofuse predict {clip}. The recognizer that comes with emofuse is made for "
        "people; this one is drawn, and acts angry:"
    )
    print_predictions([recognizer.predict(clip)], console)
    print_line("\nNow every step to a recognizer of your own, on a corpus that is drawn:")


def _synthesize(out: Path, seed: int, jobs: int) -> None:
    """Make the corpus."""
    _draw("drawing and speaking", out / "corpus", n_actors=N_ACTORS, n_takes=N_TAKES, seed=seed, jobs=jobs)


def _draw(stage: str, folder: Path, **settings: Any) -> None:
    from emofuse.corpus.synthetic.synthesis import synthesize

    with stages() as on_progress:
        synthesize(folder, **settings, on_clip=lambda done, total: on_progress(stage, done, total))


def _evaluate(out: Path, jobs: int, compute: Compute) -> Mapping[str, Any]:
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.cross_validation import evaluate
    from emofuse.evaluation.report.write import write_report
    from emofuse.training.resources import Resources

    with stages() as on_progress:
        store = options.feature_store(out / "features")
        resources = Resources(options.executor(jobs), store, on_progress, compute)
        results = evaluate(load_corpus(out / "corpus"), load_recipe(RECIPE), PROTOCOL, out / "run", resources)
        on_progress("report", 0, 1)
        write_report(out / "run")
        on_progress("report", 1, 1)
    return results


def _train(out: Path, jobs: int, compute: Compute) -> Path:
    """Train a bundle on all actors, unless an earlier run has; return its folder."""
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train

    bundle = out / "bundle"
    if not (bundle / "bundle.json").is_file():
        with stages() as on_progress:
            store = options.feature_store(out / "features")
            resources = Resources(options.executor(jobs), store, on_progress, compute)
            train(load_corpus(out / "corpus"), load_recipe(RECIPE), bundle, resources)
    return bundle
