"""``emofuse evaluate``: evaluate a recipe on a corpus and write a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from emofuse.cli import clusters, options
from emofuse.cli.printing import print_corpus, print_results
from emofuse.cli.progress import stages

if TYPE_CHECKING:
    from emofuse.corpus.corpus import Corpus


def evaluate(
    corpus: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR…",
            help="One corpus, or several that are joined: folders with known file names (see: emofuse corpus "
            "list), or tables (.csv).",
        ),
    ] = None,
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "default",
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    dimensions: options.DimensionNames = None,
    weight: options.Weights = None,
    license_: options.Licenses = None,
    protocol: options.ProtocolName = "six-fold",
    train: Annotated[
        list[Path] | None,
        typer.Option(
            "--train", metavar="DIR",
            help="With --test, in place of DIR…: a corpus to train on; once for each.",
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test", metavar="DIR",
            help="The corpus to test, of which nothing is trained on; among the labels that both sides have.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="S", help="Random seed, in place of the recipe's.")
    ] = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    cluster: options.ClusterAddress = None,
    study: clusters.StudyUrl = None,
    study_password_file: clusters.StudyPasswordFile = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Evaluate a recipe on a corpus. Every fold is held out from everything that is fitted.

    Writes results.json, predictions.csv, report.html, model-card.md and data-card.md to RUN. Repeat the
    command to resume an interrupted run. Several corpora are joined: every fold has speakers of each, and the
    results have the figures of each, over its own emotions.

    With --train and --test, all of one corpus is tested, and the others train. For every pair of several, see
    emofuse cross.

    Example: `emofuse evaluate ravdess --recipe ravdess-au --protocol six-fold --out runs/au`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.folds import held_out_corpus
    from emofuse.evaluation.cross_validation import evaluate as cross_validate
    from emofuse.evaluation.report.write import write_report
    from emofuse.training.resources import Resources

    settings = load_recipe(recipe)
    notes: list[str] = []
    if train or test:
        if corpus or not train or test is None:
            raise typer.BadParameter("give corpora to join, or --train and --test, both")
        clips, notes = _train_and_test(train, test, labels, weight, license_, name, dimensions)
        protocol = held_out_corpus(clips.parts[-1].name).name
    elif corpus:
        clips = options.load_corpora(corpus, labels, weight, license_, name, dimensions)
    else:
        raise typer.BadParameter("which corpus? Give a folder or a table, or --train and --test")
    compute = options.compute(device, precision)
    clusters.check_training(cluster, jobs, compute)
    print_corpus(clips)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    studies, store = clusters.studies(study, study_password_file), options.feature_store(cache)
    read = clusters.recordings_of(clips)
    with clusters.executor(cluster, jobs, [out, store.root], read) as executor, stages() as on_progress:
        resources = Resources(executor, store, on_progress, compute, studies)
        results = cross_validate(clips, settings, protocol, out, resources, notes)
        on_progress("report", 0, 1)
        write_report(out)
        on_progress("report", 1, 1)
    print_results(results, out, Console())


def _train_and_test(
    train: Sequence[Path],
    test: Path,
    labels: Sequence[str] | None,
    weights: Sequence[str] | None,
    licenses: Sequence[str] | None,
    names: Sequence[str] | None,
    dimensions: str | None,
) -> tuple[Corpus, list[str]]:
    """Training corpora and, last, a test corpus, joined, with the labels that both have; and notes on them.

    Raises:
        CorpusError: one cannot be read, an option contradicts it, or they have no two labels in common.
    """
    from emofuse.corpus.common_labels import join_to_test

    counts = options.corpus_weights(weights)
    parts = options.separate_corpora(
        [*train, test], labels, licenses, names, dimensions, weighted=list(counts)
    )
    return join_to_test(parts[:-1], parts[-1], [counts.get(part.name.lower(), 1.0) for part in parts])
