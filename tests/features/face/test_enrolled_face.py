from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.errors import ProfileError, WeightsError
from emofuse.core.records import TimedFrames, Waveform
from emofuse.features.face.boxes import FaceDetection
from emofuse.features.face.enrolled_face import _Seen, enrolled_face
from emofuse.features.face.identity import SAME_PERSON, distance
from emofuse.features.face.reidentification import FaceLook
from emofuse.media.frame_sampling import Frame
from tests.support.real_people import embedded, frame_of, read_clip, read_stills


def frames_of(frame: Frame, n: int = 4) -> TimedFrames:
    """A gray picture shown for a while."""
    return TimedFrames((frame.image,) * n, np.arange(n) / 2, n)


@pytest.mark.usefixtures("no_identity")
def test_without_the_network_nothing_is_read() -> None:
    with pytest.raises(WeightsError, match=r"pip install 'emofuse\[identity\]'"):
        enrolled_face(iter(()))


@pytest.mark.usefixtures("identity_weights")
def test_recordings_without_a_face(tmp_path: Path) -> None:
    silence = Waveform(np.zeros((1, 16000), np.float32), 16000)
    wall = TimedFrames((np.full((240, 320), 128, np.uint8),) * 3, np.arange(3.0), 3)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(ProfileError, match="no recording shows a face that is large enough"):
        enrolled_face([silence, wall, tmp_path / "broken.mp4"])


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_a_real_persons_face_is_found_again_and_nobody_elses(ravdess: Path) -> None:
    films = sorted(ravdess.glob("video/Actor_01/*.mp4"))[:3]
    with films[1].open("rb") as file:
        found = enrolled_face([films[0], file, films[2].read_bytes()])
    assert found.n_faces == 9 and found.n_others == 0
    assert found.embedding.shape == (128,) and found.embedding.dtype == np.float32
    distances = [distance(found.embedding, embedded(picture)) for picture in read_stills(ravdess)]
    assert distances[0] < 0.35
    assert min(distances[1:]) > SAME_PERSON + 0.1


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_somebody_else_in_few_recordings_is_left_out_and_in_many_refused(ravdess: Path) -> None:
    clip = read_clip(sorted(ravdess.glob("video/Actor_01/*.mp4"))[0], every=30)
    mine = [frames_of(frame_of(bgr)) for bgr in clip[:2]]
    others = [frames_of(frame_of(picture)) for picture in read_stills(ravdess)[1:3]]
    found = enrolled_face([*mine, others[0]])
    assert (found.n_faces, found.n_others) == (6, 3)
    with pytest.raises(ProfileError, match="several people: only 6 of 12 faces are of one person"):
        enrolled_face([*mine, *others])


@pytest.mark.ravdess
@pytest.mark.usefixtures("identity_weights")
def test_the_best_faces_of_a_recording_are_embedded(ravdess: Path) -> None:
    near = frame_of(read_clip(sorted(ravdess.glob("video/Actor_01/*.mp4"))[0], every=60)[0])
    far = frame_of(near.image[::2, ::2, None].repeat(3, axis=2))
    seen = _Seen()
    for i in range(6):
        frame, width = (near, 380) if i in {2, 4} else (far, 190)
        left = 450 * width // 380
        seen.add(FaceLook(frame, FaceDetection((left, 100, left + width, 100 + width), 0.5 + i)))
    assert seen.n_frames == 6 and len(seen.best) == 3
    assert sorted(-order for _, order, _ in seen.best) == [4, 5, 6]  # of one width, those that score most
