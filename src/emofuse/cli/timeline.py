"""``emofuse timeline``: who expresses what and when, in a recording of any length."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from emofuse.cli import options
from emofuse.cli.bundles import Embeddings, load_bundle
from emofuse.cli.clusters import check_cluster
from emofuse.cli.printing import print_bundle, print_line, print_remark, print_segments, print_summary
from emofuse.cli.progress import stages
from emofuse.cli.timeline_folder import list_folder, write_folder
from emofuse.core.errors import ExportError, MediaError, MissingExtraError
from emofuse.core.progress import OnProgress
from emofuse.core.records import StreamChoice
from emofuse.core.text import shown
from emofuse.core.times import short_clock

if TYPE_CHECKING:
    from emofuse.folders.timelines import TimelineOptions
    from emofuse.recognition.bundle import Bundle
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.timeline.annotations import Annotations
    from emofuse.timeline.records import Timeline
    from emofuse.timeline.windows import WindowRules

OVERLAY_SUFFIX = ".mp4"
_FOLDERS = "Folders of recordings"


def timeline(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR", help="A recording of any length; or, with --out-dir, a folder of them.",
            parser=options.recording,
        ),
    ],
    *,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="NAME",
            help="A file to write, in the format of its suffix: .html (a page with curves), .svg or .png "
            "(a picture of them), .csv, .windows.csv, .frames.csv, .summary.csv (one row per person), "
            ".markers.csv, .json, .parquet, .vtt, .eaf "
            "(ELAN), .TextGrid (Praat), _events.tsv (BIDS), .label-studio.json (Label Studio), .mp4 (the "
            "video with boxes and bars). Can be given several times.",
        ),
    ] = None,
    bundle: options.BundleFolder = None,
    window: options.WindowLength = 3.0,
    hop: options.Hop = 1.0,
    faces_per_second: options.FacesPerSecond = 5.0,
    start: Annotated[
        float | None,
        typer.Option(
            "--from", metavar="TIME", parser=options.seconds(),
            help="Where to start, in seconds or as a clock time: 90, 1:30, 1:02:03.5; default: the start.",
        ),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(
            "--to", metavar="TIME", parser=options.seconds(), help="Where to stop; default: the end."
        ),
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Segments with less confidence get no emotion.")
    ] = 0.4,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHO=NAME",
            help="Names for people, by their numbers: 1=Anna, or person-1=Anna. Can be given several times, "
            "or with commas: 1=Anna,2=Bert.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="What to change about it: names and merges of people, spans to leave out, markers.",
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="For what the recording is read; every file says it."),
    ] = None,
    embeddings: Embeddings = None,
    profile: options.ProfileFiles = None,
    no_baseline: options.NoBaseline = False,
    identity: Annotated[
        bool | None,
        typer.Option(
            "--identity/--no-identity", show_default="if the extra is installed",
            help="Tell people apart by embeddings of their faces, with the extra emofuse\\[identity]. They "
            "are biometric data, and forgotten when the recording is read.",
        ),
    ] = None,
    audio_stream: options.AudioStream = None,
    video_stream: options.VideoStream = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="R", rich_help_panel=_FOLDERS,
            help="A folder for the results of all recordings, and for summary.csv, one row per person and "
            "recording; repeat the command to resume an interrupted run.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", metavar="SUFFIX", rich_help_panel=_FOLDERS, show_default="html, csv, json",
            help="A file for each recording, in the format of this suffix. Can be given several times.",
        ),
    ] = None,
    shard: options.ShardNumber = None,
    list_file: options.ListFile = None,
    cluster: options.ClusterAddress = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE", rich_help_panel=_FOLDERS,
            help="A table (.csv) with the columns file and condition, for the summary, and for the means of "
            "each condition in conditions.csv and conditions.svg.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=0, metavar="N", rich_help_panel=_FOLDERS,
            help="Number of processes; 0: one per core.",
        ),
    ] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=options.seconds(0), rich_help_panel=_FOLDERS,
            show_default="1800, and 1 more for each 25 kB", help="Time limit for each recording; 0: none.",
        ),
    ] = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Read a whole recording: who is in it, when somebody speaks, and which emotion is expressed when.

    Faces are tracked and numbered in order of appearance. A voice is attributed to the face whose mouth
    moves, or to nobody in view. Without --out, the segments are printed, and a summary of each person.
    Predictions are about expression as in the training recordings, not about what somebody feels.

    Example: `emofuse timeline interview.mp4 --out interview.html --out interview.eaf`

    Example: `emofuse timeline interviews/ --out-dir results --jobs 4 --conditions conditions.csv`

    Example: `emofuse timeline interviews/ --out-dir results --shard 3/40`

    Example: `emofuse timeline interviews/ --out-dir results --cluster 10.0.0.7:6379`
    """
    logging.getLogger("emofuse").setLevel(logging.ERROR)
    how = _how(
        options.window_rules(window, hop, faces_per_second), abstain_below, start, end,
        StreamChoice(audio_stream, video_stream), own_baseline=not no_baseline,
        identity=identity,
    )  # fmt: skip
    given_names = options.people_names(names or [])
    purpose = options.purpose(purpose)
    if list_file is not None and shard is None:
        if out or out_dir is not None:
            raise typer.BadParameter(
                "--list only writes the list of files: add --shard, or leave out the rest"
            )
        list_folder(file, list_file)
        return
    if out_dir is None:
        if cluster is not None:
            raise typer.BadParameter("--cluster reads folders: name one for the results with --out-dir")
        if shard is not None:
            raise typer.BadParameter("--shard is a part of a folder: name one for the results with --out-dir")
        if file.is_dir():
            raise typer.BadParameter(f"{file} is a folder: name one for the results with --out-dir")
        if formats or conditions is not None:
            raise typer.BadParameter("--format and --conditions are for folders: add --out-dir, or use --out")
        # the overlay takes longest: if it fails, the other files are already written
        changes = _Changes.of(annotations, given_names, purpose)
        loaded = load_bundle(bundle, embeddings)
        _read_one(file, sorted(out or [], key=_is_overlay), bundle, loaded, how, profile or [], changes)
        return
    if len(profile or []) > 1:
        raise typer.BadParameter("several --profile are for one recording: with --out-dir, use one or none")
    if out or names:
        raise typer.BadParameter("--out and --names are for one recording: with --out-dir, use --format")
    if annotations is not None:
        raise typer.BadParameter("--annotations are of one recording: leave out --out-dir")
    check_cluster(cluster, jobs)
    from emofuse.features.profile import Profile

    write_folder(
        file, out_dir, bundle, embeddings=embeddings, formats=formats, jobs=jobs, cluster=cluster,
        shard=shard, list_file=list_file, conditions=conditions, how=how,
        profile=Profile.load(profile[0]) if profile else None, timeout=timeout, purpose=purpose,
    )  # fmt: skip


