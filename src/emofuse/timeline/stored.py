"""A timeline on disk, and back without loss: every export of what was read is that of what was written.

A stored timeline is an ``.npz`` file: numbers in float64, ``NaN`` where there is none, and texts as JSON in
two arrays, ``about`` of the recording and ``texts`` of its parts. It is for emofuse itself, which makes the
exports of it later; programs read those.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from emofuse.core.dimensions import PARTS, Rated, Scale
from emofuse.core.errors import TimelineError
from emofuse.features.own_baseline import Kind, Modality, OwnBaseline, Reading
from emofuse.system.array_files import read_arrays
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import parse_json
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.person_baseline import Leading, PersonBaseline
from emofuse.timeline.provenance import Provenance
from emofuse.timeline.records import FaceBox, Segment, Timeline, Window

SCHEMA: Final = 1
"""Incremented whenever a stored timeline means something else."""
LARGEST_BYTES: Final = 768 * 2**20
"""Of a stored timeline, unpacked: ten hours of ten people in view take half of it."""
_LARGEST_TEXT: Final = 128 * 2**20
_LEADING: Final[tuple[Leading | None, ...]] = (None, "plain", "own")
_KINDS: Final[tuple[Kind, ...]] = ("voice", "face", "fused")
_NOBODY: Final = -1

Arrays = Mapping[str, NDArray[Any]]
Float64 = NDArray[np.float64]


def save_timeline(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write a timeline to ``path`` atomically.

    Raises:
        OSError: the file cannot be written.
    """
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "source": timeline.source,
        "start_s": timeline.start_s,
        "duration_s": timeline.duration_s,
        "emotions": timeline.emotions,
        "recogniser": timeline.recogniser,
        "licence": timeline.licence,
        "people": timeline.people,
        "picture_size": timeline.picture_size,
        "notes": timeline.notes,
        "baselines": {person: _baseline_data(one) for person, one in timeline.baselines.items()},
        "purpose": timeline.purpose,
        "excluded": [astuple(one) for one in timeline.excluded],
        "markers": [astuple(one) for one in timeline.markers],
        "provenance": None if timeline.provenance is None else _provenance_data(timeline.provenance),
        **({"dimensions": [one.to_dict() for one in timeline.dimensions]} if timeline.dimensions else {}),
    }
    texts: dict[str, Any] = {
        "quality": [dict(window.quality) for window in timeline.windows],
        "reasons": [window.reasons for window in timeline.windows],
        "alike": [segment.alike for segment in timeline.segments],
    }
    arrays: dict[str, NDArray[Any]] = {
        "about": _json_array(about),
        "texts": _json_array(texts),
        **({} if timeline.provenance is None else {"frame_times": timeline.provenance.frame_times}),
        **_window_arrays(timeline),
        **_rating_arrays(timeline),
        **_segment_arrays(timeline),
        **_face_arrays(timeline),
    }
    with write_atomically(Path(path)) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """What a stored timeline is of."""

    source: str
    start_s: float
    duration_s: float
    people: tuple[str, ...]


def load_facts(path: str | os.PathLike[str]) -> StoredFacts:
    """What a stored timeline is of, without reading its parts, of which there may be many.

    Raises:
        TimelineError: see :func:`load_timeline`.
    """
    return _read(Path(path), ("about",), _facts)


def load_timeline(path: str | os.PathLike[str]) -> Timeline:
    """Read a timeline that :func:`save_timeline` wrote.

    Raises:
        TimelineError: it is missing, damaged, of another version or not a stored timeline.
    """
    return _read(Path(path), None, _timeline)


_Made = TypeVar("_Made")


def _read(
    path: Path, names: Iterable[str] | None, make: Callable[[Mapping[str, Any], Arrays], _Made]
) -> _Made:
    """What ``make`` makes of the JSON ``about`` and the arrays with these names."""
    try:
        arrays = read_arrays(path, names, limit_bytes=LARGEST_BYTES)
        about = _json(arrays, "about")
        schema = about.get("schema")
        if schema == SCHEMA:
            return make(about, arrays)
    except OSError as error:
        raise TimelineError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        problem = error if isinstance(error, ValueError) else "its parts do not fit together"
        raise TimelineError(f"{path} is not a stored timeline, or damaged: {problem}") from None
    raise TimelineError(
        f"{path}: stored timeline schema {schema!r}, this version reads {SCHEMA}: read the recording again"
    )


def _json_array(data: Mapping[str, Any]) -> NDArray[np.uint8]:
    # a file name may hold bytes that are not UTF-8; escapes would join two of them to one character
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    return np.frombuffer(text, dtype=np.uint8)


def _json(arrays: Arrays, name: str) -> dict[str, Any]:
    raw = _array(arrays, name, np.uint8, (None,))
    if raw.size > _LARGEST_TEXT:
        raise ValueError(f"its texts take more than {_LARGEST_TEXT / 2**20:.0f} MiB")
    data = parse_json(raw.tobytes().decode("utf-8", "surrogatepass"))
    if not isinstance(data, dict):
        raise TypeError
    return data


