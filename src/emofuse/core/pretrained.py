"""The registry of published weight files: where each comes from, what it was trained on, and its sha256.

None comes with the package; :mod:`emofuse.system.model_files` finds and fetches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emofuse.core.errors import WeightsError


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A published weight file."""

    name: str
    """Its name in emofuse."""
    file_name: str
    url: str
    sha256: str
    licence: str
    """SPDX identifier."""
    about: str
    trained_on: str
    """What it was trained on before, for the model card: a clause that follows "trained on"."""
    corpora: tuple[str, ...] | None = None
    """The data sets that it was trained on, by name; None: not published, or not all of them."""
    size: int | None = None
    """In bytes, where it is published."""
    recipe_key: str | None = None
    """The recipe key that takes the path of a copy, if any."""
    package: str | None = None
    """The import name of a package that brings the file, in a folder ``models``; it is never imported."""
    extra: str | None = None
    """The optional part of emofuse that installs this package."""


SPEECH_ENCODER_TRAINED_ON: Final = (
    "680,000 hours of speech with transcripts from the web, in many languages (Radford et al. 2022); the "
    "list is not published, so that recordings of any corpus that is on the web may be among them, without "
    "their emotions"
)
"""What Whisper, the beginning of which is the speech encoder, was trained on."""
EXPRESSION_NETWORK_TRAINED_ON: Final = (
    "FER2013 with the votes of FER+: faces found on the web, years before RAVDESS was published"
)

WEIGHTS: Final[dict[str, WeightFile]] = {
    weights.name: weights
    for weights in (
        WeightFile(
            name="deepface-emotion",
            file_name="facial_expression_model_weights.h5",
            url="https://github.com/serengil/deepface_models/releases/download/v1.0/"
            "facial_expression_model_weights.h5",
            sha256="e8e8851d3fa05c001b1c27fd8841dfe08d7f82bb786a53ad8776725b7a1e824c",
            licence="MIT",
            about="DeepFace's Emotion CNN: 48×48 gray faces to seven classes (5.98 MB, Keras HDF5)",
            trained_on="FER2013 (Goodfellow et al. 2013), gray images of faces found on the web in seven "
            "expressions, years before RAVDESS was published",
            corpora=("FER2013",),
            recipe_key="face.network.emotion_cnn.path",
        ),
        WeightFile(
            name="face-landmarker",
            file_name="face_landmarker.task",
            url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
            "face_landmarker.task",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            licence="Apache-2.0",
            about="MediaPipe's Face Landmarker, float16/1: images to 478 landmarks, 52 blendshapes and the "
            "head pose (3.8 MB)",
            trained_on="images of faces that Google has not published",
            size=3_758_596,
        ),
        WeightFile(
            name="yunet",
            file_name="face_detection_yunet_2023mar.onnx",
            url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
            "face_detection_yunet_2023mar.onnx",
            sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            licence="MIT",
            about="YuNet, a face detector (Wu et al. 2023): images to boxes and five landmarks (0.2 MB)",
            trained_on="WIDER FACE (Yang et al. 2016), images of crowds and people found on the web",
            corpora=("WIDER FACE",),
            size=232_589,
        ),
        WeightFile(
            name="dlib-face-recognition",
            file_name="dlib_face_recognition_resnet_model_v1.dat",
            url="https://github.com/ageitgey/face_recognition_models/raw/master/face_recognition_models/"
            "models/dlib_face_recognition_resnet_model_v1.dat",
            sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
            licence="CC0-1.0",
            about="dlib's face recognition network (King 2017): aligned faces to 128 numbers, which are "
            "biometric data (22 MB)",
            trained_on="three million images of 7,485 people, of FaceScrub, VGG Face and the web",
            size=22_466_066,
            package="face_recognition_models",
            extra="identity",
        ),
        WeightFile(
            name="dlib-face-points",
            file_name="shape_predictor_5_face_landmarks.dat",
            url="https://github.com/ageitgey/face_recognition_models/raw/master/face_recognition_models/"
            "models/shape_predictor_5_face_landmarks.dat",
            sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
            licence="CC0-1.0",
            about="dlib's five points of a face (King 2017): the corners of the eyes and the base of the "
            "nose (9.2 MB)",
            trained_on="7,198 faces found on the web, marked by its author",
            size=9_150_489,
            package="face_recognition_models",
            extra="identity",
        ),
    )
}
"""All weight files that emofuse knows, by name."""


def known_weights(name: str) -> WeightFile:
    """The weight file of that name.

    Raises:
        WeightsError: there is none; the message lists those there are.
    """
    try:
        return WEIGHTS[name]
    except KeyError:
        raise WeightsError(f"unknown weights {name!r}: use one of {', '.join(WEIGHTS)}") from None


def weights_of_sha256(sha256: str) -> WeightFile | None:
    """The known weight file with this sha256; None if there is none."""
    return next((known for known in WEIGHTS.values() if known.sha256 == sha256.lower()), None)
