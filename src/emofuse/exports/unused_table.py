"""The table of what was not used, and why: windows without voice or face, and excluded spans."""

from __future__ import annotations

from collections import Counter
from html import escape

from emofuse.core.times import short_clock
from emofuse.exports.tiers import EXCLUDED, VOICE, WORDS, plain_names
from emofuse.timeline.records import Timeline
from emofuse.timeline.summary import excluded_s


def unused_table(timeline: Timeline) -> str:
    """One row per person and reason, the most frequent first; nothing where everything was used."""
    names = plain_names(timeline.people)
    rows = []
    for person, windows in timeline.by_person(timeline.windows).items():
        name = escape(VOICE if person is None else names[person])
        found = Counter(reason for window in windows for reason in set(window.reasons))
        for reason, n in found.most_common():
            part = "voice" if reason.startswith("voice:") else "face"
            rows.append((name, part, WORDS.get(reason, reason), f"{n} of {len(windows)} windows"))
        if excluded := excluded_s(timeline, person):
            rows.append((name, "both", EXCLUDED, short_clock(excluded)))
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{part}</td><td>{escape(why)}</td><td>{how_much}</td></tr>'
        for name, part, why, how_much in rows
    )
    return (
        "<details><summary>What was not used, and why</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="What was not used, and why">'
        '<table class="unused"><thead><tr><th scope="col">Person</th><th scope="col">Of</th>'
        f'<th scope="col">Why</th><th scope="col">How much</th></tr></thead><tbody>{body}</tbody></table>'
        "</div></details>\n"
    )
