"""The card of the recognizer that comes with emofuse says what its bundle says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from emofuse.recognition.bundle import load_bundle
from emofuse.recognition.recognizer import Recognizer
from emofuse.training.ship.card import NAME, shipped_card


@pytest.fixture(scope="module")
def shipped() -> Path:
    return Recognizer.load().bundle.folder


def test_the_card_in_the_package_is_that_of_the_bundle(shipped: Path) -> None:
    assert (shipped / NAME).read_text() == shipped_card(load_bundle(shipped))


def test_its_figures_are_those_of_the_bundle(shipped: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped, tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"]["check"]["films"]["right"] = 77
    manifest["provenance"]["voice"]["accuracy_on_held_out_speakers"] = 0.123
    path.write_text(json.dumps(manifest))
    card = shipped_card(load_bundle(tmp_path / "bundle"))
    assert "Videos: 77 of 9 correct." in card
    assert "12.3 %" in card


def with_voice(shipped: Path, folder: Path, **facts: object) -> str:
    """The card of the bundle, had its voice these facts."""
    shutil.copytree(shipped, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["provenance"]["voice"] |= facts
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return shipped_card(load_bundle(folder))


def tables(card: str) -> list[list[list[str]]]:
    """The cells of every table, row by row."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(card):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level > 3:
            found[-1][-1].append(token.content)
    return found


def test_damage_has_a_row_of_its_own(shipped: Path, tmp_path: Path) -> None:
    corpora = load_bundle(shipped).provenance["voice"]["corpora"]
    half = [{**one, "uar": 0.5, "uar_ci95": [0.4, 0.6]} for one in corpora]
    damaged = {"condition": "telephone", "accuracy": 0.25, "accuracy_ci95": [0.2, 0.3], "corpora": half}
    telephone = "300 to 3400 Hz at 8 kHz, G.711 µ-law with the active speech at -26 dBov"
    several = with_voice(shipped, tmp_path / "several", damaged=[damaged])
    assert "mean recall %" in several
    clean = ["76.1 (71.2 to 81.1)", "65.7 (51.7 to 80.4)"]
    assert [
        ["damage", "RAVDESS", "nEMO"], ["none", *clean], [telephone, *["50.0 (40.0 to 60.0)"] * 2]
    ] in tables(several)  # fmt: skip
    damaged["corpora"] = []
    single = with_voice(shipped, tmp_path / "single", damaged=[damaged], corpora=[])
    assert ["damage", "all"] in [table[0] for table in tables(single)]
    assert [telephone, "25.0 (20.0 to 30.0)"] in [table[-1] for table in tables(single)]
    without = with_voice(shipped, tmp_path / "without", damaged=[])
    assert "Under damage" not in without and "see docs/results.md." in without


def test_it_names_out_of_scope_uses(shipped: Path) -> None:
    card = shipped_card(load_bundle(shipped))
    assert "does not recognize what somebody feels" in card
    assert "CC BY-NC-SA 4.0" in card


def test_text_from_a_bundle_cannot_make_markup(shipped: Path, tmp_path: Path) -> None:
    hostile = "<script>x</script> **bold** [a](b) | `c`\n# heading &lt; R&D"
    shutil.copytree(shipped, tmp_path / "bundle")
    path = tmp_path / "bundle" / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"]["corpus"] = hostile
    manifest["provenance"]["check"]["films"]["each"][0]["clip"] = hostile
    path.write_text(json.dumps(manifest))
    tokens = MarkdownIt("commonmark").enable("table").parse(shipped_card(load_bundle(tmp_path / "bundle")))
    pieces = [child for token in tokens for child in token.children or [token]]
    one_line = " ".join(hostile.split())
    assert one_line in [piece.content for piece in pieces]
    assert any(f"on {one_line}: 2,040 recordings" in piece.content for piece in pieces)
    assert {piece.type for piece in pieces if piece.content} == {"text"}
    assert sum(token.type == "heading_open" for token in tokens) == 5
