"""Thousands of files into one table: several processes, resumable, a row for every file.

>>> from emofuse.recognition.batch import find_recordings, predict_table               # doctest: +SKIP
>>> listing = find_recordings(["interviews"])                              # doctest: +SKIP
>>> result = predict_table(listing, None, "interviews.csv", jobs=4)        # doctest: +SKIP
>>> result.rows, result.failed                                             # doctest: +SKIP
(1000, 50)

Every file is read in a worker process, which may crash or hang without harm to the others. Each result goes
into a journal beside the table at once; the same call goes on after an interrupt or a kill. When all are
there, the table is written, in the order of the files, and the journal is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emofuse.core.errors import BatchError, JournalError
from emofuse.core.records import Prediction
from emofuse.core.version import __version__
from emofuse.recognition.batch_inputs import Listing, find_recordings
from emofuse.recognition.bundle import MANIFEST, Bundle, load_bundle, warn_of_licence
from emofuse.recognition.tables import Row, check_table, failure, row_of, unread, write_table
from emofuse.system.checksums import file_digest
from emofuse.system.isolated_workers import Lost, Task, isolated
from emofuse.system.journal import Journal

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer

__all__ = [
    "BatchError", "BatchResult", "JournalError", "Listing", "Readers", "default_limit_s", "find_recordings",
    "predict_in_processes", "predict_table",
]  # fmt: skip

READER: Final = "emofuse.recognition.batch_worker:reader"
"""What reads files in a worker process."""
ERRORS_KEPT: Final = 20
"""How many failed files a result names; the table names all."""
_LIMIT_S: Final = 600.0
_LIMIT_BYTES_PER_S: Final = 100_000.0

OnProgress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch."""

    out: Path
    rows: int
    failed: int
    """Files without probabilities; their rows say why."""
    resumed: int
    """Files that an earlier, interrupted run had read."""
    errors: tuple[str, ...]
    """Of the first failed files, in the order of the table."""


def default_limit_s(size_bytes: int) -> float:
    """Seconds that a file may take: ten minutes, and one second more for each 100 kB.

    The size is known without opening the file; what a damaged file says of its duration is not to be trusted.
    """
    return _LIMIT_S + size_bytes / _LIMIT_BYTES_PER_S


@dataclass(frozen=True, slots=True)
class Readers:
    """What worker processes read files with."""

    bundle: Path
    emotions: tuple[str, ...]
    action_units: Path | None = None
    profile: Profile | None = None

    @classmethod
    def of(
        cls, recognizer: Recognizer | Bundle | str | Path | None, profile: Profile | None = None
    ) -> Readers:
        """Of a recogniser, a bundle or its folder, or None: the recogniser that comes with emofuse.

        This process needs no networks: they are loaded here for no more than to check a profile.

        Raises:
            BundleError: there is none.
            ProfileError: the profile is of another recogniser.
        """
        if recognizer is None or isinstance(recognizer, str | Path):
            recognizer = load_bundle(recognizer)
            warn_of_licence(recognizer)
        if isinstance(recognizer, Bundle) and profile is not None:
            from emofuse.recognition.recognizer import Recognizer

            recognizer = Recognizer(recognizer)
        if isinstance(recognizer, Bundle):
            bundle, table = recognizer, None
        else:
            list(recognizer.predict_files([], profile=profile))  # checks the profile
            bundle, table = recognizer.bundle, recognizer.action_units
        return cls(
            bundle=bundle.folder.absolute(),
            emotions=bundle.emotions,
            action_units=None if table is None else table.path.absolute(),
            profile=profile,
        )

    def identity(self) -> dict[str, str | None]:
        """What the results depend on, a digest each."""
        return {
            "version of emofuse": __version__,
            "recogniser": file_digest(self.bundle / MANIFEST),
            "table of action units": None if self.action_units is None else file_digest(self.action_units),
            "profile": None if self.profile is None else _digest(self.profile),
        }

    @contextlib.contextmanager
    def setup(self) -> Iterator[dict[str, str | None]]:
        """What a worker is told; a profile is handed over as a file."""
        with tempfile.TemporaryDirectory(prefix="emofuse-") as folder:
            profile = None
            if self.profile is not None:
                profile = Path(folder, "profile")
                self.profile.save(profile)
            yield {
                "bundle": str(self.bundle),
                "action_units": None if self.action_units is None else str(self.action_units),
                "profile": None if profile is None else str(profile),
            }


