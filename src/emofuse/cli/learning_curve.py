"""``emofuse learning-curve``: how many coded minutes are worth it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_line, print_notes
from emofuse.cli.progress import stages


def learning_curve(
    corpus: options.CorpusPaths,
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "default",
    labels: options.LabelSets = None,
    protocol: options.ProtocolName = "actors-5",
    shares: Annotated[
        str,
        typer.Option(metavar="SHARE,…", help="Of the takes to train on, each above 0 and at most 1."),
    ] = "0.125,0.25,0.5,1",
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    _quiet: options.Quiet = False,
) -> None:
    """Tell how many coded minutes are worth it: accuracy over how much of the coding is trained on.

    Trains with each share of the training takes, and tests on the same speakers, who are in no training.
    Writes learning-curve.json, .csv, .svg and .png to RUN. Repeat the command to resume an interrupted run.

    Example: `emofuse learning-curve coded.csv --protocol actors-5 --out runs/curve`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.evaluation.learning_curve import learning_curve as measure
    from emofuse.evaluation.report.learning_curve import curve_table, write_curve
    from emofuse.training.resources import Resources

    try:
        parts = [float(part) for part in shares.split(",") if part.strip()]
        if not parts or not all(0 < part <= 1 for part in parts):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"--shares {shares}: write numbers above 0 and at most 1, such as 0.25,0.5,1"
        ) from None
    settings, clips = load_recipe(recipe), options.load_corpora(corpus, labels)
    compute = options.compute(device, precision)
    with stages() as on_progress:
        resources = Resources(options.executor(jobs), options.feature_store(cache), on_progress, compute)
        found = measure(clips, settings, protocol, out, resources, shares=parts)
    table = write_curve(out, found)
    console = Console()
    console.print(curve_table(found))
    print_notes(found.notes, console)
    print_line(f"learning curve: {table}, figure: {table.with_suffix('.svg')}")
