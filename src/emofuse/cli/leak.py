"""``emofuse leak``: how much each evaluation shortcut inflates accuracy."""

from __future__ import annotations

from rich.console import Console

from emofuse.cli import clusters, options
from emofuse.cli.printing import print_line, print_notes
from emofuse.cli.progress import stages


def leak(
    corpus: options.CorpusPath,
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "default",
    protocol: options.SpeakerIndependentProtocol = "six-fold",
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    cluster: options.ClusterAddress = None,
    study: clusters.StudyUrl = None,
    study_password_file: clusters.StudyPasswordFile = None,
    _quiet: options.Quiet = False,
) -> None:
    """Measure leakage: how much evaluation shortcuts inflate the accuracy of a recipe.

    Compares random folds with speaker-independent folds, and selection on the test fold with nested
    selection. Writes leak.md, leak.svg, leak.png, leak.json and one folder per condition to RUN. Repeat the
    command to resume an interrupted run. It takes two to three times as long as `emofuse evaluate`.

    Example: `emofuse leak ravdess --recipe ravdess-au --out runs/leak`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.leakage.audit import leak as measure_leakage
    from emofuse.evaluation.report.leakage import leakage_tables, write_leakage
    from emofuse.training.resources import Resources

    settings, clips = load_recipe(recipe), load_corpus(corpus)
    compute = options.compute(device, precision)
    clusters.check_training(cluster, jobs, compute)
    store = options.feature_store(cache)
    studies = clusters.studies(study, study_password_file)
    read = clusters.recordings_of(clips)
    with clusters.executor(cluster, jobs, [out, store.root], read) as executor, stages() as on_progress:
        resources = Resources(executor, store, on_progress, compute, studies)
        audit = measure_leakage(clips, settings, protocol, out, resources)
    page = write_leakage(out, audit)
    console = Console()
    for table in leakage_tables(audit):
        console.print(table)
    print_notes(audit["notes"], console)
    print_line(f"report: {page}, figure: {out / 'leak.svg'}")
