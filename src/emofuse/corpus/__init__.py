"""Which clips exist, whose they are and what they express; nothing here opens a media file but ``check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emofuse.core.lazy import lazy_names

if TYPE_CHECKING:
    from emofuse.corpus.corpus import Corpus
    from emofuse.corpus.load import load_corpus

__all__ = ["Corpus", "load_corpus"]

__getattr__ = lazy_names(__name__, {"Corpus": "corpus", "load_corpus": "load"})
