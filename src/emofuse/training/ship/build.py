"""The recogniser that comes with emofuse: a voice fitted on a corpus, a face that was fitted on other faces.

No corpus with many people's faces is at hand, so the fusion cannot be fitted on voice and face together.
Each side's weight is measured alone instead: the voice's on actors that its networks had not heard, the
face's on FER2013's public_test. What one actor's real clips and faces then say is a check and fits nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import BundleError, EmofuseError, ExperimentError
from emofuse.core.labels import (
    EMOTIONS,
    FER_PLUS,
    FER_PLUS_TO_EMOTION,
    FER_PLUS_TO_EMOTION_VERSION,
    emotion_index,
)
from emofuse.core.metrics import accuracy, bootstrap_interval
from emofuse.core.recipes.recipe import Recipe
from emofuse.core.records import Features, Take
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.fer2013 import Faces, read_fer2013
from emofuse.features.extraction import extract_takes
from emofuse.recognition.bundle import FRAME_FILE, Bundle, check_free, save_bundle
from emofuse.system.atomic_write import write_atomically
from emofuse.system.checksums import file_digest
from emofuse.training.dataset import Inputs
from emofuse.training.expression import read_faces
from emofuse.training.fusion_classifiers import LogLinearPool
from emofuse.training.jobs import load_network, load_outputs, run_network_jobs
from emofuse.training.networks.expression_over_time import (
    ExpressionOfClip,
    ExpressionOfFrames,
    ExpressionOverTime,
    load_expression_over_time,
)
from emofuse.training.networks.float16 import store_as_float16
from emofuse.training.networks.onnx_export import export_ensemble, export_frames
from emofuse.training.plan import NetworkJob, Plan, make_plan
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software
from emofuse.training.ship.card import NAME as CARD
from emofuse.training.ship.card import shipped_card
from emofuse.training.ship.check import answers, check_recogniser, frame_answers, largest_difference

LARGEST_BYTES: Final = 12_000_000
"""Of a bundle that comes with the package."""
FACE_CAUTION: Final = 0.5
"""The face counts for half of what FER2013 says it is worth.

There its calibration is that of single posed or found pictures; frames of one clip err together, and a
mouth that speaks looks like surprise or joy. By how much cannot be measured without faces of many actors,
so half is a choice, made beforehand.
"""
_NO_OFFSETS: Final = {"offset_penalty": 1e6}
_LEAST_SHARE: Final = 1e-3

_TERMS: Final = """\
The face branch was trained on FER2013 (Goodfellow et al. 2013, pictures for research use) with the votes of
FER+ (Barsoum et al. 2016, MIT).
"""
_README: Final = """\
# The recogniser that comes with emofuse

`emofuse predict FILE` and `Recognizer.load()` use it where no other bundle is named. It reads the emotion a
person expresses, as acted for its training recordings, not what somebody feels.

Licence: {licence}, apart from the program's Apache-2.0; see LICENSE.txt. No commercial use. Who must not use
it sets EMOFUSE_NO_SHIPPED=1, or installs without it: remove this folder from the sources, then
`pip install .`. The program then asks for a bundle of your own (emofuse train).

