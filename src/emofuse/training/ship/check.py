"""A check of a recognizer on one speaker that its voice had not seen; nothing is fitted by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError, EmofuseError
from emofuse.core.labels import EMOTIONS
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import Features, Prediction, Take
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.corpus.joined import local_name
from emofuse.corpus.ravdess import parse_name
from emofuse.features.extraction import extract_takes
from emofuse.features.store import FeatureStore
from emofuse.recognition.bundle import Bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.array_files import read_arrays

NOTE: Final = (
    "The voice that was run here was trained without this speaker, the shipped one with. The face had never "
    "seen the speaker. One speaker, few clips: a check that it works, not a measurement."
)


def check_recognizer(
    bundle: Bundle, corpus: Corpus, speaker: str, *, faces: Path | None, store: FeatureStore | None
) -> dict[str, Any]:
    """Run a recognizer on every video of one speaker, and on face sequences with the voices of their takes.

    Args:
        bundle: a recognizer whose voice had not seen the speaker.
        corpus: has the videos.
        speaker: who is checked.
        faces: an .npz of ``codes`` (n,), RAVDESS names, and ``frames`` (n, n_frames, side, side) uint8 grey.
        store: where features of voices are kept.

    Raises:
        CorpusError: ``faces`` is not such a file.
    """
    recognizer = Recognizer(bundle)
    videos = [
        clip
        for clip in corpus.clips
        if clip.speaker == speaker
        and clip.modality in ("audio-video", "video")
        and clip.emotion is not None
        and clip.facts.get("channel", "speech") == "speech"
    ]
    predictions = recognizer.predict_files([clip.path for clip in videos])
    found = list(zip(videos, predictions, strict=True))
    out: dict[str, Any] = {"speaker": speaker, "note": NOTE}
    out["films"] = _counted([(str(clip.emotion), p) for clip, p in found])
    out["films"]["each"] = [
        {"clip": clip.clip_id, "expressed": clip.emotion, "said": p.emotion, "used": list(p.used)}
        for clip, p in found
    ]
    if faces is not None:
        out["face_sequences"] = _sequences(recognizer, corpus, faces, store)
    return out


def _sequences(
    recognizer: Recognizer, corpus: Corpus, path: Path, store: FeatureStore | None
) -> dict[str, Any]:
    features = recognizer.bundle.recipe.face.features
    takes = {_local(take): take for take in corpus.takes() if take.voice is not None}
    stacks = read_stacks(path, features)
    with_voice = [takes[take] for take in {parse_name(name).take: None for name in stacks} if take in takes]
    results = extract_takes(
        [replace(t, face=None) for t in with_voice], recognizer.bundle.recipe, store=store
    )
    voices = {
        _local(take): result.voice
        for take, result in zip(with_voice, results, strict=True)
        if not isinstance(result, EmofuseError)
    }
    predict = recognizer.predict_features
    rows: dict[str, list[tuple[str, Prediction]]] = {"face": [], "voice": [], "fused": []}
    # the same performance with audio (01-) and without (02-) is two sequences of one take, with one voice
    takes_of = {name: parse_name(name).take for name in stacks}
    emotions = {parse_name(name).take: parse_name(name).emotion for name in stacks}
    for take, voice in voices.items():
        rows["voice"].append((emotions[take], predict(Features(voice, None, face_missing="left out"))))
    for name, stack in stacks.items():
        emotion, voice = emotions[takes_of[name]], voices.get(takes_of[name])
        rows["face"].append((emotion, predict(Features(None, stack, voice_missing="left out"))))
        if voice is not None:
            rows["fused"].append((emotion, predict(Features(voice, stack))))
    return {name: {**_counted(found), "takes": len(emotions)} for name, found in rows.items()}


def _local(take: Take) -> str:
    """The take as RAVDESS calls it, also where it was joined with other corpora."""
    return local_name(take.take, take.facts.get(CORPUS_FACT))


def read_stacks(path: Path, features: FaceFeatures) -> dict[str, NDArray[np.uint8]]:
    """Name → (n_frames, size, size) uint8."""
    try:
        arrays = read_arrays(path)
        codes, frames = arrays["codes"], arrays["frames"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{path}: not an .npz of codes and frames: {error}") from None
    if frames.ndim != 4 or frames.dtype != np.uint8 or len(codes) != len(frames):
        raise CorpusError(f"{path}: frames must be (n, n_frames, side, side) uint8, one stack per code")
    out = {}
    for code, stack in zip(codes.tolist(), frames, strict=True):
        out[Path(str(code)).stem] = _crops(stack, features)
    return out


def _crops(stack: NDArray[np.uint8], features: FaceFeatures) -> NDArray[np.uint8]:
    """(n_frames, size, size) uint8. How tightly a face is cropped hardly matters to the expression CNN."""
    indices = np.linspace(0, len(stack) - 1, features.n_frames).round().astype(int)
    side = (features.size, features.size)
    return np.stack(
        [cv2.resize(stack[i], side, interpolation=cv2.INTER_AREA).astype(np.uint8) for i in indices]
    )


def _counted(predictions: list[tuple[str, Prediction]]) -> dict[str, Any]:
    right = sum(p.emotion == emotion for emotion, p in predictions)
    out: dict[str, Any] = {"n": len(predictions), "right": right}
    if predictions:
        out["accuracy"] = right / len(predictions)
        out["expressed"] = _times(emotion for emotion, _ in predictions)
        out["said"] = _times(str(p.emotion) for _, p in predictions)
    return out


def _times(emotions: Iterable[str]) -> dict[str, int]:
    """How often each emotion occurs, in the order of labels."""
    counts = Counter(emotions)
    return {name: counts[name] for name in (*EMOTIONS, "None") if counts[name]}
