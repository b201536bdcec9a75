"""The table of people on the page: for how long each talks and is in view, and what each expresses."""

from __future__ import annotations

from html import escape

from emofuse.core.text import one_line
from emofuse.core.times import short_clock
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.tiers import VOICE, plain_names
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import PersonSummary, main_results, summarize


def people_table(timeline: Timeline) -> str:
    """One row per person, with a bar of the shares of their emotions.

    A row has the person's name and place in the timeline (``data-person``, ``data-index``); that of voices
    that are nobody's has neither.
    """
    names = plain_names(timeline.people)
    people = {person: index for index, person in enumerate(timeline.people)}
    heads = {key: escape(fragment_text(key)) for key in ("person", "talks", "in_view", "expresses", "sure")}
    rows = []
    for one in summarize(timeline):
        name = VOICE if one.person is None else names[one.person]
        whose = (
            "" if one.person is None else f' data-person="{escape(name)}" data-index="{people[one.person]}"'
        )
        talking, seen = (_length(known) for known in (one.talking_s, one.seen_s))
        sure = "–" if one.confidence is None else f"{one.confidence * 100:.0f} %"
        cells = [
            f'<td data-name="{heads[key].lower()}">{value}</td>'
            for key, value in (("talks", talking), ("in_view", seen), ("sure", sure))
        ]
        cells.insert(2, f'<td class="wide">{_expressions(one, timeline)}</td>')
        rows.append(f'<tr{whose}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    title = escape(fragment_text("people"))
    head = "".join(f'<th scope="col">{text}</th>' for text in heads.values())
    return (
        f'<section><h2>{title}</h2><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f'<table class="people"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>\n"
    )


def _length(seconds: float | None) -> str:
    return "–" if seconds is None else short_clock(seconds)


def _expressions(one: PersonSummary, timeline: Timeline) -> str:
    """A bar, and the same in words."""
    results = main_results(one, timeline.emotions)
    if not results:
        return f'<span class="quiet">{escape(fragment_text("nothing_to_read"))}</span>'
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    parts, words, left = [], [], 0.0
    for name, share in results:
        color = "unsure" if name is None else f"e{numbers[name]}"
        width = share * 100
        parts.append(f'<rect class="{color}" x="{left:.1f}" width="{width:.1f}" height="6"/>')
        words.append(f"{fragment_text('not_sure') if name is None else one_line(name)} {width:.0f} %")
        left += width
    bar = '<svg class="shares" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
    return f"{bar}{''.join(parts)}</svg>{escape(', '.join(words))}"
