"""Timelines to export: seeded, with overlapping people, gaps, and names that break formats."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from emofuse.core.labels import EMOTIONS
from emofuse.features.own_baseline import Kind, OwnBaseline, Reading
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

HOSTILE = (
    '<&">',
    "--> ]]> <v Mallory></v> &lt;",
    "Anna\nBerta",
    "Anna Berta",
    "tab\tand\r\nCRLF, comma; \"quotes\" ''",
    "שָׁלוֹם \u202eevil\u202c",
    "NOTE",
    "line\u2028separator \x85 \x0b \x1b[31m",
    "𝒜strid 👩🏽‍🎤",
    "emotion",
    "=1+1",
    " blank ",
    "\x07",
    "lone\rreturn",
)


def window(start_s: float, end_s: float, **more: Any) -> Window:
    given = {"voice": None, "face": None, "fused": np.full(8, 0.125)} | more
    return Window(start_s, end_s, **given)


def timeline(**more: Any) -> Timeline:
    given: dict[str, Any] = {
        "source": "talk.mp4",
        "duration_s": 10.0,
        "start_s": 0.0,
        "windows": (),
        "segments": (),
        "emotions": EMOTIONS,
        "recogniser": "out-of-the-box 1",
        "licence": "CC BY-NC-SA 4.0",
        "people": (),
    }
    return Timeline(**(given | more))


def _windows(rng: np.random.Generator, start_s: float, duration_s: float, people: tuple[Any, ...]) -> Any:
    for start in np.sort(rng.uniform(0, duration_s * 0.9, rng.integers(0, 40))):
        end = min(start + rng.uniform(1e-5, duration_s * 0.1), duration_s)
        voice, face, fused = [rng.dirichlet(np.ones(8)) if rng.random() < 0.7 else None for _ in range(3)]
        yield Window(
            start_s + float(start),
            start_s + float(end),
            voice,
            face,
            fused,
            speech=float(rng.random()) if rng.random() < 0.5 else None,
            face_present=float(rng.random()) if rng.random() < 0.5 else None,
            quality={"snr_db": float(rng.normal()), "note": 'a "quote"'} if rng.random() < 0.5 else {},
            reasons=("voice:silent", "face:none")[: rng.integers(0, 3)],
            person=people[rng.integers(len(people))],
            speaker=people[rng.integers(len(people))],
        )


def _segments(rng: np.random.Generator, start_s: float, duration_s: float, person: str | None) -> Any:
    cuts = np.sort(rng.uniform(0, duration_s, 2 * rng.integers(0, 12)))
    adjacent = rng.random() < 0.5
    for start, end in pairwise(cuts) if adjacent else cuts.reshape(-1, 2):
        kind = rng.integers(3)
        yield Segment(
            start_s + float(start),
            start_s + float(end),
            emotion=EMOTIONS[rng.integers(8)] if kind == 0 else None,
            confidence=float(rng.random()) if kind < 2 else None,
            abstained=bool(kind == 1),
            person=person,
        )


def _faces(rng: np.random.Generator, start_s: float, duration_s: float, people: tuple[str, ...]) -> Any:
    for time_s in np.sort(rng.uniform(0, duration_s, rng.integers(0, 30))):
        for person in people:
            if rng.random() < 0.7:
                left, top = rng.uniform(-20, 1000, 2)
                width, height = rng.uniform(1, 400, 2)
                yield FaceBox(start_s + float(time_s), person, left, top, left + width, top + height)


def _baselines(people: tuple[str, ...]) -> dict[str, PersonBaseline]:
    """The first person's leads, the second's does not, others have none."""
    own: dict[Kind, OwnBaseline] = {"voice": OwnBaseline(9.5, np.linspace(-1, 1, 8), 0.7)}
    shares = ({"voice": 0.8}, {"voice": 0.0})
    return {
        person: PersonBaseline(own, share)  # type: ignore[arg-type]
        for person, share in zip(people, shares, strict=False)
    }


def _with_other(window: Window, baselines: dict[str, PersonBaseline]) -> Window:
    """The window with another reading, where its person's baseline is known and its voice was read."""
    if window.person not in baselines or window.voice is None:
        return window
    other = Reading(np.roll(window.voice, 1), window.face, window.fused)
    return replace(window, baseline=baselines[window.person].leading, other=other)


