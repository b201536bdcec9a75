"""Live windows as a stream of the Lab Streaming Layer (LSL), beside EEG, eye tracking and physiology.

LSL announces a stream to the network and sends it, without encryption, to whoever asks. Which machines can
ask is up to LSL's own configuration (``lsl_api.cfg``) and to firewalls, not to emofuse.
"""

from __future__ import annotations

import math
import platform
from typing import TYPE_CHECKING, Any, Final

from emofuse.core.dimensions import PARTS, rating_column
from emofuse.core.errors import MissingExtraError
from emofuse.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emofuse.core.dimensions import Scale
    from emofuse.timeline.live import LiveWindow

STREAM_TYPE: Final = "Emotion"
"""The content type, by which receivers can look for such streams."""
OTHER_CHANNELS: Final = (("speech", "share"), ("face_present", "share"), ("person", "number"))
"""Names and units of the channels after those of the labels and of the numeric scales."""


class LslOutlet:
    """A stream of windows. Nothing is sent as long as nobody receives it.

    One sample per window: the fused probability of each label; the rating on each numeric scale, and the
    bounds of its interval; the shares of the window with speech and with a face; and the number of the
    person, 1 for the first that was seen, 0 for nobody in view. What could not be read is NaN. Its time is
    that of LSL's clock (``local_clock``) when the end of the window was captured.

    Args:
        name: of the stream.
        emotions: the labels, in the order of the probabilities.
        scales: the numeric scales on which windows are rated, in order.
        window_s: length of the windows, in seconds.
        hop_s: from one window to the next.
        reader: name and license of the recognizer, for the description of the stream.

    Raises:
        MissingExtraError: pylsl is not installed, or finds no library of LSL.
    """

    def __init__(
        self,
        name: str,
        emotions: Sequence[str],
        scales: Sequence[Scale] = (),
        *,
        window_s: float,
        hop_s: float,
        reader: str,
    ) -> None:
        try:
            import pylsl
        except (ImportError, RuntimeError):  # the latter where the library itself is missing
            raise MissingExtraError("lsl", "an LSL stream") from None
        self._clock = pylsl.local_clock
        self._people: dict[str, int] = {}
        self._before = -math.inf
        self._n_labels = len(emotions)
        self._scales = tuple(scales)
        n_channels = self._n_labels + len(PARTS) * len(self._scales) + len(OTHER_CHANNELS)
        # the same after a restart, so that receivers go on
        source_id = f"emofuse:{platform.node()}:{name}"
        # people make the rate irregular: a window each, several at once
        info = pylsl.StreamInfo(
            name, STREAM_TYPE, n_channels, pylsl.IRREGULAR_RATE, pylsl.cf_float32, source_id
        )
        _describe(info.desc(), emotions, self._scales, window_s, hop_s, reader)
        self._outlet = pylsl.StreamOutlet(info)

    @property
    def has_receivers(self) -> bool:
        """Whether anybody receives the stream."""
        return bool(self._outlet.have_consumers())

    def push(self, one: LiveWindow) -> None:
        """Send a window that was just returned."""
        window = one.window
        values = [math.nan] * self._n_labels if window.fused is None else window.fused.tolist()
        for scale in self._scales:
            rated = window.ratings.get(scale.name)
            values += [math.nan if rated is None else getattr(rated, part) for part in PARTS]
        values += [math.nan if share is None else share for share in (window.speech, window.face_present)]
        values.append(self._number(window.person))
        # windows of one moment are returned one after the other, and their latencies are rounded
        self._before = max(self._before, self._clock() - one.latency_s)
        self._outlet.push_sample(values, self._before)

    def _number(self, person: str | None) -> float:
        """1 for the first person, 2 for the next, 0 for nobody."""
        return 0.0 if person is None else float(self._people.setdefault(person, len(self._people) + 1))


def _describe(
    description: Any,
    emotions: Sequence[str],
    scales: Sequence[Scale],
    window_s: float,
    hop_s: float,
    reader: str,
) -> None:
    """Fill in what XDF files keep of a stream: its channels, described as those of EEG, and its reading."""
    channels = description.append_child("channels")
    for label in emotions:
        _describe_channel(channels, one_line(label), "probability", "Emotion")
    for scale in scales:
        for part in PARTS:
            channel = _describe_channel(
                channels, rating_column(one_line(scale.name), part), "rating", "Rating"
            )
            # a range and its interval: XDF has no names for them
            channel.append_child_value("minimum", f"{scale.low:g}")
            channel.append_child_value("maximum", f"{scale.high:g}")
            channel.append_child_value("interval", f"{scale.level:g}")
    for name, unit in OTHER_CHANNELS:
        _describe_channel(channels, name, unit, "Quality")
    read = description.append_child("reading")
    read.append_child_value("recognizer", one_line(reader))
    read.append_child_value("meaning", "emotion as expressed, not as felt")
    read.append_child_value("window_s", f"{window_s:g}")
    read.append_child_value("hop_s", f"{hop_s:g}")
    read.append_child_value("time", "when the end of the window was captured")


def _describe_channel(channels: Any, label: str, unit: str, kind: str) -> Any:
    channel = channels.append_child("channel")
    channel.append_child_value("label", label)
    channel.append_child_value("unit", unit)
    channel.append_child_value("type", kind)
    return channel
