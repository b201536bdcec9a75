"""The voice part of a recipe: features, network and training."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from emofuse.core.recipes.embedding import Embedding
from emofuse.core.recipes.part import (
    ADDED_LATER,
    AttentionPooling,
    Ensemble,
    Fraction,
    Part,
    Positive,
    Training,
)

ENCODER_RATE_HZ: Final = 16_000
ENCODER_DURATION_S: Final = 10.0
"""The longest utterance that a speech encoder reads; longer ones are cut."""


class VoiceFeatures(Part):
    """How a recording becomes the input of the voice network.

    ``log-mel``: (n_mels, n_frames) float32, natural log of power, floored; two more rows with ``pitch``;
    ``rosred-image``: the notebooks' spectrogram image, (224, 224, 3) uint8 RGB; ``rosred-1d``: (n_values,)
    float32, the notebooks' statistics; ``descriptors``: (n_values,) float32, several views of a log-mel with
    pitch (see :mod:`emofuse.features.voice.descriptors`), and with ``encoder_sha256`` those of the encoder
    after them; ``encoder``: (n_values,) float32, what a speech encoder says of the utterance (see
    :mod:`emofuse.features.voice.speech_encoder`); ``onnx``: (n_values,) float32, what an ONNX file of one's
    own says of it; ``table``: (n_values,) float32 from a table of one's own (see
    :mod:`emofuse.features.embeddings`).
    """

    kind: Literal["log-mel", "rosred-image", "rosred-1d", "descriptors", "encoder", "onnx", "table"] = (
        "log-mel"
    )
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)] = 16000
    duration_s: Annotated[float, Field(gt=0.2, le=30)] = 3.0
    """The segment is cut or zero-padded to this; for an encoder, only cut."""
    trim_db: Annotated[float, Field(gt=0, le=120)] | None = 35.0
    """Leading and trailing audio this far below the loudest is silence; none: keep everything."""
    trim_margin_s: Annotated[float, Field(ge=0, le=1)] = 0.1
    n_fft: Annotated[int, Field(ge=64, le=8192)] = 512
    win_length: Annotated[int, Field(ge=64, le=8192)] = 480
    hop_length: Positive = 200
    n_mels: Annotated[int, Field(ge=8, le=256)] = 80
    fmin_hz: Annotated[float, Field(ge=0)] = 40.0
    fmax_hz: Annotated[float, Field(gt=0)] | None = 8000.0
    pitch: bool = False
    """Two more rows below a log-mel: pitch in octaves above 55 Hz, and voicing from 0 to 1."""
    speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    """Read the recording as if played this much faster: another tempo, pitch and vocal tract."""
    condition: str | None = None
    """Degrade the recording before it is read: a name in emofuse.features.voice.degradations."""
    highpass_hz: Annotated[Annotated[float, Field(ge=20, le=200)] | None, ADDED_LATER] = None
    """Remove what lies below before anything else, trimming included: all of it from three quarters of this
    down. 80 keeps voices, and stops an offset, rumble and the hum of mains; none: keep it."""
    encoder_sha256: Annotated[Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None, ADDED_LATER] = None
    """Which speech encoder reads the utterance, of up to 10 s: the sha256 of its graph. None: none."""
    encoder_parts: Annotated[Annotated[int, Field(ge=0, le=64)], ADDED_LATER] = 0
    """Into how many equal parts of time an utterance is cut, whose means the encoder gives as well."""
    start_at_speech: Annotated[bool, ADDED_LATER] = False
    """Start where somebody starts to speak, whatever sounds before: a click, a ring tone, steps."""
    embedding: Annotated[Embedding | None, ADDED_LATER] = None
    """For ``onnx`` and ``table``: which file, and what is read of it."""

    @model_validator(mode="after")
    def _consistent(self) -> VoiceFeatures:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if self.fmax_hz is not None and not self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise ValueError(f"fmax_hz {self.fmax_hz} must lie between fmin_hz and half of sample_rate_hz")
        if self.kind == "descriptors" and not (self.pitch and self.n_mels >= 26):
            raise ValueError("descriptors need pitch = true and 26 or more n_mels")
        if self.kind == "encoder":
            if self.encoder_sha256 is None:
                raise ValueError("kind 'encoder' needs encoder_sha256")
            if self.sample_rate_hz != ENCODER_RATE_HZ or self.duration_s > ENCODER_DURATION_S:
                raise ValueError(
                    f"an encoder reads sample_rate_hz = {ENCODER_RATE_HZ} and duration_s of at most "
                    f"{ENCODER_DURATION_S:g}"
                )
        elif self.encoder_sha256 is not None and self.kind != "descriptors":
            raise ValueError("encoder_sha256 goes with kind 'descriptors' or 'encoder'")
        if (self.kind in ("onnx", "table")) != (self.embedding is not None):
            raise ValueError("embedding goes with kind 'onnx' or 'table', and only with these")
        if self.kind == "onnx" and self.sample_rate_hz != ENCODER_RATE_HZ:
            raise ValueError(f"an ONNX file reads sample_rate_hz = {ENCODER_RATE_HZ}")
        over_time = self.embedding is not None and self.embedding.over_time
        if self.encoder_parts and self.encoder_sha256 is None and not over_time:
            raise ValueError("encoder_parts needs encoder_sha256, or an embedding with pooling")
        return self

    @property
    def pads(self) -> bool:
        """Whether short audio is padded to duration_s; encoders read what there is."""
        return self.kind not in ("encoder", "onnx")

    @property
    def parts(self) -> tuple[VoiceFeatures, ...]:
        """What is computed, and stored, apart: descriptors and encoder, if it is both; else this alone."""
        if self.kind != "descriptors" or self.encoder_sha256 is None:
            return (self,)
        shared = (
            "trim_db", "trim_margin_s", "speed", "condition", "highpass_hz",
            "start_at_speech", "encoder_sha256", "encoder_parts",
        )  # fmt: skip
        encoder = VoiceFeatures(
            kind="encoder",
            sample_rate_hz=ENCODER_RATE_HZ,
            duration_s=ENCODER_DURATION_S,
            **{key: getattr(self, key) for key in shared},
        )
        return self.model_copy(update={"encoder_sha256": None, "encoder_parts": 0}), encoder


class VoiceNetwork(Part):
    """The voice network.

    ``alexnet``: the notebooks' network, on ``rosred-image``; ``default``: a compact network of our own,
    on ``log-mel``; ``mlp``: a small dense network, on ``rosred-1d``; ``ensemble``: kernel machine
    and dense networks, on ``descriptors``, an ``encoder`` or embeddings of your own.
    """

    kind: Literal["alexnet", "default", "mlp", "ensemble"] = "default"
    ensemble: Ensemble = Ensemble()
    encoder: Annotated[Ensemble | None, ADDED_LATER] = None
    """An ensemble of its own for what the speech encoder says, beside that of the descriptors; what counts is
    the mean of their log-probabilities. None: one ensemble reads all."""
    attention: Annotated[AttentionPooling | None, ADDED_LATER] = None
    """More networks, which read the encoder's parts and count as much as an ensemble. None: without."""
    channels: Annotated[tuple[Positive, ...], Field(strict=False)] = (24, 48, 96, 160)
    dropout: Fraction = 0.4
    n_features: Positive = 1000
    keep_level: bool = False
    """Let ``default`` see how loud a recording is: for corpora recorded with one gain."""
    functionals: bool = True
    """Give ``default`` statistics over time in addition to convolutions; without channels: only these."""
    hidden: Positive = 256
    """Width of each branch of ``default`` before the feature layer."""


