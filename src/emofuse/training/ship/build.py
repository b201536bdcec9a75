"""The recognizer that comes with emofuse: a voice trained on a corpus, a face trained on other faces.

No corpus with the faces of many people is at hand, so the fusion cannot be fitted on voice and face together.
Each side's weight is measured alone instead: the voice's on actors that its networks had not seen, the
face's on FER2013's public_test. Real clips and faces of one actor then serve as a check, and fit nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from emofuse.core.errors import BundleError, ExperimentError
from emofuse.core.label_names import are_emotions
from emofuse.core.labels import EMOTIONS, FER_PLUS_TO_EMOTION, FER_PLUS_TO_EMOTION_VERSION
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.joined import BETWEEN
from emofuse.recognition.bundle import Bundle, check_free, save_bundle
from emofuse.system.atomic_write import write_atomically
from emofuse.system.file_lock import empty_locked, locked_folder
from emofuse.training.dataset import Inputs, part_entries
from emofuse.training.face_likelihood import Matrix
from emofuse.training.measured import measure_bundle
from emofuse.training.plan import Plan, make_plan
from emofuse.training.resources import ONE_PROCESS, Resources
from emofuse.training.run_folder import RunMarks, check_run, claim_run, software
from emofuse.training.ship.card import NAME as CARD
from emofuse.training.ship.card import shipped_card
from emofuse.training.ship.check import check_recognizer
from emofuse.training.ship.face import ShippedFace, face_from_bundle, face_from_weights
from emofuse.training.ship.fusion import face_weights, fusion_files
from emofuse.training.ship.voice import (
    ShippedVoice,
    export_voice,
    fit_voice,
    read_voices,
    voice_from_bundle,
    voiced_takes,
    voices_fingerprint,
)

LARGEST_BYTES: Final = 12_000_000
"""Of a bundle that comes with the package."""

_TERMS: Final = """\
The face branch was trained on FER2013 (Goodfellow et al. 2013, images for research use) with the votes of
FER+ (Barsoum et al. 2016, MIT).
"""
_README: Final = """\
# The recognizer that comes with emofuse

`emofuse predict FILE` and `Recognizer.load()` use it unless another bundle is named. It reads the emotion
that a person expresses, as acted for its training recordings, not what that person feels.

License: {licence}, unlike the program itself (Apache-2.0); see LICENSE.txt. No commercial use. If you may not
use it, set EMOFUSE_NO_SHIPPED=1 or install emofuse without it: remove this folder from the sources, then
`pip install .`. The program then asks for a bundle of your own (`emofuse train`).

