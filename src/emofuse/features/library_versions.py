"""The versions of the libraries that features depend on: another one may decode or resample differently."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Final, Literal

Library = Literal["av", "dlib", "mediapipe", "numpy", "onnxruntime", "opencv", "soxr"]

_DISTRIBUTIONS: Final[dict[Library, tuple[str, ...]]] = {
    "av": ("av",),
    "dlib": ("dlib-bin", "dlib"),
    "mediapipe": ("mediapipe",),
    "numpy": ("numpy",),
    "onnxruntime": ("onnxruntime",),
    "opencv": (
        "opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python",
    ),
    "soxr": ("soxr",),
}  # fmt: skip
"""Under which names each can be installed; of several, the first counts."""
OF_VOICE: Final[tuple[Library, ...]] = ("av", "numpy", "opencv", "soxr")
OF_ENCODER: Final[tuple[Library, ...]] = (*OF_VOICE, "onnxruntime")
OF_FACE: Final[tuple[Library, ...]] = ("av", "dlib", "numpy", "opencv")
OF_FACE_NETWORK: Final[tuple[Library, ...]] = (*OF_FACE, "onnxruntime")
OF_BLENDSHAPES: Final[tuple[Library, ...]] = (*OF_FACE, "mediapipe")
OF_FUNCTIONALS: Final[tuple[Library, ...]] = (*OF_BLENDSHAPES, "onnxruntime")
OF_PREDICTION: Final[tuple[Library, ...]] = (*OF_BLENDSHAPES, "onnxruntime", "soxr")


@functools.cache
def library_versions(libraries: tuple[Library, ...]) -> dict[str, str]:
    """Name → version, ``absent`` where there is none; with ``av`` those of FFmpeg's libraries, too."""
    versions: dict[str, str] = {library: _version(library) for library in libraries}
    if "av" in libraries:
        import av  # PyAV may be built with any FFmpeg, which its own version does not tell

        ffmpeg = av.library_versions
        parts = ("libavcodec", "libavformat", "libavutil", "libswresample", "libswscale")
        versions |= {part: ".".join(map(str, ffmpeg.get(part, ()))) for part in parts}
    return versions


def _version(library: Library) -> str:
    for name in _DISTRIBUTIONS[library]:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "absent"