def _digest(profile: Profile) -> str:
    digest = hashlib.sha256(f"{profile.recogniser} {profile.clips}".encode())
    for name, known in sorted(profile.moments.items()):
        digest.update(f"{name} {known.n}".encode())
        digest.update(known.mean.tobytes() + known.deviations.tobytes())
    return digest.hexdigest()


def predict_table(
    files: Listing | str | Path | Iterable[str | Path],
    recognizer: Recognizer | Bundle | str | Path | None,
    out: str | Path,
    *,
    jobs: int = 1,
    profile: Profile | None = None,
    timeout_s: float | None = None,
    on_progress: OnProgress | None = None,
) -> BatchResult:
    """Read many files into a table; called again after an interrupt or a kill it goes on where it was.

    Args:
        files: what to read, in the order of the table; folders are searched for recordings.
        recognizer: a recogniser, a bundle or its folder, or None: the recogniser that comes with emofuse.
        out: the table, ``.csv``, ``.jsonl`` or ``.parquet``; one that is there is replaced at the end. Its
            journal lies beside it, with ``.partial.jsonl`` added to its name.
        jobs: worker processes; each keeps to one core.
        profile: of the person who is seen and heard in all the files.
        timeout_s: seconds a file may take; None: :func:`default_limit_s`; 0: any.
        on_progress: called with the number done, the number failed among them, and the number of all.

    Returns:
        Counts, and the errors of the first failed files.

    Raises:
        BatchError: there is no file to read, or the table is of no known kind.
        JournalError: the journal is of another recogniser, profile or version, or in use.
        BundleError: there is no such recogniser.
        IsolationError: a worker cannot load it.
        MissingExtraError: a Parquet table is wanted and pyarrow is not installed.
        OSError: the table or its journal cannot be written.
    """
    out = Path(out)
    check_table(out)
    readers = Readers.of(recognizer, profile)
    listing = files if isinstance(files, Listing) else find_recordings(files)
    if not listing.files:
        raise BatchError("there is no recording to read")
    if out.exists() and any(Path(file).exists() and out.samefile(file) for file in listing.files):
        raise BatchError(f"{out}: that is one of the recordings: choose another name for the table")
    with Journal(out.with_name(f"{out.name}.partial.jsonl"), readers.identity()) as journal:
        run = _Run(listing, readers.emotions, journal, on_progress or _quiet)
        run.recall()
        with readers.setup() as setup:
            answers = isolated(READER, setup, run.tasks(timeout_s), jobs)
            with contextlib.closing(answers):
                for place, answer in answers:
                    run.keep(place, answer)
        write_table(out, run.rows(), readers.emotions)
        journal.remove()
        return BatchResult(out, len(listing.files), run.failed, run.resumed, tuple(run.errors()))


