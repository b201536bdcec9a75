"""The recordings of a person who is enrolled, as far as they can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from emofuse.core.errors import CancelledError, EmofuseError
from emofuse.core.records import Features
from emofuse.features.extraction import Readable
from emofuse.recognition.given_recording import name_of
from emofuse.recognition.model import nothing_readable


def read_clips(
    recordings: Iterable[Readable], extract: Callable[[Readable, str], Features]
) -> tuple[dict[int, Features], tuple[str, ...]]:
    """The features of recordings with a voice or a face, by their number from 0 on; a line for each other.

    Args:
        recordings: of one person.
        extract: from a recording and its name to its features.

    Raises:
        CancelledError: the reading was cancelled.
    """
    clips: dict[int, Features] = {}
    skipped = []
    for number, source in enumerate(recordings):
        name = name_of(source)
        try:
            features = extract(source, name)
        except CancelledError:
            raise
        except EmofuseError as error:
            skipped.append(str(error))
            continue
        if features.voice is None and features.face is None:
            skipped.append(f"{name}: {nothing_readable(features)}")
        else:
            clips[number] = features
    return clips, tuple(skipped)


def checked_ratings(
    ratings: Sequence[Mapping[str, float] | None] | None, n: int, dimensions: Sequence[str]
) -> Sequence[Mapping[str, float] | None]:
    """What raters gave to ``n`` recordings; None for each where nothing is given.

    Raises:
        ValueError: they are of another number of recordings, on another dimension, or no numbers.
    """
    if ratings is None:
        return [None] * n
    if len(ratings) != n:
        raise ValueError(f"ratings of {len(ratings)} recordings do not fit {n}: give None for one without")
    for one in ratings:
        for name, value in (one or {}).items():
            if name not in dimensions:
                known = ", ".join(dimensions) or "none"
                raise ValueError(f"the recognizer does not rate on {name!r}; its dimensions: {known}")
            if not math.isfinite(value):
                raise ValueError(f"a rating on {name} is {value}: leave it out where there is none")
    return ratings
