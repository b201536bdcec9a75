"""The caller's arrays become what decoding a file would give: a waveform, and the wanted gray frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import FeatureError
from emofuse.core.records import Float32, Recording, TimedFrames, UInt8, Waveform
from emofuse.media.audio_blocks import MOST_CHANNELS, RATES_HZ
from emofuse.media.audio_samples import LOUDEST
from emofuse.media.channels import peak
from emofuse.media.decoding import Media
from emofuse.media.frames import PacketListing, central_square, plan_frames
from emofuse.media.held_audio import HeldAudio

Float64 = NDArray[np.float64]
ColorOrder = Literal["rgb", "bgr"]
Span = tuple[float | None, float | None]
"""Start and end in seconds; None: at the start or the end of the recording."""

_MOST_COLORS: Final = 4
"""A gray frame this narrow is a row of a color image, whose pixels have up to four values."""


def recording(
    samples: NDArray[Any] | None = None,
    sample_rate_hz: float | None = None,
    *,
    frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | TimedFrames | None = None,
    frame_times_s: Sequence[float] | NDArray[Any] | None = None,
    fps: float | None = None,
    start_s: float = 0.0,
    colour: ColorOrder = "rgb",
    name: str = "<arrays>",
) -> Recording:
    """Make a recording from arrays, for every function that takes a file.

    Args:
        samples: (n,) or (n_channels, n): floating point with full scale ±1; or int16, int32, or uint8 with
            zero at 128, as in PCM files: an array, a tensor on the CPU, a memoryview, or a list. None: no
            audio.
        sample_rate_hz: of the samples.
        frames: (n, height, width) gray or (n, height, width, 3), uint8, upright, or a sequence of such
            images. None: no video.
        frame_times_s: (n,) when each frame is shown, in seconds, on the clock of the audio.
        fps: instead of the times, for regular frames: the first is shown at 0 s.
        start_s: time of the first sample.
        colour: the channel order; OpenCV reads images as ``"bgr"``.
        name: what it is called in results and messages.

    Raises:
        FeatureError: an array has a wrong shape or type, holds NaN or no data, or lacks its rate or times.
    """
    audio = None
    if samples is not None:
        audio = waveform(samples, sample_rate_hz, start_s=start_s)
    elif sample_rate_hz is not None:
        raise FeatureError("sample_rate_hz was given without samples")
    timed = None
    if frames is not None:
        timed = timed_frames(frames, frame_times_s, fps, colour=colour)
    elif frame_times_s is not None or fps is not None:
        raise FeatureError("frame_times_s or fps was given without frames")
    if audio is None and timed is None:
        raise FeatureError("give samples with sample_rate_hz, frames with frame_times_s or fps, or both")
    return Recording(audio, timed, name)


def waveform(samples: NDArray[Any], sample_rate_hz: float | None, *, start_s: float = 0.0) -> Waveform:
    """Samples of the kinds that :func:`recording` takes, as (n_channels, n) float32.

    Raises:
        FeatureError: they are not such samples, or the rate is missing or out of range.
    """
    if sample_rate_hz is None:
        raise FeatureError("samples need their rate: give sample_rate_hz")
    if isinstance(sample_rate_hz, bool) or sample_rate_hz not in RATES_HZ:
        allowed = f"a whole number from {RATES_HZ[0]} to {RATES_HZ[-1]}"
        raise FeatureError(f"sample_rate_hz must be {allowed}, got {sample_rate_hz!r}")
    array = as_array(samples, "samples")
    if array.ndim not in (1, 2):
        raise FeatureError(f"samples must be (n,) or (n_channels, n), got {array.shape}")
    rows = np.atleast_2d(array)
    if len(rows) > MOST_CHANNELS:
        raise FeatureError(
            f"samples must be (n_channels, n), got {array.shape}: {len(rows)} channels; pass samples.T"
        )
    if rows.size == 0:
        raise FeatureError(f"samples are empty: {array.shape}")
    if not math.isfinite(start_s):
        raise FeatureError(f"start_s must be finite, got {start_s}")
    return Waveform(_full_scale(rows), int(sample_rate_hz), float(start_s))


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Values as an array: an array itself, a tensor, a memoryview, or numbers in lists.

    Args:
        values: the array or whatever NumPy makes one of.
        what: its name in messages.

    Raises:
        FeatureError: NumPy makes no array of numbers of it.
    """
    try:
        array = np.asarray(values)
    except Exception as error:  # of any library: a tensor on a GPU or with a gradient, uneven lists
        reason = str(error).partition("\n")[0]
        raise FeatureError(
            f"{what} must be an array, and NumPy makes none of this {type(values).__name__}: {reason}"
        ) from None
    if array.dtype == object or (array.dtype.kind in "US" and array is not values):
        raise FeatureError(f"{what} must be an array of numbers, got {type(values).__name__}")
    return array


