from __future__ import annotations

from typing import Any

import pytest

from tests.support import timelines


def _corners() -> dict[str, Any]:
    from emofuse.timeline.records import Segment

    half_seconds, thirds = range(0, 72_000, 40), range(0, 108_000, 30)
    return {
        "empty": {},
        "no-length": {"duration_s": 0.0, "people": ("Anna",)},
        "people-without-segments": {"people": ("Anna", "Bert")},
        "under-a-millisecond": {
            "duration_s": 0.0004,
            "windows": (timelines.window(0.0, 0.0004),),
            "segments": (Segment(0.0001, 0.0004, "sad", 0.5),),
        },
        "before-zero": {
            "start_s": -2.0,
            "duration_s": 1.5,
            "windows": (timelines.window(-2.0, -1.0),),
            "segments": (Segment(-2.0, -0.5, "sad", 0.5),),
        },
        "hostile": {
            "source": 'caf\udce9/<&">\x01.mp4',
            "recogniser": 'a --> b\n\n<&">',
            "licence": "two\n\nlines --> &",
            "people": timelines.HOSTILE,
            "segments": tuple(Segment(1.0, 2.0, "happy", 1.0, person=name) for name in timelines.HOSTILE),
            "windows": (
                timelines.window(0, 1, quality={"n\udce9": "x\udce9\x00"}, person=timelines.HOSTILE[0]),
            ),
        },
        "ten-hours": {
            "duration_s": 36_000.0,
            "windows": tuple(timelines.window(i * 0.5, (i + 1) * 0.5) for i in half_seconds),
            "segments": tuple(Segment(i / 3, (i + 1) / 3, "sad", 0.5) for i in thirds),
        },
    }


CORNERS = (
    "empty", "no-length", "people-without-segments", "under-a-millisecond", "before-zero", "hostile",
    "ten-hours",
)  # fmt: skip


@pytest.fixture(params=[*range(20), *CORNERS])
def any_timeline(request: pytest.FixtureRequest) -> Any:
    """Twenty random timelines and the corner cases."""
    if isinstance(request.param, int):
        return timelines.random_timeline(request.param)
    return timelines.timeline(**_corners()[request.param])
