"""Several corpora as one: nobody is confused, and each stays known apart."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from emofuse.core.errors import CorpusError
from emofuse.core.label_names import in_order
from emofuse.core.records import Clip
from emofuse.corpus.corpus import CORPUS_FACT, Corpus, CorpusPart

BETWEEN: Final = ":"
"""Between the name of a corpus and that of its speaker, take or clip."""

_BY_STRICTNESS: Final = (
    "CC0-1.0", "CC BY 4.0", "CC BY-SA 4.0", "CC BY-NC 4.0", "CC BY-NC-SA 4.0",
)  # fmt: skip
"""Each allows nothing that one before it forbids. What is made from several carries the last of them."""


def join_corpora(corpora: Sequence[Corpus], weights: Sequence[float] | None = None) -> Corpus:
    """Join corpora. Speakers, takes and clips get the name of their corpus in front: ``nEMO:EB0``.

    A single corpus is returned as it is: its weight would change nothing.

    Args:
        corpora: at least one.
        weights: how much a clip of each counts in training, above 0; None: 1 for all.

    Returns:
        A corpus with :attr:`~emofuse.corpus.corpus.Corpus.parts`, whose clips have the fact ``corpus``. Its
        licence is that of :func:`joined_licence`; it distinguishes the emotions that any of them does.

    Raises:
        CorpusError: there is none, two have the same name, one is itself joined, or a weight is not above 0.
    """
    if not corpora:
        raise CorpusError("no corpus was given")
    counts = [1.0] * len(corpora) if weights is None else list(weights)
    for corpus, weight in zip(corpora, counts, strict=True):
        if not (math.isfinite(weight) and weight > 0):
            raise CorpusError(f"the weight of {corpus.name} is {weight:g}, and must be above 0")
        if corpus.parts and len(corpora) > 1:
            raise CorpusError(f"{corpus.name} is several corpora already: join them all at once")
    if len(corpora) == 1:
        return corpora[0]
    names = [corpus.name for corpus in corpora]
    for corpus, name in zip(corpora, names, strict=True):
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise CorpusError(
                f"{corpus.root}: two corpora are called {name}: give the folder that holds both, or "
                "tables of different names"
            )
    distinguished = {emotion for corpus in corpora for emotion in corpus.emotions}
    return Corpus(
        name=" + ".join(names),
        root=_common_root([corpus.root for corpus in corpora]),
        clips=tuple(_of(corpus.name, clip) for corpus in corpora for clip in corpus.clips),
        misnamed=tuple(path for corpus in corpora for path in corpus.misnamed),
        duplicate_names=tuple(pair for corpus in corpora for pair in corpus.duplicate_names),
        unlistable=tuple(path for corpus in corpora for path in corpus.unlistable),
        synthetic=any(corpus.synthetic for corpus in corpora),
        licence=joined_licence([(corpus.name, corpus.licence) for corpus in corpora]),
        emotions=in_order(distinguished),
        parts=tuple(
            CorpusPart(corpus.name, corpus.root, corpus.licence, corpus.emotions, weight)
            for corpus, weight in zip(corpora, counts, strict=True)
        ),
        dimensions=tuple(dict.fromkeys(name for corpus in corpora for name in corpus.dimensions)),
    )


def joined_licence(licences: Sequence[tuple[str, str]]) -> str:
    """The licence of what is made from several corpora: the strictest.

    A licence that cannot be ranked, such as that of a corpus given on request, is said beside it.

    Args:
        licences: (name, licence) of each corpus.

    >>> joined_licence([("RAVDESS", "CC BY-NC-SA 4.0"), ("toy", "CC0-1.0")])
    'CC BY-NC-SA 4.0'
    >>> joined_licence([("RAVDESS", "CC BY-NC-SA 4.0"), ("mine", "not stated")])
    'CC BY-NC-SA 4.0; mine: not stated'
    """
    ranked = [licence for _, licence in licences if licence in _BY_STRICTNESS]
    strictest = [max(ranked, key=_BY_STRICTNESS.index)] if ranked else []
    others = [f"{name}: {licence}" for name, licence in licences if licence not in _BY_STRICTNESS]
    return "; ".join([*strictest, *others])


def local_name(name: str, corpus: str | None) -> str:
    """The name of a speaker or take within its corpus; ``corpus``: its part, or None where none was joined.

    >>> local_name("nEMO:EB0", "nEMO"), local_name("EB0", None)
    ('EB0', 'EB0')
    """
    return name if corpus is None else name.removeprefix(corpus + BETWEEN)


def _of(corpus: str, clip: Clip) -> Clip:
    return replace(
        clip,
        clip_id=f"{corpus}{BETWEEN}{clip.clip_id}",
        take=f"{corpus}{BETWEEN}{clip.take}",
        speaker=f"{corpus}{BETWEEN}{clip.speaker}",
        facts={**clip.facts, CORPUS_FACT: corpus},
    )


def _common_root(roots: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([root.absolute() for root in roots]))
    except ValueError:  # on different drives
        return roots[0]
