"""The command line. Errors that a user can meet are caught here, and nowhere else."""

from __future__ import annotations

import errno
import io
import sys
from typing import Annotated, Final, NoReturn

import typer

from emofuse.cli import (
    agreement,
    compare,
    corpus,
    cross,
    demo,
    elan_recognizer,
    embed,
    enroll,
    evaluate,
    faces,
    leak,
    learning_curve,
    live,
    merge,
    predict,
    quantize,
    recipes,
    report,
    robustness,
    serve,
    ship,
    statistics,
    status,
    timeline,
    train,
    weights,
)
from emofuse.cli.interrupts import end_if_received, end_on_signals, received
from emofuse.cli.printing import print_message
from emofuse.core.errors import EmofuseError
from emofuse.core.version import __version__

_NO_MEMORY: Final = "there is not enough memory: close other programs, or use fewer jobs"
_NO_MEMORY_TO_LOAD: Final = ("failed to map segment", "cannot allocate memory", "cannot map zero-fill pages")
"""What the loader of glibc says of a library for which there is no memory."""

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
    merge.merge,
    statistics.statistics,
    status.status,
    live.live,
    elan_recognizer.elan_recognizer,
    enroll.enroll,
    serve.serve,
    evaluate.evaluate,
    cross.cross,
    leak.leak,
    train.train,
    report.report,
    compare.compare,
    agreement.agreement,
    learning_curve.learning_curve,
    recipes.recipes,
    embed.embed,
    robustness.robustness,
    quantize.quantize,
    ship.ship,
):
    app.command(command.__name__.replace("_", "-"))(command)
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


def main() -> None:
    """Run the command line: one line per error.

    The exit status is 1 after an error, 130 after an interrupt (Ctrl-C), 143 after SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # characters that the encoding of a terminal or pipe lacks are escaped
            stream.reconfigure(errors="backslashreplace")
    end_on_signals()
    try:
        _run()
    finally:
        # an interrupted step, or a worker that the signal has reached first, may end in any error
        end_if_received()


def _run() -> None:
    """Run a command, and tell errors that a user can meet."""
    try:
        app()
    except EmofuseError as error:
        _fail(str(error))
    except MemoryError:
        _fail(_NO_MEMORY)
    except ImportError as error:
        if not any(words in str(error) for words in _NO_MEMORY_TO_LOAD):
            raise
        _fail(_NO_MEMORY)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            _fail(_NO_MEMORY)
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error}")
    except KeyboardInterrupt:
        print_message("interrupted")
        sys.exit(130)
    except SystemExit as exit_:
        # Typer turns an interrupt into an Exit, the Exit into this, and prints nothing
        if exit_.__context__ is not None and isinstance(exit_.__context__.__cause__, KeyboardInterrupt):
            print_message("interrupted")
        raise


def _fail(message: str) -> NoReturn:
    """End with an error, unless a signal is what ends the command."""
    if received() is None:
        print_message(message)
    sys.exit(1)