bundle.json says what it was trained on, how its parts are weighted, and how it did on clips that it had not
seen (provenance.check).
"""


def ship(
    corpus: Corpus,
    recipe: Recipe,
    face_source: tuple[Path, Path] | Path,
    out: Path,
    *,
    check_speaker: str = "01",
    check_faces: Path | None = None,
    measure_on: Sequence[Corpus] = (),
    voice_from: Path | None = None,
    fer2013: Path | None = None,
    resources: Resources = ONE_PROCESS,
) -> Bundle:
    """Build the recognizer that comes with emofuse.

    Args:
        corpus: the voice branch is trained on its voices; its videos are used in the check alone. It may be
            joined from several, see :func:`emofuse.corpus.joined.join_corpora`.
        recipe: face.network.kind must be ``expression``.
        face_source: weights.safetensors of ``emofuse faces train --architecture compact`` and the folder of
            FER2013, with train.npz (for frequencies) and public_test.npz (for calibration); or a bundle that
            was shipped before, whose face is taken as it is.
        out: folder of the bundle; must not exist or be empty. Work goes to ``out``.work beside it.
        check_speaker: the speaker whose videos are the check, with a voice that is trained without them.
        check_faces: more faces of that speaker, an .npz of ``codes`` and grey ``frames``.
        measure_on: corpora that the finished recognizer reads once, to say how well; nothing is fitted on
            them.
        voice_from: a bundle that was shipped before, whose voice is taken as it is. Only the voice without
            the speaker of the check is trained.
        fer2013: with the face of a bundle, the folder of FER2013, on whose public_test the likelihood of the
            face's outputs is measured; for a recipe with fusion.face_likelihood whose bundle lacks it.
        resources: executor, device, stored features, progress.

    Raises:
        BundleError: ``out`` is not empty, or the bundle is larger than may come with a package.
        ExperimentError: the recipe or the face is of another kind, there are too few speakers, or the work
            folder holds another run or is in use.
        WeightsError, CorpusError: the weights or FER2013 are not what they should be.
    """
    out = out.resolve()
    check_free(out)
    if recipe.face.network.kind != "expression" or not recipe.fusion.refit:
        raise ExperimentError(
            f"recipe {recipe.name}: what is shipped has face.network.kind = 'expression' and fusion.refit"
        )
    if not are_emotions(corpus.emotions):
        raise ExperimentError(
            f"{corpus.root}: what is shipped tells the eight emotions apart: map the labels with --labels"
        )
    run = out.with_name(out.name + ".work")
    if isinstance(face_source, Path):
        face = face_from_bundle(face_source, _without_path(recipe).face, fer2013)
    else:
        face = face_from_weights(*face_source, recipe.face)
    _refuse_large(face.files)  # fail early: hours of work follow
    _face_likelihood(face, recipe)
    with locked_folder(run), resources.computing():
        check_free(out)  # another run may just have ended
        bundle = _ship(
            corpus, recipe, face, voice_from, out, run, check_speaker, check_faces, measure_on, resources
        )
        empty_locked(run)
    return bundle


def _ship(
    corpus: Corpus,
    recipe: Recipe,
    face: ShippedFace,
    voice_from: Path | None,
    out: Path,
    run: Path,
    check_speaker: str,
    check_faces: Path | None,
    measure_on: Sequence[Corpus],
    resources: Resources,
) -> Bundle:
    check_speaker = _speaker_in(corpus, check_speaker)
    marks: RunMarks = {
        "recipe": recipe.hash(),
        "pretrained_sha256": face.pretrained_sha256,
        **resources.compute.marks,
    }
    check_run(run, marks)
    inputs = read_voices(corpus, recipe, run / "work", resources)
    claim_run(run, {**marks, "corpus": voices_fingerprint(inputs)})
    plans = _plans(inputs, recipe, check_speaker)
    likelihood = _face_likelihood(face, recipe)
    given = [] if voice_from is None else [voice_from_bundle(voice_from, recipe, inputs)]
    fitted = [fit_voice(plan, inputs, recipe, run / "work", resources) for plan in plans[len(given) :]]
    voices = [*given, *(export_voice(voice, inputs) for voice in fitted)]
    files = _bundle_files(voices[0], face, likelihood)
    _refuse_large(files)
    provenance = {
        **_provenance(corpus, recipe, inputs, voices[0], face),
        "weights": {"voice": voices[0].weight, **face_weights(likelihood)},
        "float16_largest_difference": {"face": face.rounding, "voice": voices[0].rounding},
        "float16_changed_answers": {"voice": {"n": voices[0].n, "changed": voices[0].n_changed}},
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software(),
        "compute": resources.compute.entry(),
    }
    if len(voices) > 1:
        resources.on_progress("check", 0, 1)
        shutil.rmtree(run / "check", ignore_errors=True)
        without = _bundle_files(voices[1], face, likelihood)
        unseen = _save(run / "check", without, recipe, corpus, provenance)
        checked = check_recognizer(unseen, corpus, check_speaker, faces=check_faces, store=resources.store)
        provenance["check"] = {"voice": dict(voices[1].facts), **checked}
        resources.on_progress("check", 1, 1)
    if measure_on:
        shutil.rmtree(run / "draft", ignore_errors=True)
        draft = _save(run / "draft", files, recipe, corpus, provenance)
        provenance["measured"] = [
            measure_bundle(draft, other, recipe.seed, resources) for other in measure_on
        ]
    bundle = _save(out, files, recipe, corpus, provenance)
    write_atomically(out / CARD, shipped_card(bundle).encode())
    return bundle


def _speaker_in(corpus: Corpus, speaker: str) -> str:
    """The speaker as the corpus calls him: a part of a joined corpus has its name in front."""
    names = [f"{part.name}{BETWEEN}{speaker}" for part in corpus.parts]
    return next((name for name in names if name in corpus.speakers), speaker)


def _refuse_large(files: dict[str, bytes]) -> None:
    size = sum(map(len, files.values()))
    if size > LARGEST_BYTES:
        raise BundleError(f"the bundle has {size:,} bytes, at most {LARGEST_BYTES:,} may come with emofuse")


def _plans(inputs: Inputs, recipe: Recipe, check_speaker: str) -> list[Plan]:
    """All speakers; then, for the check, all but one, if that speaker is there and not alone."""
    rows = np.arange(len(inputs.labels))
    without = rows[inputs.speakers != check_speaker]
    plans = [make_plan("all", inputs, rows.tolist(), (), recipe)]
    if 0 < len(without) < len(rows):
        plans.append(make_plan("without-check-speaker", inputs, without.tolist(), (), recipe))
    return plans


def _face_likelihood(face: ShippedFace, recipe: Recipe) -> Matrix | None:
    return face.likelihood if recipe.fusion.face_likelihood else None


def _bundle_files(voice: ShippedVoice, face: ShippedFace, likelihood: Matrix | None) -> dict[str, bytes]:
    return {"voice.onnx": voice.file, **face.files, **fusion_files(voice.weight, likelihood)}


def _provenance(
    corpus: Corpus,
    recipe: Recipe,
    inputs: Inputs,
    voice: ShippedVoice,
    face: ShippedFace,
) -> dict[str, Any]:
    return {
        "corpus": f"{corpus.name} (voice), FER2013 with the votes of FER+ (face)",
        "synthetic": corpus.synthetic,
        "takes": len(inputs.labels),
        "speakers": sorted(set(inputs.speakers.tolist())),
        **({"corpora": part_entries(corpus, voiced_takes(corpus))} if corpus.parts else {}),
        "recipe_hash": recipe.hash(),
        "pretrained_sha256": face.pretrained_sha256,
        "pretrained_on": "FER2013 with the votes of FER+: faces found on the web, years before RAVDESS was "
        "published",
        "fer_plus_to_emotion": {"version": FER_PLUS_TO_EMOTION_VERSION, "shares": FER_PLUS_TO_EMOTION},
        "fusion": "pool",
        "voice": dict(voice.facts),
        "face": dict(face.calibration),
    }


def _save(
    folder: Path, files: dict[str, bytes], recipe: Recipe, corpus: Corpus, provenance: dict[str, Any]
) -> Bundle:
    readme = _README.format(licence=corpus.licence).encode()
    return save_bundle(
        folder,
        files={**files, "README.md": readme},
        recipe=_without_path(recipe),
        emotions=EMOTIONS,
        licence=corpus.licence,
        provenance=json.loads(json.dumps(provenance)),
        terms=_TERMS,
    )


def _without_path(recipe: Recipe) -> Recipe:
    """The path of a weight file is of no use to whoever reads the bundle, and tells of this machine."""
    network = recipe.face.network.model_copy(update={"expression_weights": None})
    return recipe.model_copy(update={"face": recipe.face.model_copy(update={"network": network})})
