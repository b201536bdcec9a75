"""The end of a timeline's page: how it was read, what the words on the page mean, and by whose license."""

from __future__ import annotations

from html import escape
from typing import Final

from emofuse.core.text import one_line
from emofuse.exports.page_texts import fragment_text
from emofuse.exports.tiers import plain_names
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.records import Timeline

EXPLAINED: Final = {
    "both": "both_means",
    "talks": "talks_means",
    "in_view": "in_view_means",
    "read": "read_means",
    "expresses": "expresses_means",
    "sure": "sure_means",
    "speech": "speech_means",
}
"""Words of the page that are explained, and the texts that do."""
_OF_ANYBODY: Final = ("talks", "in_view", "speech")
"""Those that a page without emotions has."""


def how_read(timeline: Timeline) -> str:
    """A fold with explanations, and below it, always in sight, the recognizer and its license."""
    names = plain_names(timeline.people)
    readings = "".join(
        f"<p>{escape(baseline_words(names[person], one))} "
        f'<span class="quiet">({escape(one_line(one.described))})</span></p>'
        for person, one in timeline.baselines.items()
    )
    explanations = EXPLAINED if timeline.emotions else {word: EXPLAINED[word] for word in _OF_ANYBODY}
    words = "".join(
        f"<dt>{escape(fragment_text(word))}</dt><dd>{escape(fragment_text(means))}</dd>"
        for word, means in explanations.items()
    )
    for scale in timeline.dimensions:
        meaning = fragment_text(
            "rating_means", low=f"{scale.low:g}", high=f"{scale.high:g}", percent=round(scale.level * 100)
        )
        words += f"<dt>{escape(one_line(scale.name))}</dt><dd>{escape(meaning)}</dd>"
    recognizer = f"<strong>{escape(one_line(timeline.recogniser))}</strong>"
    source = [
        fragment_text("kicker"),
        fragment_text("read_by", name=recognizer),
        *([fragment_text("licence", name=escape(one_line(timeline.licence)))] if timeline.licence else []),
    ]
    return (
        f'<details class="how"><summary>{escape(fragment_text("how_read"))}</summary>{readings}'
        f'<dl class="words">{words}</dl></details><p class="facts">{" · ".join(source)}</p>\n'
    )


def baseline_words(name: str, baseline: PersonBaseline) -> str:
    """In plain words, what a person is read against: ``Ben is read against their own voice …``."""
    used = [kind for kind, strength in baseline.strengths.items() if strength]
    unused = [kind for kind, strength in baseline.strengths.items() if not strength]
    sentences = []
    if used:
        sentences.append(fragment_text("own_baseline", name=one_line(name), parts=" and ".join(used)))
    else:
        sentences.append(fragment_text("no_baseline", name=one_line(name)))
    if unused:
        sentences.append(fragment_text("too_even", parts=" and ".join(unused)))
    return " ".join(sentences)


def explained(word: str) -> str:
    """A word of :data:`EXPLAINED`, with what it means where one points at it."""
    return abbreviated(fragment_text(word), fragment_text(EXPLAINED[word]))


def abbreviated(word: str, meaning: str) -> str:
    """A word with what it means where one points at it."""
    return f'<abbr title="{escape(meaning)}">{escape(word)}</abbr>'
