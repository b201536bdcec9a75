"""The command line. Errors that a user can meet are caught here, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from typing import Annotated, NoReturn

import typer

from emofuse.cli import (
    corpus,
    demo,
    enroll,
    evaluate,
    faces,
    leak,
    live,
    predict,
    quantize,
    recipes,
    report,
    robustness,
    ship,
    timeline,
    train,
    weights,
)
from emofuse.cli.printing import print_message
from emofuse.core.errors import EmofuseError
from emofuse.core.version import __version__

app = typer.Typer(
    name="emofuse",
    help="Recognize the emotion that a person expresses in voice and face.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    predict.predict,
    timeline.timeline,
    live.live,
    enroll.enroll,
    evaluate.evaluate,
    leak.leak,
    train.train,
    report.report,
    recipes.recipes,
    robustness.robustness,
    quantize.quantize,
    ship.ship,
):
    app.command()(command)
app.add_typer(corpus.app)
app.add_typer(weights.app)
app.add_typer(faces.app)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"emofuse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    """Exit as on an interrupt, so that partial files are removed."""
    sys.exit(143)


def main() -> None:
    """Run the command line: one line per error; exit status 1 after an error, 130 after an interrupt."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # characters that the encoding of a terminal or pipe lacks are escaped
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        app()
    except EmofuseError as error:
        print_message(str(error))
        sys.exit(1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print_message(f"{name}{error.strerror or error}")
        sys.exit(1)
    except KeyboardInterrupt:
        print_message("interrupted")
        sys.exit(130)
    except SystemExit as exit_:
        # Typer turns an interrupt into an Exit, the Exit into this, and prints nothing
        if exit_.__context__ is not None and isinstance(exit_.__context__.__cause__, KeyboardInterrupt):
            print_message("interrupted")
        raise
