"""A run as ``emofuse evaluate`` leaves it, with every part, from seeded random numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emofuse.core import metrics
from emofuse.core.labels import EMOTIONS
from emofuse.evaluation.group_metrics import group_figures
from emofuse.evaluation.run_files import Run, read_run

FOLDS = {
    "1": range(1, 5),
    "2": range(5, 9),
    "3": range(9, 13),
    "4": range(13, 17),
    "5": range(17, 21),
}
SKILL = {
    "voice": 0.9,
    "face": 1.0,
    "fused:lr": 1.75,
    "fused:pca-lr": 1.7,
    "fused:svm": 1.8,
    "fused:nn": 1.55,
    "fused": 1.78,
}
CHOICE = {"1": "lr", "2": "svm", "3": "svm", "4": "lr", "5": "svm"}


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 actors and 600 takes with details, a map and examples. Read only: copy it to change it."""
    run = tmp_path_factory.mktemp("run")
    write_run(run)
    return run


@pytest.fixture(scope="session")
def complete_run(full_run: Path) -> Run:
    """A run with every optional part of results.json."""
    found = read_run(full_run)
    results = json.loads(json.dumps(dict(found.results)))
    results["protocol_hash"] = "ccd8132964652675"
    results["groups"] = {}
    for index, name in enumerate(("voice", "face", "fused")):
        scores = found.scores[name]
        groups = group_figures(scores.takes.tolist(), scores.truth, scores.probabilities, scores.actors, 0)
        results["groups"][name] = [json.loads(json.dumps(g.as_dict())) for g in groups]
        at = {"accuracy": 0.8123 + index / 100, "ci95": [0.75, 0.875], "threshold": 0.4321 + index / 10}
        results["systems"][name]["coverage"] = {"coverage": [1.0], "accuracy": [0.7], "at": {"0.8": at}}
        results["systems"][name]["ece_ci95"] = [0.0213, 0.0765]
        results["systems"][name]["n"] = 600
    results["enrolment"] = {
        "systems": {
            "fused": [
                {"clips": clips, "accuracy": 0.7 + i / 37, "ci95": [0.6111, 0.9], "draws": draws}
                for i, (clips, draws) in enumerate(((0, 1), (1, 5), (30, 5), ("all", 1)))
            ]
        }
    }
    results["robustness"] = [
        {"condition": condition, "system": "fused", "accuracy": accuracy, "ci95": [0.5, 0.9], "n": 600}
        for condition, accuracy in (("noise | 10 dB", 0.6543), ("clean", 0.7777))
    ]
    details = {**found.details, "command": ["evaluate", "my corpus", "--recipe", "ravdess-au"]}
    return Run(found.path, results, found.scores, details)


def write_run(run: Path) -> None:
    """Write every file of a run."""
    rng = np.random.default_rng(4)
    takes = _takes()
    skills = {f"{actor:02d}": rng.normal(1, 0.3) for actor in range(1, 21)}
    rows = [row for name in SKILL for row in _rows(name, takes, skills, rng)]
    with (run / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["take", "clip", "actor", "emotion", "fold", "system", *EMOTIONS])
        writer.writeheader()
        writer.writerows(rows)
    (run / "results.json").write_text(json.dumps(_results(rows), indent=1), encoding="utf-8")
    (run / "details.json").write_text(json.dumps(_details(takes, rng)), encoding="utf-8")
    _write_map(run, takes, rng)
    _write_examples(run, rows, rng)


def _takes() -> list[dict[str, str]]:
    takes = []
    for fold, actors in FOLDS.items():
        for actor in actors:
            for k in range(30):
                emotion = k % 15 // 2 + 1 if k % 15 else 1
                take = f"01-{emotion:02d}-{1 + k // 15:02d}-{1 + k % 2:02d}-{k:02d}-{actor:02d}"
                takes.append(
                    {
                        "take": take,
                        "clip": f"03-{take}",
                        "actor": f"{actor:02d}",
                        "emotion": EMOTIONS[emotion - 1],
                        "fold": fold,
                    }
                )
    return takes