def _full_scale(rows: NDArray[Any]) -> Float32:
    """(n_channels, n) float32, full scale ±1, scaled like a decoded file's samples."""
    if rows.dtype == np.uint8:
        return (rows.astype(np.float32) - np.float32(128)) / np.float32(128)
    if rows.dtype in (np.int16, np.int32):
        return rows.astype(np.float32) / np.float32(2.0 ** (8 * rows.dtype.itemsize - 1))
    if rows.dtype.kind != "f":
        raise FeatureError(f"samples must be floating point, int16, int32 or uint8, got {rows.dtype}")
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(rows, dtype=np.float32)
    _check_samples(samples)
    return samples


def _check_samples(samples: Float32) -> None:
    if not np.isfinite(samples).all():
        first = int(np.flatnonzero(~np.isfinite(samples).all(axis=0))[0])
        raise FeatureError(f"samples hold NaN or infinity, the first at sample {first}")
    loudest = peak(samples)
    if loudest > LOUDEST:  # integers stored as floating point
        fix = "pass integers as int16 or int32, or divide them"
        raise FeatureError(f"samples reach {loudest:.6g}, and full scale is ±1: {fix}")


def timed_frames(
    frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | TimedFrames,
    frame_times_s: Sequence[float] | NDArray[Any] | None,
    fps: float | None,
    *,
    colour: ColorOrder = "rgb",
) -> TimedFrames:
    """Frames of the kinds that :func:`recording` takes, in gray, with their times.

    Raises:
        FeatureError: they are not such frames, or the times are missing, not finite or decreasing.
    """
    if isinstance(frames, TimedFrames):
        if frame_times_s is not None or fps is not None:
            raise FeatureError("the frames have times already: give neither frame_times_s nor fps")
        _check_frames(frames)
        return frames
    if colour not in ("rgb", "bgr"):
        raise FeatureError(f"colour must be 'rgb' or 'bgr', got {colour!r}")
    if not isinstance(frames, list | tuple):
        frames = as_array(frames, "frames")
        if frames.ndim not in (3, 4):
            raise FeatureError(
                f"frames must be (n, height, width) or (n, height, width, 3), got {frames.shape}"
            )
    if len(frames) == 0:
        raise FeatureError("frames are empty")
    times = _times(len(frames), frame_times_s, fps)
    images = tuple(_gray(as_array(image, f"frame {i}"), i, colour) for i, image in enumerate(frames))
    return TimedFrames(images, times, len(images))


def _times(n: int, frame_times_s: Sequence[float] | NDArray[Any] | None, fps: float | None) -> Float64:
    if (frame_times_s is None) == (fps is None):
        raise FeatureError("frames need their times: give either frame_times_s or fps")
    if fps is not None:
        if not (isinstance(fps, int | float | np.number) and math.isfinite(fps) and fps > 0):
            raise FeatureError(f"fps must be positive, got {fps!r}")
        regular: Float64 = np.arange(n, dtype=np.float64) / float(fps)
        return regular
    try:
        times = np.asarray(frame_times_s, dtype=np.float64)
    except (TypeError, ValueError):
        raise FeatureError("frame_times_s must be numbers, in seconds") from None
    if times.shape != (n,):
        raise FeatureError(f"frame_times_s must be ({n},), one for each frame, got {times.shape}")
    if not np.isfinite(times).all() or np.any(np.diff(times) < 0):
        raise FeatureError("frame_times_s must be finite and never decrease")
    return times


