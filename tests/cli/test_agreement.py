from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emofuse.cli.app import app
from emofuse.core.errors import AnnotationError, ExportError
from tests.coding.conftest import coded  # noqa: F401
from tests.support.annotation_files import write_eaf


def test_figures_remarks_and_files(coded: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(coded)
    write_eaf(coded / "talk.eva.eaf", {"mood": [(0.0, 100.0, "joy"), (100.0, 200.0, "SAD")]})
    args = ["agreement", "talk.mp4.json", "talk.eva.eaf", "Tim=talk.tim.eaf", "--tier", "mood=Anna",
            "--tier", "Anna", "--labels", "joy=happy", "-o", "a.html", "-o", "a.csv"]  # fmt: skip
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    for text in (
        "eva and Tim",
        "eva and emofuse",
        "95 % intervals over 10 minutes",
        "wrote a.html",
        "wrote a.csv",
    ):
        assert text in result.output
    assert "Krippendorff's alpha of eva, Tim, emofuse: " in result.output
    assert (coded / "a.html").is_file() and (coded / "a.csv").is_file()


def test_errors_say_the_way_out(coded: Path) -> None:  # noqa: F811
    given = [str(coded / "talk.mp4.json"), str(coded / "talk.eva.eaf")]
    for more, error, says in (
        (["-o", "a.pdf"], ExportError, "suffix .html"),
        (["--tier", "Anna=Carl"], AnnotationError, "there is no Carl"),
        (["--tier", "=Anna"], AnnotationError, "write TIER or TIER=PERSON"),
        (["--labels", "none"], AnnotationError, "or pairs, joy=happy"),
    ):
        result = CliRunner().invoke(app, ["agreement", *given, *more])
        assert isinstance(result.exception, error)
        assert says in str(result.exception)
    assert CliRunner().invoke(app, ["agreement", *given, "--unit", "0.0001"]).exit_code == 2
    assert CliRunner().invoke(app, ["agreement", *given, "--unit", "0.0125"]).exit_code == 2
