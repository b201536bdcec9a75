"""Figures of what accuracy depends on: how sure it is, who is judged, what is known of them, the sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib.ticker import MultipleLocator

from emofuse.evaluation.report.axes import dot, in_percent, named_rows
from emofuse.evaluation.report.selection import (
    ALL,
    CLEAN,
    GROUP_KINDS,
    by_group,
    clip_steps,
    group_keys,
    in_condition_order,
    main_systems,
)
from emofuse.evaluation.report.svg import drawing, ink_of, to_svg
from emofuse.evaluation.results import title

_FEWEST_SHOWN: Final = 0.04
"""Of twelve hundred clips fifty: below that share a curve is the luck of single clips."""


def coverage_curves(blocks: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy on what is answered against how much is answered, with intervals where they were measured."""
    told = []
    with drawing(4.6, 3.6) as figure:
        ax = figure.subplots()
        for name in main_systems(blocks):
            coverage = np.asarray(blocks[name]["coverage"], dtype=np.float64)
            right = np.asarray(blocks[name]["accuracy"], dtype=np.float64)
            chosen = coverage >= _FEWEST_SHOWN
            ax.plot(
                coverage[chosen],
                right[chosen],
                color=ink_of(name),
                linewidth=2.2 if name == "fused" else 1.4,
                solid_joinstyle="round",
            )
            for place, point in sorted((float(k), v) for k, v in (blocks[name].get("at") or {}).items()):
                dot(ax, place, point, ink_of(name), upright=True)
                told.append(f"{title(name)} {point['accuracy']:.1%} at {place:.0%}")
        ax.set_xlim(0, 1)
        ax.set_ylim(top=1.005)
        ax.yaxis.set_major_locator(MultipleLocator(0.1))
        in_percent(ax, "x", "y")
        ax.set_xlabel("share of clips that are answered")
        ax.set_ylabel("accuracy on these")
        ax.grid()
        ends = "; ".join(
            f"{title(n)} {blocks[n]['accuracy'][-1]:.1%} when all is answered" for n in main_systems(blocks)
        )
        return to_svg(figure, "coverage", f"Accuracy against coverage. {'; '.join([ends, *told])}.")


def accuracy_by_group(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Accuracy on each group of takes but the single actors: the leading system with its intervals."""
    names = main_systems(groups)
    leading = names[-1]
    found = by_group({name: groups[name] for name in names})
    keys = group_keys(found, GROUP_KINDS)
    places = _spaced([kind for kind, _ in keys])
    with drawing(6.2, 0.7 + 0.24 * (max(places) + 1)) as figure:
        ax = figure.subplots()
        for name in names:
            for place, key in zip(places, keys, strict=True):
                record = found[name].get(key)
                if record is None:
                    continue
                if name == leading:
                    dot(ax, place, record, ink_of(name), bounds="accuracy_ci95")
                else:
                    ax.plot(record["accuracy"], place, "o", color=ink_of(name), markersize=3.6, alpha=0.9)
        named_rows(
            ax,
            places,
            [value for _, value in keys],
            "accuracy on the group's clips",
            ylim=(max(places) + 0.7, -0.7),
            right=1.01,
        )
        told = "; ".join(
            f"{key[1]} {found[leading][key]['accuracy']:.1%}" for key in keys if key in found[leading]
        )
        return to_svg(figure, "groups", f"Accuracy by group. {title(leading)}: {told}.")


def enrollment_curves(systems: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Accuracy against the number of unlabelled clips of the person that were known; "all" stands apart."""
    names = main_systems(systems)
    steps = clip_steps(systems)
    # "all" was allowed to look at the scored clips: a gap keeps it from being read as the curve's next step
    place = {step: i + 0.6 * (step == ALL) for i, step in enumerate(steps)}
    told = []
    with drawing(4.8, 3.6) as figure:
        ax = figure.subplots()
        for nth, name in enumerate(names):
            points = {str(point["clips"]): point for point in systems[name]}
            aside = 0.09 * (nth - (len(names) - 1) / 2)
            solid = [step for step in steps if step in points and step != ALL]
            x = [place[step] + aside for step in solid]
            ax.plot(x, [points[s]["accuracy"] for s in solid], color=ink_of(name), linewidth=1.6)
            if ALL in points and solid:
                ends = [points[solid[-1]]["accuracy"], points[ALL]["accuracy"]]
                ax.plot(
                    [x[-1], place[ALL] + aside], ends, color=ink_of(name), linewidth=1, linestyle=(0, (2, 3))
                )
            for step, point in points.items():
                dot(ax, place[step] + aside, point, ink_of(name), upright=True, hollow=step == ALL)
            told.append(
                title(name)
                + " "
                + ", ".join(f"{s}: {points[s]['accuracy']:.1%}" for s in steps if s in points)
            )
        ax.set_xticks(
            [place[step] for step in steps],
            [f"{step}\ntransductive" if step == ALL else step for step in steps],
        )
        ax.set_xlim(-0.5, max(place.values()) + 0.6)
        in_percent(ax, "y")
        ax.yaxis.set_major_locator(MultipleLocator(0.1))
        ax.set_xlabel("unlabelled clips of the person that are known")
        ax.set_ylabel("accuracy")
        ax.grid(axis="y")
        return to_svg(figure, "enrolment", f"Accuracy by number of enrolled clips. {'; '.join(told)}.")


def accuracy_by_degradation(records: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy under each condition with its interval, and dashed what each system reaches on clean clips."""
    names = main_systems({record["system"]: None for record in records})
    conditions = in_condition_order(records)
    found = {(record["condition"], record["system"]): record for record in records}
    with drawing(6.2, 0.8 + (0.16 + 0.11 * len(names)) * len(conditions)) as figure:
        ax = figure.subplots()
        for name in names:
            if (CLEAN, name) in found:
                reference = found[CLEAN, name]["accuracy"]
                ax.axvline(reference, color=ink_of(name), linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
        for row, condition in enumerate(conditions):
            here = [name for name in names if (condition, name) in found]
            for nth, name in enumerate(here):
                aside = 0.22 * (nth - (len(here) - 1) / 2)
                dot(ax, row + aside, found[condition, name], ink_of(name))
        named_rows(ax, range(len(conditions)), conditions, "accuracy", ylim=(len(conditions) - 0.4, -0.6))
        told = "; ".join(
            f"{condition}: "
            + ", ".join(
                f"{title(n)} {found[condition, n]['accuracy']:.1%}" for n in names if (condition, n) in found
            )
            for condition in conditions
        )
        return to_svg(figure, "robustness", f"Accuracy by condition. {told}.")


def _spaced(kinds: Sequence[str]) -> list[float]:
    """Rows with a gap before each new kind."""
    places = [0.0]
    for before, kind in pairwise(kinds):
        places.append(places[-1] + (1 if kind == before else 1.7))
    return places
