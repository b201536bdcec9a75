"""``emofuse robustness``: evaluate a run on degraded audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from emofuse.cli import clusters, options
from emofuse.cli.printing import print_line
from emofuse.cli.progress import stages
from emofuse.cli.quiet import is_quiet


def robustness(
    run: options.RunFolder,
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR…",
            help="The corpus of the run; if there were several, all, also those of --train and --test.",
        ),
    ],
    *,
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    dimensions: options.DimensionNames = None,
    weight: options.Weights = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    cache: options.CacheFolder = None,
    cluster: options.ClusterAddress = None,
    _quiet: options.Quiet = False,
) -> None:
    """Evaluate a run under noise, telephone audio, codecs, reverberation, clipping, offsets and hum.

    Nothing is trained: the networks of each fold are applied to its test recordings again, degraded in 13
    ways. The results are added to RUN's results.json, report and model card.

    Example: `emofuse robustness runs/ensemble ravdess`
    """
    options.check_training()
    from emofuse.evaluation.report.write import write_report
    from emofuse.evaluation.robustness import corpus_of_run, measure_robustness
    from emofuse.features.voice.degradations import DEGRADATIONS
    from emofuse.training.resources import Resources

    counts = options.corpus_weights(weight)
    parts = options.separate_corpora(corpus, labels, names=name, dimensions=dimensions, weighted=list(counts))
    clips = corpus_of_run(run, parts, counts)
    compute = options.compute(device)
    clusters.check_training(cluster, jobs, compute)
    store = options.feature_store(cache)
    read = clusters.recordings_of(clips)
    with clusters.executor(cluster, jobs, [run, store.root], read) as executor, stages() as on_progress:
        resources = Resources(executor, store, on_progress, compute)
        records = measure_robustness(run, clips, resources)
        page = write_report(run)
    table = Table("condition", "system", "accuracy %", "95 % interval", title_justify="left")
    for one in records:
        low, high = one["ci95"]
        table.add_row(one["condition"], one["system"], f"{one['accuracy']:.1%}", f"{low:.1%}–{high:.1%}")
    console = Console()
    console.print(table)
    if not is_quiet():
        for condition, degradation in DEGRADATIONS.items():
            console.print(f"[dim]{condition}: {degradation.summary}[/dim]")
    print_line(f"report: {page}")
