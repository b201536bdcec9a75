"""The model card of the recogniser that comes with emofuse, from what its bundle says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emofuse.recognition.bundle import Bundle

NAME: Final = "MODEL-CARD.md"

_NOT_FOR: Final = """\
It does not read what somebody feels. It is not for decisions about people: hiring, policing, diagnosis,
surveillance, lie detection. Free speech, other languages, children and other cameras were not measured."""

_CALM: Final = """\
## Calm and contempt

FER+ has no calm: what it takes for neutral counts for neutral and calm in equal shares, so that a face
without a voice never says which. Contempt is dropped."""


def shipped_card(bundle: Bundle) -> str:
    """Markdown. Every figure is the bundle's own.

    Args:
        bundle: one that :func:`emofuse.training.ship.build.ship` has made.
    """
    facts: Mapping[str, Any] = bundle.provenance
    voice, face, weights = facts["voice"], facts["face"], facts["weights"]
    low, high = (_percent(end) for end in voice["interval_over_speakers"])
    n_speakers = len(facts["speakers"])
    right = _percent(voice["accuracy_on_held_out_speakers"])
    parts = [
        "# Model card: the recogniser that comes with emofuse",
        f"Licence: {bundle.licence}, no commercial use; see LICENSE.txt. Trained {facts['trained'][:10]} on "
        f"{facts['corpus']}: {facts['takes']:,} recordings of {n_speakers} speakers.",
        "## What it reads, and what not",
        f"It reads expression as {n_speakers} of RAVDESS' 24 North American actors showed it in a studio: "
        "two sentences, eight emotions. " + _NOT_FOR,
        "## What was measured",
        f"Voice alone, on speakers whom the networks had not heard: {right} ({low} to {high}, 95 %, "
        f"speakers drawn anew), {voice['takes']:,} recordings.",
        f"Face: what the pre-trained CNN had seen: {facts['pretrained_on']}. On {face['n_faces']:,} faces of "
        f"public_test its temperature is {face['temperature']:.2f}. How well it reads the faces of RAVDESS "
        "was measured on one actor only, below.",
        f"Fusion: calibrated product, weights voice {weights['voice']:.2f} and face {weights['face']:.2f}. "
        "The face's weight is a choice made beforehand, half of its calibration on FER2013: faces of many "
        "actors could not be had. Under noise and other damage it was not measured; the same kind of voice "
        "was, see docs/results.md.",
    ]
    if "check" in facts:
        parts += ["## Check on real clips", *_check(facts["check"])]
    return "\n\n".join([*parts, _CALM]) + "\n"


def _check(check: Mapping[str, Any]) -> list[str]:
    films = check["films"]
    rows = [
        f"| {one['clip']} | {one['expressed']} | {one['said']} | {', '.join(one['used'])} |"
        for one in films["each"]
    ]
    lines = [
        f"Actor {check['speaker']}. {check['note']}",
        f"Films: {films['right']} of {films['n']} right.",
        "\n".join(["| clip | expressed | said | read from |", "|---|---|---|---|", *rows]),
    ]
    sequences = check.get("face_sequences")
    if sequences:
        said = ", ".join(f"{name} {one['right']} of {one['n']}" for name, one in sequences.items())
        lines.append(f"Face sequences of the same actor with their recordings, right: {said}.")
    return lines


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
