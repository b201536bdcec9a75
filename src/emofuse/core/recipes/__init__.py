"""Recipes: everything a run depends on, as frozen, validated data with a stable hash.

The recipes that come with the package are the TOML files beside this module. A recipe of your own is a
TOML file anywhere; ``extends = "default"`` at its top takes another recipe and changes what you name.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from emofuse.core.errors import RecipeError

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Classifier = Literal["pool", "lr", "pca-lr", "svm", "nn"]

LEAST_LOG_PROBABILITY = -10.0
"""Log-probabilities enter the fusion no lower than this: a network's certainty has no more weight."""

LEAST_SPREAD = 1e-4
"""Inputs of the fusion whose standard deviation over the training clips is below this say nothing."""


class _Part(BaseModel):
    """A frozen part of a recipe: no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _none(cls, data: Any) -> Any:
        """TOML has no null: ``patience = "none"`` unsets what a recipe takes over from another."""
        if not isinstance(data, dict):
            return data
        return {key: None if value == "none" else value for key, value in data.items()}

    def hash(self) -> str:
        """Sixteen hexadecimal digits of the sha256 of this part's canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class VoiceFeatures(_Part):
    """How a recording becomes the voice network's input.

    ``log-mel``: (n_mels, n_frames) float32, natural log of power, floored; two rows more with ``pitch``;
    ``rosred-image``: the notebooks' picture, (224, 224, 3) uint8 RGB; ``rosred-1d``: (n_values,) float32,
    the notebooks' statistics; ``descriptors``: (n_values,) float32, several views of a log-mel with pitch
    (see :mod:`emofuse.features.voice.descriptors`).
    """

    kind: Literal["log-mel", "rosred-image", "rosred-1d", "descriptors"] = "log-mel"
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)] = 16000
    duration_s: Annotated[float, Field(gt=0.2, le=30)] = 3.0
    """The segment is cut or zero-padded to this."""
    trim_db: Annotated[float, Field(gt=0, le=120)] | None = 35.0
    """Leading and trailing sound this far below the loudest is silence; none: keep everything."""
    trim_margin_s: Annotated[float, Field(ge=0, le=1)] = 0.1
    n_fft: Annotated[int, Field(ge=64, le=8192)] = 512
    win_length: Annotated[int, Field(ge=64, le=8192)] = 480
    hop_length: Positive = 200
    n_mels: Annotated[int, Field(ge=8, le=256)] = 80
    fmin_hz: Annotated[float, Field(ge=0)] = 40.0
    fmax_hz: Annotated[float, Field(gt=0)] | None = 8000.0
    pitch: bool = False
    """Two more rows under a log-mel: pitch in octaves above 55 Hz, and voicing from 0 to 1."""
    speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    """The recording is read as if played that much faster: another tempo, pitch and vocal tract."""
    condition: str | None = None
    """The recording is read as if it had come that way: a name of emofuse.features.voice.degradations."""

    @model_validator(mode="after")
    def _consistent(self) -> VoiceFeatures:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if self.fmax_hz is not None and not self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise ValueError(f"fmax_hz {self.fmax_hz} must lie between fmin_hz and half of sample_rate_hz")
        if self.kind == "descriptors" and not (self.pitch and self.n_mels >= 26):
            raise ValueError("descriptors need pitch = true and 26 or more n_mels")
        return self


class FaceFeatures(_Part):
    """How a clip becomes the face network's input.

    ``stack``: (n_frames, size, size) uint8 grey face crops; ``au-table``: (n_units,) float32, a row of a
    table of action units averaged over the clip, as OpenFace writes them; ``blendshapes``: (n_frames, 58)
    float32, MediaPipe's 52 blendshapes and the pose of the head (:mod:`emofuse.features.face.blendshapes`).
    """

    kind: Literal["stack", "au-table", "blendshapes"] = "stack"
    n_frames: Annotated[int, Field(ge=1, le=200)] = 20
    size: Annotated[int, Field(ge=16, le=256)] = 48
    square: bool = True
    """Crop the picture to its central square first, as the notebooks do."""
    detect_height_px: Annotated[int, Field(ge=120, le=2160)] = 240
    """Faces are looked for at this height and cropped at full size; none found: looked for at full size."""
    table: str | None = None
    """In the corpus folder: the table of action units, or the folder of tables, one a clip."""
    detector: Literal["dlib", "yunet"] = "dlib"
    """What finds faces for a ``stack``: histograms of gradients, or a small network that needs its weights
    file and finds more: turned, tilted and half-hidden faces."""

    @model_validator(mode="after")
    def _consistent(self) -> FaceFeatures:
        if (self.kind == "au-table") != (self.table is not None):
            raise ValueError("table goes with kind = 'au-table', and only with it")
        if self.detector != "dlib" and self.kind != "stack":
            raise ValueError("detector goes with kind = 'stack'")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``detector`` came later: a recipe without it keeps its hash, and finds what was computed."""
        data: dict[str, Any] = write(self)
        if self.detector == "dlib":
            data.pop("detector", None)
        return data

    @property
    def weights(self) -> tuple[str, ...]:
        """The published weight files that reading a face needs: names of emofuse.system.model_files."""
        if self.kind == "blendshapes":
            return ("face-landmarker",)
        return ("yunet",) if self.detector == "yunet" else ()

    def hash(self) -> str:
        """Sixteen hexadecimal digits: of this part, and of the weight files that it reads with."""
        own = super().hash()
        if not self.weights:
            return own
        from emofuse.core.pretrained import known_weights

        facts = [own, *(known_weights(name).sha256 for name in self.weights)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class Augmentation(_Part):
    """Changes drawn anew each time a training clip is shown. Zero switches one off."""

    strength: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Log-mel: tempo, pitch, tilt, noise, time shift, masks. Faces: shift, zoom, turn, light, mirror."""
    mixup: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Parameter of the beta distribution that mixes two clips (Zhang et al. 2018)."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Standard deviation of Gaussian noise on standardised action units and blendshapes."""


