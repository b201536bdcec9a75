"""The voice part of a recipe: its features, its network, and how that is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from emofuse.core.recipes.part import Ensemble, Fraction, Part, Positive, Training


class VoiceFeatures(Part):
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


class VoiceNetwork(Part):
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


class VoicePart(Part):
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
