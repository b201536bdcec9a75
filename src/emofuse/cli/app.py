"""The command line: parse, call, print. Errors that a user can meet are caught here, once."""

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
    help="Reads the emotion a person expresses from voice and face together.",
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


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emofuse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _end(_number: int, _frame: object) -> NoReturn:
    """End as on an interrupt: what is half written is removed on the way out."""
    sys.exit(143)


def main() -> None:
    """Run the command line; one line a problem, exit status 1 for what failed, 130 for an interrupt."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal or pipe of another encoding: names and bars come escaped, not as a traceback
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except EmofuseError as error:
        print_message(str(error))
        sys.exit(1)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print_message(f"{named}{error.strerror or error}")
        sys.exit(1)
    except KeyboardInterrupt:
        print_message("interrupted")
        sys.exit(130)
    except SystemExit as end:
        # Typer makes an Exit of an interrupt, and this of the Exit, and says nothing
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            print_message("interrupted")
        raise
