"""What a recogniser says of one speaker that its voice had not heard: a check, by which nothing is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError, EmofuseError
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import Features, Prediction
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.ravdess import parse_name
from emofuse.features.extraction import extract_takes
from emofuse.features.store import FeatureStore
from emofuse.recognition.bundle import Bundle
from emofuse.recognition.onnx_session import create_session
from emofuse.recognition.recognizer import Recognizer

NOTE: Final = (
    "The voice that answers here was trained without this speaker, the shipped one with. The face had never "
    "seen the speaker. One speaker, few clips: a check that it works, not a measurement."
)


def largest_difference(model: bytes, other: bytes, inputs: NDArray[Any]) -> float:
    """How far the probabilities of two ONNX networks lie apart at most, on some inputs."""
    one, two = (np.exp(answers(m, inputs)) for m in (model, other))
    return float(np.abs(one - two).max())


def answers(model: bytes, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """(n, n_emotions) log-probabilities that an ONNX network gives."""
    return _run(model, "log_probabilities", inputs).astype(np.float64)


def frame_answers(model: bytes, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What an ONNX network says of each frame."""
    return _run(model, "outputs", frames).astype(np.float32)


def _run(model: bytes, output: str, inputs: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(create_session(model).run([output], {"inputs": inputs})[0])


def check_recogniser(
    bundle: Bundle, corpus: Corpus, speaker: str, *, faces: Path | None, store: FeatureStore | None
) -> dict[str, Any]:
    """Read every film of one speaker, and faces that come as an array, with the voice of the same take.

    Args:
        bundle: whose voice had not heard the speaker.
        corpus: the films.
        speaker: whose.
        faces: an .npz of ``codes`` (n,), RAVDESS names, and ``frames`` (n, n_frames, side, side) uint8 grey.
        store: where features of voices are kept.

    Raises:
        CorpusError: ``faces`` is not such a file.
    """
    recognizer = Recognizer(bundle)
    films = [
        clip
        for clip in corpus.clips
        if clip.speaker == speaker
        and clip.modality in ("audio-video", "video")
        and clip.emotion is not None
        and clip.facts.get("channel", "speech") == "speech"
    ]
    said = list(zip(films, recognizer.predict_files([clip.path for clip in films]), strict=True))
    out: dict[str, Any] = {"speaker": speaker, "note": NOTE}
    out["films"] = _counted([(str(clip.emotion), p) for clip, p in said])
    out["films"]["each"] = [
        {"clip": clip.clip_id, "expressed": clip.emotion, "said": p.emotion, "used": list(p.used)}
        for clip, p in said
    ]
    if faces is not None:
        out["face_sequences"] = _sequences(recognizer, corpus, faces, store)
    return out


def _sequences(
    recognizer: Recognizer, corpus: Corpus, path: Path, store: FeatureStore | None
) -> dict[str, Any]:
    features = recognizer.bundle.recipe.face.features
    takes = {take.take: take for take in corpus.takes() if take.voice is not None}
    stacks = _read_stacks(path, features)
    known = [takes[take] for take in {parse_name(name).take: None for name in stacks} if take in takes]
    heard = extract_takes([replace(t, face=None) for t in known], recognizer.bundle.recipe, store=store)
    voices = {
        take.take: result.voice
        for take, result in zip(known, heard, strict=True)
        if not isinstance(result, EmofuseError)
    }
    rows: dict[str, list[tuple[str, Prediction]]] = {"face": [], "voice": [], "fused": []}
    for name, stack in stacks.items():
        emotion = parse_name(name).emotion
        voice = voices.get(parse_name(name).take)
        seen, unseen = Features(None, stack, voice_missing="left out"), "left out"
        rows["face"].append((emotion, recognizer.predict_features(seen)))
        if voice is not None:
            only = Features(voice, None, face_missing=unseen)
            rows["voice"].append((emotion, recognizer.predict_features(only)))
            rows["fused"].append((emotion, recognizer.predict_features(Features(voice, stack))))
    # the same performance with sound (01-) and without (02-) is two sequences of one take
    n_takes = len({parse_name(name).take for name in stacks})
    return {name: {**_counted(some), "takes": n_takes} for name, some in rows.items()}


def _read_stacks(path: Path, features: FaceFeatures) -> dict[str, NDArray[np.uint8]]:
    """Name → (n_frames, size, size) uint8."""
    try:
        with np.load(path, allow_pickle=False) as file:
            codes, frames = file["codes"], file["frames"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{path}: not an .npz of codes and frames: {error}") from None
    if frames.ndim != 4 or frames.dtype != np.uint8 or len(codes) != len(frames):
        raise CorpusError(f"{path}: frames must be (n, n_frames, side, side) uint8, one stack a code")
    out = {}
    for code, stack in zip(codes.tolist(), frames, strict=True):
        out[Path(str(code)).stem] = _crops(stack, features)
    return out


def _crops(stack: NDArray[np.uint8], features: FaceFeatures) -> NDArray[np.uint8]:
    """(n_frames, size, size) uint8. How tightly a face is framed hardly matters to the expression CNN."""
    places = np.linspace(0, len(stack) - 1, features.n_frames).round().astype(int)
    side = (features.size, features.size)
    return np.stack(
        [cv2.resize(stack[i], side, interpolation=cv2.INTER_AREA).astype(np.uint8) for i in places]
    )


def _counted(said: list[tuple[str, Prediction]]) -> dict[str, Any]:
    right = sum(p.emotion == emotion for emotion, p in said)
    out: dict[str, Any] = {"n": len(said), "right": right}
    if said:
        out["accuracy"] = right / len(said)
    return out