bundle.json says what it was trained on, how its parts are weighed, and what it says of clips that it had
not seen (provenance.check).
"""


@dataclass(frozen=True, slots=True)
class FaceCalibration:
    """What FER2013 says of the expression CNN's certainty, and how often each emotion is there.

    ``offsets``: logarithms, one an emotion of FER+, that turn FER+'s frequencies into those of eight
    emotions that are equally common (Saerens et al. 2002).
    """

    temperature: float
    offsets: tuple[float, ...]
    n_faces: int
    cross_entropy_before: float
    cross_entropy: float


@dataclass(frozen=True, slots=True)
class FittedVoice:
    """A voice network on some actors, and its weight from answers about actors that others were kept from."""

    network: Any
    weight: float
    n_takes: int
    accuracy: float
    interval: tuple[float, float]


def ship(
    corpus: Corpus,
    recipe: Recipe,
    expression_weights: Path,
    fer2013: Path,
    out: Path,
    *,
    check_speaker: str = "01",
    check_faces: Path | None = None,
    resources: Resources = ONE_PROCESS,
) -> Bundle:
    """Build the recogniser that comes with emofuse.

    Args:
        corpus: its voices are what the voice branch is fitted on; its pictures serve the check alone.
        recipe: face.network.kind must be ``expression``.
        expression_weights: weights.safetensors of ``emofuse faces train --architecture compact``.
        fer2013: folder with train.npz (for frequencies) and public_test.npz (for calibration).
        out: folder of the bundle; must not exist or be empty. Work goes to ``out``.work beside it.
        check_speaker: whose films are the check; for it, a second voice is fitted without this speaker.
        check_faces: more faces of that speaker, an .npz of ``codes`` and grey ``frames``.
        resources: processes, stored features, progress.

    Raises:
        BundleError: ``out`` is not empty, or the bundle is larger than may come with a package.
        ExperimentError: the recipe is of another kind, or there are too few speakers.
        WeightsError, CorpusError: the weights or FER2013 are not what they should be.
    """
    out = out.resolve()
    check_free(out)
    if recipe.face.network.kind != "expression" or not recipe.fusion.refit:
        raise ExperimentError(
            f"recipe {recipe.name}: what is shipped has face.network.kind = 'expression' and fusion.refit"
        )
    face = load_expression_over_time(expression_weights)
    run = out.with_name(out.name + ".work")
    work = run / "work"
    sha256 = file_digest(expression_weights, "sha256")
    marks: RunMarks = {"recipe": recipe.hash(), "pretrained_sha256": sha256}
    check_run(run, marks)
    faces = read_fer2013(fer2013, "public_test")
    calibration = calibrate_face(face, read_fer2013(fer2013, "train"), faces)
    face = _calibrated(face, calibration)
    small_face, rounding = _export_face(face, recipe.face.features.n_frames, faces)
    _refuse_large(sum(map(len, small_face.values())))  # before hours of work
    inputs = read_voices(corpus, recipe, work, resources)
    claim_run(run, {**marks, "corpus": _fingerprint(inputs)})
    everybody = np.arange(len(inputs.labels))
    without = everybody[inputs.speakers != check_speaker]
    plans = [make_plan("all", inputs, everybody.tolist(), (), recipe)]
    if 0 < len(without) < len(everybody):
        plans.append(make_plan("without-check-speaker", inputs, without.tolist(), (), recipe))
    voices = [fit_voice(plan, inputs, recipe, work, resources) for plan in plans]
    built = []
    for voice in voices:
        full = export_ensemble([voice.network], inputs.load("voice")[0].copy())
        small = store_as_float16(full)
        rounding.setdefault("voice", largest_difference(full, small, np.asarray(inputs.load("voice"))))
        pool = LogLinearPool(_NO_OFFSETS, n_emotions=len(EMOTIONS))
        pool.weights = np.array([voice.weight, FACE_CAUTION])
        built.append({"voice.onnx": small, **small_face, "fusion-0.onnx": pool.to_onnx()})
    _refuse_large(sum(len(data) for data in built[0].values()))

    provenance: dict[str, Any] = {
        "corpus": f"{corpus.name} (voice), FER2013 with the votes of FER+ (face)",
        "synthetic": corpus.synthetic,
        "takes": len(inputs.labels),
        "speakers": sorted(set(inputs.speakers.tolist())),
        "recipe_hash": recipe.hash(),
        "pretrained_sha256": sha256,
        "pretrained_on": "FER2013 with the votes of FER+: faces found on the web, years before RAVDESS was "
        "published",
        "fer_plus_to_emotion": {"version": FER_PLUS_TO_EMOTION_VERSION, "shares": FER_PLUS_TO_EMOTION},
        "fusion": "pool",
        "weights": {"voice": voices[0].weight, "face": FACE_CAUTION},
        "voice": _figures(voices[0]),
        "face": asdict(calibration),
        "float16_largest_difference": rounding,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
    }
    if len(voices) > 1:
        resources.on_progress("check", 0, 1)
        shutil.rmtree(run / "check", ignore_errors=True)
        stranger = _save(run / "check", built[1], recipe, corpus, provenance)
        checked = check_recogniser(stranger, corpus, check_speaker, faces=check_faces, store=resources.store)
        provenance["check"] = {"voice": _figures(voices[1]), **checked}
        resources.on_progress("check", 1, 1)
    bundle = _save(out, built[0], recipe, corpus, provenance)
    write_atomically(out / CARD, shipped_card(bundle).encode())
    shutil.rmtree(run)
    return bundle


def _refuse_large(size: int) -> None:
    if size > LARGEST_BYTES:
        raise BundleError(f"the bundle has {size:,} bytes, at most {LARGEST_BYTES:,} may come with emofuse")


def _export_face(
    face: ExpressionOverTime, n_frames: int, faces: Faces
) -> tuple[dict[str, bytes], dict[str, float]]:
    """The face branch as ONNX, in two halves, and what half precision changes in its probabilities.

    In a timeline the windows overlap: a frame is read once, and counts in all of them.
    """
    full = export_frames(ExpressionOfFrames(face), faces.images[0])
    small = store_as_float16(full)
    n = max(1, min(32, len(faces) // n_frames))
    frames = [frame_answers(one, np.resize(faces.images, (n * n_frames, *faces.images.shape[1:])))
              for one in (full, small)]  # fmt: skip
    example = np.zeros((n_frames, frames[0].shape[1]), dtype=np.float32)
    clip = export_ensemble([ExpressionOfClip(face)], example)
    full_said, small_said = (answers(clip, one.reshape(n, n_frames, -1)) for one in frames)
    rounding = float(np.abs(np.exp(full_said) - np.exp(small_said)).max())
    return {FRAME_FILE: small, "face.onnx": clip}, {"face": rounding}


def calibrate_face(network: ExpressionOverTime, known: Faces, held_out: Faces) -> FaceCalibration:
    """The temperature of least cross-entropy with the votes of held-out faces, and FER+'s frequencies.

    Args:
        network: answers for single faces.
        known: the faces that it was trained on: how often each emotion is there.
        held_out: faces that it was not trained on.
    """
    from scipy.optimize import minimize_scalar

    logs = read_faces(network.cnn, held_out.images)[1].astype(np.float64)
    votes = held_out.distribution.astype(np.float64)

    def cross_entropy(temperature: float) -> float:
        scores = logs / temperature
        said = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return float(-(votes * said).sum() / votes.sum())

    found = minimize_scalar(cross_entropy, bounds=(0.25, 8.0), method="bounded")
    shares = known.distribution.sum(0, dtype=np.float64)
    shares = np.maximum(shares / shares.sum(), _LEAST_SHARE)
    ours = np.array([len(FER_PLUS_TO_EMOTION[name]) for name in FER_PLUS]) / len(EMOTIONS)
    offsets = np.where(ours > 0, np.log(np.maximum(ours, _LEAST_SHARE) / shares), 0.0)
    return FaceCalibration(
        float(found.x), tuple(offsets.tolist()), int((votes.sum(1) > 0).sum()), cross_entropy(1.0),
        cross_entropy(found.x),
    )  # fmt: skip


def _calibrated(face: ExpressionOverTime, calibration: FaceCalibration) -> ExpressionOverTime:
    return ExpressionOverTime(
        face.cnn, temperature=calibration.temperature, offsets=calibration.offsets
    ).eval()  # fmt: skip


def read_voices(
    corpus: Corpus,
    recipe: Recipe,
    folder: Path,
    resources: Resources,
) -> Inputs:
    """The voices of every take in every version, laid down in ``folder``. Pictures are not looked at.

    Raises:
        ExperimentError: a voice cannot be read; a shipped recogniser is not trained on part of a corpus.
    """
    takes = [t for t in corpus.takes() if t.emotion is not None and t.voice is not None]
    if not takes:
        raise ExperimentError(f"{corpus.root}: no recordings with a known emotion")
    for version, features in enumerate(recipe.voice.variants):
        rows = _voices_at(takes, recipe.with_voice_features(features), resources)
        name = f"voice-{version}.npy" if version else "voice.npy"
        with write_atomically(folder / name) as file:
            np.save(file, rows)
    return Inputs(
        folder,
        np.array([emotion_index(str(take.emotion)) for take in takes], dtype=np.int64),
        np.array([take.speaker for take in takes]),
        {"voice": np.ones(len(takes), dtype=bool), "face": np.zeros(len(takes), dtype=bool)},
        len(recipe.voice.variants),
    )


def _fingerprint(inputs: Inputs) -> str:
    """Changes when a take, a label or a voice changes."""
    digest = hashlib.sha256("\n".join(inputs.speakers.tolist()).encode())
    digest.update(inputs.labels.tobytes())
    for version in range(inputs.n_voice_variants):
        digest.update(inputs.load("voice", version).tobytes())
    return digest.hexdigest()[:16]


def _voices_at(takes: list[Take], recipe: Recipe, resources: Resources) -> NDArray[np.float32]:
    results = extract_takes(
        [replace(take, face=None) for take in takes],
        recipe,
        store=resources.store,
        jobs=resources.jobs,
        on_done=resources.on_done(f"voices at speed {recipe.voice.features.speed:g}"),
    )
    rows = []
    for take, result in zip(takes, results, strict=True):
        if isinstance(result, EmofuseError):
            raise ExperimentError(f"{take.take}: {result}")
        assert isinstance(result, Features)
        if result.voice is None:
            raise ExperimentError(f"{take.take}: no voice: {result.voice_missing}")
        rows.append(result.voice)
    return np.stack(rows)


def fit_voice(plan: Plan, inputs: Inputs, recipe: Recipe, work: Path, resources: Resources) -> FittedVoice:
    """Networks that leave actors out, for the weight, and one on all actors of the plan."""
    assert plan.refitted is not None
    wanted = []
    for member in (*plan.members, plan.refitted):
        # nobody stops a network here: those of the next part train as well
        train = np.sort(np.concatenate([member.network_rows, member.stopping_rows]))
        score = tuple(member.fusion_rows.tolist())
        wanted.append(NetworkJob(plan.name, member.index, "voice", tuple(train.tolist()), score, score))
    run_network_jobs(wanted, inputs, recipe, work, resources, stage=f"voices: {plan.name}")
    parts = [
        (load_outputs(plan, "voice", member.fusion_rows, [member.index], work), member.fusion_rows)
        for member in plan.members
    ]
    logs = np.concatenate([said.log_probabilities for said, _ in parts])
    rows = np.concatenate([rows for _, rows in parts])
    truth = inputs.labels[rows]
    pool = LogLinearPool(_NO_OFFSETS, n_emotions=len(EMOTIONS)).fit(logs.astype(np.float32), truth)
    said = logs.argmax(1)
    low, high = bootstrap_interval(accuracy, truth, said, inputs.speakers[rows], seed=recipe.seed)
    network = load_network(wanted[-1], inputs, recipe, work)
    return FittedVoice(network, float(pool.weights[0]), len(rows), accuracy(truth, said), (low, high))


def _figures(voice: FittedVoice) -> dict[str, Any]:
    """What a voice reaches on actors that its networks were kept from."""
    return {
        "weight": voice.weight,
        "takes": voice.n_takes,
        "accuracy_on_held_out_speakers": voice.accuracy,
        "interval_over_speakers": list(voice.interval),
    }


def _save(
    folder: Path, files: dict[str, bytes], recipe: Recipe, corpus: Corpus, provenance: dict[str, Any]
) -> Bundle:
    # a path says something of the machine it was built on, and nothing to who reads the bundle
    network = recipe.face.network.model_copy(update={"expression_weights": None})
    face = recipe.face.model_copy(update={"network": network})
    readme = _README.format(licence=corpus.licence).encode()
    return save_bundle(
        folder,
        files={**files, "README.md": readme},
        recipe=recipe.model_copy(update={"face": face}),
        emotions=EMOTIONS,
        licence=corpus.licence,
        provenance=json.loads(json.dumps(provenance)),
        terms=_TERMS,
    )
