"""What commands print: messages, tables of predictions and segments, the live view, results and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import typer
from rich.cells import cell_len
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from emofuse.cli.quiet import is_quiet
from emofuse.core.alike import joined_name, shown_groups
from emofuse.core.colors import label_colors
from emofuse.core.text import shown
from emofuse.core.times import short_clock
from emofuse.corpus.corpus import CORPUS_FACT, CorpusPart
from emofuse.corpus.own_labels import corpus_advice

if TYPE_CHECKING:
    from emofuse.core.dimensions import Rated, Scale
    from emofuse.core.records import Prediction
    from emofuse.corpus.corpus import Corpus
    from emofuse.evaluation.cross_results import CrossResults
    from emofuse.recognition.bundle import Bundle
    from emofuse.timeline.live import LiveWindow
    from emofuse.timeline.records import Segment, Timeline

SHIPPED_NAME: Final = "the one that comes with emofuse"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"
"""Characters filled from the left to 0, 1, … 7 eighths."""
TABLE_BAR_CELLS: Final = 6
LIVE_BAR_CELLS: Final = 24
SHARE_BAR_CELLS: Final = 10
LEAST_SHOWN: Final = 0.05
"""Emotions less probable than this are left out of the table of predictions."""
NAME_CELLS: Final = 24
"""The widest column of names of labels: longer ones are wrapped, or cut where all is on one line."""
OTHER_LINES: Final = 7
"""Of the live view: name, speech, face, source, a remark, the state below all, and the prompt."""
FEWEST_LABELS: Final = 3
"""The live view has so many, however low the terminal is."""


# Messages


def print_message(text: str) -> None:
    """Print one line to standard error, prefixed with the name of the program."""
    typer.echo(f"emofuse: {shown(text)}", err=True)


def print_remark(text: str) -> None:
    """Print a message that is neither a result nor an error, unless ``--quiet`` was given."""
    if not is_quiet():
        print_message(text)


def print_line(text: str) -> None:
    """Print a line of explanation to standard output, unless ``--quiet`` was given."""
    if not is_quiet():
        typer.echo(shown(text))


def print_corpus(corpus: Corpus) -> None:
    """Print to standard error which corpora were found, unless ``--quiet`` was given.

    And which of its labels may be slips of the pen.
    """
    for line in [*corpus_lines(corpus), *corpus_advice(corpus)]:
        print_remark(line)


def corpus_lines(corpus: Corpus) -> list[str]:
    """What each corpus is called, where it lies, how many recordings of how many speakers were found."""
    parts = corpus.parts or [CorpusPart(corpus.name, corpus.root, corpus.licence, corpus.emotions)]
    lines = []
    for part in parts:
        own = [clip for clip in corpus.clips if clip.facts.get(CORPUS_FACT, part.name) == part.name]
        speakers = len({clip.speaker for clip in own})
        lines.append(
            f"{part.name} in {part.root}: {counted(len(own), 'recording', resumed=0, failed=0)} of "
            f"{counted(speakers, 'speaker', resumed=0, failed=0)}; license: {part.licence}"
        )
    return lines


def print_failures(errors: Sequence[str], failed: int, where: str) -> None:
    """Print the first errors of a batch to standard error, and where the others are."""
    for line in errors:
        print_message(line)
    if failed > len(errors):
        print_message(f"and {failed - len(errors)} more; see {where}")


def counted(n: int, noun: str, *, resumed: int, failed: int) -> str:
    """How many files a batch read, how many of them an earlier run had, and how many failed.

    >>> counted(3, "file", resumed=1, failed=0)
    '3 files, 1 of them from an earlier run'
    """
    earlier = f", {resumed} of them from an earlier run" if resumed else ""
    failures = f", {failed} failed" if failed else ""
    return f"{n} {noun}{'' if n == 1 else 's'}{earlier}{failures}"


def print_bundle(bundle: Bundle, folder: Path | None) -> None:
    """Print to standard error which bundle is used, its license, and whether it was trained on people."""
    if is_quiet():
        return
    typer.echo(f"bundle: {shown(str(folder or SHIPPED_NAME))}, license: {shown(bundle.licence)}", err=True)
    if bundle.provenance.get("synthetic"):
        typer.echo(
            "this recognizer was trained on drawn faces and synthetic voices: it cannot read people", err=True
        )


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print the notes on a run, unless ``--quiet`` was given."""
    for note in () if is_quiet() else notes:
        console.print(f"[dim]note: {note}[/dim]")


