"""``emofuse evaluate``: evaluate a recipe on a corpus and write a report."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_corpus, print_results
from emofuse.cli.progress import stages


def evaluate(
    corpus: options.CorpusPaths,
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "default",
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    dimensions: options.DimensionNames = None,
    weight: options.Weights = None,
    license_: options.Licenses = None,
    protocol: options.ProtocolName = "six-fold",
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Random seed, in place of the recipe's.")
    ] = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Evaluate a recipe on a corpus. Every fold is held out from everything that is fitted.

    Writes results.json, predictions.csv, report.html, model-card.md and data-card.md to RUN. Repeat the
    command to resume an interrupted run. Several corpora are joined: every fold has speakers of each, and the
    results have the figures of each, over its own emotions.

    Example: `emofuse evaluate ravdess --recipe ravdess-au --protocol six-fold --out runs/au`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.evaluation.cross_validation import evaluate as cross_validate
    from emofuse.evaluation.report.write import write_report
    from emofuse.training.resources import Resources

    settings = load_recipe(recipe)
    clips = options.load_corpora(corpus, labels, weight, license_, name, dimensions)
    compute = options.compute(device, precision)
    print_corpus(clips)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    with stages() as on_progress:
        resources = Resources(options.executor(jobs), options.feature_store(cache), on_progress, compute)
        results = cross_validate(clips, settings, protocol, out, resources)
        on_progress("report", 0, 1)
        write_report(out)
        on_progress("report", 1, 1)
    print_results(results, out, Console())
