"""The model card of the recognizer that comes with emofuse, made from its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emofuse.recognition.bundle import Bundle
from emofuse.system.templates import render_markdown

NAME: Final = "MODEL-CARD.md"


def shipped_card(bundle: Bundle) -> str:
    """The card as Markdown. Every figure comes from the bundle.

    Args:
        bundle: made by :func:`emofuse.training.ship.build.ship`.
    """
    facts: Mapping[str, Any] = bundle.provenance
    low, high = facts["voice"]["interval_over_speakers"]
    check = facts.get("check") or {}
    sequences = check.get("face_sequences", {})
    right = [f"{name} {found['right']} of {found['n']}" for name, found in sequences.items()]
    return render_markdown(
        __package__,
        "model-card.md.j2",
        licence=bundle.licence,
        facts=facts,
        trained_on_day=facts["trained"][:10],
        n_speakers=len(facts["speakers"]),
        voice=facts["voice"],
        low=low,
        high=high,
        face=facts["face"],
        weights=facts["weights"],
        check=check,
        films=check.get("films"),
        sequences=", ".join(right),
        n_takes=sequences.get("face", {}).get("takes"),
        favorite=_favorite(sequences.get("face", {})),
        float16=facts["float16_largest_difference"],
        parts=facts.get("corpora", ()),
        by_corpus=[
            *({**one, "measured": False} for one in facts["voice"].get("corpora", ())),
            *({**one, "measured": True} for one in facts.get("measured", ())),
        ],
        changed=facts.get("float16_changed_answers", {}).get("voice"),
    )


def _favorite(counts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The emotion that was predicted most often, and how often it was acted."""
    said: Mapping[str, int] = counts.get("said") or {}
    if not said:
        return None
    emotion = max(said, key=lambda name: said[name])
    return {
        "emotion": emotion, "said": said[emotion], "acted": counts["expressed"].get(emotion, 0),
        "n": counts["n"],
    }  # fmt: skip