def _gray(image: NDArray[Any], index: int, colour: ColorOrder) -> UInt8:
    if image.dtype != np.uint8:
        raise FeatureError(f"frames must be uint8, 0 to 255, got {image.dtype} in frame {index}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)) or image.size == 0:
        fix = ": the channels come last" if image.ndim == 3 and image.shape[0] in (1, 3) else ""
        raise FeatureError(
            f"a frame must be (height, width) or (height, width, 3), got {image.shape} in frame {index}{fix}"
        )
    if image.ndim == 2 and image.shape[1] <= _MOST_COLORS:
        raise FeatureError(
            f"frame {index} is only {image.shape[1]} wide, like a row of one color image: for that, pass "
            "image[None], which is (1, height, width, 3)"
        )
    if image.ndim == 3 and image.shape[2] == 3:
        code = cv2.COLOR_RGB2GRAY if colour == "rgb" else cv2.COLOR_BGR2GRAY
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), code), dtype=np.uint8)
    return np.ascontiguousarray(image.reshape(image.shape[:2]))


def _check_frames(frames: TimedFrames) -> None:
    for i, image in enumerate(frames.images):
        if not isinstance(image, np.ndarray) or image.ndim != 2 or image.dtype != np.uint8 or not image.size:
            raise FeatureError(f"frames of a TimedFrames must be (height, width) uint8, frame {i} is not")
    if not np.isfinite(frames.times_s).all():
        raise FeatureError("the times of the frames must be finite")


def media_from_recording(
    given: Recording,
    *,
    audio: bool = True,
    n_frames: int | None = None,
    square: bool = False,
    span_s: Span = (None, None),
) -> Media:
    """What :func:`emofuse.media.decoding.decode` would return for a file with this content.

    Raises:
        FeatureError: the samples or the frames are not what a decoded file can hold.
    """
    sound, frames = given.sound, given.frames
    held = HeldAudio()
    if audio and sound is not None:
        if sound.sample_rate_hz not in RATES_HZ:
            raise FeatureError(f"a sample rate of {sound.sample_rate_hz} Hz is out of range")
        _check_samples(sound.samples)
        held = _held(sound, span_s)
    chosen = None
    if n_frames is not None and frames is not None:
        _check_frames(frames)
        chosen = _chosen(frames, n_frames, square, span_s)
    return Media(
        held.result(), chosen, has_audio=sound is not None, has_video=frames is not None,
        n_channels=held.n_channels, mixed=held.mixed, cancelled=held.cancelled is not None,
        audio_rest_s=held.rest_s,
    )  # fmt: skip


def _held(audio: Waveform, span_s: Span) -> HeldAudio:
    """As much of the span as would be held of a file."""
    held = HeldAudio()
    span = _span_of_audio(audio, span_s)
    if span is not None:
        held.add(span)
    return held


def _span_of_audio(audio: Waveform, span_s: Span) -> Waveform | None:
    """Cut to the span, to the sample; None if nothing is left."""
    start_s, end_s = span_s
    rate = audio.sample_rate_hz
    first = 0 if start_s is None else max(0, round((start_s - audio.start_s) * rate))
    first_s = audio.start_s + first / rate
    last = None if end_s is None else first + max(0, round((end_s - first_s) * rate))
    samples = audio.samples[:, first:last]
    if samples.shape[1] == 0:
        return None
    return Waveform(samples, rate, first_s)


def _chosen(frames: TimedFrames, n_frames: int, square: bool, span_s: Span) -> TimedFrames | None:
    """``n_frames`` frames evenly in time, chosen as from a file."""
    plan = plan_frames(PacketListing.of(()), n_frames, span_s, (0.0, 0.0), frames.times_s)
    if len(plan.wanted) == 0:
        return None
    images = tuple(
        np.ascontiguousarray(central_square(frames.images[i])) if square else frames.images[i]
        for i in plan.wanted
    )
    return TimedFrames(images, plan.times_s, plan.n_in_span)