def _facts(about: Mapping[str, Any], _arrays: Arrays) -> StoredFacts:
    return StoredFacts(
        _text(about["source"]), _number(about["start_s"]), _number(about["duration_s"]),
        _texts(about["people"]),
    )  # fmt: skip


def _array(arrays: Arrays, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
    """One of the arrays, of this type and shape; None: any length."""
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        wanted in {None, length} for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} is {array.shape} {array.dtype}")
    return array


def _timeline(about: Mapping[str, Any], arrays: Arrays) -> Timeline:
    people, emotions = _texts(about["people"]), _texts(about["emotions"])
    size, licence, purpose = about["picture_size"], about["licence"], about["purpose"]
    texts = _json(arrays, "texts")
    scales = tuple(map(Scale.from_dict, about.get("dimensions", [])))
    return Timeline(
        source=_text(about["source"]),
        duration_s=_number(about["duration_s"]),
        start_s=_number(about["start_s"]),
        windows=_windows(texts, arrays, people, len(emotions), scales),
        segments=_segments(texts, arrays, people, emotions),
        emotions=emotions,
        recogniser=_text(about["recogniser"]),
        licence=None if licence is None else _text(licence),
        people=people,
        faces=_faces(arrays, people),
        picture_size=None if size is None else (int(size[0]), int(size[1])),
        notes=_texts(about["notes"]),
        baselines={person: _baseline(data) for person, data in about["baselines"].items()},
        purpose=None if purpose is None else _text(purpose),
        excluded=tuple(
            ExcludedSpan(
                _number(start_s), _number(end_s), _text(reason), None if person is None else _text(person)
            )
            for start_s, end_s, reason, person in about["excluded"]
        ),
        markers=tuple(
            Marker(_number(start_s), _text(text), None if end_s is None else _number(end_s))
            for start_s, text, end_s in about["markers"]
        ),
        provenance=_provenance(about["provenance"], arrays),
        dimensions=scales,
    )


def _provenance_data(how: Provenance) -> dict[str, Any]:
    names = ("window_s", "change_cost", "abstain_below", "own_baseline", "model", "enrolled")
    return {name: getattr(how, name) for name in names}


def _provenance(data: Mapping[str, Any] | None, arrays: Arrays) -> Provenance | None:
    if data is None:
        return None
    return Provenance(
        _number(data["window_s"]), _number(data["change_cost"]), _number(data["abstain_below"]),
        _array(arrays, "frame_times", np.float64, (None,)), bool(data["own_baseline"]),
        _text(data["model"]), _texts(data["enrolled"]),
    )  # fmt: skip


# --- windows


def _window_arrays(timeline: Timeline) -> dict[str, NDArray[Any]]:
    number = _numbers(timeline.people)
    n, n_emotions = len(timeline.windows), len(timeline.emotions)
    readings = np.full((n, 2, len(_KINDS), n_emotions), np.nan)
    for rows, window in zip(readings, timeline.windows, strict=True):
        others = {} if window.other is None else window.other.by_name
        for row, vector in zip(rows[0], window.probabilities.values(), strict=True):
            if vector is not None:
                row[:] = vector
        for row, vector in zip(rows[1], others.values(), strict=False):
            if vector is not None:
                row[:] = vector
    return {
        "window_times": _table((one.start_s, one.end_s) for one in timeline.windows).reshape(n, 2),
        "window_shares": _table((one.speech, one.face_present) for one in timeline.windows).reshape(n, 2),
        "window_readings": readings,
        "window_people": np.array(
            [
                (number[one.person], number[one.speaker], _LEADING.index(one.baseline))
                for one in timeline.windows
            ],
            dtype=np.int32,
        ).reshape(n, 3),
    }


def _rating_arrays(timeline: Timeline) -> dict[str, NDArray[Any]]:
    """Value and bounds of every window on every dimension, NaN where it has none."""
    if not timeline.dimensions:
        return {}
    values = np.full((len(timeline.windows), len(timeline.dimensions), len(PARTS)), np.nan)
    for row, window in zip(values, timeline.windows, strict=True):
        for cells, scale in zip(row, timeline.dimensions, strict=True):
            if (one := window.ratings.get(scale.name)) is not None:
                cells[:] = one.value, one.low, one.high
    return {"window_ratings": values}


def _ratings(arrays: Arrays, n: int, scales: Sequence[Scale]) -> list[dict[str, Rated]]:
    if not scales:
        return [{} for _ in range(n)]
    values = _array(arrays, "window_ratings", np.float64, (n, len(scales), len(PARTS)))
    return [
        {
            scale.name: Rated(*cells)
            for scale, cells in zip(scales, row, strict=True)
            if not math.isnan(cells[0])
        }
        for row in values.tolist()
    ]


