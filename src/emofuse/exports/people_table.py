"""The table of people on the page: for how long each talks and is in view, and what each expresses."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from emofuse.core.alike import joined_name
from emofuse.core.text import one_line
from emofuse.core.times import short_clock
from emofuse.exports.how_read import abbreviated, explained
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.tiers import VOICE, plain_names
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import PersonSummary, main_results, summarize


def people_table(timeline: Timeline) -> str:
    """One row per person, with a bar of the shares of their emotions.

    A row has the person's name and place in the timeline (``data-person``, ``data-index``); that of voices
    that are nobody's has neither. Each numeric scale has a column with the mean rating.
    """
    names = plain_names(timeline.people)
    people = {person: index for index, person in enumerate(timeline.people)}
    columns = ("talks", "in_view", "read", "expresses", "sure") if timeline.emotions else ("talks", "in_view")
    rows = []
    for one in summarize(timeline):
        name = VOICE if one.person is None else names[one.person]
        whose = (
            "" if one.person is None else f' data-person="{escape(name)}" data-index="{people[one.person]}"'
        )
        lengths = [_length(known) for known in (one.talking_s, one.seen_s, one.read_s)]
        sure = "–" if one.confidence is None else f"{one.confidence * 100:.0f} %"
        found = dict(zip(("talks", "in_view", "read", "sure"), (*lengths, sure), strict=True))
        cells = [
            f'<td class="wide">{_expressions(one, timeline)}</td>'
            if key == "expresses"
            else _cell(fragment_text(key).lower(), found[key])
            for key in columns
        ]
        cells += [
            _cell(one_line(scale.name), "–" if mean is None else scale.text(mean).replace("-", "−"))
            for scale, mean in zip(timeline.dimensions, one.ratings, strict=True)
        ]
        rows.append(f'<tr{whose}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    title = escape(fragment_text("people"))
    heads = [
        escape(fragment_text("person")),
        *map(explained, columns),
        *(
            abbreviated(one_line(scale.name), fragment_text("mean_rating_means"))
            for scale in timeline.dimensions
        ),
    ]
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f'<section><h2>{title}</h2><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f'<table class="people"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>\n"
    )


def _cell(name: str, text: str) -> str:
    return f'<td data-name="{escape(name)}">{escape(text)}</td>'


def whole_percents(shares: Sequence[float]) -> list[int]:
    """Shares of a whole, in percents that add up to 100: the greatest remainders are rounded up."""
    exact = [max(share, 0.0) * 100 for share in shares]
    percents = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: percents[i] - exact[i])
    for i in order[: 100 - sum(percents)]:
        percents[i] += 1
    return percents


def _stripes(left: float, width: float) -> str:
    """What is not sure is striped, as in the segments; plain gray would look neutral."""
    each = "".join(f"M{left + at + 0.3:.1f} 0h.4v6h-.4z" for at in range(int(width)))
    return f'<path class="unsure" d="{each}"/>' if each else ""


def _length(seconds: float | None) -> str:
    return "–" if seconds is None else short_clock(seconds)


def _expressions(one: PersonSummary, timeline: Timeline) -> str:
    """A bar, and the same in words; what is rare is the rest, so that the percentages add up."""
    results = main_results(one)
    if not results:
        return f'<span class="quiet">{escape(fragment_text("nothing_to_read"))}</span>'
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    parts, words, left = [], [], 0.0
    rest = 1 - sum(share for _, share in results)
    percents = whole_percents([*(share for _, share in results), rest])
    for (names, share), percent in zip(results, percents, strict=False):
        colors = [f"e{numbers[name]}" for name in names] or ["unsure"]
        for row, color in enumerate(colors):  # one of two: both colors, one above the other
            height = 6 / len(colors)
            parts.append(
                f'<rect class="{color}" x="{left:.1f}" y="{row * height:g}" width="{share * 100:.1f}" '
                f'height="{height:g}"/>'
            )
        if not names:
            parts.append(_stripes(left, share * 100))
        words.append(
            f"{one_line(joined_name(names)) if names else fragment_text('not_sure')} {percent}\u00a0%"
        )
        left += share * 100
    if percents[-1]:
        words.append(fragment_text("others", percent=percents[-1]))
    bar = '<svg class="shares" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
    return f"{bar}{''.join(parts)}</svg>{escape(', '.join(words))}"
