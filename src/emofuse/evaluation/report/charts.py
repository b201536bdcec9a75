"""The charts of the report: from what a run holds to inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from emofuse.core.colors import label_colors
from emofuse.core.metrics import Reliability
from emofuse.evaluation.report.axes import in_percent, named_rows
from emofuse.evaluation.report.svg import Ink, drawing, ink_of, to_png, to_svg
from emofuse.evaluation.results import SystemFigures, in_order, natural, title
from emofuse.evaluation.run_files import Example, FeatureMap, Scores
from emofuse.system.shared_settings import one_native_thread

FEWEST_FOR_TSNE: Final = 30
"""With fewer clips, t-SNE shows artifacts; principal components are drawn instead."""


def accuracy_by_system(systems: Mapping[str, SystemFigures], majority_share: float | None) -> str:
    """Accuracy of each system with its interval, and its folds as dots.

    ``majority_share``: the share of the most common emotion, drawn as a line; None: no line.
    """
    names = in_order(systems)[::-1]
    with drawing(6.2, 0.9 + 0.36 * len(names)) as figure:
        ax = figure.subplots()
        for row, name in enumerate(names):
            system, color = systems[name], ink_of(name)
            interval = system.get("accuracy_ci95")
            if interval:
                ax.plot(interval, [row, row], color=color, linewidth=5, alpha=0.35, solid_capstyle="round")
            folds = [fold["accuracy"] for fold in system.get("folds", ()) if fold.get("accuracy") is not None]
            ax.plot(folds, np.full(len(folds), row - 0.27), ".", color=color, markersize=4, alpha=0.8)
            ax.plot([system["accuracy"]], [row], "o", color=color, markersize=7, markeredgecolor=Ink.PAPER)
            weight = "bold" if name == "fused" else "normal"
            ax.annotate(
                f"{100 * system['accuracy']:.1f}",
                (system["accuracy"], row),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                weight=weight,
                fontsize=8.5,
            )
        if majority_share is not None:
            ax.axvline(majority_share, color=Ink.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
            ax.annotate(
                "most common emotion",
                (majority_share, len(names) - 0.45),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=7.5,
                color=Ink.QUIET,
            )
        titles = [title(name) for name in names]
        named_rows(ax, range(len(names)), titles, "accuracy on held-out clips", ylim=(-0.6, len(names) - 0.2))
        listed = "; ".join(f"{title(n)} {100 * systems[n]['accuracy']:.1f} %" for n in names[::-1])
        return to_svg(figure, "systems", f"Accuracy of each system with its 95 % interval: {listed}.")


def accuracy_by_actor(scores: Mapping[str, Scores]) -> str:
    """Accuracy of each system on each actor, with the hardest actor for the last system at the top."""
    right = {name: _by_actor(scores[name]) for name in scores}
    leading = list(right)[-1]
    actors = sorted(right[leading], key=lambda a: (-right[leading][a], natural(a)))
    with drawing(6.2, 0.8 + 0.19 * len(actors)) as figure:
        ax = figure.subplots()
        for row, actor in enumerate(actors):
            values = [found[actor] for found in right.values() if actor in found]
            ax.plot([min(values), max(values)], [row, row], color=Ink.GRID, linewidth=2.5, zorder=1)
        for name, found in right.items():
            rows = [row for row, actor in enumerate(actors) if actor in found]
            ax.scatter(
                [found[actors[row]] for row in rows],
                rows,
                s=30 if name == leading else 18,
                color=ink_of(name),
                edgecolors=Ink.PAPER,
                linewidths=0.6,
                zorder=3 if name == leading else 2,
            )
        ax.axvline(
            float(np.mean(list(right[leading].values()))),
            color=ink_of(leading),
            linewidth=0.8,
            linestyle=(0, (4, 3)),
        )
        named_rows(
            ax,
            range(len(actors)),
            actors,
            "accuracy on the actor's clips",
            ylim=(-0.7, len(actors) - 0.3),
            right=1.01,
        )
        ax.set_ylabel("actor")
        worst, best = actors[-1], actors[0]
        return to_svg(
            figure,
            "actors",
            f"Accuracy on each of {len(actors)} actors. {title(leading)}: from {right[leading][worst]:.0%} "
            f"(actor {worst}) to {right[leading][best]:.0%} (actor {best}).",
        )


def reliability_diagram(bins: Reliability) -> str:
    """Accuracy against confidence, and beneath it how many clips had each confidence."""
    with drawing(4.2, 4.4) as figure:
        ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        width = np.diff(bins.edges)
        filled = bins.count > 0
        ax.plot([0, 1], [0, 1], color=Ink.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.bar(
            bins.edges[:-1][filled],
            bins.accuracy[filled],
            width[filled],
            align="edge",
            color=Ink.FUSED,
            alpha=0.3,
            edgecolor=Ink.PAPER,
            linewidth=0.8,
        )
        # The area of a dot stands for its clips, so that a bin of two clips does not stand out.
        area = 8 + 70 * bins.count[filled] / bins.count.max()
        ax.scatter(
            bins.confidence[filled], bins.accuracy[filled], s=area, color=Ink.FUSED, zorder=3, clip_on=False
        )
        ax.set_ylim(0, 1)
        ax.set_ylabel("accuracy")
        in_percent(ax, "y")
        ax.grid()
        below.bar(
            bins.edges[:-1],
            bins.count,
            width,
            align="edge",
            color=Ink.OTHER,
            edgecolor=Ink.PAPER,
            linewidth=0.8,
        )
        below.set_ylabel("clips")
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        below.set_xlabel("confidence (the highest probability)")
        below.set_xlim(0, 1)
        in_percent(below, "x")
        return to_svg(
            figure,
            "reliability",
            "Accuracy against confidence; the dashed diagonal is perfect calibration. "
            + "; ".join(
                f"at {c:.0%} confidence, {a:.0%} of {n} clips are correct"
                for c, a, n in zip(
                    bins.confidence[filled], bins.accuracy[filled], bins.count[filled], strict=True
                )
            ),
        )


def feature_map(
    data: FeatureMap, correct: NDArray[np.bool_] | None, emotions: Sequence[str], *, seed: int
) -> tuple[str, str]:
    """A plane in which similar clips lie close together, and its method (t-SNE or principal components).

    ``correct``: (n,) whether each clip was classified correctly, drawn as a dot or a cross; None: unknown.
    ``emotions``: the labels of the run, in order.
    """
    positions, method = _plane(data.features, seed)
    with drawing(4.8, 4.4) as figure:
        ax = figure.subplots()
        is_correct = np.ones(len(positions), dtype=bool) if correct is None else correct
        for index, color in enumerate(label_colors(emotions).values()):
            of_emotion = data.emotion == index
            x, y = positions[of_emotion & is_correct].T
            ax.scatter(x, y, s=20, color=color, edgecolors=Ink.PAPER, linewidths=0.4)
            x, y = positions[of_emotion & ~is_correct].T
            ax.scatter(x, y, s=26, color=color, marker="x", linewidths=1.4)
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_visible(True)
            side.set_color(Ink.GRID)
        described = (
            f"{len(positions)} test clips placed by {method} of their joined features, colored by emotion."
        )
        return to_svg(figure, f"map-{data.name}", described), method


def learning_curves(curves: Sequence[Mapping[str, Any]], modality: str) -> str:
    """Loss on training and held-out actors over the epochs, and accuracy on held-out actors."""
    color = ink_of(modality)
    with drawing(4.6, 4.2) as figure:
        loss, right = figure.subplots(2, 1, sharex=True)
        _curves(loss, curves, "train_loss", Ink.OTHER, linestyle=(0, (4, 2)))
        _curves(loss, curves, "held_out_loss", color)
        _curves(right, curves, "held_out_accuracy", color)
        loss.set_ylabel("loss (nats)")
        loss.set_ylim(bottom=0)
        right.set_ylabel("accuracy")
        right.set_ylim(0, 1)
        in_percent(right, "y")
        right.set_xlabel("epoch")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        for ax in (loss, right):
            ax.grid()
        return to_svg(
            figure,
            f"curves-{modality}",
            f"Learning curves of {len(curves)} {modality} networks: loss on training actors (dashed) and "
            "held-out actors (solid) above, accuracy on the latter below. Thin: each network; bold: mean.",
        )


def spectrogram(example: Example) -> str | None:
    """``data:`` URL of an example's log-mel spectrogram, low frequencies at the bottom; None without one."""
    if example.log_mel is None:
        return None
    low, high = float(example.log_mel.min()), float(example.log_mel.max())
    scaled = (example.log_mel - low) / max(high - low, 1e-9)
    colored = matplotlib.colormaps["magma"](scaled[::-1])[..., :3]
    return to_png(np.round(colored * 255).astype(np.uint8))


