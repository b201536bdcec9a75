"""``emofuse leak``: what each shortcut of evaluation is worth."""

from __future__ import annotations

from rich.console import Console

from emofuse.cli import options
from emofuse.cli.printing import print_notes
from emofuse.cli.progress import stages


def leak(
    corpus: options.CorpusPath,
    *,
    out: options.RunOut,
    recipe: options.RecipeName = "default",
    protocol: options.SpeakerIndependentProtocol = "six-fold",
    jobs: options.Jobs = 0,
    cache: options.CacheFolder = None,
) -> None:  # fmt: skip
    """Show what leaks are worth: one recipe under flattering protocols and under one that does not flatter.

    Random folds against folds that keep people apart, selection on the test fold against nested selection.
    Writes leak.md, leak.svg, leak.png, leak.json and one folder a condition into RUN. A run that was broken
    off goes on where it was when the same command is given again. It takes two to three times as long as
    `emofuse evaluate`.

    Example: `emofuse leak ravdess --recipe ravdess-au --out runs/leak`
    """
    options.check_training()
    from emofuse.core.recipes.load import load_recipe
    from emofuse.corpus.load import load_corpus
    from emofuse.evaluation.leakage.audit import leak as measure
    from emofuse.evaluation.report.leakage import leak_tables, write_leak

    settings, clips = load_recipe(recipe), load_corpus(corpus)
    store = options.feature_store(cache)
    with stages() as on_progress:
        found = measure(
            clips, settings, protocol, out, jobs=options.processes(jobs), store=store, on_progress=on_progress
        )
    page = write_leak(out, found)
    console = Console()
    for shown in leak_tables(found):
        console.print(shown)
    print_notes(found["notes"], console)
    console.print(f"report: {page}, figure: {out / 'leak.svg'}", soft_wrap=True)
