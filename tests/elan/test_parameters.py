from __future__ import annotations

import locale
from pathlib import Path

import pytest

from emofuse.core.errors import ParameterError
from emofuse.elan.parameters import read_parameters

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<PARAM xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)


def document(**values: object) -> bytes:
    given = {"source": "a.mp4", "output_tiers": "tiers.xml"} | values
    params = "".join(f'<param name="{name}">{value}</param>\n' for name, value in given.items())
    return f"{HEAD}{params}</PARAM>\n".encode()


def test_values_and_defaults() -> None:
    plain = read_parameters(document())
    assert (plain.source, plain.tiers, plain.bundle) == (Path("a.mp4"), Path("tiers.xml"), None)
    assert (plain.with_confidence, plain.abstain_below, plain.window_s) == (True, 0.4, 3.0)
    chosen = read_parameters(
        document(confidence_tiers="no", abstain_below="0.55", window_s="2.0", bundle="my bundle", more="x")
    )
    assert (chosen.with_confidence, chosen.abstain_below, chosen.window_s) == (False, 0.55, 2.0)
    assert chosen.bundle == Path("my bundle")


def test_a_number_that_nobody_has_set_is_the_default() -> None:
    assert read_parameters(document(abstain_below="1.4E-45")).abstain_below == 0.4
    assert read_parameters(document(abstain_below="0.0")).abstain_below == 0.0


def test_paths_with_spaces_and_entities(tmp_path: Path) -> None:
    film = tmp_path / "Tom & Ännchen's talk.mp4"
    film.touch()
    for written in (str(film), str(film).replace(" ", "%20")):
        escaped = written.replace("&", "&amp;").replace("'", "&apos;")
        assert read_parameters(document(source=escaped)).source == film
    assert read_parameters(document(source="100%25.mp4")).source == Path("100%25.mp4")


def test_other_encodings_than_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getencoding", lambda: "cp1252")
    data = document(source="Gespräch.mp4").decode().encode("cp1252")
    assert read_parameters(data).source == Path("Gespräch.mp4")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not XML"),
        (b"<PARAM><param", "not XML"),
        (b"\xff\xfe\x00broken", "not XML"),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><PARAM>&a;</PARAM>', "entities"),
        (document(source=""), "no recording was chosen"),
        (document(output_tiers=""), "no file for the tiers"),
        (document(abstain_below="many"), "abstain_below must be a number from 0 to 1, got 'many'"),
        (document(abstain_below="nan"), "abstain_below must be"),
        (document(window_s="99"), "window_s must be a number from 1 to 10"),
    ],
)
def test_what_cannot_be_used_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        read_parameters(data)
