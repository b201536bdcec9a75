"""``emofuse train``: train a bundle on a whole corpus."""

from __future__ import annotations

from emofuse.cli import options
from emofuse.cli.printing import print_line
from emofuse.cli.progress import stages


def train(
    corpus: options.CorpusPath,
    *,
    out: options.BundleOut,
    recipe: options.RecipeName = "default",
    jobs: options.Jobs = 0,
    cache: options.CacheFolder = None,
    _quiet: options.Quiet = False,
) -> None:
    """Train a recognizer on a whole corpus and write it as a bundle for `emofuse predict`.

    The bundle holds ONNX networks, the fusion, the recipe, labels, license, provenance and checksums.

    Example: `emofuse train ravdess --recipe default --out bundles/mine`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.training.resources import Resources
    from emofuse.training.train_bundle import train as train_bundle

    settings, clips = load_recipe(recipe), load_corpus(corpus)
    with stages() as on_progress:
        resources = Resources(options.processes(jobs), options.feature_store(cache), on_progress)
        train_bundle(clips, settings, out, resources)
    print_line(f"bundle: {out}")
    print_line(f"try it: emofuse predict FILE --bundle {out}")
