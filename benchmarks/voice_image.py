"""The notebooks' spectrogram image, computed directly, compared with drawing it with matplotlib.

    python benchmarks/voice_image.py AUDIO... [--repeats N]

Both start from the same samples. The drawing: librosa's mel spectrogram in decibels, its specshow with the
default color map, saved without axes, loaded, resized to 224×224.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path

import cv2
import librosa
import librosa.display
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from typing import Any

import matplotlib.pyplot as plt

from emofuse.core.recipes.voice import VoiceFeatures
from emofuse.features.voice.rosred import rosred_image
from emofuse.features.voice.segment import voice_segment
from emofuse.media.decoding import decode

FEATURES = VoiceFeatures(
    kind="rosred-image", sample_rate_hz=48000, trim_db=60.0, trim_margin_s=0.0, fmin_hz=0.0, fmax_hz=None
)


def drawn(segment: np.ndarray) -> np.ndarray:
    """(224, 224, 3) uint8 RGB, as in the notebooks."""
    mel = librosa.feature.melspectrogram(y=segment, sr=48000, n_fft=2048, hop_length=512, n_mels=128)
    figure = plt.figure()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    librosa.display.specshow(librosa.power_to_db(mel, ref=np.max), sr=48000, hop_length=512, ax=axes)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    image: Any = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.resize(image, (224, 224), interpolation=cv2.INTER_NEAREST_EXACT)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sounds", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    totals, differences = np.zeros(2), []
    for path in args.sounds:
        audio = decode(path).audio
        assert audio is not None
        segment, _ = voice_segment(audio, FEATURES)
        rounds = []
        for _ in range(args.repeats):
            start = time.perf_counter()
            theirs = drawn(segment)
            middle = time.perf_counter()
            direct = rosred_image(segment, FEATURES)
            rounds.append((middle - start, time.perf_counter() - middle))
        totals += [statistics.median(column) for column in zip(*rounds, strict=True)]
        differences.append(float(np.abs(theirs.astype(int) - direct).mean()))
    n = len(args.sounds)
    print(f"{n} recordings, {args.repeats} repeats, medians")
    print(f"{'drawn ms':>9} {'direct ms':>10} {'ratio':>7} {'mean difference':>16} {'largest mean':>13}")
    print(
        f"{1e3 * totals[0] / n:>9.1f} {1e3 * totals[1] / n:>10.2f} {totals[0] / totals[1]:>6.1f}x "
        f"{np.mean(differences):>12.2f}/255 {max(differences):>9.2f}/255"
    )


if __name__ == "__main__":
    main()
