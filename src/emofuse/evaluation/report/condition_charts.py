"""Charts of what accuracy depends on: confidence, group, enrolled clips, degradations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from matplotlib.ticker import MultipleLocator

from emofuse.evaluation.report.axes import dot, in_percent, named_rows
from emofuse.evaluation.report.selection import (
    ALL,
    CLEAN,
    GROUP_KINDS,
    by_group,
    clip_steps,
    degradation_names,
    group_keys,
    main_systems,
)
from emofuse.evaluation.report.svg import drawing, ink_of, to_svg
from emofuse.evaluation.results import CoverageFigures, EnrollmentPoint, GroupEntry, RobustnessFigures, title

_FEWEST_SHOWN: Final = 0.04
"""Fifty of twelve hundred clips: below this share, a curve depends on single clips."""


def coverage_curves(blocks: Mapping[str, CoverageFigures]) -> str:
    """Accuracy on the answered clips against their share, with intervals where they were measured."""
    listed = []
    with drawing(4.6, 3.6) as figure:
        ax = figure.subplots()
        for name in main_systems(blocks):
            coverage = np.asarray(blocks[name]["coverage"], dtype=np.float64)
            accuracy = np.asarray(blocks[name]["accuracy"], dtype=np.float64)
            shown = coverage >= _FEWEST_SHOWN
            ax.plot(
                coverage[shown],
                accuracy[shown],
                color=ink_of(name),
                linewidth=2.2 if name == "fused" else 1.4,
                solid_joinstyle="round",
            )
            for share, point in sorted((float(k), v) for k, v in (blocks[name].get("at") or {}).items()):
                dot(ax, share, point, ink_of(name), vertical=True)
                listed.append(f"{title(name)} {point['accuracy']:.1%} at {share:.0%}")
        ax.set_xlim(0, 1)
        ax.set_ylim(top=1.005)
        ax.yaxis.set_major_locator(MultipleLocator(0.1))
        in_percent(ax, "x", "y")
        ax.set_xlabel("share of clips answered")
        ax.set_ylabel("accuracy on answered clips")
        ax.grid()
        ends = "; ".join(
            f"{title(n)} {blocks[n]['accuracy'][-1]:.1%} when all are answered" for n in main_systems(blocks)
        )
        return to_svg(figure, "coverage", f"Accuracy against coverage. {'; '.join([ends, *listed])}.")


def accuracy_by_group(groups: Mapping[str, Sequence[GroupEntry]]) -> str:
    """Accuracy on each group of takes except single actors; the last system with its intervals."""
    names = main_systems(groups)
    leading = names[-1]
    found = by_group({name: groups[name] for name in names})
    keys = group_keys(found, GROUP_KINDS)
    positions = _spaced([kind for kind, _ in keys])
    with drawing(6.2, 0.7 + 0.24 * (max(positions) + 1)) as figure:
        ax = figure.subplots()
        for name in names:
            for position, key in zip(positions, keys, strict=True):
                record = found[name].get(key)
                if record is None:
                    continue
                if name == leading:
                    dot(ax, position, record, ink_of(name), bounds="accuracy_ci95")
                else:
                    ax.plot(record["accuracy"], position, "o", color=ink_of(name), markersize=3.6, alpha=0.9)
        named_rows(
            ax,
            positions,
            [value for _, value in keys],
            "accuracy on the group's clips",
            ylim=(max(positions) + 0.7, -0.7),
            right=1.01,
        )
        listed = "; ".join(
            f"{key[1]} {found[leading][key]['accuracy']:.1%}" for key in keys if key in found[leading]
        )
        return to_svg(figure, "groups", f"Accuracy by group. {title(leading)}: {listed}.")


def enrollment_curves(systems: Mapping[str, Sequence[EnrollmentPoint]]) -> str:
    """Accuracy against the number of enrolled clips of a speaker; "all" is set apart."""
    names = main_systems(systems)
    steps = clip_steps(systems)
    # "all" includes the scored clips; the gap keeps it from being read as the next step of the curve
    x_of = {step: i + 0.6 * (step == ALL) for i, step in enumerate(steps)}
    listed = []
    with drawing(4.8, 3.6) as figure:
        ax = figure.subplots()
        for index, name in enumerate(names):
            points = {str(point["clips"]): point for point in systems[name]}
            offset = 0.09 * (index - (len(names) - 1) / 2)
            solid = [step for step in steps if step in points and step != ALL]
            x = [x_of[step] + offset for step in solid]
            ax.plot(x, [points[s]["accuracy"] for s in solid], color=ink_of(name), linewidth=1.6)
            if ALL in points and solid:
                ends = [points[solid[-1]]["accuracy"], points[ALL]["accuracy"]]
                ax.plot(
                    [x[-1], x_of[ALL] + offset],
                    ends,
                    color=ink_of(name),
                    linewidth=1,
                    linestyle=(0, (2, 3)),
                )
            for step, point in points.items():
                dot(ax, x_of[step] + offset, point, ink_of(name), vertical=True, hollow=step == ALL)
            listed.append(
                title(name)
                + " "
                + ", ".join(f"{s}: {points[s]['accuracy']:.1%}" for s in steps if s in points)
            )
        ax.set_xticks(
            [x_of[step] for step in steps],
            [f"{step}\ntransductive" if step == ALL else step for step in steps],
        )
        ax.set_xlim(-0.5, max(x_of.values()) + 0.6)
        in_percent(ax, "y")
        ax.yaxis.set_major_locator(MultipleLocator(0.1))
        ax.set_xlabel("unlabeled clips enrolled")
        ax.set_ylabel("accuracy")
        ax.grid(axis="y")
        return to_svg(figure, "enrolment", f"Accuracy by number of enrolled clips. {'; '.join(listed)}.")


def accuracy_by_degradation(records: Sequence[RobustnessFigures]) -> str:
    """Accuracy under each degradation with its interval; dashed: each system on clean recordings."""
    names = main_systems({record["system"]: None for record in records})
    degradations = degradation_names(records)
    found = {(record["condition"], record["system"]): record for record in records}
    with drawing(6.2, 0.8 + (0.16 + 0.11 * len(names)) * len(degradations)) as figure:
        ax = figure.subplots()
        for name in names:
            if (CLEAN, name) in found:
                reference = found[CLEAN, name]["accuracy"]
                ax.axvline(reference, color=ink_of(name), linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
        for row, degradation in enumerate(degradations):
            measured = [name for name in names if (degradation, name) in found]
            for index, name in enumerate(measured):
                offset = 0.22 * (index - (len(measured) - 1) / 2)
                dot(ax, row + offset, found[degradation, name], ink_of(name))
        named_rows(
            ax, range(len(degradations)), degradations, "accuracy", ylim=(len(degradations) - 0.4, -0.6)
        )
        listed = "; ".join(
            f"{degradation}: "
            + ", ".join(
                f"{title(n)} {found[degradation, n]['accuracy']:.1%}"
                for n in names
                if (degradation, n) in found
            )
            for degradation in degradations
        )
        return to_svg(figure, "robustness", f"Accuracy by degradation. {listed}.")


def _spaced(kinds: Sequence[str]) -> list[float]:
    """Positions of rows, with a gap before each new kind."""
    positions = [0.0]
    for before, kind in pairwise(kinds):
        positions.append(positions[-1] + (1 if kind == before else 1.7))
    return positions
