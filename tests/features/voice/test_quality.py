from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emofuse.core.recipes.load import load_recipe
from emofuse.core.records import Waveform
from emofuse.features.extraction import extract
from emofuse.features.voice.quality import CLIPPED_SHARE, clipped_share
from emofuse.media.decoding import decode

RECIPE = load_recipe("default")
LOUD = ["03-01-03-02-02-01-10", "03-01-05-02-02-01-02", "03-01-05-02-02-01-04", "03-01-05-02-01-01-14"]


def notes(audio: Waveform, *, judge_speech: bool = True) -> list[str]:
    found = extract(audio, RECIPE, face=False, judge_speech=judge_speech).notes
    return [note for note in found if "clipped" in note]


def test_the_share_is_counted_in_the_worst_channel() -> None:
    samples = np.zeros((2, 1000), np.float32)
    samples[1, :7] = [1, -1, 0.995, -0.99, 0.98, 0.5, -1.2]
    assert clipped_share(samples) == 0.005
    assert clipped_share(np.zeros((1, 0), np.float32)) == 0


def test_the_note_says_how_much() -> None:
    tone = np.sin(2 * np.pi * 200.25 * np.arange(16000) / 16000)
    for gain, share in (
        (1.5, 1 - 2 / np.pi * np.arcsin(0.99 / 1.5)),
        (4.0, 1 - 2 / np.pi * np.arcsin(0.99 / 4)),
    ):
        audio = Waveform(np.clip(gain * tone, -1, 1).astype(np.float32)[None], 16000)
        assert clipped_share(audio.samples) == pytest.approx(share, abs=0.01)
        (note,) = notes(audio)
        assert note.endswith("% at full scale): the voice may be read wrongly")
        assert float(note.split("(")[1].split("%")[0]) == pytest.approx(100 * share, abs=1.5)
        assert notes(audio, judge_speech=False) == []
    assert notes(Waveform((0.98 * tone).astype(np.float32)[None], 16000)) == []


@pytest.mark.parametrize("name", LOUD)
def test_loud_real_voices_are_not_clipped_and_overdriven_ones_are(name: str, ravdess: Path) -> None:
    audio = decode(ravdess / f"audio/Actor_{name[-2:]}/{name}.flac").audio
    assert audio is not None
    peak = np.abs(audio.samples).max()
    assert peak > 0.99
    assert notes(audio) == []

    def turned_up(gain: float) -> Waveform:
        pcm = np.clip(np.rint(audio.samples / peak * gain * 32768), -32768, 32767)
        return Waveform((pcm / 32768).astype(np.float32), audio.sample_rate_hz)

    assert notes(turned_up(1.0)) == []
    assert clipped_share(turned_up(1.5).samples) > 2 * CLIPPED_SHARE
    assert len(notes(turned_up(1.5))) == 1
