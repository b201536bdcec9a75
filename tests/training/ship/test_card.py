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
