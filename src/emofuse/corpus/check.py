"""Check every file of a corpus and report what one should know before training on it."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emofuse.core.errors import CorpusError, MediaError
from emofuse.core.records import Clip, Waveform
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.own_labels import corpus_advice, rater_notes
from emofuse.corpus.ravdess import ACTOR_WITHOUT_SONG, N_ACTORS, design, parse_name
from emofuse.media.channels import is_silent, to_mono
from emofuse.media.decoding import Media, decode
from emofuse.media.file_stream import Frame, open_stream
from emofuse.system.checksums import file_digest
from emofuse.system.process_pool import as_completed


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The findings for one file. ``problem`` says why it cannot be read; the rest is then unknown."""

    path: Path
    problem: str | None = None
    has_audio: bool = False
    has_video: bool = False
    n_channels: int = 0
    duration_s: float = 0.0
    silent: bool = False
    audio_sha256: str | None = None
    """Of the samples mixed to mono; None if there are none or they are silent."""
    file_sha256: str | None = None
    damage: tuple[str, ...] = ()
    """What is damaged in a file that can still be read."""


@dataclass(frozen=True, slots=True)
class Identical:
    """Files of different performances with the same audio, sample for sample.

    ``same_bytes``: whether the files are identical too, not only their audio.
    """

    paths: tuple[Path, ...]
    same_bytes: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """Files of one kind that a speaker lacks by the design of the corpus.

    ``kind``: as in :attr:`CorpusReport.counts`; ``expected``: how many takes of it a speaker should have.
    """

    kind: str
    speaker: str
    takes: tuple[str, ...]
    expected: int


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """Everything that :func:`check_corpus` found."""

    corpus: Corpus
    files: tuple[FileCheck, ...]
    counts: dict[str, dict[str, dict[str, int]]]
    """Kind of file (``"audio, speech"``) → speaker → emotion → number of clips."""
    misnamed: tuple[tuple[Path, str], ...]
    unreadable: tuple[tuple[Path, str], ...]
    damaged: tuple[tuple[Path, str], ...]
    """Files that can be read, but not to the end or with gaps."""
    silent: tuple[Path, ...]
    stereo: tuple[Path, ...]
    """Voice recordings with more than one channel. Videos usually have two: that is not a finding."""
    without_sound: tuple[Path, ...]
    without_picture: tuple[Path, ...]
    identical: tuple[Identical, ...]
    missing: tuple[Missing, ...]
    absent: tuple[str, ...]
    """Speakers of the design without any file."""

    @property
    def ok(self) -> bool:
        """Whether all files could be read."""
        return not self.unreadable

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; paths are relative to the corpus."""
        show = self._shown
        return {
            "schema": 1,
            "corpus": self.corpus.name,
            "root": str(self.corpus.root),
            "licence": self.corpus.licence,
            "synthetic": self.corpus.synthetic,
            "ok": self.ok,
            "files": len(self.files),
            "speakers": list(self.corpus.speakers),
            "labels": list(self.corpus.emotions),
            "labels_to_look_at": corpus_advice(self.corpus),
            "raters": rater_notes(self.corpus),
            "counts": self.counts,
            "misnamed": [{"path": show(path), "problem": why} for path, why in self.misnamed],
            "unreadable": [{"path": show(path), "problem": why} for path, why in self.unreadable],
            "damaged": [{"path": show(path), "problem": why} for path, why in self.damaged],
            "duplicate_names": [
                {"used": show(used), "left_out": show(left)} for used, left in self.corpus.duplicate_names
            ],
            "silent": [show(path) for path in self.silent],
            "stereo": [show(path) for path in self.stereo],
            "without_sound": [show(path) for path in self.without_sound],
            "without_picture": [show(path) for path in self.without_picture],
            "identical": [
                {"paths": [show(path) for path in group.paths], "same_bytes": group.same_bytes}
                for group in self.identical
            ],
            "missing": [
                {"kind": m.kind, "speaker": m.speaker, "expected": m.expected, "takes": list(m.takes)}
                for m in self.missing
            ],
            "absent": list(self.absent),
        }

    def as_text(self) -> str:
        """The report as text: counts first, then findings."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"{self.corpus.name} in {self.corpus.root} (licence: {self.corpus.licence})"
        for name, speakers in self.counts.items():
            n = sum(sum(emotions.values()) for emotions in speakers.values())
            yield ""
            yield f"{name}: {_counted(n, 'recording')} of {_counted(len(speakers), 'speaker')}"
            yield from _count_table(speakers, self.corpus.emotions)
        show = self._shown
        yield ""
        if advice := corpus_advice(self.corpus):
            yield from _section("labels to look at", advice)
        if notes := rater_notes(self.corpus):
            yield from _section("raters", notes)
        yield from _section("misnamed", [f"{show(path)}: {why}" for path, why in self.misnamed])
        yield from _section("unreadable", [f"{show(path)}: {why}" for path, why in self.unreadable])
        yield from _section("damaged", [f"{show(path)}: {why}" for path, why in self.damaged])
        yield from _section(
            "two files of the same name",
            [f"{show(used)} is used, {show(left)} is not" for used, left in self.corpus.duplicate_names],
        )
        yield from _section("silent", map(show, self.silent))
        yield from _section("stereo", map(show, self.stereo))
        yield from _section("without audio", map(show, self.without_sound))
        yield from _section("without video", map(show, self.without_picture))
        yield from _section(
            "identical audio under different names",
            [
                " = ".join(map(show, group.paths)) + (" (the same file)" if group.same_bytes else "")
                for group in self.identical
            ],
        )
        yield from _section("missing", _missing_lines(self.missing, self.absent))

    def _shown(self, path: Path) -> str:
        try:
            return path.relative_to(self.corpus.root).as_posix()
        except ValueError:
            return str(path)