class Training(_Part):
    """One plain training loop: AdamW, one-cycle learning rate, cross-entropy."""

    epochs: Positive = 40
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    patience: Positive | None = None
    """Stop when held-out training actors have not improved for so many epochs; none: run all epochs."""
    augmentation: Augmentation = Augmentation()


class Ensemble(_Part):
    """A kernel machine, dense networks and a linear model side by side on principal components of features.

    Ridge and temperature of the kernel machine are chosen by leaving each training actor out in turn, which
    has a closed form.
    """

    components: Positive = 100
    """Principal components a view."""
    gamma: Annotated[float, Field(gt=0)] = 0.3
    """Of the Gaussian kernel, over the mean squared length of a view."""
    ridges: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False, min_length=1)] = (
        0.1, 0.2, 0.4,
    )  # fmt: skip
    person_damping: Annotated[float, Field(ge=0)] = 0.0
    """How much the directions in which training actors differ are shortened."""
    networks: Annotated[int, Field(ge=0, le=32)] = 3
    hidden: Positive = 128
    dropout: Fraction = 0.4
    linear: Annotated[float, Field(gt=0)] | None = None
    """C of a logistic regression that joins; none: it does not."""


class VoiceNetwork(_Part):
    """The network behind the voice.

    ``alexnet``: the notebooks' network, on ``rosred-image``; ``default``: the compact network of this
    project, on ``log-mel``; ``mlp``: a small dense network, on ``rosred-1d``; ``ensemble``: kernel machine
    and dense networks, on ``descriptors``.
    """

    kind: Literal["alexnet", "default", "mlp", "ensemble"] = "default"
    ensemble: Ensemble = Ensemble()
    channels: Annotated[tuple[Positive, ...], Field(strict=False)] = (24, 48, 96, 160)
    dropout: Fraction = 0.4
    n_features: Positive = 1000
    keep_level: bool = False
    """Let ``default`` hear how loud a recording is: right where one gain was kept."""
    functionals: bool = True
    """Give ``default`` statistics over time beside its convolutions; no channels: nothing but these."""
    hidden: Positive = 256
    """Width of each branch of ``default`` before the feature layer."""


class EmotionCnnWeights(_Part):
    """Where the Emotion CNN's weights come from.

    ``deepface``: DeepFace's own file, sha256 checked, from ``path`` or the user's weights folder;
    ``file``: at ``path`` a file of your own, of that layout or the weights.safetensors of
    ``emofuse faces train --architecture emotion``; ``scratch``: none, trained on single frames of the
    training clips before the LSTM is.
    """

    source: Literal["deepface", "file", "scratch"] = "deepface"
    path: str | None = None
    frozen: bool = True
    """Whether it stays as it is while the LSTM is trained."""
    frames_per_clip: Annotated[int, Field(ge=1, le=200)] = 3
    """For ``scratch``: frames of each clip that it is trained on."""
    frame_epochs: Positive = 20
    frame_learning_rate: Annotated[float, Field(gt=0, le=1)] = 7e-4

    @model_validator(mode="after")
    def _consistent(self) -> EmotionCnnWeights:
        if self.source == "file" and self.path is None:
            raise ValueError("source = 'file' needs path")
        if self.source == "scratch" and self.path is not None:
            raise ValueError("source = 'scratch' has no path")
        if self.source == "deepface" and self.path is not None and self.path.endswith(".safetensors"):
            raise ValueError("DeepFace's file is HDF5: a .safetensors file needs source = 'file'")
        return self


