"""``emofuse corpus``: check a corpus, list known ones, export it, fetch RAVDESS, make a synthetic one."""

from __future__ import annotations

import enum
import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from emofuse.cli import options
from emofuse.cli.printing import print_corpus, print_line, print_remark
from emofuse.cli.progress import counting, transfers
from emofuse.core.text import printable_data, shown


class TableStorage(enum.StrEnum):
    """Formats of tables in a database."""

    CSV = "csv"
    PARQUET = "parquet"


app = typer.Typer(
    name="corpus",
    help="Check a corpus, list known ones, export it, fetch RAVDESS, or make a synthetic one.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command()
def check(
    path: options.CorpusPath,
    *,
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    jobs: options.Jobs = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    _quiet: options.Quiet = False,
) -> None:
    """Count the recordings of a corpus and list what is wrong with them.

    Decodes every file once. Lists files that are misnamed, unreadable, silent, stereo, identical to
    another, or missing. The exit status is 1 if a file cannot be read.

    Example: `emofuse corpus check ravdess --jobs 2`
    """
    from emofuse.corpus.check import check_corpus

    corpus = options.load_corpora([path], labels, names=name)
    with counting("checking") as on_done:
        report = check_corpus(corpus, jobs=options.processes(jobs), on_done=on_done)
    if as_json:
        typer.echo(json.dumps(printable_data(report.as_dict()), indent=2, ensure_ascii=False))
    else:
        typer.echo(shown(report.as_text()), nl=False)
    if not report.ok:
        raise typer.Exit(1)


@app.command(name="list")
def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    _quiet: options.Quiet = False,
) -> None:
    """List the corpora whose file names are known: labels, speakers, license, citation, traps.

    A folder of such files needs no table. For any other corpus, write one (see docs/labels.md).

    Example: `emofuse corpus list`
    """
    from emofuse.corpus.load import KNOWN_NAMES

    facts = [naming.facts() for naming in KNOWN_NAMES]
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for one in facts:
        typer.echo(f"{one['name']}: {one['speakers']} speakers, files named as {one['example']}")
        typer.echo(f"  labels: {', '.join(one['labels'])} ({one['label_set']})")
        typer.echo(f"  license: {one['licence']}\n  from: {one['address']}\n  cite: {one['citation']}")
        for trap in one["traps"]:
            typer.echo(f"  - {trap}")


