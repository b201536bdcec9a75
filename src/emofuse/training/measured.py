"""A finished recognizer on a corpus that it never trained on: read once, and nothing is chosen by it."""

from __future__ import annotations

import numpy as np

from emofuse.core.errors import EmofuseError, ExperimentError
from emofuse.corpus.corpus import Corpus
from emofuse.features.extraction import extract_takes
from emofuse.recognition.bundle import Bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.corpus_figures import CorpusFigures, corpus_figures
from emofuse.training.resources import Resources


class MeasuredFigures(CorpusFigures, total=False):
    """The figures on one corpus."""

    unread: int
    """How many of its takes could not be read, or had neither a voice nor a face."""
    left_out: int
    """How many of its takes have a label that the recognizer does not tell apart."""


def measure_bundle(bundle: Bundle, corpus: Corpus, seed: int, resources: Resources) -> MeasuredFigures:
    """Accuracy and UAR of a bundle on a corpus, over the emotions that it distinguishes and that occur.

    Args:
        bundle: the recognizer, as it will be used.
        corpus: none of its clips may have been trained on.
        seed: of the resampling of speakers.
        resources: executor, stored features, progress.

    Raises:
        ExperimentError: no take with an emotion that the bundle tells apart can be read.
    """
    recognizer = Recognizer(bundle)
    labeled = [take for take in corpus.takes() if take.emotion is not None]
    takes = [take for take in labeled if take.emotion in bundle.emotions]
    if labeled and not takes:
        raise ExperimentError(
            f"{corpus.root}: none of its labels ({', '.join(corpus.emotions)}) is one of the recognizer's "
            f"({', '.join(bundle.emotions)})"
        )
    found = extract_takes(
        takes,
        bundle.recipe,
        store=resources.store,
        executor=resources.executor,
        on_done=resources.on_done(f"measuring on {corpus.name}"),
    )
    rows = []
    for take, features in zip(takes, found, strict=True):
        if isinstance(features, EmofuseError) or (features.voice is None and features.face is None):
            continue
        probabilities = recognizer.predict_features(features).probabilities
        if probabilities is not None:
            rows.append((take, np.asarray(probabilities, dtype=np.float64)))
    if not rows:
        raise ExperimentError(f"{corpus.root}: no take with a known emotion can be read")
    occurring = {take.emotion for take, _ in rows}
    figures = corpus_figures(
        corpus.name,
        tuple(emotion for emotion in corpus.emotions if emotion in occurring),
        np.array([bundle.emotions.index(str(take.emotion)) for take, _ in rows], dtype=np.int64),
        np.array([probabilities for _, probabilities in rows]),
        np.array([take.speaker for take, _ in rows]),
        seed,
        bundle.emotions,
    )
    return {**figures, "unread": len(takes) - len(rows), "left_out": len(labeled) - len(takes)}