def face_strip(example: Example, rows: int = 2, columns: int = 6) -> str | None:
    """``data:`` URL of an example's face frames in reading order; None without any."""
    if example.strip is None:
        return None
    n = len(example.strip)
    columns = min(columns, n)
    rows = min(rows, n // columns)
    chosen = example.strip[np.linspace(0, n - 1, rows * columns).round().astype(int)]
    lines = [np.concatenate(list(chosen[r * columns : (r + 1) * columns]), axis=1) for r in range(rows)]
    return to_png(np.concatenate(lines, axis=0))


def _by_actor(scores: Scores) -> dict[str, float]:
    right = scores.predicted == scores.truth
    return {str(a): float(right[scores.actors == a].mean()) for a in np.unique(scores.actors)}


def _plane(features: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], str]:
    """(n, 2) positions. Columns are standardized as in the fusion, or the widest one would dominate."""
    x = features.astype(np.float64)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    left, strength, _ = np.linalg.svd(x, full_matrices=False)
    components = left * strength
    if len(x) < FEWEST_FOR_TSNE or components.shape[1] < 3:
        two = np.zeros((len(x), 2))
        two[:, : min(2, components.shape[1])] = components[:, :2]
        return two, "principal components"
    from sklearn.manifold import TSNE

    # Fifty components are enough for the map and make distances cheap (van der Maaten & Hinton 2008).
    tsne = TSNE(perplexity=min(30.0, (len(x) - 1) / 3), init="pca", random_state=seed)
    # For a few hundred points, threads cost more than they gain on a busy machine.
    with one_native_thread("blas"), one_native_thread("openmp"):
        return np.asarray(tsne.fit_transform(components[:, :50]), dtype=np.float64), "t-SNE"


def _curves(
    ax: Axes, curves: Sequence[Mapping[str, Any]], key: str, color: str, linestyle: Any = "solid"
) -> None:
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        points = [(e["epoch"], e[key]) for e in curve.get("epochs", ()) if e.get(key) is not None]
        if not points:
            continue
        ax.plot(*zip(*points, strict=True), color=color, linewidth=0.6, alpha=0.35, linestyle=linestyle)
        for epoch, value in points:
            by_epoch.setdefault(int(epoch), []).append(float(value))
    # Once most networks have stopped early, the mean of the remaining ones would jump.
    epochs = [e for e in sorted(by_epoch) if 2 * len(by_epoch[e]) >= len(curves)]
    ax.plot(epochs, [np.mean(by_epoch[e]) for e in epochs], color=color, linewidth=1.8, linestyle=linestyle)
