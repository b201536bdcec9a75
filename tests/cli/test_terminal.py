from __future__ import annotations

import pytest

from emofuse.cli.terminal import say


def test_problems_name_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b]0;title\x07.wav: no film")
    assert capsys.readouterr() == ("", "emofuse: \\x1b]0;title\\x07.wav: no film\n")