def print_results(results: Mapping[str, Any], run: Path, console: Console) -> None:
    """Print the accuracy of each system, the notes, and where the report is."""
    from emofuse.evaluation.report.ratings import ratings_table
    from emofuse.evaluation.report.terminal import corpora_table, raters_table, summary_table

    if results["systems"]:
        console.print(summary_table(results))
    if results.get("dimensions"):
        console.print(ratings_table(results))
    if results.get("corpora"):
        console.print(corpora_table(results["corpora"]))
    if results.get("raters"):
        console.print(raters_table(results["raters"]))
    print_notes(results["notes"], console)
    print_line(f"report: {run / 'report.html'}")


def print_cross(results: CrossResults, run: Path, console: Console) -> None:
    """Print the matrix of each condition, what was seen before, the notes, and where the files are."""
    from emofuse.core.number_format import with_interval
    from emofuse.evaluation.cross_results import headline

    names = [corpus["name"] for corpus in results["corpora"]]
    for condition in results["conditions"]:
        rows: dict[tuple[str, ...], dict[str, str]] = {}
        for cell in results["cells"]:
            if cell["condition"] == condition:
                found = headline(cell)
                text = with_interval(found["uar"], found["uar_ci95"]) if found else "not measured"
                row = rows.setdefault(tuple(cell["train"]), {})
                row[cell["test"]] = text + (" (seen before)" if cell["seen_before"] else "")
        table = Table("trained on", *map(escape, names), title=f"UAR %, normalization: {condition}")
        for train, row in rows.items():
            table.add_row(escape(" + ".join(train)), *(row.get(name, "") for name in names))
        console.print(table)
    problems = [
        f"{' + '.join(cell['train'])}, tested on {cell['test']}: {cell['problem']}"
        for cell in results["cells"]
        if cell["problem"]
    ]
    print_notes([*results["notes"], *dict.fromkeys(problems)], console)
    print_line(f"matrix: {run / 'matrix.svg'}")


def corpus_line(found: Mapping[str, Any]) -> str:
    """The figures of a recognizer on one corpus, among the emotions that it has, on one line."""
    from emofuse.core.number_format import percent, with_interval

    return (
        f"  {found['name']}, {len(found['emotions'])} emotions: UAR % "
        f"{with_interval(found['uar'], found['uar_ci95'])}, accuracy % {percent(found['accuracy'])}, "
        f"n = {found['n']}, speakers: {found['n_actors']}"
    )


# Predictions


def print_predictions(predictions: Sequence[Prediction], console: Console) -> None:
    """Print a table of predictions: the winner, the probabilities as bars, and what they are based on."""
    if not predictions:
        return
    table = Table(show_lines=len(predictions) > 1, title_justify="left")
    table.add_column("file", overflow="fold", ratio=3)
    table.add_column("expresses", overflow="fold", ratio=4)
    table.add_column("read from", overflow="fold", ratio=4)
    blocks = console.encoding.lower().startswith("utf")
    names = Counter(Path(p.source).name for p in predictions)
    for p in predictions:
        name = Path(p.source).name
        label = name if names[name] == 1 else p.source
        table.add_row(escape(shown(label)), _probabilities(p, blocks=blocks), _basis(p))
    console.print(table)


def _probabilities(p: Prediction, *, blocks: bool) -> str:
    """One line per emotion and dimension; ``blocks``: the terminal can show block characters."""
    if p.probabilities is None:
        return "\n".join(_rated_lines(p))
    groups = shown_groups(p.emotions, p.probabilities, face_alone=p.used == ("face",))
    values = np.array([p.probabilities[list(group)].sum() for group in groups])
    order = (-values).argsort(kind="stable")  # ties: the first one, as in Prediction.emotion
    shown_rows = [groups[i] for i in order[: max(1, int((values >= LEAST_SHOWN).sum()))]]
    names = [joined_name([p.emotions[i] for i in group]) for group in shown_rows]
    width = max(9, *(min(cell_len(name), NAME_CELLS) for name in names))
    colors = label_colors(p.emotions)
    lines = []
    for group, label in zip(shown_rows, names, strict=True):
        name, value = p.emotions[group[0]], float(p.probabilities[list(group)].sum())
        drawn = bar(value, TABLE_BAR_CELLS).rstrip()
        if not blocks:
            drawn = "#" * round(round(value * TABLE_BAR_CELLS * 8) / 8)
        padded = label + " " * (width - cell_len(label))
        lines.append(f"{escape(padded)} {value:4.0%} [{colors[name]}]{drawn}[/]")
    return "\n".join([*lines, *_rated_lines(p)])


