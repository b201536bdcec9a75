"""The face part of a recipe: features, network and training."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from emofuse.core.pretrained import known_weights
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.recipes.part import ADDED_LATER, Ensemble, Fraction, Part, Positive, Training


class FaceFeatures(Part):
    """How a clip becomes the input of the face network.

    ``stack``: (n_frames, size, size) uint8 gray face crops; ``au-table``: (n_units,) float32, a row of a
    table of action units averaged over the clip, as written by OpenFace; ``blendshapes``: (n_frames, 58)
    float32, MediaPipe's 52 blendshapes and the head pose (:mod:`emofuse.features.face.blendshapes`);
    ``functionals``: (n_values,) float32, their means, spreads and peaks over the frames, and those of an
    expression network (:mod:`emofuse.features.face.functionals`); ``onnx``: (n_values,) float32, what an ONNX
    file of your own says of the crops of a ``stack``; ``table``: (n_values,) float32 from a table of your own
    (see :mod:`emofuse.features.embeddings`).
    """

    kind: Literal["stack", "au-table", "blendshapes", "functionals", "onnx", "table"] = "stack"
    n_frames: Annotated[int, Field(ge=1, le=200)] = 20
    size: Annotated[int, Field(ge=16, le=256)] = 48
    square: bool = True
    """Crop frames to their central square first, as the notebooks do."""
    detect_height_px: Annotated[int, Field(ge=120, le=2160)] = 240
    """Detect faces at this height and crop at full size; if none is found, detect at full size."""
    table: str | None = None
    """In the corpus folder: the table of action units, or the folder of tables, one per clip."""
    detector: Annotated[Literal["dlib", "yunet"], ADDED_LATER] = "dlib"
    """Face detector for a ``stack``: histograms of oriented gradients, or a small network that needs its
    weight file and also finds turned, tilted and partly hidden faces."""
    whole_if_empty: Annotated[bool, ADDED_LATER] = False
    """With ``square``: search the whole frames of a clip whose central squares have no face at all."""
    expression_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$"), ADDED_LATER] = None
    """For ``functionals``: which expression network reads each frame as well; none: without one."""
    embedding: Annotated[Embedding | None, ADDED_LATER] = None
    """For ``onnx`` and ``table``: which file, and what is read of it."""

    @model_validator(mode="after")
    def _consistent(self) -> FaceFeatures:
        if (self.kind == "au-table") != (self.table is not None):
            raise ValueError("table goes with kind = 'au-table', and only with it")
        if self.detector != "dlib" and not self.reads_crops:
            raise ValueError("detector goes with kind = 'stack' or 'onnx'")
        if (self.kind in ("onnx", "table")) != (self.embedding is not None):
            raise ValueError("embedding goes with kind = 'onnx' or 'table', and only with these")
        if self.expression_sha256 is not None and self.kind != "functionals":
            raise ValueError("expression_sha256 goes with kind = 'functionals'")
        if self.whole_if_empty and not self.square:
            raise ValueError("whole_if_empty goes with square = true")
        return self

    @property
    def reads_crops(self) -> bool:
        """Whether faces are cut out of the frames."""
        return self.kind in ("stack", "onnx")

    @property
    def reads_blendshapes(self) -> bool:
        """Whether the frames are read by MediaPipe's Face Landmarker."""
        return self.kind in ("blendshapes", "functionals")

    @property
    def takes_roots(self) -> bool:
        """Whether ensembles take square roots of the values first, as of intensities that crowd near zero."""
        return self.kind == "au-table"

    @property
    def weights(self) -> tuple[str, ...]:
        """The published weight files that face features need: names in emofuse.core.pretrained."""
        if self.reads_blendshapes:
            return ("face-landmarker",)
        return ("yunet",) if self.detector == "yunet" else ()

    def hash(self) -> str:
        """Sixteen hexadecimal digits, of this part and of the weight files it uses."""
        own = super().hash()
        if not self.weights:
            return own
        facts = [own, *(known_weights(name).sha256 for name in self.weights)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class EmotionCnnWeights(Part):
    """Where the Emotion CNN's weights come from.

    ``deepface``: DeepFace's own file, sha256 checked, from ``path`` or the user's weights folder;
    ``file``: a file of your own at ``path``, of that layout or the weights.safetensors of
    ``emofuse faces train --architecture emotion``; ``scratch``: none, it is trained on single frames of the
    training clips before the LSTM.
    """

    source: Literal["deepface", "file", "scratch"] = "deepface"
    path: str | None = None
    frozen: bool = True
    """Keep the weights fixed while the LSTM is trained."""
    frames_per_clip: Annotated[int, Field(ge=1, le=200)] = 3
    """For ``scratch``: training frames per clip."""
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


class FaceNetwork(Part):
    """The face network.

    ``lrcn``: an optional spatial transformer, the Emotion CNN on each frame, an LSTM over the frames;
    ``au-mlp``: a small ensemble of dense networks on a row of action units; ``ensemble``: kernel machine,
    dense networks and logistic regression, on the same, on functionals or on embeddings of your own;
    ``expression``: the compact expression CNN on each frame, pooled over time, not trained on the corpus;
    ``lstm``: the LSTM of ``lrcn`` without the CNN, on a sequence of blendshapes.
    """

    kind: Literal["lrcn", "au-mlp", "ensemble", "expression", "lstm"] = "lrcn"
    ensemble: Ensemble = Ensemble()
    spatial_transformer: bool = True
    emotion_cnn: EmotionCnnWeights = EmotionCnnWeights()
    expression_weights: str | None = None
    """For ``expression``: the weights.safetensors of ``emofuse faces train --architecture compact``."""
    pooling: Annotated[Literal["mean", "peaks"], ADDED_LATER] = "mean"
    """For ``expression``, how the frames of a clip become one reading: the mean of their log-probabilities,
    or with more weight for frames that show an expression."""
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


class FacePart(Part):
    """Features, network and training of the face."""

    features: FaceFeatures = FaceFeatures()
    network: FaceNetwork = FaceNetwork()
    training: Training = Training()

    @model_validator(mode="after")
    def _consistent(self) -> FacePart:
        wanted = {
            "lrcn": ("stack",), "au-mlp": ("au-table",),
            "ensemble": ("au-table", "functionals", "onnx", "table"),
            "expression": ("stack",), "lstm": ("blendshapes",),
        }[self.network.kind]  # fmt: skip
        if self.features.kind not in wanted:
            names = " or ".join(map(repr, wanted))
            raise ValueError(
                f"network {self.network.kind!r} reads features {names}, got {self.features.kind!r}"
            )
        if self.network.kind in ("lrcn", "expression") and self.features.size != 48:
            raise ValueError("the CNN reads faces of 48×48: features.size must be 48")
        if self.network.expression_weights is not None and self.network.kind != "expression":
            raise ValueError("expression_weights goes with network.kind = 'expression'")
        if self.network.pooling != "mean" and self.network.kind != "expression":
            raise ValueError("pooling goes with network.kind = 'expression'")
        return self
