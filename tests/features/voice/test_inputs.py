from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.voice.inputs import voice_array, voice_shape
from tests.support.speech import speech_like


@pytest.mark.parametrize(
    "features",
    [
        VoiceFeatures(),
        VoiceFeatures(pitch=True, hop_length=333),
        VoiceFeatures(kind="descriptors", pitch=True),
        VoiceFeatures(kind="rosred-image"),
        VoiceFeatures(kind="rosred-1d"),
    ],
    ids=lambda features: f"{features.kind}{'-pitch' if features.pitch else ''}",
)
def test_the_shape_is_known_before_the_array(features: VoiceFeatures) -> None:
    array = voice_array(speech_like(features.sample_rate_hz, features.duration_s), features)
    assert array.shape == voice_shape(features)
    assert np.isfinite(array).all()