@app.command()
def export(
    path: options.CorpusPath,
    *,
    audformat: Annotated[
        Path, typer.Option("--audformat", metavar="OUT", help="Folder for the database; empty or not there.")
    ],
    storage: Annotated[
        TableStorage, typer.Option("--tables", help="Format of the tables in the database.")
    ] = TableStorage.CSV,
    name: options.CorpusNames = None,
    labels: options.LabelSets = None,
    dimensions: options.DimensionNames = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Write a corpus as a database in audformat, with copies of its recordings.

    Labels, speakers, takes, ratings and shares of raters go with it; sex, age and language of speakers too,
    where they are known. The commands read such a database as they read any corpus.

    Example: `emofuse corpus export emodb --audformat databases/emodb`
    """
    from emofuse.corpus.audformat.writing import write_audformat

    corpus = options.load_corpora([path], labels, names=name, dimensions=dimensions)
    print_corpus(corpus)
    with counting("copying") as on_done:
        write_audformat(corpus, audformat, storage.value, on_done)
    print_line(f"The database is in {audformat}. Check it: emofuse corpus check {audformat}")


@app.command()
def fetch(
    corpus: Annotated[str, typer.Argument(metavar="ravdess", help="Name of the corpus: ravdess.")],
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to put it in.")],
    *,
    actors: Annotated[
        str, typer.Option(metavar="RANGE", help="Actors to fetch, such as 1-24 or 1,3,5-7.")
    ] = "1-24",
    parts: Annotated[
        str,
        typer.Option(
            metavar="PARTS",
            help="Any of audio-speech, audio-song, video-speech, video-song, separated by commas.",
        ),
    ] = "video-speech,audio-speech",
    _quiet: options.Quiet = False,
) -> None:
    """Fetch RAVDESS from its Zenodo record.

    Repeat the command to resume an interrupted download. Every archive is checked against the record before
    it is unpacked. RAVDESS is licensed CC BY-NC-SA 4.0: no commercial use.

    Example: `emofuse corpus fetch ravdess ravdess --actors 1-4 --parts audio-speech`
    """
    if corpus != "ravdess":
        raise typer.BadParameter(f"{corpus!r} cannot be fetched; only ravdess can", param_hint="corpus")
    from emofuse.corpus.fetch import RECORD_URL, fetch_ravdess, parse_actor_range

    wanted = parse_actor_range(actors)
    with transfers() as on_progress:
        fetched = fetch_ravdess(
            path,
            actors=wanted,
            parts=[part.strip() for part in parts.split(",") if part.strip()],
            api_url=os.environ.get("EMOFUSE_RAVDESS_RECORD", RECORD_URL),
            on_progress=on_progress,
        )
    for archive in fetched:
        print_line(f"{archive.archive}: {len(archive.files)} recordings, {archive.written} of them new")
    print_line(f"RAVDESS is in {path}. Check it: emofuse corpus check {path}")


@app.command("from-annotations")
def from_annotations(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="Recordings, and annotations of them that are named alike (talk.mp4, talk.eaf, "
            "talk.eva.eaf), or folders of these: of ELAN, Praat, BORIS or audformat, or tables of spans.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="TABLE.csv", help="The table to write.")],
    tier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIER[=SPEAKER]",
            help="Use this tier, and whose it is. Can be given several times. Default: tiers with one of the "
            "eight emotions, or a label that --labels maps.",
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MAP",
            help="What labels become: joy=happy,fine= (fine is left out), the file of a map (.csv, .toml), "
            "or the name of a label set. Others stay as they are written.",
        ),
    ] = None,
    longest: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", parser=options.seconds(0.1), help="Longer spans are cut into equal clips."
        ),
    ] = 4.0,
    shortest: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=options.seconds(0.01), help="Shorter spans are left out."),
    ] = 0.5,
    _quiet: options.Quiet = False,
) -> None:
    """Make a corpus of recordings that people have coded, to train a recognizer of your own.

    Writes a table with a row per clip (path, emotion, speaker, start, end), which evaluate and train read. Of
    several coders, the label that most chose counts, and the table has the shares of each label.

    Example: `emofuse corpus from-annotations talks/*.mp4 coding/ --out talks.csv`
    """
    from emofuse.coding.assignment import read_labels, read_tiers
    from emofuse.coding.clips import ClipRules, clips_of_annotations, write_clip_table

    if out.suffix.lower() != ".csv":
        raise typer.BadParameter(f"{out}: the table is a .csv", param_hint="--out")
    try:
        rules = ClipRules(longest, shortest, read_labels(labels or []), read_tiers(tier or []))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found = clips_of_annotations(files, rules)
    write_clip_table(found, out)
    for remark in found.remarks:
        print_remark(remark)
    speakers = {one.speaker for one in found.clips}
    counts = Counter(one.label for one in found.clips)
    print_line(
        f"{out}: {len(found.clips)} clips, {found.duration_s / 60:.1f} minutes, {len(speakers)} speakers: "
        + ", ".join(f"{label} {n}" for label, n in counts.most_common())
    )


@app.command()
def synth(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make it in.")],
    *,
    actors: Annotated[int, typer.Option(min=1, metavar="N", help="Number of actors.")] = 8,
    takes: Annotated[
        int,
        typer.Option(min=1, metavar="K", help="Takes per emotion and actor, at most 8 (neutral: 4)."),
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="The same seed makes the same corpus.")] = 0,
    first_actor: Annotated[int, typer.Option(min=1, metavar="A", help="Number of the first actor.")] = 1,
    voices: Annotated[
        bool, typer.Option("--voices", help="Make voices alone: WAV files, in a small part of the time.")
    ] = False,
    ratings: Annotated[
        bool, typer.Option("--ratings", help="Also write valence and arousal of each take: DIR/ratings.csv.")
    ] = False,
    jobs: options.Jobs = 0,
    _quiet: options.Quiet = False,
) -> None:
    """Make a corpus of drawn faces and synthetic voices, with the file names and formats of RAVDESS.

    It needs no data and no license. It shows that everything works; results on it say nothing about people.

    Example: `emofuse corpus synth toy --actors 4 --takes 2 --seed 1`

    With --ratings, DIR/ratings.csv is a table of all takes with valence and arousal from 1 to 7, which are
    known: they follow from what was drawn and spoken.

    Example: `emofuse corpus synth toy --ratings`, then `emofuse evaluate toy/ratings.csv`
    """
    from emofuse.corpus.synthetic.synthesis import synthesize

    with counting("drawing and speaking") as on_clip:
        synthesize(
            path,
            n_actors=actors,
            n_takes=takes,
            seed=seed,
            jobs=options.processes(jobs),
            on_clip=on_clip,
            first_actor=first_actor,
            voices_only=voices,
            ratings=ratings,
        )
    print_line(f"The synthetic corpus is in {path}. Check it: emofuse corpus check {path}")
    if ratings:
        print_line(f"Valence and arousal, and all labels: {path / 'ratings.csv'}")