class FaceNetwork(_Part):
    """The network behind the face.

    ``lrcn``: an optional spatial transformer, the Emotion CNN on each frame, an LSTM over the frames;
    ``au-mlp``: a small ensemble of dense networks on a row of action units; ``ensemble``: kernel machine,
    dense networks and logistic regression, on the same; ``expression``: the compact expression CNN on each
    frame, averaged over time, which is not trained on the corpus; ``lstm``: the LRCN's LSTM without its CNN,
    on a sequence of blendshapes.
    """

    kind: Literal["lrcn", "au-mlp", "ensemble", "expression", "lstm"] = "lrcn"
    ensemble: Ensemble = Ensemble()
    spatial_transformer: bool = True
    emotion_cnn: EmotionCnnWeights = EmotionCnnWeights()
    expression_weights: str | None = None
    """For ``expression``: the weights.safetensors of ``emofuse faces train --architecture compact``."""
    lstm_units: Positive = 200
    bidirectional: bool = True
    dropout: Fraction = 0.3
    hidden: Positive = 96
    members: Positive = 1

    @property
    def n_features(self) -> int:
        """Width of the feature layer."""
        if self.kind == "au-mlp":
            return self.hidden * self.members
        return self.lstm_units * (2 if self.bidirectional else 1)


class VoicePart(_Part):
    """Everything about the voice."""

    features: VoiceFeatures = VoiceFeatures()
    network: VoiceNetwork = VoiceNetwork()
    training: Training = Training()
    speeds: Annotated[tuple[Annotated[float, Field(ge=0.5, le=2)], ...], Field(strict=False)] = ()
    """Every training recording is heard at these speeds as well, as if other people spoke it."""
    conditions: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """And under these: names of emofuse.features.voice.degradations. It then stands such damage, and more."""

    @model_validator(mode="after")
    def _consistent(self) -> VoicePart:
        wanted = {
            "alexnet": "rosred-image", "default": "log-mel", "mlp": "rosred-1d", "ensemble": "descriptors",
        }[self.network.kind]  # fmt: skip
        if (self.speeds or self.conditions) and self.network.kind != "ensemble":
            raise ValueError("speeds and conditions go with network.kind = 'ensemble'")
        if self.features.kind != wanted:
            raise ValueError(
                f"network {self.network.kind!r} reads features {wanted!r}, got {self.features.kind!r}"
            )
        return self

    @property
    def versions(self) -> tuple[VoiceFeatures, ...]:
        """How every training recording is heard: as it is, at other speeds, under other conditions."""
        return (
            self.features,
            *(self.features.model_copy(update={"speed": speed}) for speed in self.speeds),
            *(self.features.model_copy(update={"condition": name}) for name in self.conditions),
        )


class FacePart(_Part):
    """Everything about the face."""

    features: FaceFeatures = FaceFeatures()
    network: FaceNetwork = FaceNetwork()
    training: Training = Training()

    @model_validator(mode="after")
    def _consistent(self) -> FacePart:
        wanted = {
            "lrcn": "stack", "au-mlp": "au-table", "ensemble": "au-table", "expression": "stack",
            "lstm": "blendshapes",
        }[self.network.kind]  # fmt: skip
        if self.features.kind != wanted:
            raise ValueError(
                f"network {self.network.kind!r} reads features {wanted!r}, got {self.features.kind!r}"
            )
        if self.network.kind in ("lrcn", "expression") and self.features.size != 48:
            raise ValueError("the CNN reads faces of 48×48: features.size must be 48")
        if self.network.expression_weights is not None and self.network.kind != "expression":
            raise ValueError("expression_weights goes with network.kind = 'expression'")
        return self


class NeuralFusion(_Part):
    """The neural network among the classifiers: dense layers with batch normalisation, ReLU and dropout."""

    hidden: Annotated[tuple[Positive, ...], Field(strict=False)] = (2096, 1024)
    dropout: Fraction = 0.4
    epochs: Positive = 30
    batch_size: Annotated[int, Field(ge=2)] = 32
    trials: Annotated[int, Field(ge=1)] = 5
    """Optuna trials; fewer than for the others, since each takes longer."""


