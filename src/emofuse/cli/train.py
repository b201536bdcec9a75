"""``emofuse train``: train a bundle on whole corpora."""

from __future__ import annotations

from emofuse.cli import clusters, options
from emofuse.cli.printing import corpus_line, print_line
from emofuse.cli.progress import stages


def train(
    corpus: options.CorpusPaths,
    *,
    out: options.BundleOut,
    recipe: options.RecipeName = "default",
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    dimensions: options.DimensionNames = None,
    weight: options.Weights = None,
    license_: options.Licenses = None,
    measure: options.MeasureOn = None,
    jobs: options.Jobs = 0,
    device: options.TrainingDevice = options.DeviceChoice.CPU,
    precision: options.TrainingPrecision = options.Precision.FLOAT32,
    cache: options.CacheFolder = None,
    cluster: options.ClusterAddress = None,
    study: clusters.StudyUrl = None,
    study_password_file: clusters.StudyPasswordFile = None,
    _quiet: options.Quiet = False,
) -> None:
    """Train a recognizer on whole corpora and write it as a bundle for `emofuse predict`.

    The bundle holds ONNX networks, the fusion, the recipe, labels, license, provenance and checksums. Several
    corpora are joined: a corpus that lacks an emotion is no evidence against it, and the strictest license
    holds.

    Example: `emofuse train ravdess --recipe default --out bundles/mine`

    Several: `emofuse train ravdess nemo mine.csv --labels mine=ekman-6 --weight nemo=0.5 --out bundles/all`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train as train_bundle

    settings = load_recipe(recipe)
    clips = options.load_corpora(corpus, labels, weight, license_, name, dimensions)
    compute = options.compute(device, precision)
    clusters.check_training(cluster, jobs, compute)
    studies, store = clusters.studies(study, study_password_file), options.feature_store(cache)
    folders = [out.absolute().parent, store.root]
    read = clusters.recordings_of(clips)
    with clusters.executor(cluster, jobs, folders, read) as executor, stages() as on_progress:
        resources = Resources(executor, store, on_progress, compute, studies)
        others = [options.load_corpora([path], None) for path in measure or ()]
        bundle = train_bundle(clips, settings, out, resources, measure_on=others)
    print_line(f"bundle: {out}")
    for found in bundle.provenance.get("measured", ()):
        print_line(corpus_line(found))
    print_line(f"try it: emofuse predict FILE --bundle {out}")