def _windows(
    texts: Mapping[str, Any],
    arrays: Arrays,
    people: Sequence[str],
    n_emotions: int,
    scales: Sequence[Scale],
) -> tuple[Window, ...]:
    times = _array(arrays, "window_times", np.float64, (None, 2))
    n = len(times)
    shares = _array(arrays, "window_shares", np.float64, (n, 2))
    readings = _array(arrays, "window_readings", np.float64, (n, 2, len(_KINDS), n_emotions))
    codes = _array(arrays, "window_people", np.int32, (n, 3)).tolist()
    who = _who(people)
    windows = []
    rows = zip(
        times.tolist(), shares.tolist(), readings, codes, texts["quality"], texts["reasons"],
        _ratings(arrays, n, scales), strict=True,
    )  # fmt: skip
    for (start_s, end_s), (speech, face_present), vectors, numbers, quality, reasons, ratings in rows:
        person, speaker, leading = numbers
        if not isinstance(quality, dict):
            raise TypeError
        voice, face, fused = map(_vector, vectors[0])
        baseline = _LEADING[leading]
        windows.append(Window(
            start_s, end_s, voice, face, fused, speech=_share(speech), face_present=_share(face_present),
            quality=quality, reasons=_texts(reasons), person=who(person), speaker=who(speaker),
            baseline=baseline,
            other=None if baseline is None else Reading(*map(_vector, vectors[1])), ratings=ratings,
        ))  # fmt: skip
    return tuple(windows)


def _vector(row: Float64) -> Float64 | None:
    return None if not len(row) or np.isnan(row[0]) else row


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


# --- segments and faces


def _segment_arrays(timeline: Timeline) -> dict[str, NDArray[Any]]:
    number, n = _numbers(timeline.people), len(timeline.segments)
    emotions = {None: _NOBODY} | {emotion: index for index, emotion in enumerate(timeline.emotions)}
    return {
        "segment_numbers": _table(
            (one.start_s, one.end_s, one.confidence) for one in timeline.segments
        ).reshape(n, 3),
        "segment_codes": np.array(
            [
                (number[one.person], emotions[one.emotion], one.abstained, one.excluded)
                for one in timeline.segments
            ],
            dtype=np.int32,
        ).reshape(n, 4),
    }


def _segments(
    texts: Mapping[str, Any], arrays: Arrays, people: Sequence[str], emotions: Sequence[str]
) -> tuple[Segment, ...]:
    numbers = _array(arrays, "segment_numbers", np.float64, (None, 3)).tolist()
    codes = _array(arrays, "segment_codes", np.int32, (len(numbers), 4)).tolist()
    who, which = _who(people), _who(emotions)
    return tuple(
        Segment(
            start_s,
            end_s,
            which(emotion),
            _share(confidence),
            bool(abstained),
            who(person),
            _texts(alike),
            bool(excluded),
        )
        for (start_s, end_s, confidence), (person, emotion, abstained, excluded), alike in zip(
            numbers, codes, texts["alike"], strict=True
        )
    )


def _face_arrays(timeline: Timeline) -> dict[str, NDArray[Any]]:
    number, n = _numbers(timeline.people), len(timeline.faces)
    return {
        "face_numbers": _table((one.time_s, *one.edges) for one in timeline.faces).reshape(n, 5),
        "face_people": np.array([number[one.person] for one in timeline.faces], dtype=np.int32),
    }


def _faces(arrays: Arrays, people: Sequence[str]) -> tuple[FaceBox, ...]:
    numbers = _array(arrays, "face_numbers", np.float64, (None, 5)).tolist()
    whose = _array(arrays, "face_people", np.int32, (len(numbers),)).tolist()
    if whose and min(whose) < 0:
        raise ValueError("a face is nobody's")
    return tuple(
        FaceBox(time_s, people[person], *edges)
        for (time_s, *edges), person in zip(numbers, whose, strict=True)
    )


# --- values


def _numbers(names: Iterable[str]) -> dict[str | None, int]:
    return {None: _NOBODY} | {name: index for index, name in enumerate(names)}


def _who(names: Sequence[str]) -> Callable[[int], str | None]:
    def name(number: int) -> str | None:
        if number < _NOBODY:
            raise ValueError(f"there is no number {number} among {len(names)}")
        return None if number == _NOBODY else names[number]

    return name


def _table(rows: Iterable[Iterable[float | None]]) -> Float64:
    values = (math.nan if one is None else one for one in chain.from_iterable(rows))
    return np.fromiter(values, dtype=np.float64)


def _baseline_data(known: PersonBaseline) -> dict[str, Any]:
    return {
        "baselines": {
            kind: {"n": one.n, "mean": one.mean.tolist(), "spread_nats": one.spread_nats}
            for kind, one in known.baselines.items()
        },
        "strengths": dict(known.strengths),
    }


def _baseline(data: Mapping[str, Any]) -> PersonBaseline:
    baselines = {
        cast(Kind, kind): OwnBaseline(
            _number(one["n"]), np.array(one["mean"], dtype=np.float64), _number(one["spread_nats"])
        )
        for kind, one in data["baselines"].items()
    }
    strengths = {cast(Modality, name): _number(share) for name, share in data["strengths"].items()}
    if set(baselines) - set(_KINDS) or set(strengths) - set(baselines):
        raise ValueError("a baseline of something else than voice and face")
    return PersonBaseline(baselines, strengths)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(map(_text, values))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value