class VoicePart(Part):
    """Features, network and training of the voice."""

    features: VoiceFeatures = VoiceFeatures()
    network: VoiceNetwork = VoiceNetwork()
    training: Training = Training()
    speeds: Annotated[tuple[Annotated[float, Field(ge=0.5, le=2)], ...], Field(strict=False)] = ()
    """Also train on every recording at these speeds, as if other people spoke."""
    conditions: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Also train on every recording with these degradations (emofuse.features.voice.degradations), which
    makes the recognizer robust to them and to others."""

    @model_validator(mode="after")
    def _consistent(self) -> VoicePart:
        wanted = {
            "alexnet": ("rosred-image",), "default": ("log-mel",), "mlp": ("rosred-1d",),
            "ensemble": ("descriptors", "encoder", "onnx", "table"),
        }[self.network.kind]  # fmt: skip
        if (self.speeds or self.conditions) and self.network.kind != "ensemble":
            raise ValueError("speeds and conditions go with network.kind = 'ensemble'")
        if (self.speeds or self.conditions) and self.features.kind == "table":
            raise ValueError("a table holds recordings as they are: leave out speeds and conditions")
        both = self.features.kind == "descriptors" and self.features.encoder_sha256 is not None
        if self.network.encoder is not None and not both:
            raise ValueError("network.encoder goes with descriptors and encoder_sha256")
        if self.network.attention is not None and not self.features.encoder_parts:
            raise ValueError("network.attention needs features.encoder_parts")
        if self.features.kind not in wanted:
            raise ValueError(
                f"network {self.network.kind!r} reads features {' or '.join(map(repr, wanted))}, got "
                f"{self.features.kind!r}"
            )
        return self

    @property
    def variants(self) -> tuple[VoiceFeatures, ...]:
        """How every training recording is read: as it is, at other speeds, degraded."""
        return (
            self.features,
            *(self.features.model_copy(update={"speed": speed}) for speed in self.speeds),
            *(self.features.model_copy(update={"condition": name}) for name in self.conditions),
        )