def check_corpus(
    corpus: Corpus, *, jobs: int = 1, on_done: Callable[[int, int], None] | None = None
) -> CorpusReport:
    """Decode the audio of every file and report what was found.

    Args:
        corpus: read by file names or from a table.
        jobs: number of processes.
        on_done: called with (files done, total) after each file.
    """
    used = [clip.path for clip in corpus.clips]
    others = [*corpus.misnamed, *(left for _, left in corpus.duplicate_names)]
    paths = sorted(dict.fromkeys([*used, *others]))
    by_path: dict[Path, FileCheck] = {}
    for file in _each(paths, jobs):
        by_path[file.path] = file
        if on_done is not None:
            on_done(len(by_path), len(paths))
    files = [by_path[path] for path in paths]
    clips = {clip.path: clip for clip in corpus.clips}
    missing, absent = _missing(corpus)
    return CorpusReport(
        corpus=corpus,
        files=tuple(files),
        counts=_counts(corpus.clips),
        misnamed=tuple((path, _why_misnamed(path)) for path in corpus.misnamed),
        unreadable=(
            *((folder, "the folder cannot be listed") for folder in corpus.unlistable),
            *((file.path, file.problem) for file in files if file.problem is not None),
        ),
        damaged=tuple((file.path, "; ".join(file.damage)) for file in files if file.damage),
        silent=tuple(file.path for file in files if file.silent),
        stereo=tuple(file.path for file in files if file.n_channels > 1 and not file.has_video),
        without_sound=tuple(
            path
            for path, clip in clips.items()
            if clip.modality != "video" and not by_path[path].problem and not by_path[path].has_audio
        ),
        without_picture=tuple(
            path
            for path, clip in clips.items()
            if clip.modality != "audio" and not by_path[path].problem and not by_path[path].has_video
        ),
        identical=_identical(files, clips),
        missing=missing,
        absent=absent,
    )


def check_file(path: Path) -> FileCheck:
    """Decode the audio of one file; a file that cannot be read is a finding, not an error."""
    try:
        media = decode(path, threads=1)
        sound = _sound(path, media)
        file_sha256 = file_digest(path)
    except MediaError as error:
        return FileCheck(path, problem=error.problem)
    except OSError as error:
        return FileCheck(path, problem=error.strerror or str(error))
    return FileCheck(
        path, has_video=media.has_video, file_sha256=file_sha256, damage=media.faults, **sound
    )  # fmt: skip


def _sound(path: Path, media: Media) -> dict[str, Any]:
    """What there is to say about the audio; a long recording is read once more, block by block."""
    audio = media.audio
    if audio is None:
        return {}
    digest, silent, duration_s = hashlib.sha256(), True, 0.0
    with contextlib.ExitStack() as stack:
        blocks: Iterable[Waveform | Frame] = [audio]
        if media.audio_rest_s is not None:
            blocks = stack.enter_context(open_stream(path, frames_per_s=None, threads=1))
        for block in blocks:
            assert isinstance(block, Waveform)
            digest.update(to_mono(block).tobytes())
            silent &= is_silent(block.samples)
            duration_s += block.duration_s
    return {
        "has_audio": True,
        "n_channels": media.n_channels,
        "duration_s": duration_s,
        "silent": silent,
        "audio_sha256": None if silent else digest.hexdigest(),
    }


def _each(paths: Sequence[Path], jobs: int) -> Iterator[FileCheck]:
    """The checks of all files, in any order."""
    if jobs <= 1 or len(paths) < 2:
        yield from map(check_file, paths)
        return

    def on_death(index: int) -> FileCheck:
        return FileCheck(paths[index], problem="the process that read it died")

    arguments = [(path,) for path in paths]
    checks = as_completed(check_file, arguments, jobs, on_death=on_death)
    yield from (check for _, check in checks)


