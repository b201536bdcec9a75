"""Annotation files as other programs write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pympi
import textgrid

Span = tuple[float, float, str]
"""Start and end in seconds, and the label."""


def write_eaf(
    path: Path, tiers: Mapping[str, Sequence[Span]], *, participants: Mapping[str, str] | None = None
) -> Path:
    """An ELAN document, by pympi."""
    document = pympi.Eaf(author="a coder")
    document.remove_tier("default")
    for name, spans in tiers.items():
        document.add_tier(name, part=(participants or {}).get(name))
        for start_s, end_s, label in spans:
            document.add_annotation(name, round(1000 * start_s), round(1000 * end_s), label)
    document.to_file(str(path))
    return path


def write_textgrid(path: Path, tiers: Mapping[str, Sequence[Span]], end_s: float) -> Path:
    """A TextGrid in the long format, by the package textgrid."""
    grid = textgrid.TextGrid(maxTime=end_s)
    for name, spans in tiers.items():
        tier = textgrid.IntervalTier(name, 0, end_s)
        for start_s, until_s, label in spans:
            tier.add(start_s, until_s, label)
        grid.append(tier)
    grid.write(str(path))
    return path


def write_csv(path: Path, spans: Sequence[Span], header: str = "start_s,end_s,label") -> Path:
    lines = [header, *(f"{start_s},{end_s},{label}" for start_s, end_s, label in spans)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
