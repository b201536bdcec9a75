"""``emofuse enroll``: a person's profile from a few unlabeled recordings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_line, print_message


def enroll(
    files: Annotated[
        list[Path],
        options.recordings("Recordings of one person. They need no labels."),
    ],
    *,
    bundle: Annotated[
        Path,
        typer.Option("--bundle", "-b", metavar="BUNDLE", help="A trained recognizer (see: emofuse train)."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PROFILE", help="File for the profile; replaced if it exists."),
    ],
    action_units: options.ActionUnits = None,
    _quiet: options.Quiet = False,
) -> None:
    """Learn how one person's voice and face differ from others', for `emofuse predict --profile`.

    Eight recordings in several moods are a good number, and each further one helps. A file that cannot be
    read is reported with the reason, the others are used, and the exit status is 1.

    Example: `emofuse enroll anna/*.mp4 --bundle demo-run/bundle --out anna.profile`
    """
    from emofuse.recognition.recognizer import Recognizer

    # print_bundle reports the license
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    recognizer = Recognizer.load(bundle, action_units=action_units)
    print_bundle(recognizer.bundle, bundle)
    profile = recognizer.enroll(files)
    profile.save(out)
    for reason in profile.skipped:
        print_message(f"skipped {reason}")
    counts = ", ".join(f"{name} {moments.n}" for name, moments in profile.moments.items())
    print_line(f"{out}: {profile.clips} of {len(files)} recordings read ({counts})")
    print_line(
        "A profile is personal data: it describes one person's voice and face. It holds means and standard "
        "deviations of features, but no audio, no video and no labels."
    )
    if profile.skipped:
        raise typer.Exit(1)
