"""The table of people on the page: for how long each talks and is in view, and what each expresses."""

from __future__ import annotations

from html import escape

from emofuse.core.text import one_line
from emofuse.core.times import short_clock
from emofuse.exports.tiers import VOICE, plain_names
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import PersonSummary, main_results, summarize


def people_table(timeline: Timeline) -> str:
    """One row per person, with a bar of the shares of their emotions."""
    names = plain_names(timeline.people)
    rows = []
    for one in summarize(timeline):
        name = VOICE if one.person is None else names[one.person]
        talking, seen = (_length(known) for known in (one.talking_s, one.seen_s))
        sure = "–" if one.confidence is None else f"{one.confidence * 100:.0f} %"
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th><td data-name="talks">{talking}</td>'
            f'<td data-name="in view">{seen}</td><td class="wide">{_expressions(one, timeline)}</td>'
            f'<td data-name="sure">{sure}</td></tr>'
        )
    return (
        '<section><h2>People</h2><div class="scroll" tabindex="0" role="region" aria-label="People">'
        '<table class="people">'
        '<thead><tr><th scope="col">Person</th><th scope="col">Talks</th><th scope="col">In view</th>'
        '<th scope="col">Expresses, by time</th><th scope="col">Sure</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>\n"
    )


def _length(seconds: float | None) -> str:
    return "–" if seconds is None else short_clock(seconds)


def _expressions(one: PersonSummary, timeline: Timeline) -> str:
    """A bar, and the same in words."""
    results = main_results(one, timeline.emotions)
    if not results:
        return '<span class="quiet">nothing to read</span>'
    numbers = {emotion: number for number, emotion in enumerate(timeline.emotions)}
    parts, texts = [], []
    for name, share in results:
        color = "" if name is None else f"--c:var(--e{numbers[name]});"
        kind = ' class="unsure"' if name is None else ""
        parts.append(f'<i{kind} style="{color}width:{share * 100:.1f}%"></i>')
        texts.append(f"{'not sure' if name is None else one_line(name)} {share * 100:.0f} %")
    return f'<span class="shares" aria-hidden="true">{"".join(parts)}</span>{escape(", ".join(texts))}'
