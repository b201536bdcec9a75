from __future__ import annotations

import pytest

from emofuse.core.text import encodable, one_line, printable, printable_data, shown


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("plain – naïve 日本.mp4", "plain – naïve 日本.mp4"),
        ("red\x1b[31m\x07.wav", "red\\x1b[31m\\x07.wav"),
        ("over\r\x9b2Kwritten", "over\\r\\x9b2Kwritten"),
        ("gpj.\u202eexe.mp4", "gpj.\\u202eexe.mp4"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("caf\udce9.wav", "caf\\xe9.wav"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
    ],
)
def test_terminal_control_characters_are_escaped(name: str, escaped: str) -> None:
    assert shown(name) == escaped


def test_bytes_that_are_not_utf_8_are_printable() -> None:
    assert printable("caf\udce9.wav") == "caf\\xe9.wav"
    assert printable("naïve 日本.mp4") == "naïve 日本.mp4"
    assert printable("\ud800\udfff\udce9") == "\\ud800\\udfff\\xe9"  # no name of a file: of a label, say


def test_every_text_of_plain_data_is_printable() -> None:
    data = {"caf\udce9": ["\ud800", ("\udcff", 1)], "n": {"x": None, "y": 0.5}}
    assert printable_data(data) == {"caf\\xe9": ["\\ud800", ["\\xff", 1]], "n": {"x": None, "y": 0.5}}


def test_invalid_characters_are_replaced() -> None:
    assert encodable("a\x00b\ud800c\uffffd") == "a\ufffdb\ufffdc\ufffdd"
    assert encodable("two\nlines 日本") == "two\nlines 日本"


def test_one_line_has_no_breaks_or_controls() -> None:
    assert one_line(" a\r\n\tb\u2028c\x9bd\n") == "a b c d"