def _rated_lines(p: Prediction) -> list[str]:
    """One line per dimension: its value, and the interval in brackets."""
    known = {name: one for name, one in p.dimensions.items() if one is not None}
    width = max([9, *map(len, known)])
    return [
        f"{escape(shown(name)):{width}} {one.value:.2f} [dim]({one.low:.2f} to {one.high:.2f})[/dim]"
        for name, one in known.items()
    ]


def _basis(p: Prediction) -> str:
    lines = [" and ".join(p.used)]
    for name, reason in (("voice", p.voice_missing), ("face", p.face_missing)):
        if reason is not None:
            lines.append(f"[yellow]no {name}: {escape(shown(reason))}[/yellow]")
    frames = p.meta.get("n_frames")
    if "face" in p.used and frames:
        lines.append(f"face in {p.meta.get('frames_with_face')} of {frames} frames")
    return "\n".join([*lines, *(escape(shown(note)) for note in p.notes)])


def bar(share: float, cells: int) -> str:
    """A share of 0 to 1 as a bar, to an eighth of a cell; always ``cells`` wide."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[part] if part else "")).ljust(cells)


# Timelines


def print_segments(timeline: Timeline, console: Console) -> None:
    """Print a table of segments: when, who, which emotion, how surely; without emotions, nothing."""
    from emofuse.exports.tiers import VOICE

    if not timeline.emotions and not timeline.segments:
        return
    several = len({segment.person for segment in timeline.segments}) > 1 or timeline.people
    who = ["who"] if several else []
    table = Table("from", "to", *who, "expresses", "sure", title_justify="left")
    colors = label_colors(timeline.emotions)
    for segment in timeline.segments:
        when = [short_clock(segment.start_s), short_clock(segment.end_s)]
        person = [escape(segment.person or VOICE)] if several else []
        sure = "" if segment.shown_confidence is None else f"{segment.shown_confidence:.0%}"
        table.add_row(*when, *person, _emotion(segment, colors), sure)
    console.print(table)


def print_summary(timeline: Timeline, console: Console) -> None:
    """Print one row per person: for how long they talk and are in view, what they express, and how surely.

    Each numeric scale has a column with the mean rating; without emotions, there are only these.
    """
    from emofuse.exports.tiers import VOICE
    from emofuse.timeline.summary import main_results, summarize

    told = ["expresses", "sure"] if timeline.emotions else []
    scales = [escape(shown(scale.name)) for scale in timeline.dimensions]
    table = Table("who", "talks", "in view", *told, *scales, title_justify="left")
    colors = label_colors(timeline.emotions)
    for one in summarize(timeline):
        lengths = ["" if known is None else short_clock(known) for known in (one.talking_s, one.seen_s)]
        results = "\n".join(
            f"[{colors[names[0]]}]{escape(joined_name(names))} {share:.0%}[/]" if names
            else f"[dim]not sure {share:.0%}[/]"
            for names, share in main_results(one)
        )  # fmt: skip
        sure = "" if one.confidence is None else f"{one.confidence:.0%}"
        emotions = [results or "[dim]nothing to read[/]", sure] if timeline.emotions else []
        means = [
            "–" if mean is None else scale.text(mean)
            for scale, mean in zip(timeline.dimensions, one.ratings, strict=True)
        ]
        table.add_row(escape(one.person or VOICE), *lengths, *emotions, *means)
    console.print(table)


def _emotion(segment: Segment, colors: Mapping[str, str]) -> str:
    if segment.emotion is not None:
        return f"[{colors[segment.emotion]}]{escape(segment.shown_emotion or '')}[/]"
    if segment.excluded:
        return "[dim]excluded[/]"
    return "[dim]not sure[/]" if segment.abstained else "[dim]nothing to read[/]"


# Live


def live_view(
    newest: Sequence[LiveWindow],
    emotions: Sequence[str],
    scales: Sequence[Scale] = (),
    *,
    height: int | None = None,
) -> Group:
    """The newest window of each person: emotions, ratings, what they are based on, and the latency.

    Args:
        newest: windows, one per person.
        emotions: the order of the probabilities.
        scales: on which windows are rated.
        height: lines of the terminal: of labels that have no room in it, the highest are shown.
    """
    most = len(emotions) if height is None else max(FEWEST_LABELS, height - OTHER_LINES - len(scales))
    columns = Table.grid(padding=(0, 4))
    columns.add_row(*(_live_person(one, emotions, scales, most) for one in newest))
    last = max(newest, key=lambda one: one.window.end_s)
    state = (
        f"{short_clock(last.window.end_s)}   latency {last.latency_s:.1f} s   dropped frames "
        f"{last.dropped_pictures}   skipped windows {last.skipped_windows}"
    )
    if last.lost_sound_s:
        state += f"   lost audio {last.lost_sound_s:.1f} s"
    return Group(columns, Text(state, style="dim"))


def _live_person(one: LiveWindow, emotions: Sequence[str], scales: Sequence[Scale], most: int) -> Table:
    """One person's window; ``most``: lines of labels."""
    from emofuse.timeline.still_faces import STILL

    window = one.window
    table = Table.grid(padding=(0, 1))
    table.add_column(max_width=NAME_CELLS, no_wrap=True, overflow="ellipsis")
    own = ", against their own baseline" if window.baseline == "own" else ""
    table.title = escape(window.person or "a voice") + own
    table.title_justify = "left"
    fused = window.fused
    face_alone = window.voice is None and window.face is not None
    groups: list[tuple[int, ...]] = [(i,) for i in range(len(emotions))]
    if fused is not None:
        groups = shown_groups(emotions, fused, face_alone=face_alone)
    values = [0.0 if fused is None else float(fused[list(group)].sum()) for group in groups]
    top = None if fused is None else groups[int(np.argmax(values))]
    colors = label_colors(emotions)
    highest = _highest(values, most)
    for group, probability in ((groups[i], values[i]) for i in highest):
        best = group is top
        table.add_row(
            Text(joined_name([emotions[i] for i in group]), style="bold" if best else ""),
            Text(bar(probability, LIVE_BAR_CELLS), style=colors[emotions[group[0]]]),
            f"{probability:4.0%}" if fused is not None else "   –",
        )
    if others := len(groups) - len(highest):
        rest = sum(values) - sum(values[i] for i in highest)
        table.add_row(
            Text(f"{others} others", style="dim"), Text(bar(rest, LIVE_BAR_CELLS), style="dim"),
            f"{rest:4.0%}" if fused is not None else "   –",
        )  # fmt: skip
    for scale in scales:
        table.add_row(*_live_rating(scale, window.ratings.get(scale.name)))
    for name, share in (("speech", window.speech), ("face", window.face_present)):
        if share is not None:
            drawn = Text(bar(share, SHARE_BAR_CELLS), style="dim")
            table.add_row(Text(name, style="dim"), drawn, f"{share:4.0%}")
    used = [name for name, array in (("voice", window.voice), ("face", window.face)) if array is not None]
    if used or not window.ratings:
        basis = " and ".join(used) or "nothing to read"
        table.add_row(Text("from", style="dim"), Text(basis, style="dim"), "")
    if STILL in window.reasons:
        table.add_row(Text("face", style="dim"), Text("never moves: a picture", style="dim"), "")
    return table


def _live_rating(scale: Scale, rated: Rated | None) -> tuple[Text, Text, str]:
    """The name of a scale, its interval as a line with the rating on it, and the rating."""
    name = Text(shown(scale.name))
    if rated is None:
        return name, Text(" " * LIVE_BAR_CELLS), "   –"
    low, value, high = (
        round(scale.share(one) * (LIVE_BAR_CELLS - 1)) for one in (rated.low, rated.value, rated.high)
    )
    cells = [*" " * low, *"─" * (high - low + 1)]
    cells[value] = "█"
    return name, Text("".join(cells).ljust(LIVE_BAR_CELLS)), f"{scale.text(rated.value):>4}"


def _highest(values: Sequence[float], most: int) -> list[int]:
    """The places of the highest values, in order: with a line for all others, ``most`` lines."""
    if len(values) <= most:
        return list(range(len(values)))
    return sorted(sorted(range(len(values)), key=lambda i: -values[i])[: most - 1])
