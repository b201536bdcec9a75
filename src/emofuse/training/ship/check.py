"""A check of a recognizer on one speaker that its voice had not seen; nothing is fitted by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import CorpusError, EmofuseError
from emofuse.core.labels import EMOTIONS
from emofuse.core.metrics import accuracy, bootstrap_interval
from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import Features, Take
from emofuse.corpus.corpus import CORPUS_FACT, Corpus
from emofuse.corpus.joined import local_name
from emofuse.corpus.ravdess import parse_name
from emofuse.features.extraction import extract_takes
from emofuse.features.own_baseline import Kind, Reading, baselines_of
from emofuse.features.store import FeatureStore
from emofuse.recognition.baseline_model import Strengths
from emofuse.recognition.bundle import Bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.system.array_files import read_arrays

Answer = tuple[str, str, str]
"""A take, what it expresses, and the emotion that was predicted."""
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
    out["films"] = _counted([(clip.take, str(clip.emotion), str(p.emotion)) for clip, p in found])
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
        if not isinstance(result, EmofuseError) and result.voice is not None
    }
    rows: dict[str, list[Answer]] = {"face": [], "voice": [], "fused": []}
    performances = _performances(recognizer, stacks, voices)
    for one in performances:
        rows[one.kind].append((one.take, one.emotion, _first(one.reading.fused)))
    for title, answer in _against_own(recognizer, performances):
        rows.setdefault(title, []).append(answer)
    n_takes = len({one.take for one in performances})
    return {name: {**_counted(found), "takes": n_takes} for name, found in rows.items()}


@dataclass(frozen=True, slots=True)
class _Performance:
    """What a recognizer reads of a face sequence, of the voice of a take, or of both."""

    kind: Kind
    take: str
    emotion: str
    """That is expressed."""
    reading: Reading


def _performances(
    recognizer: Recognizer, stacks: Mapping[str, NDArray[np.uint8]], voices: Mapping[str, NDArray[np.float32]]
) -> list[_Performance]:
    """The same take with audio (01-) and without (02-) is two sequences, with one voice that counts once."""
    names = {name: parse_name(name) for name in stacks}
    emotions = {one.take: one.emotion for one in names.values()}

    def read(kind: Kind, take: str, features: Features) -> _Performance:
        found = recognizer.predict_features(features)
        reading = Reading(found.voice, found.face, found.probabilities)
        return _Performance(kind, take, emotions[take], reading)

    out = [read("voice", take, Features(one, None, face_missing="left out")) for take, one in voices.items()]
    for name, stack in stacks.items():
        take = names[name].take
        out.append(read("face", take, Features(None, stack, voice_missing="left out")))
        if take in voices:
            out.append(read("fused", take, Features(voices[take], stack)))
    return out


def _against_own(
    recognizer: Recognizer, performances: Sequence[_Performance]
) -> Iterator[tuple[str, Answer]]:
    """The answers against the speaker's own baselines, which are made of the other takes."""
    for one in performances:
        others = [other.reading for other in performances if other.take != one.take and other.kind != "fused"]
        baselines = baselines_of(others)
        shares = recognizer.baselines.strengths(baselines)
        asked: dict[str, Strengths] = {f"{one.kind} with own baseline": shares}
        if one.kind == "fused":
            of_face: Strengths = {name: share for name, share in shares.items() if name == "face"}
            asked = {
                "fused with own baseline of the face": of_face,
                "fused with own baselines of both": shares,
            }
        for title, used in asked.items():
            found = recognizer.baselines.against(one.reading, baselines, used)
            yield title, (one.take, one.emotion, _first(found.fused))


def _first(probabilities: NDArray[np.floating] | None) -> str:
    """The emotion with the highest probability."""
    return "None" if probabilities is None else EMOTIONS[int(probabilities.argmax())]


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


def _counted(answers: Sequence[Answer]) -> dict[str, Any]:
    """How many answers are right, with an interval from drawing takes, and what they are."""
    right = [said == expressed for _, expressed, said in answers]
    out: dict[str, Any] = {"n": len(answers), "right": sum(right)}
    if answers:
        out["accuracy"] = sum(right) / len(answers)
        ones = np.ones(len(answers), dtype=np.int64)
        takes = [take for take, *_ in answers]
        out["interval_over_takes"] = list(
            bootstrap_interval(accuracy, ones, np.array(right, dtype=np.int64), takes, seed=0)
        )
        out["expressed"] = _times(expressed for _, expressed, _ in answers)
        out["said"] = _times(said for *_, said in answers)
    return out


def _times(emotions: Iterable[str]) -> dict[str, int]:
    """How often each emotion occurs, in the order of labels."""
    counts = Counter(emotions)
    return {name: counts[name] for name in (*EMOTIONS, "None") if counts[name]}
