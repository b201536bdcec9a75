"""``emofuse predict``: the emotion expressed in each file."""

from __future__ import annotations

import enum
import io
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.bundles import Embeddings, load_bundle
from emofuse.cli.clusters import batch_workers, check_cluster
from emofuse.cli.interrupts import resumable
from emofuse.cli.printing import (
    counted,
    print_bundle,
    print_failures,
    print_message,
    print_predictions,
)
from emofuse.cli.progress import counting_failures
from emofuse.cli.quiet import is_quiet
from emofuse.cli.sharding import files_of, write_list
from emofuse.core.records import Prediction, StreamChoice
from emofuse.core.text import printable_data, shown
from emofuse.recognition.batch_inputs import Listing, find_recordings
from emofuse.recognition.tables import check_table, columns, failure, table_row, write_csv, write_table

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.bundle import Bundle
    from emofuse.recognition.file_list import FileList
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.recognition.shards import Shard


class Format(enum.StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def predict(
    files: Annotated[
        list[Path],
        options.recordings("Media files with a voice, a face or both; folders are searched for them."),
    ],
    *,
    bundle: options.BundleFolder = None,
    output: Annotated[
        Format, typer.Option("--format", "-f", help="How predictions are printed, without --out.")
    ] = Format.TABLE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="TABLE",
            help="Write one row per file to this table (.csv, .jsonl, .parquet) instead of printing; repeat "
            "the command to resume an interrupted run.",
        ),
    ] = None,
    jobs: options.Jobs = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=options.seconds(0), show_default="600, and 1 more for each 100 kB",
            help="Time limit for each file; 0: none. With --out or several jobs.",
        ),
    ] = None,
    action_units: options.ActionUnits = None,
    embeddings: Embeddings = None,
    profile: options.ProfileFile = None,
    shard: options.ShardNumber = None,
    list_file: options.ListFile = None,
    cluster: options.ClusterAddress = None,
    same_person: Annotated[
        bool,
        typer.Option(
            "--same-person",
            help="All files are of one person: each is read against that person's own baseline, which the "
            "other files make. They need no labels, but should be in several moods.",
        ),
    ] = False,
    audio_stream: options.AudioStream = None,
    video_stream: options.VideoStream = None,
    device: options.SessionDevice = options.DeviceChoice.CPU,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Recognize the emotion expressed in each file: the probability of each label, and what it is based on.

    A file that cannot be read is reported with the reason, the others are read, and the exit status is 1.
    Predictions are about expression as in the training recordings, not about what somebody feels.

    The recognizer that comes with emofuse is licensed CC BY-NC-SA 4.0: no commercial use. The environment
    variable EMOFUSE_NO_SHIPPED=1 disables it.

    Example: `emofuse predict clip.mp4`

    Example: `emofuse predict interviews/ --jobs 4 --out interviews.csv`

    Example: `emofuse predict anna-*.mp4 --same-person`

    Example: `emofuse predict interviews/ --shard 3/40 --out part-03.csv`

    Example: `emofuse predict interviews/ --cluster 10.0.0.7:6379 --out interviews.csv`
    """
    if same_person and profile is not None:
        raise typer.BadParameter("--same-person makes a baseline of the files: leave out --profile")
    _check_shard(shard, list_file, out, same_person=same_person)
    check_cluster(cluster, jobs)
    if cluster is not None and (out is None or same_person or device is not options.DeviceChoice.CPU):
        raise typer.BadParameter("--cluster needs --out, and is without --same-person and --device")
    if list_file is not None and shard is None:
        write_list(find_recordings(files), list_file)
        return
    if out is not None:
        check_table(out)
    # print_bundle reports the license
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    loaded = load_bundle(bundle, embeddings)
    print_bundle(loaded, bundle)
    person = None
    if profile is not None:
        from emofuse.features.profile import Profile

        person = Profile.load(profile)
    found, streams = files_of(files, list_file), StreamChoice(audio_stream, video_stream)
    listing = found if isinstance(found, Listing) else found.listing()
    n_processes = min(options.processes(jobs), max(len(listing.files), 1))
    recognizer = None
    if action_units is not None or same_person or (out is None and n_processes == 1):
        from emofuse.features.face.action_units import read_action_units
        from emofuse.recognition.recognizer import Recognizer

        table = None if action_units is None else read_action_units(action_units)
        recognizer = Recognizer(loaded, action_units=table, device=device.value)
    if out is not None and not same_person:
        failed = _to_table(
            found, recognizer or loaded, person, streams, out, n_processes, timeout, device, shard, cluster
        )
    else:
        predictions = _predicted(listing, recognizer, loaded, person, streams, n_processes, timeout, device)
        if same_person and recognizer is not None:
            predictions = recognizer.same_person(predictions)
        failed = _print(predictions, loaded, output) if out is None else _write(predictions, loaded, out)
    if failed:
        raise typer.Exit(1)


def _check_shard(shard: Shard | None, list_file: Path | None, out: Path | None, *, same_person: bool) -> None:
    """Refuse what does not go together."""
    if shard is not None and (out is None or same_person):
        raise typer.BadParameter("--shard needs a table of its own, --out, and is without --same-person")
    if list_file is not None and shard is None and (out is not None or same_person):
        raise typer.BadParameter("--list only writes the list of files: add --shard, or leave out --out")


def _predicted(
    listing: Listing,
    recognizer: Recognizer | None,
    bundle: Bundle,
    person: Profile | None,
    streams: StreamChoice,
    n_processes: int,
    timeout: float | None,
    device: options.DeviceChoice,
) -> Sequence[Prediction]:
    """All predictions, in this process if one is enough, which saves starting one."""
    with counting_failures("predicting", transient=True) as on_progress:
        if recognizer is not None and n_processes == 1:
            return list(recognizer.predict_many(
                listing, profile=person, streams=streams, on_progress=on_progress,
            ))  # fmt: skip
        # not needed for one file, and slow to import
        from emofuse.recognition.batch import predict_in_processes
        from emofuse.recognition.worker_settings import WorkerSettings

        return predict_in_processes(
            listing, WorkerSettings.of(recognizer or bundle, person, streams, device.value),
            jobs=n_processes, timeout_s=timeout, on_progress=on_progress,
        )  # fmt: skip


def _write(predictions: Sequence[Prediction], bundle: Bundle, out: Path) -> int:
    """Write predictions as a table; return the number of failed files."""
    write_table(out, map(table_row, predictions), bundle.emotions, bundle.dimension_names)
    failed = [p for p in predictions if p.error is not None]
    print_failures([failure(p.source, str(p.error)) for p in failed], len(failed), "column error")
    if not is_quiet():
        files = counted(len(predictions), "file", resumed=0, failed=len(failed))
        typer.echo(f"{shown(str(out))}: {files}", err=True)
    return len(failed)


def _to_table(
    files: FileList | Listing,
    recognizer: Recognizer | Bundle,
    person: Profile | None,
    streams: StreamChoice,
    out: Path,
    n_processes: int,
    timeout: float | None,
    device: options.DeviceChoice,
    shard: Shard | None,
    cluster: str | None,
) -> int:
    """Write the table with a progress bar; return the number of failed files."""
    from emofuse.recognition.batch import predict_table

    with (
        resumable(),
        batch_workers(cluster) as workers,
        counting_failures("predicting") as on_progress,
    ):
        result = predict_table(
            files, recognizer, out, jobs=n_processes, workers=workers, shard=shard, profile=person,
            timeout_s=timeout, streams=streams, device=device.value, on_progress=on_progress,
        )  # fmt: skip
    print_failures(result.errors, result.failed, "column error")
    if not is_quiet():
        part = "" if shard is None else f", shard {shard}"
        count = counted(result.rows, "file", resumed=result.resumed, failed=result.failed)
        typer.echo(f"{shown(str(result.out))}: {count}{part}", err=True)
    return result.failed


def _print(predictions: Sequence[Prediction], bundle: Bundle, output: Format) -> int:
    """Print predictions; return the number of failed files."""
    failed = [p for p in predictions if p.error is not None]
    for p in failed:
        print_message(failure(p.source, str(p.error)))
    if output is not Format.TABLE and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data, whatever the encoding of the terminal
    if output is Format.JSON:
        data = printable_data([p.to_dict() for p in predictions])
        json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    elif output is Format.CSV:
        sys.stdout.write(as_csv(predictions, bundle.emotions, bundle.dimension_names))
    else:
        print_predictions([p for p in predictions if p.error is None], Console())
    return len(failed)


def as_csv(predictions: Iterable[Prediction], emotions: Sequence[str], dimensions: Sequence[str] = ()) -> str:
    """One row per file, including those that could not be read."""
    text = io.StringIO()
    write_csv(text, map(table_row, predictions), columns(emotions, dimensions))
    return text.getvalue()
