"""The model card of the recognizer that comes with emofuse, made from its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.features.voice.degradations import DEGRADATIONS
from emofuse.recognition.bundle import Bundle
from emofuse.system.templates import render_markdown

NAME: Final = "MODEL-CARD.md"
_OWN: Final = "own baseline"
"""In the names of counts against the speaker's own baseline."""


def shipped_card(bundle: Bundle) -> str:
    """The card as Markdown. Every figure comes from the bundle.

    Args:
        bundle: made by :func:`emofuse.training.ship.build.ship`.
    """
    facts: Mapping[str, Any] = bundle.provenance
    low, high = facts["voice"]["interval_over_speakers"]
    check = facts.get("check") or {}
    sequences = check.get("face_sequences", {})
    right = {name: _right(name, found) for name, found in sequences.items()}
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
        sequences=", ".join(text for name, text in right.items() if _OWN not in name),
        against_own=", ".join(text for name, text in right.items() if _OWN in name),
        hidden_ratio=_hidden_ratio(facts),
        n_takes=sequences.get("face", {}).get("takes"),
        favorite=_favorite(sequences.get("face", {})),
        float16=facts["float16_largest_difference"],
        parts=facts.get("corpora", ()),
        by_corpus=[
            *({**one, "measured": False} for one in facts["voice"].get("corpora", ())),
            *({**one, "measured": True} for one in facts.get("measured", ())),
        ],
        damage=_damage(facts["voice"]),
        changed=facts.get("float16_changed_answers", {}).get("voice"),
    )


def _right(name: str, found: Mapping[str, Any]) -> str:
    """In words, how many answers are right, with the interval from drawing takes if there is one."""
    text = f"{name} {found['right']} of {found['n']}"
    if "interval_over_takes" not in found:
        return text
    low, high = (round(100 * one) for one in found["interval_over_takes"])
    return f"{text} ({low} to {high} %)"


def _damage(voice: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table of the voice under damage; None: it was not measured."""
    if not voice.get("damaged"):
        return None
    found = [("none", voice), *((DEGRADATIONS[one["condition"]].summary, one) for one in voice["damaged"])]
    if voice.get("corpora"):
        return {
            "figure": "mean recall",
            "columns": [corpus["name"] for corpus in voice["corpora"]],
            "rows": [
                (name, [(one["uar"], one["uar_ci95"]) for one in row["corpora"]]) for name, row in found
            ],
        }
    clean = (voice["accuracy_on_held_out_speakers"], voice["interval_over_speakers"])
    damaged = [(name, [(row["accuracy"], row["accuracy_ci95"])]) for name, row in found[1:]]
    return {"figure": "accuracy", "columns": ["all"], "rows": [("none", [clean]), *damaged]}


def _hidden_ratio(facts: Mapping[str, Any]) -> float | None:
    """How much likelier than another emotion a face that shows nothing makes neutral, at most."""
    if "face_against_baseline" not in facts["weights"]:
        return None
    neutral = np.array(facts["face"]["likelihood"])[:, [EMOTIONS.index(name) for name in ("neutral", "calm")]]
    shares = neutral.sum(axis=1)
    return float(shares[0] / shares.min())


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
