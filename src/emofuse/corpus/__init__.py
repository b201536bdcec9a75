"""Which clips exist, who speaks in them and what they express; only ``check`` opens media files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emofuse.core.lazy import lazy_names

if TYPE_CHECKING:
    from emofuse.corpus.corpus import Corpus
    from emofuse.corpus.load import load_corpora, load_corpus

__all__ = ["Corpus", "load_corpora", "load_corpus"]

__getattr__, __dir__ = lazy_names(
    __name__, {"Corpus": "corpus", "load_corpora": "load", "load_corpus": "load"}
)
