"""Where the figures come from: settings, versions, licence, what was left out, how to get them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from emofuse.evaluation.report.html import Cell, esc, table
from emofuse.evaluation.results import Run

_MOST_REMARKS: Final = 200
"""More than these would make the page heavy and no reader wiser; details.json has them all."""


def failures(run: Run) -> str | None:
    """Clips that could not be used, remarks on those that were, and damaged parts of the run."""
    out = []
    failed = run.details.get("failed") or []
    if failed:
        rows = [_named(item.get("clip", "–"), str(item.get("error", "–"))) for item in failed]
        out.append(table("Clips that could not be used", ["Clip", "Why"], rows))
    if run.unreadable:
        items = "".join(f"<li>{esc(reason)}</li>" for reason in run.unreadable)
        out.append(f"<p>Parts of this run that are damaged and left out:</p><ul>{items}</ul>")
    remarks = run.details.get("features_notes") or {}
    if remarks:
        rows = [
            _named(take, "; ".join(map(str, notes))) for take, notes in list(remarks.items())[:_MOST_REMARKS]
        ]
        caption = "What was remarked while reading"
        if len(rows) < len(remarks):
            caption += f" (the first {len(rows)})"
        body = table(caption, ["Take", "Remark"], rows)
        what = "clip" if len(remarks) == 1 else "clips"
        out.append(f"<details><summary>{len(remarks)} {what} with a remark</summary>{body}</details>")
    return "".join(out) or None


def settings(run: Run) -> str | None:
    """The full recipe, as a file that can be used again."""
    recipe = run.results.get("recipe") or {}
    full = recipe.get("settings")
    if not full:
        return None
    name, mark = esc(str(recipe.get("name", ""))), esc(str(recipe.get("hash", "–")))
    return (
        f"<p>Recipe <code>{name}</code>, hash <code>{mark}</code>.</p>"
        f"<details><summary>The full recipe</summary><pre>{esc(toml(full))}</pre></details>"
    )


def versions(run: Run) -> str:
    """Software, time and the corpus's licence."""
    results = run.results
    rows = [[name, str(version)] for name, version in (results.get("software") or {}).items()]
    rows += [[key, str(results[key])] for key in ("started", "finished") if results.get(key)]
    if results.get("seconds") is not None:
        rows.append(["took", duration(float(results["seconds"]))])
    rows.append(["seed", str(results.get("seed", "–"))])
    out = table("Made with", ["What", "Version"], rows)
    corpus = results.get("corpus") or {}
    if corpus.get("licence"):
        name, licence = esc(str(corpus.get("name", "corpus"))), esc(str(corpus["licence"]))
        out += (
            f"<p>Recordings: {name}. Licence: {licence}. Face frames and spectrograms on this page are parts "
            "of those recordings, and their licence holds for them too.</p>"
        )
    return out


def reproduction(run: Run) -> str:
    """The command lines."""
    results = run.results
    recipe = (results.get("recipe") or {}).get("name", "RECIPE")
    protocol = results.get("protocol", "PROTOCOL")
    lines = f"emofuse evaluate CORPUS --recipe {recipe} --protocol {protocol} --out RUN\nemofuse report RUN"
    return (
        f"<pre>{esc(lines)}</pre><p>CORPUS is the folder of recordings, RUN a new folder. The second line "
        "draws this page again from what the run has written. Every figure can be computed again from "
        "<code>RUN/predictions.csv</code>, which has one row a take and system.</p>"
    )


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(42), duration(4320)
    ('42 s', '1 h 12 min')
    """
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def toml(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Plain settings as TOML. What is None has no place there: it becomes a comment.

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
            # JSON's strings, numbers, truth values and lists are TOML's too.
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    parts = ["\n".join(lines)] if lines else []
    parts += [toml(value, (*path, key)) for key, value in data.items() if isinstance(value, Mapping)]
    return "\n\n".join(parts)


def _named(name: object, text: str) -> list[Cell | str]:
    return [Cell(f"<code>{esc(str(name))}</code>"), Cell(esc(text), kind="words")]