def random_timeline(seed: int) -> Timeline:
    """A tenth of a second to ten hours long, starting before or after zero, with up to five people."""
    rng = np.random.default_rng(seed)
    duration_s = float(10 ** rng.uniform(-1, np.log10(36000)))
    start_s = float(rng.choice([0.0, 0.0, -0.023, 0.5, rng.uniform(0, 5)]))
    people = tuple(rng.permutation(np.array(HOSTILE, dtype=object))[: rng.integers(0, 6)].tolist())
    names = (None, *people)
    baselines = _baselines(people)
    segments = [s for person in names for s in _segments(rng, start_s, duration_s, person)]
    return timeline(
        source=f"takes/{HOSTILE[seed % len(HOSTILE)]}.mp4",
        duration_s=duration_s,
        start_s=start_s,
        windows=tuple(_with_other(one, baselines) for one in _windows(rng, start_s, duration_s, names)),
        baselines=baselines,
        segments=tuple(sorted(segments, key=lambda segment: segment.start_s)),
        people=people,
        faces=tuple(_faces(rng, start_s, duration_s, people)),
        picture_size=(1280, 720),
    )


def marked_timeline(seed: int) -> Timeline:
    """A random timeline with all that people add to one: purpose, markers, excluded spans and segments."""
    rng = np.random.default_rng(1000 + seed)
    plain = random_timeline(seed)
    times = plain.start_s + np.sort(rng.uniform(0, plain.duration_s, 12))
    edges = list(zip(times[::2].tolist(), times[1::2].tolist(), strict=True))
    whose = (None, *plain.people)
    texts = [*HOSTILE, "two\nlines"]
    return replace(
        plain,
        purpose=texts[seed % len(texts)] + " study",
        excluded=tuple(
            ExcludedSpan(start, end, f"{texts[n]} because", whose[rng.integers(len(whose))])
            for n, (start, end) in enumerate(edges[::2])
        ),
        markers=tuple(
            Marker(start, f"{texts[-n - 1]} mark", end if n else None)
            for n, (start, end) in enumerate([*edges[1::2], edges[0]])
        ),
        segments=tuple(
            replace(one, excluded=one.status == "nothing_to_read" and rng.random() < 0.5)
            for one in plain.segments
        ),
        provenance=Provenance(
            3.0, 0.5, 0.4, np.sort(rng.uniform(0, plain.duration_s, 30)), True, "f00d", plain.people[:1]
        ),
    )


def interview(duration_s: float, *, hop_s: float = 0.5, faces_per_second: float = 2.0) -> Timeline:
    """Two people who talk in turns, and whose faces move: all that a long film has, at the usual rates."""
    rng = np.random.default_rng(2)
    people = ("Anna", "Bert")
    windows, faces, segments = [], [], []
    starts = np.arange(0, duration_s - 3, hop_s)
    moods = {person: np.cumsum(rng.normal(0, 0.3, (len(starts), 8)), axis=0) % 4 for person in people}
    for number, start in enumerate(starts.tolist()):
        for person in people:
            values = np.exp(moods[person][number])
            values /= values.sum()
            speaker = people[int(start / 20) % 2]
            voice, reasons = (values, ()) if speaker == person else (None, ("voice:of_another",))
            windows.append(
                Window(start, start + 3, voice, values, values, speech=0.8, face_present=1.0, reasons=reasons,
                       person=person, speaker=speaker)
            )  # fmt: skip
    for time_s in np.arange(0, duration_s, 1 / faces_per_second).tolist():
        for place, person in enumerate(people):
            left, top = 200 + 600 * place + 80 * np.sin(time_s / 7), 150 + 40 * np.cos(time_s / 5)
            faces.append(FaceBox(time_s, person, left, top, left + 200, top + 260))
    for person in people:
        cuts = [0.0, *np.cumsum(rng.uniform(2, 9, round(duration_s))).tolist()]
        for start, end in pairwise([cut for cut in cuts if cut < duration_s]):
            kind = rng.integers(10)
            if kind == 0:
                segments.append(Segment(start, end, None, 0.3, abstained=True, person=person))
            elif kind > 1:
                emotion = EMOTIONS[rng.integers(8)]
                segments.append(Segment(start, end, emotion, float(rng.uniform(0.4, 1)), person=person))
    return timeline(
        source="interview.mp4",
        duration_s=duration_s,
        windows=tuple(windows),
        segments=tuple(sorted(segments, key=lambda one: one.start_s)),
        people=people,
        faces=tuple(faces),
        picture_size=(1280, 720),
    )