def _kind(clip: Clip) -> str:
    channel = clip.facts.get("channel")
    return clip.modality if channel is None else f"{clip.modality}, {channel}"


def _counts(clips: Iterable[Clip]) -> dict[str, dict[str, dict[str, int]]]:
    counter = Counter((_kind(clip), clip.speaker, clip.emotion or "unlabelled") for clip in clips)
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for kind, speaker, emotion in sorted(counter):
        counts.setdefault(kind, {}).setdefault(speaker, {})[emotion] = counter[kind, speaker, emotion]
    return counts


def _why_misnamed(path: Path) -> str:
    try:
        parse_name(path.stem)
    except CorpusError as error:
        return str(error).removeprefix(f"{path.stem}: ")
    return "not a name of this corpus"


def _identical(files: Sequence[FileCheck], clips: dict[Path, Clip]) -> tuple[Identical, ...]:
    """Groups of files with the same audio. The files of one take may share it: that is not a finding."""
    by_name = {clip.clip_id: clip for clip in clips.values()}

    def take_of(path: Path) -> str:
        # a file left out for another of its name belongs to that one's take; a misnamed one is its own take
        clip = clips.get(path) or by_name.get(path.stem)
        return str(path) if clip is None else clip.take

    groups: defaultdict[str, list[FileCheck]] = defaultdict(list)
    for file in files:
        if file.audio_sha256 is not None:
            groups[file.audio_sha256].append(file)
    return tuple(
        Identical(
            paths=tuple(file.path for file in group),
            same_bytes=len({file.file_sha256 for file in group}) == 1,
        )
        for group in groups.values()
        if len({take_of(file.path) for file in group}) > 1
    )


def _missing(corpus: Corpus) -> tuple[tuple[Missing, ...], tuple[str, ...]]:
    """What is missing from the design of RAVDESS, or from the takes of other speakers of a synthetic
    corpus."""
    have: defaultdict[tuple[str, str], defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for clip in corpus.clips:
        if "channel" in clip.facts:
            code = clip.take.rpartition("-")[0]
            have[_kind(clip), clip.facts["channel"]][clip.speaker].add(code)
    missing = []
    for (kind, channel), speakers in sorted(have.items()):
        expected = set().union(*speakers.values()) if corpus.synthetic else set(design(channel))
        for speaker in corpus.speakers:
            if channel == "song" and speaker == f"{ACTOR_WITHOUT_SONG:02d}" and not corpus.synthetic:
                continue
            lacking = sorted(expected - speakers[speaker])
            if lacking:
                takes = tuple(f"{code}-{speaker}" for code in lacking)
                missing.append(Missing(kind, speaker, takes, len(expected)))
    designed = () if corpus.synthetic or not have else tuple(f"{n:02d}" for n in range(1, N_ACTORS + 1))
    return tuple(missing), tuple(speaker for speaker in designed if speaker not in corpus.speakers)


def _missing_lines(missing: Iterable[Missing], absent: Sequence[str]) -> Iterator[str]:
    if absent:
        yield f"everything of {_ranges(absent)}"
    whole: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for m in missing:
        if len(m.takes) == m.expected:
            whole[m.kind, m.expected].append(m.speaker)
            continue
        shown = ", ".join(m.takes[:3]) + (", …" if len(m.takes) > 3 else "")
        yield f"{m.kind}: {m.speaker} lacks {len(m.takes)} of {m.expected} takes ({shown})"
    for (kind, expected), speakers in whole.items():
        yield f"{kind}: {_ranges(speakers)} {'lacks' if len(speakers) == 1 else 'lack'} all {expected} takes"


def _ranges(speakers: Sequence[str]) -> str:
    """``02–05, 07``: numbered speakers with runs abbreviated."""
    runs: list[list[str]] = []
    for speaker in speakers:
        last = runs[-1][-1] if runs else ""
        if speaker.isdigit() and last.isdigit() and int(speaker) == int(last) + 1:
            runs[-1].append(speaker)
        else:
            runs.append([speaker])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _count_table(speakers: dict[str, dict[str, int]], labels: Sequence[str]) -> Iterator[str]:
    width = max(len("speaker"), *map(len, speakers))
    columns = [*labels, *(["unlabelled"] if any("unlabelled" in row for row in speakers.values()) else [])]
    yield f"  {'speaker':<{width}}  " + "  ".join(columns) + "  total"
    for speaker, row in speakers.items():
        cells = "  ".join(f"{row.get(emotion, 0):>{len(emotion)}}" for emotion in columns)
        yield f"  {speaker:<{width}}  {cells}  {sum(row.values()):>5}"


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    lines = list(items)
    yield f"{title}: {len(lines) if lines else 'none'}"
    for line in lines:
        yield f"  {line}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
