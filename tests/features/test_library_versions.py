from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import av
import cv2
import numpy as np
import pytest
import soxr

from emofuse.features.library_versions import OF_FACE, OF_PREDICTION, OF_VOICE, Library, library_versions


def test_versions_are_those_of_the_modules() -> None:
    versions = library_versions(OF_PREDICTION)
    assert versions["av"] == av.__version__
    assert versions["numpy"] == np.__version__
    assert versions["soxr"] == soxr.__version__
    # opencv-python counts its own builds: 5.0.0.93 is OpenCV 5.0.0
    assert versions["opencv"].startswith(cv2.__version__)
    assert versions["onnxruntime"] == metadata.version("onnxruntime")
    assert versions["libavcodec"] == ".".join(map(str, av.library_versions["libavcodec"]))
    assert "absent" not in {versions[name] for name in ("av", "dlib", "numpy", "opencv", "soxr")}


@pytest.mark.parametrize("libraries", [OF_VOICE, OF_FACE])
def test_each_modality_names_what_it_imports(libraries: tuple[Library, ...]) -> None:
    """The oracle: what is imported by the package that computes the modality."""
    package = "voice.clip_voice" if libraries == OF_VOICE else "face.clip_track"
    code = (
        f"import emofuse.features.{package}, emofuse.media.decoding, sys\n"
        "names = {'av', 'cv2', 'dlib', 'mediapipe', 'numpy', 'onnxruntime', 'scipy', 'sklearn', 'soxr'}\n"
        "print(*sorted(names & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.replace("cv2", "opencv").split()) <= set(libraries)


def test_what_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "dlib":
            return "20.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("emofuse.features.library_versions.metadata.version", version)
    library_versions.cache_clear()
    assert library_versions(("dlib", "soxr")) == {"dlib": "20.0", "soxr": "absent"}
    library_versions.cache_clear()
