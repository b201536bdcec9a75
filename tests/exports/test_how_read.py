"""The end of the page: how people were read, in plain words."""

from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.text import one_line
from emofuse.exports.how_read import EXPLAINED, baseline_words, how_read
from emofuse.exports.viewer import header
from emofuse.features.own_baseline import Kind, OwnBaseline
from emofuse.timeline.person_baseline import PersonBaseline
from tests.support import timelines

OWN: dict[Kind, OwnBaseline] = {
    "voice": OwnBaseline(121.0, np.linspace(-1, 1, 8), 0.4),
    "face": OwnBaseline(201.0, np.linspace(-1, 1, 8), 0.06),
}


@pytest.mark.parametrize(
    ("voice", "face", "words"),
    [
        (
            0.23, 0.0,
            "Ben is read against their own voice: what is usual for them in this recording is taken off. "
            "Their face changed too little in this recording to tell what is usual for them.",
        ),
        (
            0.98, 0.5,
            "Ben is read against their own voice and face: "
            "what is usual for them in this recording is taken off.",
        ),
        (
            0.0, 0.0,
            "Ben is read as anybody is, not against themselves. "
            "Their voice and face changed too little in this recording to tell what is usual for them.",
        ),
    ],
)  # fmt: skip
def test_a_baseline_in_plain_words(voice: float, face: float, words: str) -> None:
    assert baseline_words("Ben", PersonBaseline(OWN, {"voice": voice, "face": face})) == words


def test_warnings_open_the_page_and_baselines_close_it() -> None:
    baseline = PersonBaseline(OWN, {"voice": 0.23, "face": 0.0})
    timeline = timelines.timeline(
        people=("B<n",), notes=("damaged: no end",), baselines={"B<n": baseline}, purpose="a <study>"
    )
    top, end = header(timeline), how_read(timeline)
    assert '<p class="note">damaged: no end</p>' in top and "Purpose: <strong>a &lt;study&gt;</strong>" in top
    assert "baseline" not in top and "subtracted" not in top
    assert "<p>B&lt;n is read against their own voice" in end and "damaged" not in end
    assert f"({one_line(baseline.described)})" in end
    # the license stands below the fold, not in it
    _, _, below = end.partition("</details>")
    assert "read by <strong>out-of-the-box 1</strong> · license CC BY-NC-SA 4.0" in below
    assert end.count("<dt>") == len(EXPLAINED) == end.count("<dd>")
