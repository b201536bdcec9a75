"""``emofuse elan-recognizer``: emofuse from ELAN's own menu."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli.printing import print_line


def elan_recognizer(
    *,
    install: Annotated[
        Path | None,
        typer.Option(
            metavar="EXTENSIONS",
            help="Write the recognizers emofuse-video and emofuse-audio into this folder of ELAN. Repeat it "
            "when ELAN or the Python of emofuse has moved.",
        ),
    ] = None,
) -> None:
    """Let ELAN start emofuse: its Recognizers tab then offers it, for video and for audio.

    Without --install, this is what ELAN runs: parameters come on standard input, lines of progress go to
    standard output, and tiers to the file that ELAN names. Nothing leaves this machine. Predictions are about
    expression as in the training recordings, not about what somebody feels.

    Example: `emofuse elan-recognizer --install /opt/ELAN_6-8/lib/app/extensions`, then start ELAN again
    """
    if install is not None:
        from emofuse.elan.package import install_recognizers

        for folder in install_recognizers(install, sys.executable):
            print_line(f"wrote {folder}")
        return
    if sys.stdin.isatty():
        raise typer.BadParameter("ELAN runs this command itself: use --install to make it known to ELAN")
    from emofuse.elan.run import run_recognizer

    # standard error comes to ELAN in the same pipe, between the lines of the protocol
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    if not run_recognizer(sys.stdin.buffer.read(), _say):
        raise typer.Exit(1)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
