from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest

from emofuse.core.errors import WeightsError
from emofuse.core.pretrained import WEIGHTS
from emofuse.core.records import Float32, UInt8
from emofuse.features.face.identity import (
    LEAST_FACE_PX,
    NETWORK,
    POINTS,
    SAME_PERSON,
    FaceEmbedder,
    FacePatch,
    central_embedding,
    cut_patch,
    distance,
    identity_installed,
    load_embedder,
)
from emofuse.features.face.tracker import FaceTracker
from emofuse.media.file_stream import open_stream
from emofuse.media.frame_sampling import Frame
from tests.support.real_people import box_in, frame_of, read_stills
from tests.support.typed import not_none


@pytest.fixture(scope="module")
def colors() -> UInt8:
    """(720, 960, 3) BGR, smooth in all channels."""
    y, x = np.mgrid[:720, :960].astype(np.float32)
    channels = [128 + 90 * np.sin(x / 90 + k) * np.cos(y / 70 - k) for k in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def test_a_patch_has_the_colors_of_the_frame_at_the_resolution_of_its_gray_image(colors: UInt8) -> None:
    box = (400, 200, 700, 500)
    patch = not_none(cut_patch(frame_of(colors), box))
    # half the width of the box around it, and the box 150 px wide
    assert patch.image.shape == (300, 300, 3) and patch.image.dtype == np.uint8
    assert patch.box == (75, 75, 225, 225)
    expected = cv2.resize(colors[50:650, 250:850], (300, 300), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(patch.image.astype(float) - expected).mean() < 1.5


def test_a_patch_at_the_edge_of_the_frame_and_one_that_is_too_small(colors: UInt8) -> None:
    frame = frame_of(colors)
    patch = not_none(cut_patch(frame, (-30, -20, 70, 80)))
    assert patch.image.shape == (200, 200, 3) and patch.box == (50, 50, 150, 150)
    assert cut_patch(frame, (10, 10, 10 + LEAST_FACE_PX - 1, 10 + LEAST_FACE_PX - 1)) is None
    assert cut_patch(frame, (10, 10, 10 + LEAST_FACE_PX, 10 + LEAST_FACE_PX)) is not None


def test_the_central_embedding_leaves_out_another_persons() -> None:
    mine, other = np.zeros(128, np.float32), np.zeros(128, np.float32)
    other[0] = 0.9
    near = mine.copy()
    near[1] = 0.2
    assert distance(mine, other) == pytest.approx(0.9)
    center, n = central_embedding([other, mine, near])
    assert n == 2 and center.dtype == np.float32
    np.testing.assert_allclose(center, (mine + near) / 2)
    only, n = central_embedding([other])
    assert n == 1 and distance(only, other) == 0


@pytest.mark.usefixtures("no_identity")
def test_missing_files_name_the_ways_to_get_them() -> None:
    assert not identity_installed()
    with pytest.raises(WeightsError, match=rf"fetch {NETWORK}`, or .* pip install 'emofuse\[identity\]'"):
        load_embedder()
    assert {WEIGHTS[name].licence for name in (NETWORK, POINTS)} == {"CC0-1.0"}


def test_an_altered_file_is_refused_before_dlib_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(dlib, "face_recognition_model_v1", read.append)
    monkeypatch.setattr(dlib, "shape_predictor", read.append)
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    for name in (NETWORK, POINTS):
        (tmp_path / WEIGHTS[name].file_name).write_bytes(b"not a network")
    assert identity_installed()
    with pytest.raises(WeightsError, match="wrong sha256"):
        load_embedder()
    assert not read


def test_a_file_that_dlib_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFUSE_WEIGHTS", str(tmp_path))
    digest = hashlib.sha256(b"not a network").hexdigest()
    for name in (NETWORK, POINTS):
        (tmp_path / WEIGHTS[name].file_name).write_bytes(b"not a network")
        monkeypatch.setitem(WEIGHTS, name, replace(WEIGHTS[name], sha256=digest))
    with pytest.raises(WeightsError, match="dlib cannot read this file"):
        load_embedder()


@pytest.fixture
def embedder(identity_weights: Path) -> FaceEmbedder:
    del identity_weights  # the environment variable is set
    return load_embedder()


@pytest.fixture
def stills(ravdess: Path, embedder: FaceEmbedder) -> Float32:
    """(24, 128) the embeddings of the actors' stills."""
    frames = [frame_of(picture) for picture in read_stills(ravdess)]
    return np.stack([embedder.embed(not_none(cut_patch(one, box_in(one)))) for one in frames])


@pytest.mark.ravdess
def test_embeddings_are_those_of_dlibs_own_pipeline(ravdess: Path, embedder: FaceEmbedder) -> None:
    image = read_stills(ravdess)[6]
    frame = frame_of(image)
    box = box_in(frame)
    mine = embedder.embed(not_none(cut_patch(frame, box)))
    assert mine.shape == (128,) and mine.dtype == np.float32
    # dlib reads the whole picture in color, and aligns it itself
    rgb = np.ascontiguousarray(image[..., ::-1])
    points = embedder._points(rgb, dlib.rectangle(box[0], box[1], box[2] - 1, box[3] - 1))
    theirs = np.array(embedder._network.compute_face_descriptor(rgb, points), np.float32)
    assert distance(mine, theirs) < 0.12
    np.testing.assert_array_equal(mine, embedder.embed(not_none(cut_patch(frame, box))))


@pytest.mark.ravdess
def test_24_real_people_are_all_different(stills: Float32) -> None:
    distances = np.linalg.norm(stills[:, None] - stills[None], axis=2)[np.triu_indices(24, 1)]
    assert len(stills) == 24
    assert distances.min() > SAME_PERSON + 0.05


@pytest.mark.ravdess
def test_80_frames_of_one_persons_films_are_that_persons(
    ravdess: Path, stills: Float32, embedder: FaceEmbedder
) -> None:
    patches: list[FacePatch] = []
    for path in sorted(ravdess.glob("video/Actor_01/*.mp4")):
        tracker = FaceTracker()
        with open_stream(path, frames_per_s=4) as stream:
            for part in stream:
                if isinstance(part, Frame):
                    faces = [face for face in tracker.update(part) if face.time_s == part.time_s]
                    patches += [not_none(cut_patch(part, face.box)) for face in faces]
    chosen = np.random.default_rng(0).choice(len(patches), 80, replace=False)
    sampled = np.stack([embedder.embed(patches[i]) for i in chosen])
    distances = np.linalg.norm(sampled[:, None] - stills[None], axis=2)
    assert (distances.argmin(axis=1) == 0).all()
    assert distances[:, 0].max() < SAME_PERSON - 0.05 < SAME_PERSON + 0.05 < distances[:, 1:].min()
    profile, n = central_embedding(list(sampled))
    assert n == len(sampled)
    to_stills = np.linalg.norm(stills - profile, axis=1)
    assert to_stills[0] < 0.3 and to_stills[1:].min() > SAME_PERSON + 0.1
