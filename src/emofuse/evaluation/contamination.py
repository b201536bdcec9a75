"""What the parts of a recognizer had seen before, and which test corpora are no test of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emofuse.core.pretrained import EXPRESSION_NETWORK_TRAINED_ON, SPEECH_ENCODER_TRAINED_ON, WEIGHTS
from emofuse.core.recipes.recipe import Recipe
from emofuse.recognition.bundle import Bundle

_MOST_WORDS = 4
"""Of the name of a corpus."""


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """A part that is not trained here. ``trained_on``: a clause that follows "trained on"."""

    part: str
    trained_on: str
    corpora: tuple[str, ...] | None
    """By name; None: the list is not published, and what it holds is not known."""

    def has_seen(self, corpus: str) -> bool:
        """Whether a corpus of this name is known to be among what it was trained on.

        Capitals, hyphens and underscores make no difference. Of free text, whole words count.
        """
        name = "".join(_words(corpus))
        if not name:
            return False
        if self.corpora is not None:
            return any("".join(_words(seen)) == name for seen in self.corpora)
        words = _words(self.trained_on)
        return any(
            "".join(words[first:last]) == name
            for first in range(len(words))
            for last in range(first + 1, min(first + _MOST_WORDS, len(words)) + 1)
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "part": self.part,
            "trained_on": self.trained_on,
            "corpora": None if self.corpora is None else list(self.corpora),
        }


def seen_before(recipe: Recipe) -> list[SeenBefore]:
    """The parts of a recipe's recognizer that come trained: encoders, detectors, networks."""
    parts = []
    if "voice" in recipe.modalities:
        if recipe.voice.features.encoder_sha256 is not None:
            parts.append(SeenBefore("speech encoder (Whisper)", SPEECH_ENCODER_TRAINED_ON, None))
        parts += _embedding("voice", recipe.voice.features)
    if "face" in recipe.modalities:
        parts += _of_face(recipe)
        parts += _embedding("face", recipe.face.features)
    return parts


def bundle_seen(name: str, bundle: Bundle) -> SeenBefore:
    """What a finished recognizer was trained on, as its provenance says; that of its parts is in there."""
    provenance: Mapping[str, Any] = bundle.provenance
    corpora = [str(part.get("name")) for part in provenance.get("corpora") or ()]
    told = str(provenance.get("corpus", "what its bundle does not say"))
    if before := provenance.get("pretrained_on"):
        told += f"; its face, before that, on {before}"
    return SeenBefore(name, told, tuple(corpora) or None)


def contaminated_by(parts: Sequence[SeenBefore], corpus: str) -> list[str]:
    """The parts that are known to have been trained on a corpus of this name."""
    return [part.part for part in parts if part.has_seen(corpus)]


def _of_face(recipe: Recipe) -> list[SeenBefore]:
    network = recipe.face.network
    parts = []
    if network.kind == "expression":
        parts.append(SeenBefore("expression network", EXPRESSION_NETWORK_TRAINED_ON, ("FER2013",)))
    elif network.kind == "lrcn" and network.emotion_cnn.source == "deepface":
        parts.append(_registered("deepface-emotion"))
    elif network.kind == "lrcn" and network.emotion_cnn.source == "file":
        parts.append(SeenBefore("Emotion CNN from a file", "what its recipe does not say", None))
    return [*parts, *(_registered(name) for name in recipe.face.features.weights)]


def _registered(name: str) -> SeenBefore:
    return SeenBefore(name, WEIGHTS[name].trained_on, WEIGHTS[name].corpora)


def _embedding(modality: str, features: Any) -> list[SeenBefore]:
    """The user's own network or table, where a recipe reads one: what its author says of it."""
    embedding = getattr(features, "embedding", None)
    if embedding is None:
        return []
    told = embedding.trained_on
    text = told if isinstance(told, str) else ", ".join(map(str, told))
    return [SeenBefore(f"{modality} embedding", text or "what its recipe does not say", None)]


def _words(text: str) -> list[str]:
    """The words of letters and digits in a text, in small letters: EMO-DB is two."""
    return re.findall(r"[^\W_]+", text.lower())