@dataclass
class _Run:
    """The state of one call: where in the journal each file's result is. Grows by eight bytes a file."""

    listing: Listing
    emotions: tuple[str, ...]
    journal: Journal
    on_progress: OnProgress
    places: array[int] = field(init=False)
    done: int = 0
    failed: int = 0
    resumed: int = 0

    def __post_init__(self) -> None:
        self.places = array("q", [-1]) * len(self.listing.files)
        self._stamps: dict[int, list[int] | None] = {}

    def recall(self) -> None:
        """Find what an earlier run has read, of files that have not changed since."""
        index = {name: place for place, name in enumerate(self.listing.files)}
        for where, entry in self.journal.entries():
            place = index.get(entry.get("file", ""))
            if place is None or self.places[place] >= 0:
                continue
            if entry.get("stamp") == stamp(self.listing.files[place]):
                self.places[place] = where
                self.resumed += 1
                self._count(entry["row"])
        self._tell()

    def tasks(self, timeout_s: float | None) -> Iterator[Task]:
        """What is left to do; files that need no reading are answered here."""
        for place, name in enumerate(self.listing.files):
            if self.places[place] >= 0:
                continue
            self._stamps[place] = found = stamp(name)
            refused = self.listing.refused.get(name)
            if refused is not None:
                self.keep(place, Lost(refused))
                continue
            limit_s = default_limit_s(0 if found is None else found[0]) if timeout_s is None else timeout_s
            yield Task(place, {"file": name}, limit_s or None)

    def keep(self, place: int, answer: Mapping[str, Any] | Lost) -> None:
        """One more is done."""
        name = self.listing.files[place]
        row = row_of(_prediction(name, answer, self.emotions))
        entry = {"file": name, "stamp": self._stamps.pop(place), "row": row}
        self.places[place] = self.journal.append(entry)
        self._count(row)
        self._tell()

    def _count(self, row: Mapping[str, Any]) -> None:
        self.done += 1
        self.failed += row["error"] is not None

    def _tell(self) -> None:
        self.on_progress(self.done, self.failed, len(self.listing.files))

    def rows(self) -> Iterator[Row]:
        """The results in the order of the files."""
        for where in self.places:
            yield self.journal.at(where)["row"]

    def errors(self) -> Iterator[str]:
        """Of the first failed files."""
        kept = 0
        for row in self.rows() if self.failed else ():
            if row["error"] is not None:
                yield failure(str(row["file"]), str(row["error"]))
                kept += 1
                if kept == min(ERRORS_KEPT, self.failed):
                    return


def predict_in_processes(
    listing: Listing,
    readers: Readers,
    *,
    jobs: int,
    timeout_s: float | None = None,
    on_progress: OnProgress | None = None,
) -> list[Prediction]:
    """Predictions of some files, in their order, for printing; nothing is kept on disk.

    Raises:
        IsolationError: a worker cannot load the recogniser.
    """
    said: dict[int, Prediction] = {
        place: _prediction(name, Lost(listing.refused[name]), readers.emotions)
        for place, name in enumerate(listing.files)
        if name in listing.refused
    }

    def tasks() -> Iterator[Task]:
        for place, name in enumerate(listing.files):
            if place not in said:
                size = (stamp(name) or [0])[0]
                limit_s = default_limit_s(size) if timeout_s is None else timeout_s
                yield Task(place, {"file": name}, limit_s or None)

    failed = len(said)
    with (
        readers.setup() as setup,
        contextlib.closing(isolated(READER, setup, tasks(), jobs)) as answers,
    ):
        for place, answer in answers:
            said[place] = prediction = _prediction(listing.files[place], answer, readers.emotions)
            failed += prediction.error is not None
            if on_progress is not None:
                on_progress(len(said), failed, len(listing.files))
    return [said[place] for place in range(len(listing.files))]


def stamp(name: str) -> list[int] | None:
    """Size in bytes and time of the last change in ns, which tell a changed file. None: no such file."""
    try:
        facts = os.stat(name)  # noqa: PTH116 - a million names are not made Paths for this
    except (OSError, ValueError):
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _prediction(name: str, answer: Mapping[str, Any] | Lost, emotions: tuple[str, ...]) -> Prediction:
    """A worker's answer, :meth:`Prediction.as_dict`, as a record again."""
    if isinstance(answer, Lost):
        return unread(name, answer.reason, emotions)
    said = answer

    def values(named: Mapping[str, float] | None) -> Any:
        return None if named is None else np.array([named[e] for e in emotions], dtype=np.float64)

    return Prediction(
        source=said["source"],
        emotions=emotions,
        probabilities=values(said["probabilities"]),
        used=tuple(said["used"]),
        voice=values(said["voice"]),
        face=values(said["face"]),
        voice_missing=said["voice_missing"],
        face_missing=said["face_missing"],
        notes=tuple(said["notes"]),
        meta=said["meta"],
        error=said["error"],
    )


def _quiet(done: int, failed: int, total: int) -> None:
    """Say nothing."""