def _rows(
    name: str, takes: list[dict[str, str]], skills: dict[str, float], rng: np.random.Generator
) -> list[dict[str, Any]]:
    rows = []
    for index, take in enumerate(takes):
        if name == "face" and index % 50 == 7:
            continue  # a take without a face
        logits = rng.normal(0, 1.1, len(EMOTIONS))
        truth = EMOTIONS.index(take["emotion"])
        logits[truth] += 1.3 * SKILL[name] * skills[take["actor"]]
        if truth in (0, 1, 3):
            logits[[0, 1, 3]] += 0.8
        probabilities = np.exp(1.4 * logits) / np.exp(1.4 * logits).sum()
        values = {e: f"{p:.8f}" for e, p in zip(EMOTIONS, probabilities, strict=True)}
        rows.append({**take, "system": name, **values})
    return rows


def _results(rows: list[dict[str, Any]]) -> dict[str, Any]:
    systems = {}
    for name in SKILL:
        mine = [row for row in rows if row["system"] == name]
        truth, scores = _arrays(mine)
        predicted = scores.argmax(axis=1)
        actors = [row["actor"] for row in mine]
        systems[name] = {
            "accuracy": metrics.accuracy(truth, predicted),
            "uar": metrics.uar(truth, predicted),
            "f1_macro": metrics.f1_macro(truth, predicted),
            "accuracy_ci95": metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=0),
            "uar_ci95": metrics.bootstrap_interval(metrics.uar, truth, predicted, actors, seed=0),
            "log_loss": metrics.log_loss(truth, scores),
            "ece": metrics.expected_calibration_error(truth, scores),
            "folds": [_fold(fold, [r for r in mine if r["fold"] == fold]) for fold in FOLDS],
        }
    return {
        "schema": 1,
        "protocol": "six-fold",
        "speaker_independent": True,
        "recipe": {"name": "ravdess-au", "hash": "9b1f03ac77de", "settings": _settings()},
        "pretrained_sha256": None,
        "seed": 0,
        "corpus": {
            "name": "RAVDESS speech",
            "clips": 600,
            "actors": 20,
            "synthetic": False,
            "licence": "CC BY-NC-SA 4.0",
        },
        "notes": ["fold 6 dropped: none of its actors 21 to 24 is in the corpus"],
        "systems": systems,
        "fused_choice": CHOICE,
        "software": {"emofuse": "0.1.0", "python": "3.11.9", "torch": "2.5.1", "scikit-learn": "1.6.0"},
        "started": "2025-01-05T10:00:00+00:00",
        "finished": "2025-01-05T11:02:11+00:00",
        "seconds": 3731.2,
    }


