from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, cast

import cv2
import pytest

from emofuse.evaluation.cross_picture import draw_matrix, write_pictures
from emofuse.evaluation.cross_results import CellEntry, CrossResults

NAMES = ["RAVDESS", "nEMO", "<b>&mine"]


def cell(kind: str, train: list[str], test: str, uar: float | None, **more: Any) -> CellEntry:
    systems: Any = {}
    if uar is not None:
        systems = {
            "fused": {
                "n": 40, "n_speakers": 4, "accuracy": uar, "accuracy_ci95": [uar, uar], "uar": uar,
                "uar_ci95": [max(0, uar - 0.05), min(1, uar + 0.05)],
            }
        }  # fmt: skip
    entry: Any = {
        "condition": "none", "kind": kind, "train": train, "test": test,
        "labels": ["neutral", "happy", "sad", "angry"], "merged": {}, "left_out": [], "folds": 1,
        "systems": systems, "recall": {}, "seen_before": [], "problem": None if systems else "too few",
    }  # fmt: skip
    return cast(CellEntry, {**entry, **more})


@pytest.fixture
def results() -> CrossResults:
    cells = [cell("within", [name], name, 0.9) for name in NAMES]
    cells += [cell("pair", [a], b, 0.25) for a in NAMES for b in NAMES if a != b]
    cells += [cell("rest", [a for a in NAMES if a != b], b, None) for b in NAMES]
    cells += [
        cell("recognizer", ["shipped"], b, 1.0, seen_before=["shipped"] if b == "nEMO" else []) for b in NAMES
    ]
    corpora = [
        {"name": name, "licence": "", "takes": 40, "speakers": 4, "labels": {"sad": 40}} for name in NAMES
    ]
    return cast(CrossResults, {
        "schema": 1, "cells": cells, "corpora": corpora, "conditions": {"none": "as they are"},
        "pretrained": [{"part": "encoder", "trained_on": "the web", "corpora": None}],
    })  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_every_cell_has_its_figure_and_letters_that_can_be_read(results: CrossResults, dark: bool) -> None:
    root = ET.fromstring(draw_matrix(results, dark=dark))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert texts.count("90.0") == 3
    assert texts.count("25.0") == 6
    assert texts.count("not measured") == 3
    assert texts.count("4 labels, seen before!") == 1
    assert texts.count("all others") == 1
    assert "<b>&mine" in texts
    # each text on the rectangle that was drawn last below it
    boxes: list[tuple[float, float, float, float, str]] = []
    for element in root:
        given = element.attrib
        if element.tag == f"{space}rect":
            x, y = float(given.get("x", 0)), float(given.get("y", 0))
            boxes.append((x, y, x + float(given["width"]), y + float(given["height"]), given["fill"]))
        elif element.tag == f"{space}text":
            x, y = float(given["x"]), float(given["y"])
            under = [box for box in boxes if box[0] <= x <= box[2] and box[1] <= y <= box[3]]
            assert contrast(under[-1][4], given["fill"]) >= 4.5, (element.text, under[-1], given["fill"])


def contrast(one: str, other: str) -> float:
    """By WCAG 2."""

    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_files_have_the_size_of_the_drawing(results: CrossResults, tmp_path: Path) -> None:
    write_pictures(tmp_path, results)
    width, height = re.findall(r'(?:width|height)="([0-9.]+)"', (tmp_path / "matrix.svg").read_text())[:2]
    pixels = cv2.imread(str(tmp_path / "matrix.png"))
    assert pixels is not None
    assert pixels.shape[:2] == (2 * round(float(height)), 2 * round(float(width)))
    assert len({tuple(color) for color in pixels[::7, ::7].reshape(-1, 3).tolist()}) > 5
    assert (tmp_path / "matrix.svg").read_text() != (tmp_path / "matrix-dark.svg").read_text()
