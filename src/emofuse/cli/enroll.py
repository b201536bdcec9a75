"""``emofuse enroll``: a person's profile from a few unlabeled recordings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_bundle, print_line, print_message, print_remark

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer


def enroll(
    files: Annotated[
        list[Path],
        options.recordings("Recordings of one person. They need no labels."),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PROFILE", help="File for the profile; replaced if it exists."),
    ],
    bundle: options.BundleFolder = None,
    action_units: options.ActionUnits = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="How these recordings were rated, for a recognizer that rates on numeric scales: a table "
            "with the columns path, speaker, and one per scale.",
        ),
    ] = None,
    with_face: Annotated[
        bool,
        typer.Option(
            "--with-face",
            help="Also keep an embedding of the face, by which emofuse timeline finds this person among "
            "others. It is biometric data: ask the person first.",
        ),
    ] = False,
    _quiet: options.Quiet = False,
) -> None:
    """Learn how one person's voice and face differ from others', for `emofuse predict --profile`.

    Eight recordings in several moods are a good number, and each further one helps. Where the recognizer has
    no networks for enrolled people, as the one that comes with emofuse, the profile holds how it reads the
    person on average, and the command says how much of that will be subtracted: nothing, if the recordings
    may be of one mood. A file that cannot be read is reported with the reason, the others are used, and the
    exit status is 1.

    Example: `emofuse enroll anna/*.mp4 --out anna.profile`

    A recognizer that reads action units takes them from --action-units, or, without it, reads the faces in
    videos with the extra emofuse[blendshapes].

    Example: `emofuse enroll anna/*.mp4 --bundle demo-run/bundle --out anna.profile`

    A recognizer that rates on numeric scales, such as valence, shifts its ratings of the person: as far
    as its mean rating of these recordings is from what is usual, or, with --ratings, from what raters gave.

    With --with-face, which needs the extra emofuse[identity], several people can be told apart in a timeline.

    Example: `emofuse enroll anna/*.mp4 --with-face --out anna.profile`
    """
    from emofuse.features.face.identity import load_embedder
    from emofuse.features.own_baseline import described
    from emofuse.recognition.recognizer import Recognizer

    # print_bundle reports the license
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    recognizer = Recognizer.load(bundle, action_units=action_units)
    print_bundle(recognizer.bundle, bundle)
    if with_face:
        load_embedder()  # fail early
    given = None if ratings is None else _ratings_of(files, ratings, recognizer)
    profile = recognizer.enroll(files, with_face=with_face, ratings=given)
    profile.save(out)
    for reason in profile.skipped:
        print_message(f"skipped {reason}")
    if recognizer.enrollment_note is not None:
        print_remark(recognizer.enrollment_note)
    print_line(f"{out}: {profile.clips} of {len(files)} recordings read ({_counts(profile)})")
    if profile.baselines:
        print_line(described(profile.baselines, recognizer.baselines.strengths(profile.baselines)))
        held = "mean log-probabilities"
    else:
        held = "means and standard deviations of features" if profile.moments else ""
    if profile.ratings:
        held = " and ".join(part for part in (held, "mean ratings") if part)
    print_line(
        f"A profile is personal data: it describes one person's voice and face. It holds {held}, "
        "but no audio, no video and no labels."
    )
    if profile.face is not None:
        print_line(
            "It also holds an embedding of the face: biometric data, which finds this person in any other "
            "recording. Keep it only as long as the person agrees."
        )
    if profile.skipped:
        raise typer.Exit(1)


def _counts(profile: Profile) -> str:
    """How many of the recordings were read by what."""
    from emofuse.recognition.enrolled_model import BRIDGED_FACE

    if profile.baselines:
        return ", ".join(f"{kind} {one.n:.0f}" for kind, one in profile.baselines.items())
    if not profile.moments:
        return ", ".join(f"{name} {clips[0].n}" for name, clips in profile.ratings.items())
    n_clips = {name: moments.n for name, moments in profile.moments.items()}
    if BRIDGED_FACE in n_clips:
        n_clips = {"voice": n_clips.get("voice", 0), "face over the bridge": n_clips[BRIDGED_FACE]}
    return ", ".join(f"{name} {n}" for name, n in n_clips.items())


def _ratings_of(files: list[Path], table: Path, recognizer: Recognizer) -> list[Mapping[str, float] | None]:
    """What raters gave to each recording; None where the table has no row of it."""
    from emofuse.corpus.load import load_corpus

    names = [scale.name for scale in recognizer.dimensions]
    if not names:
        raise typer.BadParameter("--ratings: this recognizer does not rate on any scale")
    rated = {clip.path.resolve(): clip.ratings for clip in load_corpus(table, dimensions=names).clips}
    found = [rated.get(path.resolve()) for path in files]
    if not any(found):
        raise typer.BadParameter(f"{table} has no rating of these recordings on {', '.join(names)}")
    return found