def _arrays(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    truth = np.array([EMOTIONS.index(row["emotion"]) for row in rows])
    return truth, np.array([[float(row[e]) for e in EMOTIONS] for row in rows])


def _fold(fold: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    truth, scores = _arrays(rows)
    predicted = scores.argmax(axis=1)
    return {
        "fold": fold,
        "test_actors": [str(actor) for actor in FOLDS[fold]],
        "n": len(rows),
        "accuracy": metrics.accuracy(truth, predicted),
        "uar": metrics.uar(truth, predicted),
    }


def _settings() -> dict[str, Any]:
    return {
        "name": "ravdess-au",
        "description": "voice from sound, face from the action-unit table",
        "seed": 0,
        "voice": {
            "features": {"kind": "log-mel", "sample_rate_hz": 16000, "trim_db": 35.0, "fmax_hz": None},
            "training": {"epochs": 40, "augmentation": {"strength": 1.0, "mixup": 0.2}},
        },
        "face": {"features": {"kind": "au-table", "table": "openface_au_mean.csv"}},
        "fusion": {"inputs": "probabilities", "classifiers": ["lr", "pca-lr", "svm", "nn"], "trials": 20},
    }


def _curve(fold: str, member: int, modality: str, rng: np.random.Generator) -> dict[str, Any]:
    pace, floor = (0.13, 0.9) if modality == "voice" else (0.22, 1.1)
    pace *= rng.uniform(0.8, 1.2)
    epochs = []
    for epoch in range(1, int(rng.integers(28, 41))):
        fallen = np.exp(-pace * epoch)
        held_out = floor + 1.2 * fallen + 0.004 * epoch + rng.normal(0, 0.03)
        epochs.append(
            {
                "epoch": epoch,
                "train_loss": 0.2 + 1.9 * fallen + rng.normal(0, 0.02),
                "held_out_loss": held_out,
                "held_out_accuracy": float(np.clip(0.95 - 0.4 * held_out + rng.normal(0, 0.02), 0, 1)),
            }
        )
    return {"fold": fold, "member": member, "modality": modality, "epochs": epochs}


def _details(takes: list[dict[str, str]], rng: np.random.Generator) -> dict[str, Any]:
    return {
        "curves": [
            _curve(fold, member, modality, rng)
            for fold in FOLDS
            for member in range(4)
            for modality in ("voice", "face")
        ],
        "tuning": [
            {
                "fold": fold,
                "classifier": name,
                "best": {"lr": {"C": 0.0133}, "svm": {"C": 3.2, "kernel": "rbf", "gamma": "scale"}}.get(
                    name, {"components": 12, "C": 0.41}
                ),
                "score": -0.8 + 0.02 * int(fold),
                "trials": 20,
            }
            for fold in FOLDS
            for name in ("lr", "pca-lr", "svm", "nn")
        ],
        "sources": {t["take"]: {"voice": f"Actor_{t['actor']}/{t['clip']}.wav", "face": None} for t in takes},
        "features_notes": {t["take"]: ["no face in 3 of 20 frames: …"] for t in takes[:5]},
        "failed": [{"clip": "03-01-01-01-01-01-99.wav", "error": "no <audio> stream & nothing else"}],
    }


def _write_map(run: Path, takes: list[dict[str, str]], rng: np.random.Generator) -> None:
    chosen = [t for t in takes if t["fold"] == "1"]
    emotion = np.array([EMOTIONS.index(t["emotion"]) for t in chosen])
    features = rng.normal(0, 1, (8, 60))[emotion] + rng.normal(0, 1.6, (len(chosen), 60))
    (run / "maps").mkdir()
    np.savez(
        run / "maps" / "fused-fold-1.npz",
        features=features.astype(np.float32),
        takes=np.array([t["take"] for t in chosen]),
        emotion=emotion,
    )


def _write_examples(run: Path, rows: list[dict[str, Any]], rng: np.random.Generator) -> None:
    fused = [row for row in rows if row["system"] == "fused"]
    truth, scores = _arrays(fused)
    wrong = np.flatnonzero(scores.argmax(axis=1) != truth)
    (run / "examples").mkdir()
    for rank, index in enumerate(wrong[np.argsort(-scores[wrong].max(axis=1))][:4]):
        arrays: dict[str, Any] = {"probabilities": scores[index]}
        if rank != 1:
            arrays["log_mel"] = _spectrogram(rng)
        if rank != 2:
            arrays["strip"] = _faces(rng)
        np.savez(
            run / "examples" / f"{rank}.npz",
            take=fused[index]["take"],
            emotion=fused[index]["emotion"],
            predicted=EMOTIONS[int(scores[index].argmax())],
            **arrays,
        )


def _spectrogram(rng: np.random.Generator) -> np.ndarray:
    mel, frame = np.mgrid[0:80, 0:241]
    pitch = 12 + 3 * np.sin(frame / 30)
    harmonics: Any = sum(np.exp(-((mel - k * pitch) ** 2) / 4) / k for k in range(1, 7))
    voiced = np.exp(-(((frame - 120) / 70) ** 4))
    level = 20 * np.log10(0.001 + harmonics * voiced) + rng.normal(0, 2, mel.shape)
    return np.asarray(level, np.float32)


def _faces(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    frames = []
    for k in range(20):
        face = 60 + 120 * ((x / 0.8) ** 2 + y**2 < 0.8)
        for side in (-0.3, 0.3):
            face = np.where((x - side) ** 2 + (y + 0.25) ** 2 < 0.012, 30, face)
        mouth = np.abs(y - 0.45) < 0.03 + 0.06 * abs(np.sin(k / 3))
        face = np.where(mouth & (np.abs(x) < 0.3), 50, face)
        frames.append(face + rng.normal(0, 4, face.shape))
    return np.clip(frames, 0, 255).astype(np.uint8)
