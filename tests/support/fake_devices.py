"""A recording as the camera and the microphone of Chromium."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import cv2
import numpy as np

from tests.support import chromium

_FPS = 30
"""At which Chromium plays such a file."""
_RATE = 48_000


def device_flags(folder: Path, film: Path) -> tuple[str, ...]:
    """Flags of the command line: the film is what camera and microphone give, again and again.

    Args:
        folder: where what Chromium reads is written.
        film: with video and audio.
    """
    video, audio = folder / "camera.mjpeg", folder / "microphone.wav"
    pictures = _pictures(film)
    video.write_bytes(b"".join(pictures))
    _write_sound(film, audio, len(pictures) / _FPS)
    return (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
        f"--use-file-for-fake-audio-capture={audio}",
    )


def allow(page: chromium.Page, origin: str, *names: str) -> None:
    """Let pages of an origin have ``camera``, ``microphone``, both or neither, without asking."""
    for name in ("camera", "microphone"):
        setting = "granted" if name in names else "denied"
        page.send("Browser.setPermission", permission={"name": name}, setting=setting, origin=origin)


def _pictures(film: Path) -> list[bytes]:
    """JPEG files of the film, 30 for each second."""
    pictures: list[bytes] = []
    with av.open(str(film)) as container:
        for frame in container.decode(container.streams.video[0]):
            _, data = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"))
            while len(pictures) <= float(frame.time or 0.0) * _FPS:
                pictures.append(data.tobytes())
    return pictures


def _write_sound(film: Path, path: Path, duration_s: float) -> None:
    """The film's sound, as long as the pictures, so that both go on together when they are played again."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(str(film)) as container:
        decoded = container.decode(container.streams.audio[0])
        frames = [out for frame in decoded for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples = np.zeros(round(duration_s * _RATE), "<i2")
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])[: len(samples)]
    samples[: len(heard)] = heard
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