def _how(
    rules: WindowRules, abstain_below: float, start: float | None, end: float | None, streams: StreamChoice,
    *, own_baseline: bool, identity: bool | None,
) -> TimelineOptions:  # fmt: skip
    """How recordings are read; an invalid span is a usage error."""
    from emofuse.folders.timelines import TimelineOptions
    from emofuse.media.container import check_span
    from emofuse.timeline.segments import SegmentRules

    try:
        check_span(None if start is None else max(start, 0.0), end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    segment_rules = SegmentRules(abstain_below=abstain_below)
    return TimelineOptions(rules, segment_rules, start, end, streams, own_baseline, identity)


def _read_one(
    file: Path,
    outputs: Sequence[Path],
    bundle: Path | None,
    loaded: Bundle,
    how: TimelineOptions,
    profiles: Sequence[Path],
    changes: _Changes,
) -> None:
    """Read one recording, and write or print its timeline."""
    from emofuse.exports.waveform import PeakMeter
    from emofuse.exports.write import write_timeline
    from emofuse.recognition.recognizer import Recognizer

    _check_outputs(file, outputs, how.streams)
    recognizer = Recognizer(loaded)
    print_bundle(loaded, bundle)
    people = options.known_people(profiles)
    if len(profiles) > 1 and how.identity is False:
        raise typer.BadParameter("several --profile are found by their faces: leave out --no-identity")
    peaks = PeakMeter(start_s=how.start_s or 0.0)
    label = f"seconds of {shown(file.name)}"
    with stages() as on_progress:
        result = recognizer.timeline(
            file, rules=how.rules, segment_rules=how.segment_rules, start_s=how.start_s, end_s=how.end_s,
            profile=people, identity=how.identity, own_baseline=how.own_baseline, on_sound=peaks.add,
            audio_stream=how.streams.audio,
            video_stream=how.streams.video,
            on_progress=lambda done, total: on_progress(label, int(done), int(total or 0)),
        )  # fmt: skip
        if not result.duration_s:
            raise MediaError(file, f"there is nothing to read from {short_clock(result.start_s)} on")
        result, unused = changes.applied(result, recognizer)
        waveform = peaks.peaks()
        for name in outputs:
            if _is_overlay(name):
                _write_overlay(file, result, name, how.streams, on_progress)
            else:
                write_timeline(result, name, waveform=waveform)
    for note in result.remarks:
        print_remark(f"{file}: {note}")
    for who in unused:
        print_remark(f"{file}: there is no {who}, whom --names calls {changes.names[who]}")
    for name in outputs:
        print_line(f"wrote {name}")
    if not outputs:
        print_segments(result, Console())
        print_summary(result, Console())


@dataclass(frozen=True, slots=True)
class _Changes:
    """What the command line changes about a timeline that was read."""

    annotations: Annotations
    names: Mapping[str, str]
    purpose: str | None

    @classmethod
    def of(cls, file: Path | None, names: Mapping[str, str], purpose: str | None) -> _Changes:
        """Read the annotations before the recording, which may take an hour.

        Raises:
            AnnotationError: the file is missing or malformed.
        """
        from emofuse.timeline.annotations import Annotations

        return cls(Annotations() if file is None else Annotations.load(file), names, purpose)

    def applied(self, timeline: Timeline, recognizer: Recognizer) -> tuple[Timeline, tuple[str, ...]]:
        """The timeline with all changes, and those of ``names`` who are not in it.

        Raises:
            AnnotationError: the annotations are of another recording, or two people would have one name.
        """
        from emofuse.timeline.annotated import annotated

        known = {who: name for who, name in self.names.items() if who in timeline.people}
        annotations = replace(self.annotations, names={**self.annotations.names, **known})
        changed = annotated(timeline, annotations, model=recognizer)
        return replace(changed, purpose=self.purpose), tuple(who for who in self.names if who not in known)


def _is_overlay(name: Path) -> bool:
    return name.suffix.lower() == OVERLAY_SUFFIX


def _check_outputs(file: Path, outputs: Sequence[Path], streams: StreamChoice) -> None:
    """Fail early if an output cannot be written: reading the recording may take an hour.

    Raises:
        MediaError: the recording does not exist or cannot be opened.
        ExportError: an output has no known format, is a folder, or would overwrite the recording.
        MissingExtraError: a format needs an extra that is not installed.
    """
    from emofuse.exports.write import format_of
    from emofuse.media.container import open_media

    try:
        kinds = {name: "overlay" if _is_overlay(name) else format_of(name) for name in outputs}
    except ExportError as error:
        raise ExportError(f"{error}, or {OVERLAY_SUFFIX} for a video with boxes") from None
    with open_media(file, streams) as recording:
        has_video = recording.video is not None
    for name, kind in kinds.items():
        if kind == "overlay" and not has_video:
            raise ExportError(f"{name}: {file} has no video to draw on")
        if kind == "parquet" and find_spec("pyarrow") is None:
            raise MissingExtraError("tables", "writing Parquet")
        if name.is_dir():
            raise ExportError(f"{name} is a folder: name a file")
        if name.exists() and name.samefile(file):
            raise ExportError(f"{name} is the recording itself: choose another name")


def _write_overlay(
    file: Path, result: Timeline, name: Path, streams: StreamChoice, on_progress: OnProgress
) -> None:
    from emofuse.exports.overlay import write_overlay

    label, total = f"seconds of {shown(name.name)}", int(result.duration_s)
    write_overlay(
        file, result, name, streams=streams,
        on_progress=lambda share: on_progress(label, int(share * total), total),
    )  # fmt: skip
