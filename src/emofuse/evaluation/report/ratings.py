"""Ratings on numeric scales in the report: a scatter of each dimension, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from rich.table import Table

from emofuse.core.number_format import MISSING, number, percent
from emofuse.evaluation.rating_outputs import ByDimension, DimensionFigures, RatingFigures
from emofuse.evaluation.report.selection import named
from emofuse.evaluation.results import Results
from emofuse.evaluation.run_files import Run

HEADINGS: Final = ("CCC", "Pearson", "MAE", "Inside %", "Width", "Clips")
_MOST_POINTS: Final = 2000


def rating_facts(run: Run) -> dict[str, Any] | None:
    """What the section of the report uses; None where nothing was rated."""
    figures = run.results.get("dimensions") or []
    if not figures:
        return None
    return {
        "headings": HEADINGS,
        "level": figures[0]["level"],
        "dimensions": [
            {
                "name": one["name"],
                "range": rating_range(one),
                "n": one["n"],
                "n_actors": one["n_actors"],
                "chart": _scatter(index, one, run.ratings),
                "rows": rating_rows(one),
                "enrollment": enrollment_rows(one),
            }
            for index, one in enumerate(figures)
        ],
    }


def rating_rows(one: DimensionFigures) -> list[dict[str, Any]]:
    """The rows of a dimension's table, system by system: each figure and its interval as text."""
    return [{**named(system), "figures": _cells(found)} for system, found in one["systems"].items()]


def _cells(found: RatingFigures) -> list[dict[str, str]]:
    """Figure and interval, in the order of HEADINGS."""
    plain: Mapping[str, Any] = found

    def cell(key: str) -> dict[str, str]:
        bounds = plain.get(f"{key}_ci95")
        text = f"{number(bounds[0])} to {number(bounds[1])}" if bounds else ""
        return {"text": number(plain.get(key)), "bounds": text}

    inside = plain.get("coverage_ci95")
    return [
        *(cell(key) for key in ("ccc", "pearson", "mae")),
        {
            "text": percent(plain.get("coverage")),
            "bounds": f"{percent(inside[0])} to {percent(inside[1])}" if inside else "",
        },
        {"text": number(plain.get("width"), 2), "bounds": ""},
        {"text": str(found["n"]), "bounds": ""},
    ]


def enrollment_rows(one: DimensionFigures) -> list[dict[str, Any]]:
    """One row per number of known clips of a speaker: figures without enrollment, and with it."""
    return [
        {
            "clips": point["clips"],
            "rated": point["kind"] == "rated",
            "cells": [
                number(point["ccc_without"]),
                with_bounds(point["ccc"], point["ccc_ci95"]),
                number(point["mae_without"]),
                number(point["mae"]),
                percent(point["coverage"]),
                str(point["n_actors"]),
            ],
        }
        for point in one.get("enrolment", [])
    ]


def with_bounds(value: float | None, bounds: Sequence[float] | None) -> str:
    """A figure, its interval after it where there is one."""
    return f"{number(value)} ({number(bounds[0])} to {number(bounds[1])})" if bounds else number(value)


def rating_range(one: DimensionFigures) -> str:
    """The range of a dimension's ratings, as text."""
    return f"{one['range'][0]:g} to {one['range'][1]:g}"


def _scatter(index: int, one: DimensionFigures, ratings: ByDimension) -> str | None:
    """Predictions of the leading system against ratings; the dashed diagonal is right."""
    from emofuse.evaluation.report.svg import Ink, drawing, ink_of, to_svg

    systems = ratings.get(one["name"], {})
    system = next((name for name in ("fused", *systems) if name in systems), None)
    if system is None:
        return None
    found = systems[system]
    rows = np.flatnonzero(~np.isnan(found.truth))
    if len(rows) > _MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MOST_POINTS, replace=False))
    low, high = one["range"]
    with drawing(4.0, 3.8) as figure:
        ax = figure.subplots()
        ax.plot([low, high], [low, high], color=Ink.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.plot(found.truth[rows], found.predicted[rows], ".", color=ink_of(system), markersize=4, alpha=0.6)
        ax.set_xlabel(f"rated {one['name']}")
        ax.set_ylabel(f"predicted {one['name']}")
        ax.set_aspect("equal", adjustable="datalim")
        ax.grid()
        ccc = number(one["systems"][system].get("ccc"))
        return to_svg(
            figure,
            f"rating-{index}",
            f"Predicted against rated {one['name']} of {len(rows)} clips: CCC {ccc}.",
        )


def ratings_table(results: Results | Mapping[str, Any]) -> Table:
    """The figures of each dimension and system, as a table for a Rich console."""
    figures: Sequence[Any] = results["dimensions"]
    table = Table(
        title="Ratings on numeric scales, on held-out clips",
        caption="95 % intervals over speakers; inside: the share of ratings inside the interval, which "
        f"promises {percent(figures[0]['level'], 0)} %",
        title_justify="left",
    )
    for heading in ("dimension", "system"):
        table.add_column(heading, no_wrap=True)
    for heading in ("CCC", "95 % interval", "Pearson", "MAE", "inside %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in figures:
        for row in rating_rows(one):
            ccc, pearson, mae, inside, *_ = row["figures"]
            table.add_row(
                one["name"], row["name"], ccc["text"], ccc["bounds"] or MISSING, pearson["text"], mae["text"],
                inside["text"],
            )  # fmt: skip
    return table
