"""What a caller gives a recognizer to read: one recording, its name, and its key in a table."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError, FeatureError
from emofuse.core.records import Recording, TimedFrames, Waveform
from emofuse.corpus.ravdess import parse_name
from emofuse.features.extraction import Readable
from emofuse.media.arrays import ColorOrder, recording, timed_frames
from emofuse.media.container import display_path


def as_recording(
    source: Readable | NDArray[Any] | None,
    sample_rate_hz: float | None,
    frames: TimedFrames | NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | None,
    frame_times_s: Sequence[float] | NDArray[Any] | None,
    fps: float | None,
    colour: ColorOrder,
) -> Readable:
    """One recording, from the arguments of :meth:`Recognizer.predict`."""
    if source is None or _is_array(source, sample_rate_hz):
        samples: Any = source
        return recording(
            samples, sample_rate_hz, frames=frames, frame_times_s=frame_times_s, fps=fps, colour=colour
        )
    if sample_rate_hz is not None:
        kind = type(source).__name__
        raise FeatureError(f"sample_rate_hz goes with an array of samples, and {kind} has its own rate")
    if frames is None:
        if frame_times_s is not None or fps is not None:
            raise FeatureError("frame_times_s and fps go with frames, and none were given")
        assert not isinstance(source, np.ndarray)
        return source
    if not isinstance(source, Waveform):
        raise FeatureError(
            f"frames go with a Waveform or an array of samples, not with {type(source).__name__}"
        )
    return Recording(source, timed_frames(frames, frame_times_s, fps, colour=colour))


def _is_array(source: Any, sample_rate_hz: float | None) -> bool:
    """Whether a source is samples: an array, a tensor or a list; with a rate, a view of memory too."""
    if isinstance(source, bytes | bytearray | memoryview):
        return sample_rate_hz is not None and isinstance(source, memoryview)
    if isinstance(source, str | Path):  # of NumPy's strings too, which are scalars with an __array__
        return False
    return isinstance(source, list | tuple | array) or hasattr(source, "__array__")


def name_of(source: Readable) -> str:
    """The name of a recording in predictions and messages."""
    if isinstance(source, Recording):
        return source.name
    if isinstance(source, Waveform | TimedFrames):
        return "<arrays>"
    return str(display_path(source))


def take_of(name: str) -> str:
    """The key of a file in a table of action units: a RAVDESS code without its modality, else the stem."""
    stem = Path(name).stem
    try:
        return parse_name(stem).take
    except CorpusError:
        return stem
