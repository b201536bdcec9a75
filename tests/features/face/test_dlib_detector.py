from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import dlib
import numpy as np

from emofuse.features.face import dlib_detector
from tests.support.drawn_faces import face_drawing


def test_the_shipped_detector_is_that_of_dlib(tmp_path: Path) -> None:
    dlib.get_frontal_face_detector().save(str(tmp_path / "own"))
    shipped = Path(dlib_detector.__file__).with_name("frontal_face_detector.dat")
    dlib.fhog_object_detector(str(shipped)).save(str(tmp_path / "shipped"))
    assert (tmp_path / "shipped").read_bytes() == (tmp_path / "own").read_bytes()


def test_each_thread_has_its_own_detector() -> None:
    """In a process of its own: a detector used by several threads crashes it."""
    script = (
        "import sys, threading; import numpy as np; from emofuse.core.records import TimedFrames\n"
        "from emofuse.core.recipes.face import FaceFeatures\n"
        "from emofuse.features.face.clip_track import track_face\n"
        "image = np.load(sys.argv[1])\n"
        "frames = TimedFrames((image,) * 12, np.arange(12.0), 12)\n"
        "found = []\n"
        "read = lambda: found.append(track_face(frames, FaceFeatures()).boxes.tolist())\n"
        "threads = [threading.Thread(target=read) for _ in range(6)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]\n"
        "assert len(found) == 6 and all(boxes == found[0] for boxes in found)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "image.npy"), face_drawing(480, 200, (240, 240)))
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(folder, "image.npy"))], capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
