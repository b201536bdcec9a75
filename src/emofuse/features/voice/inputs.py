"""A voice segment becomes the array that a voice network reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.core.records import Float32
from emofuse.features.embeddings.onnx_files import embed_voice, open_network
from emofuse.features.embeddings.pooled import embedding_views
from emofuse.features.voice.descriptors import compute_descriptors, descriptor_views
from emofuse.features.voice.pitch import pitch_rows
from emofuse.features.voice.rosred import IMAGE_SIDE_PX, STATISTICS_SIZE, rosred_1d, rosred_image
from emofuse.features.voice.spectrogram import log_mel
from emofuse.features.voice.speech_encoder import encode_speech, encoder_views
from emofuse.system.shared_settings import one_native_thread


def voice_array(segment: Float32, features: VoiceFeatures) -> NDArray[Any]:
    """The array of kind ``features.kind``, from the output of ``voice_segment``.

    Of several :attr:`VoiceFeatures.parts`, each is computed alone.
    """
    if features.kind == "log-mel":
        rows = log_mel(segment, features)
        if not features.pitch:
            return rows
        return np.vstack([rows, pitch_rows(segment, features.sample_rate_hz, features.hop_length)])
    if features.kind == "descriptors":
        rows = log_mel(segment, features)
        pitch = pitch_rows(segment, features.sample_rate_hz, features.hop_length)
        # small products: several threads, beside those that decode, make them three times slower
        with one_native_thread("blas"):
            return compute_descriptors(np.vstack([rows, pitch]))
    if features.kind == "encoder":
        return encode_speech(segment, str(features.encoder_sha256), features.encoder_parts)
    if features.kind == "onnx":
        assert features.embedding is not None
        return embed_voice(segment, features.embedding, features.encoder_parts)
    return (
        rosred_image(segment, features) if features.kind == "rosred-image" else rosred_1d(segment, features)
    )


def voice_shape(features: VoiceFeatures) -> tuple[int, ...]:
    """The shape of a recording's features, all parts joined."""
    if features.kind == "log-mel":
        n_samples = round(features.duration_s * features.sample_rate_hz)
        return features.n_mels + 2 * features.pitch, 1 + n_samples // features.hop_length
    if features.kind == "rosred-image":
        return IMAGE_SIDE_PX, IMAGE_SIDE_PX, 3
    if features.kind in ("descriptors", "encoder", "onnx", "table"):
        return (sum(view.stop - view.start for view in voice_views(features).values()),)
    return (STATISTICS_SIZE,)


def voice_views(features: VoiceFeatures) -> dict[str, slice]:
    """Where each view is in the values of an ensemble's voice: descriptors first, then the encoder's."""
    if features.embedding is not None:
        return embedding_views(features.embedding, features.encoder_parts)
    views = descriptor_views(features.n_mels) if features.kind == "descriptors" else {}
    if features.encoder_sha256 is not None:
        before = max((view.stop for view in views.values()), default=0)
        views |= encoder_views(before, features.encoder_parts)
    return views


def check_voice_needs(features: VoiceFeatures) -> None:
    """Check that everything needed to read voices is present; fail before hours of work.

    Raises:
        WeightsError: the recipe's ONNX file is missing, altered, or not one that is run.
    """
    if features.kind == "onnx":
        assert features.embedding is not None
        open_network("voice", features.embedding)
