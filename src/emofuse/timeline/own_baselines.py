"""People's own baselines from the recording itself: its windows are read against the person's others.

A person's baseline is known once the person's voice, or face, was read for as long as :data:`LEAST_CLIPS`
windows that do not overlap: 24 s with windows of 3 s. It leads where the rule of
:mod:`emofuse.features.own_baseline` subtracts anything; where the windows may be of one mood, the plain
reading leads. A window holds both. Voices that are attributed to nobody have no baseline: they may be
several people's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emofuse.features.own_baseline import Float64, Kind, Modality, OwnBaseline, Reading
from emofuse.timeline.person_baseline import PersonBaseline
from emofuse.timeline.records import Window

if TYPE_CHECKING:
    from emofuse.timeline.model_interface import EmotionModel

LEAST_CLIPS: Final = 8.0
"""What a baseline of eight clips gains and costs was measured; fewer make none, as nobody chose them here."""
_LONGEST: Final = 3600
"""Windows that a baseline of a stream remembers: an hour's, at the usual distance."""
_ROUNDING: Final = 1e-6


def with_own_baselines(
    model: EmotionModel, windows: Sequence[Window], window_s: float, *, enrolled: Collection[str] = ()
) -> tuple[list[Window], dict[str, PersonBaseline]]:
    """All windows of a recording, with both readings of people whose baseline is known, and these baselines.

    Args:
        model: read the windows, without a profile.
        windows: in order of time.
        window_s: the length of a window, which counts as one clip.
        enrolled: people who were read with their profile, and have no other baseline.
    """
    people: dict[str, _Readings] = {}
    for window in windows:
        if window.person is not None and window.person not in enrolled:
            people.setdefault(window.person, _Readings(window_s)).add(window)
    known = {}
    for person, readings in people.items():
        baselines = readings.baselines()
        if baselines:
            known[person] = PersonBaseline(baselines, model.baselines.strengths(baselines))
    found = [
        window if window.person not in known else _with_both(model, window, known[window.person])
        for window in windows
    ]
    return found, known


class RunningBaselines:
    """The same for windows as they come: each is read against the windows before it."""

    def __init__(self, model: EmotionModel, window_s: float, *, enrolled: Collection[str] = ()) -> None:
        """Nobody is known yet; the arguments are those of :func:`with_own_baselines`."""
        self._model, self._window_s, self._enrolled = model, window_s, frozenset(enrolled)
        self._people: dict[str, _Readings] = {}

    def read(self, window: Window) -> Window:
        """The next window with both readings, if its person's baseline is known by now."""
        if window.person is None or window.person in self._enrolled:
            return window
        readings = self._people.setdefault(window.person, _Readings(self._window_s))
        baselines = readings.baselines()
        readings.add(window)
        if not baselines:
            return window
        strengths = self._model.baselines.strengths(baselines)
        return _with_both(self._model, window, PersonBaseline(baselines, strengths))


class _Readings:
    """What was read of one person so far."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._rows: dict[Kind, deque[Float64]] = {}
        self._covered_s: dict[Kind, float] = {}
        self._until_s: dict[Kind, float] = {}

    def add(self, window: Window) -> None:
        """Add a window; they come in order of time."""
        both = window.voice is not None and window.face is not None
        parts: tuple[tuple[Kind, Float64 | None], ...] = (
            ("voice", window.voice),
            ("face", window.face),
            ("fused", window.fused if both else None),
        )
        for kind, row in parts:
            if row is None:
                continue
            self._rows.setdefault(kind, deque(maxlen=_LONGEST)).append(row)
            new_s = window.end_s - max(window.start_s, self._until_s.get(kind, -np.inf))
            self._covered_s[kind] = self._covered_s.get(kind, 0.0) + max(new_s, 0.0)
            self._until_s[kind] = window.end_s

    def baselines(self) -> dict[Kind, OwnBaseline]:
        """Those that enough was read for; windows that overlap count by the time that they cover."""
        n_clips = {kind: covered_s / self._window_s for kind, covered_s in self._covered_s.items()}
        return {
            kind: OwnBaseline.of(np.stack(self._rows[kind]), n)
            for kind, n in n_clips.items()
            if n >= LEAST_CLIPS - _ROUNDING
        }


def _with_both(model: EmotionModel, window: Window, known: PersonBaseline) -> Window:
    plain = Reading(window.voice, window.face, window.fused)
    leads = known.leading == "own"
    own = model.baselines.against(plain, known.baselines, known.strengths if leads else _by_number(known))
    if own is plain:  # it has no part of which a baseline is known
        return window
    first, other = (own, plain) if leads else (plain, own)
    return replace(
        window, voice=first.voice, face=first.face, fused=first.fused, baseline=known.leading, other=other
    )


def _by_number(known: PersonBaseline) -> Mapping[Modality, float]:
    return {name: known.baselines[name].strength_by_number for name in known.strengths}
