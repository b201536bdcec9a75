from __future__ import annotations

import pytest

from emofuse.cli.terminal import say, shown


@pytest.mark.parametrize(
    ("name", "told"),
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
def test_what_would_steer_a_terminal_is_escaped(name: str, told: str) -> None:
    assert shown(name) == told


def test_problems_name_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b]0;title\x07.wav: no film")
    assert capsys.readouterr() == ("", "emofuse: \\x1b]0;title\\x07.wav: no film\n")
