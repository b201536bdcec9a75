"""What reading a recording may cost, and how its caller follows and stops it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from emofuse.core.errors import CancelledError, FeatureError

MAX_PIXELS: Final = "EMOFUSE_MAX_PIXELS"
"""The environment variable with the default of :attr:`Limits.max_pixels`."""
_MAX_PIXELS: Final = 40_000_000

OnRead = Callable[[float, float | None], None]
"""Called with the seconds that were read, and with the duration where the file has it."""


def default_max_pixels() -> int:
    """``$EMOFUSE_MAX_PIXELS``, else 40 million.

    Raises:
        FeatureError: the variable is no positive whole number.
    """
    text = os.environ.get(MAX_PIXELS, "")
    if not text:
        return _MAX_PIXELS
    if not text.isdecimal() or not int(text):
        raise FeatureError(f"{MAX_PIXELS} must be a number of pixels, such as {_MAX_PIXELS}, got {text!r}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a recording may ask for. What asks for more is refused before it is decoded.

    >>> recognizer.predict("clip.mp4", limits=Limits(max_pixels=70_000_000))     # doctest: +SKIP
    """

    max_pixels: int = field(default_factory=default_max_pixels)
    """Of a video frame as it is shown. 8K film has 33 million, the default is 40 million."""
    max_duration_s: float | None = None
    """Of the recording, as it declares it and as it turns out; None: any. What turns out to be longer is
    refused once it is read so far."""
    max_channels: int | None = None
    """Of the audio that is read; None: as many as can be read."""
    max_sample_rate_hz: int | None = None
    """Of the audio that is read; None: what can be read."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be positive, got {limit}")


@dataclass(frozen=True, slots=True)
class ReadControl:
    """What bounds, follows and stops the reading of a recording."""

    limits: Limits = field(default_factory=Limits)
    cancel: threading.Event | None = None
    """Once it is set, from any thread, reading ends with a :class:`CancelledError`."""
    on_progress: OnRead | None = None

    def check(self) -> None:
        """End here if the reading was cancelled.

        Raises:
            CancelledError: it was.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("reading was cancelled")

    def report(self, read_s: float, duration_s: float | None) -> None:
        """Tell how far the reading is, and end here if it was cancelled.

        Raises:
            CancelledError: it was.
        """
        self.check()
        if self.on_progress is not None:
            self.on_progress(read_s, duration_s)
