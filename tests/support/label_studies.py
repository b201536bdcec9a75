"""Studies of 2, 12 and 50 labels: recordings of their own, with a table, and a recognizer trained on them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.label_names import in_order
from tests.support import small_corpora

LABELS = {
    2: ("stressed", "not stressed"),
    12: (
        "très content", "mécontent", "Ärger", "怒り", "à l’aise", "🙂", "A/B", "-1", "100 %", "[bold]",
        "<b>&amp;", "stress_s",
    ),
    50: (
        *(f"label {number:02d}" for number in range(46)),
        "stress_low",
        "stress_high",
        "looks away and says nothing after the interviewer's question",
        "Aufmerksamkeitsdefizithyperaktivitätsstörungsverdachtsmoment",
    ),
}  # fmt: skip
"""By their number. The last two of 50 are as long as a label may be, one of them a single word."""
VOICE = 'extends = "default"\nname = "small-voice"\nmodalities = ["voice"]\n' + small_corpora.VOICE
FUSION = "\n[fusion]\ninner_folds = 2\n"
SPEAKERS = 4


@dataclass(frozen=True)
class Study:
    """A corpus of recordings, and what was made of it."""

    folder: Path
    labels: tuple[str, ...]
    """As the table has them."""

    @property
    def table(self) -> Path:
        return self.folder / "clips.csv"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def emotions(self) -> tuple[str, ...]:
        """The labels in the order in which they are shown."""
        return in_order(self.labels)

    def clips(self, speaker: int) -> list[Path]:
        """All recordings of a speaker."""
        return sorted(self.folder.glob(f"s{speaker}-*.wav"))

    def command(self, *args: object) -> Any:
        """Run a command that must succeed."""
        result = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "150"})
        assert result.exit_code == 0, result.output
        return result


def trained_study(folder: Path, labels: tuple[str, ...]) -> Study:
    """A study whose recognizer is in the folder ``bundle``: trained on the voice, by the commands."""
    write_study(folder, labels, takes=4 if len(labels) == 2 else 1)
    (folder / "voice.toml").write_text(VOICE + FUSION)
    one = Study(folder, labels)
    one.command("train", one.table, "--recipe", folder / "voice.toml", "--jobs", 1, "--out", one.bundle)
    return one


def write_study(folder: Path, labels: tuple[str, ...], takes: int) -> None:
    """WAV files, their table, and a table of action units in place of videos."""
    folder.mkdir(parents=True, exist_ok=True)
    clips: list[list[str]] = [["path", "emotion", "speaker", "take"]]
    units: list[list[Any]] = [["code", *small_corpora.ACTION_UNITS]]
    for speaker in range(1, SPEAKERS + 1):
        for index, label in enumerate(labels):
            for number in range(takes):
                take = f"s{speaker}-{index:02d}-{number}"
                samples = small_corpora.speech(index % 8, number + 10 * (index // 8), speaker)
                small_corpora.write_wav(folder / f"{take}.wav", samples)
                clips.append([f"{take}.wav", label, f"person {speaker}", take])
                rng = np.random.default_rng([index, number, speaker])
                means = 2 + 1.5 * np.cos(np.arange(len(small_corpora.ACTION_UNITS)) * (index + 1))
                units.append([f"01-{take}", *np.abs(means + 0.5 * rng.standard_normal(len(means))).round(4)])
    for name, rows in (("clips.csv", clips), (small_corpora.TABLE, units)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
