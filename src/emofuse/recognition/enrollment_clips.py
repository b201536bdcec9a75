"""The recordings of a person who is enrolled, as far as they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emofuse.core.errors import CancelledError, EmofuseError
from emofuse.core.records import Features
from emofuse.features.extraction import Readable
from emofuse.recognition.given_recording import name_of
from emofuse.recognition.model import nothing_readable


def read_clips(
    recordings: Iterable[Readable], extract: Callable[[Readable, str], Features]
) -> tuple[list[Features], tuple[str, ...]]:
    """The features of recordings with a voice or a face, and a line for each of the others.

    Args:
        recordings: of one person.
        extract: from a recording and its name to its features.

    Raises:
        CancelledError: the reading was cancelled.
    """
    clips, skipped = [], []
    for source in recordings:
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
            clips.append(features)
    return clips, tuple(skipped)
