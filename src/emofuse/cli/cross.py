"""``emofuse cross``: measure a recipe across corpora."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from emofuse.cli import clusters, options
from emofuse.cli.printing import print_corpus, print_cross
from emofuse.cli.progress import stages

if TYPE_CHECKING:
    from emofuse.recognition.bundle import Bundle

SHIPPED = "shipped"


def cross(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR DIR…",
            help="Two corpora or more: folders with known file names (see: emofuse corpus list), or tables.",
        ),
    ],
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "cross-corpus",
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    license_: options.Licenses = None,
    normalize: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="Conditions to measure: none; corpus and speaker, which standardize features by the mean of "
            "all recordings of a corpus or speaker, without labels (transductive).",
        ),
    ] = "none,corpus,speaker",
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle", "-b", metavar="BUNDLE",
            help="A finished recognizer as another row; shipped: the one that comes with emofuse. Corpora "
            "that it was trained on are marked.",
        ),
    ] = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    cluster: options.ClusterAddress = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Measure a recipe across corpora: each within itself, every pair, and all others against each.

    No speaker who is tested is in anything that is fitted. Corpora meet in the labels that both have.
    Writes cross.json, cross.csv, predictions.csv and a picture (matrix.svg, matrix.png) to RUN; cells on
    whose test corpus a pretrained part was trained are marked. Repeat the command to resume an interrupted
    run.

    Example: `emofuse cross ravdess nemo emodb --out runs/cross`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.joined import join_corpora
    from emofuse.evaluation.cross_corpus import cross as measure
    from emofuse.training.resources import Resources

    settings = load_recipe(recipe)
    corpora = options.separate_corpora(corpus, labels, license_, name)
    joined = join_corpora(corpora)
    print_corpus(joined)
    compute = options.compute(device, precision)
    clusters.check_training(cluster, jobs, compute)
    store, read = options.feature_store(cache), clusters.recordings_of(joined)
    with clusters.executor(cluster, jobs, [out, store.root], read) as executor, stages() as on_progress:
        resources = Resources(executor, store, on_progress, compute)
        conditions = [part.strip() for part in normalize.split(",") if part.strip()]
        results = measure(
            corpora, settings, out, resources, conditions=conditions, bundles=_bundles(bundle or ())
        )
    print_cross(results, out, Console())


def _bundles(given: list[str] | tuple[str, ...]) -> dict[str, Bundle]:
    from emofuse.recognition.bundle import load_bundle

    return {
        Path(one).name if one != SHIPPED else "comes with emofuse": load_bundle(
            None if one == SHIPPED else Path(one)
        )
        for one in given
    }
