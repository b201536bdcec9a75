"""``emofuse evaluate``, ``train``, ``report``, ``recipes`` and ``demo``."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from emofuse.cli.predict import show_table
from emofuse.cli.progress import Jobs, processes, stages
from emofuse.core.errors import ExperimentError, MissingExtraError

Corpus = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A folder of files with RAVDESS names, or a table of clips (.csv)."),
]
RecipeName = Annotated[
    str,
    typer.Option("--recipe", "-r", metavar="R", help="A recipe's name (see: emofuse recipes) or TOML file."),
]
Cache = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where features are kept; default: the user's cache folder."),
]


def evaluate(
    corpus: Corpus,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder of the results.")],
    recipe: RecipeName = "default",
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol", "-p", metavar="P",
            help="six-fold, emobox-6, luna-5, rosred-stratified-5 (speaker-dependent), or actors-K.",
        ),
    ] = "six-fold",
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Another seed than the recipe's.")
    ] = None,
    jobs: Jobs = 0,
    cache: Cache = None,
) -> None:  # fmt: skip
    """Measure a recipe on a corpus: every fold is held out from everything that is fitted.

    Writes results.json, predictions.csv, report.html, model-card.md and data-card.md into RUN. A run that was
    broken off goes on where it was when the same command is given again.

    Example: `emofuse evaluate ravdess --recipe ravdess-au --protocol six-fold --out runs/au`
    """
    results = _evaluate(corpus, recipe, protocol, out, jobs, cache, seed)
    _print_results(results, out)


def check_training() -> None:
    """Say at once that what trains is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("train", "training and measuring recognisers")


def _evaluate(
    corpus: Path,
    recipe: str,
    protocol: str,
    out: Path,
    jobs: int,
    cache: Path | None,
    seed: int | None = None,
) -> dict[str, Any]:
    check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.cross_validation import evaluate as run_evaluation
    from emofuse.evaluation.report.write import write_report

    settings, clips = load_recipe(recipe), load_corpus(corpus)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    with stages() as on_progress:
        results = run_evaluation(
            clips,
            settings,
            protocol,
            out,
            jobs=processes(jobs),
            store=feature_store(cache),
            on_progress=on_progress,
        )
        on_progress("report", 0, 1)
        write_report(out)
        on_progress("report", 1, 1)
    return results


def feature_store(cache: Path | None) -> Any:
    """The store that ``--cache`` names, or the user's own."""
    from emofuse.features.store import FeatureStore, default_store_folder

    return FeatureStore(cache or default_store_folder())


def _print_results(results: dict[str, Any], out: Path) -> None:
    from emofuse.evaluation.report.write import summary_table

    console = Console()
    console.print(summary_table(results))
    for note in results["notes"]:
        console.print(f"[dim]note: {note}[/dim]")
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)


def train(
    corpus: Corpus,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder of the bundle.")],
    recipe: RecipeName = "default",
    jobs: Jobs = 0,
    cache: Cache = None,
) -> None:
    """Train a recogniser on a whole corpus and write it as a bundle for `emofuse predict`.

    The bundle holds ONNX networks, the fusion, the recipe, labels, licence, provenance and checksums.

    Example: `emofuse train ravdess --recipe default --out bundles/mine`
    """
    _train(corpus, recipe, out, jobs, cache)
    typer.echo(f"bundle: {out}")
    typer.echo(f"try it: emofuse predict FILE --bundle {out}")


def _train(corpus: Path, recipe: str, out: Path, jobs: int, cache: Path | None) -> None:
    check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.train_bundle import train as train_bundle

    settings, clips = load_recipe(recipe), load_corpus(corpus)
    with stages() as on_progress:
        train_bundle(
            clips, settings, out, jobs=processes(jobs), store=feature_store(cache), on_progress=on_progress
        )


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that emofuse evaluate has written.")],
) -> None:
    """Draw the report of a run again, from its results.json and predictions.csv.

    Example: `emofuse report runs/au`
    """
    from emofuse.evaluation.report.write import write_report

    typer.echo(write_report(run))


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[R]", help="Show every setting of this one.")] = None,
) -> None:
    """List the recipes that come with emofuse, or show every setting of one.

    A recipe of your own is a TOML file; `extends = "default"` at its top takes another one and changes what
    you name.

    Example: `emofuse recipes default`
    """
    from emofuse.core.recipes.load import load_recipe, shipped_recipes

    if name is not None:
        typer.echo(json.dumps(load_recipe(name).model_dump(mode="json"), indent=2))
        return
    for one in shipped_recipes():
        typer.echo(f"{one:12} {load_recipe(one).description}")


DEMO_ACTORS = 9
DEMO_TAKES = 2
STRANGER = 99


def demo(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of everything it makes.")
    ] = Path("demo-run"),
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Another seed draws other people.")] = 1,
    jobs: Jobs = 0,
) -> None:
    """The whole way in a few minutes, without any data.

    Makes a synthetic corpus, measures the recipe `demo` on it with every actor held out once, trains a
    bundle, and predicts a clip of an actor that nothing was trained on. Given again, it goes on where it was.

    Example: `emofuse demo --out demo-run`
    """
    check_training()
    from emofuse.corpus.synthetic.synthesis import synthesise
    from emofuse.recognition.recognizer import Recognizer

    corpus, stranger, bundle = out / "corpus", out / "stranger", out / "bundle"
    mark = out / "demo.json"
    wanted = {"seed": seed, "actors": DEMO_ACTORS, "takes": DEMO_TAKES}
    if mark.is_file() and json.loads(mark.read_text()) != wanted:
        raise ExperimentError(f"{out} holds a demo with other settings: give another --out or remove it")
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(wanted) + "\n")
    n = processes(jobs)
    with stages() as on_progress:
        synthesise(
            corpus, n_actors=DEMO_ACTORS, n_takes=DEMO_TAKES, seed=seed, jobs=n,
            on_clip=lambda done, total: on_progress("drawing and speaking", done, total),
        )  # fmt: skip
        synthesise(stranger, n_actors=1, n_takes=1, seed=seed, jobs=n, first_actor=STRANGER)
    results = _evaluate(corpus, "demo", "actors-3", out / "run", jobs, out / "features")
    if not (bundle / "bundle.json").is_file():
        _train(corpus, "demo", bundle, jobs, out / "features")
    console = Console()
    console.print()
    _print_results(results, out / "run")
    recognizer = Recognizer.load(bundle)
    clip = sorted(stranger.rglob("01-01-05-*.mp4"))[0]
    console.print(
        f"\nbundle: {bundle}\na clip of an actor that nothing was trained on (acted: angry):", soft_wrap=True
    )
    show_table([recognizer.predict(clip)], console)
