"""Where the figures come from: settings, versions, license, what was left out, how to reproduce them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from emofuse.core.number_format import MISSING
from emofuse.evaluation.run_files import Run
from emofuse.training.compute import ComputeEntry

_MOST_NOTES: Final = 200
"""More rows than this would make the page heavy and help no reader; details.json has them all."""


def skipped(run: Run) -> dict[str, Any] | None:
    """Clips that could not be used, notes on those that were, and damaged parts of the run."""
    failed = run.details.get("failed") or []
    notes = run.details.get("features_notes") or {}
    if not (failed or notes or run.unreadable):
        return None
    return {
        "failed": [(item.get("clip", MISSING), item.get("error", MISSING)) for item in failed],
        "unreadable": run.unreadable,
        "notes": list(notes.items())[:_MOST_NOTES],
        "n_with_notes": len(notes),
    }


def settings(run: Run) -> dict[str, Any] | None:
    """The full recipe, as a file that can be used again."""
    recipe = run.results.get("recipe") or {}
    full = recipe.get("settings")
    if not full:
        return None
    return {"name": recipe.get("name", ""), "hash": recipe.get("hash", MISSING), "toml": toml(full)}


def versions(run: Run) -> dict[str, Any]:
    """Software, times and the license of the corpus."""
    results = run.results
    rows = list((results.get("software") or {}).items())
    compute = results.get("compute") or {}
    if {compute.get("device", "cpu"), compute.get("precision", "float32")} != {"cpu", "float32"}:
        rows.append(("networks trained on", _trained_on(compute)))
    rows += [(key, results[key]) for key in ("started", "finished") if results.get(key)]
    if results.get("seconds") is not None:
        rows.append(("took", duration(float(results["seconds"]))))
    corpus = results.get("corpus") or {}
    return {
        "rows": [*rows, ("seed", results.get("seed", MISSING))],
        "corpus": corpus.get("name", "corpus"),
        "licence": corpus.get("licence"),
    }


def reproduction(run: Run) -> dict[str, Any]:
    """What the commands that reproduce the run are made of."""
    results = run.results
    return {
        "recipe": (results.get("recipe") or {}).get("name", "RECIPE"),
        "protocol": results.get("protocol", "PROTOCOL"),
    }


def _trained_on(compute: ComputeEntry) -> str:
    """Such as ``NVIDIA H100, CUDA 13.0, bfloat16``."""
    card = compute.get("card", str(compute.get("device", "")).upper())
    cuda = f"CUDA {compute['cuda']}" if "cuda" in compute else ""
    return ", ".join(part for part in (card, cuda, str(compute.get("precision", ""))) if part)


def duration(seconds: float) -> str:
    """A duration in words.

    >>> duration(42), duration(4320)
    ('42 s', '1 h 12 min')
    """
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def toml(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Plain settings as TOML. TOML has no None; such a setting becomes a comment.

    >>> print(toml({"name": "demo", "voice": {"trim_db": None, "sizes": [1, 2]}}))
    name = "demo"
    <BLANKLINE>
    [voice]
    # trim_db: none
    sizes = [1, 2]
    """
    lines = []
    if path and (not data or any(not isinstance(value, Mapping) for value in data.values())):
        lines.append(f"[{'.'.join(path)}]")
    for key, value in data.items():
        if value is None:
            lines.append(f"# {key}: none")
        elif not isinstance(value, Mapping):
            # JSON writes strings, numbers, booleans and lists as TOML does.
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    parts = ["\n".join(lines)] if lines else []
    parts += [toml(value, (*path, key)) for key, value in data.items() if isinstance(value, Mapping)]
    return "\n\n".join(parts)
