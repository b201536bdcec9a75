"""``emofuse enroll``: a few unlabelled recordings of a person in, that person's profile out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_message


def enroll(
    files: Annotated[
        list[Path],
        options.recordings("Recordings of one person. Nobody needs to say what they express."),
    ],
    *,
    bundle: Annotated[
        Path,
        typer.Option("--bundle", "-b", metavar="BUNDLE", help="A trained recogniser (see: emofuse train)."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PROFILE", help="File of the profile; written anew if there."),
    ],
    action_units: options.ActionUnits = None,
) -> None:
    """Learn how one person's voice and face differ from others', for `emofuse predict --profile`.

    Eight recordings in several moods are a good number, and every further one helps. A file that cannot be
    read is named with its reason, the others are used, and the exit status is 1.

    Example: `emofuse enroll anna/*.mp4 --bundle demo-run/bundle --out anna.profile`
    """
    from emofuse.recognition.recognizer import Recognizer

    # the licence is said below, with the bundle's name
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    recognizer = Recognizer.load(bundle, action_units=action_units)
    print_bundle(recognizer.bundle, bundle)
    profile = recognizer.enroll(files)
    profile.save(out)
    for reason in profile.skipped:
        print_message(f"skipped {reason}")
    counts = ", ".join(f"{name} {known.n}" for name, known in profile.moments.items())
    typer.echo(f"{out}: {profile.clips} of {len(files)} recordings read ({counts})")
    typer.echo(
        "A profile is personal data: it describes one person's voice and face. It holds means and deviations "
        "of features; no sound, no picture and no label is in it."
    )
    if profile.skipped:
        raise typer.Exit(1)