class Fusion(_Part):
    """How voice and face become one answer.

    ``inner_folds`` parts the training actors; each part in turn is kept from one pair of networks.
    ``probabilities``: one fusion on the log-probabilities that every pair gives to the actors it has not
    seen. ``features``: per pair a fusion on the joined feature layers of the actors that pair has not seen
    (feature layers of different pairs are not comparable), averaged over the pairs.
    """

    inputs: Literal["features", "probabilities"] = "probabilities"
    inner_folds: Annotated[int, Field(ge=2, le=20)] = 4
    members: Positive | None = None
    """Train only the first so many of the inner_folds pairs; none: all."""
    classifiers: Annotated[tuple[Classifier, ...], Field(strict=False)] = ("lr", "pca-lr", "svm", "nn")
    nn: NeuralFusion = NeuralFusion()
    trials: Annotated[int, Field(ge=1)] = 20
    """Optuna trials a classifier."""
    selection_folds: Annotated[int, Field(ge=2, le=20)] = 4
    """Folds of training actors on which hyperparameters and the classifier are chosen."""
    refit: bool = False
    """Train one more pair of networks on all training actors and let it answer for the others' mean."""

    @model_validator(mode="after")
    def _consistent(self) -> Fusion:
        if not self.classifiers or len(set(self.classifiers)) != len(self.classifiers):
            raise ValueError("classifiers must name at least one, each once")
        if self.members is not None and self.members > self.inner_folds:
            raise ValueError(f"members {self.members} is more than inner_folds {self.inner_folds}")
        if self.inputs == "probabilities" and self.members is not None:
            raise ValueError("members goes with inputs = 'features': probabilities need every inner fold")
        if self.refit and self.inputs != "probabilities":
            raise ValueError("refit goes with inputs = 'probabilities': feature layers are not comparable")
        return self


class Enrolment(_Part):
    """A second pair of networks, on features standardised by each person's own unlabelled recordings."""

    prior_clips: Annotated[float, Field(gt=0, le=100)] = 3.0
    """How many recordings of a person what is known of people in general counts for."""
    both: Ensemble | None = None
    """A third network beside them that sees voice and face at once; none: it is left out."""
    clips: Annotated[tuple[Positive, ...], Field(strict=False)] = (1, 2, 4, 8, 16, 30)
    """Numbers of enrolled recordings at which an evaluation measures."""
    draws: Positive = 5
    """Random choices of recordings a number."""


class Recipe(_Part):
    """Everything a run depends on, apart from the corpus and the protocol."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    voice: VoicePart = VoicePart()
    face: FacePart = FacePart()
    fusion: Fusion = Fusion()
    enrolment: Enrolment | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        kinds = {self.voice.network.kind, self.face.network.kind}
        if self.enrolment is not None and kinds != {"ensemble"}:
            raise ValueError("enrolment needs network.kind = 'ensemble' for voice and face")
        if self.fusion.refit and (self.voice.training.patience or self.face.training.patience):
            raise ValueError("refit trains on all actors: nobody is left for patience")
        return self

    def hearing(self, features: VoiceFeatures) -> Recipe:
        """The same recipe on other voice features."""
        return self.model_copy(update={"voice": self.voice.model_copy(update={"features": features})})


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    here = resources.files(__package__)
    return tuple(sorted(f.name.removesuffix(".toml") for f in here.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by name (one that comes with the package) or by path to a TOML file.

    Raises:
        RecipeError: there is no such recipe, or it names an unknown key or a value that is not allowed.
    """
    return parse_recipe(_read(name_or_path, ()), source=str(name_or_path))


def parse_recipe(data: dict[str, Any], *, source: str = "recipe") -> Recipe:
    """Validate a recipe given as plain data; the error names every key, its value and what is allowed."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "recipe"
        if item["type"] == "extra_forbidden":
            problems.append(f"{key} is not a key of a recipe")
            continue
        message = item["msg"].removeprefix("Value error, ")
        value = item["input"]
        shown = "" if isinstance(value, dict) else f" (got {value!r})"
        problems.append(f"{key}: {message}{shown}")
    return "; ".join(problems)


def _read(name_or_path: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    key = str(name_or_path)
    if key in seen:
        raise RecipeError(f"{key} extends itself through {' → '.join(seen)}")
    base = Path.cwd()
    if isinstance(name_or_path, str) and name_or_path in shipped_recipes():
        text = (resources.files(__package__) / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise RecipeError(f"no recipe {key!r}: give a TOML file or one of {', '.join(shipped_recipes())}")
        base = path.resolve().parent
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{key}: not a text file in UTF-8") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{key}: not valid TOML: {error}") from None
    parent = data.pop("extends", None)
    _resolve_weights(data, base)
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise RecipeError(f"{key}: extends must be the name or path of a recipe")
    if parent not in shipped_recipes():
        parent = str(base / parent)
    return _merged(_read(parent, (*seen, key)), data)


def _resolve_weights(data: dict[str, Any], base: Path) -> None:
    """A weight file's path is relative to the recipe that names it."""
    for where, key in (
        (("face", "network", "emotion_cnn"), "path"),
        (("face", "network"), "expression_weights"),
    ):
        try:
            part = data
            for name in where:
                part = part[name]
            if part[key] != "none":
                part[key] = str((base / part[key]).resolve())
        except (KeyError, TypeError):
            continue


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out
