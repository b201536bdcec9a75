"""The errors a user can meet.

::

    EmofuseError
    ├── CorpusError        a corpus, a clip name or a table of clips is not what it should be
    ├── DownloadError      a download failed, was too large or did not match its checksum
    ├── MediaError         a media file cannot be read, or lacks what is needed
    │   └── LimitError        a media file asks for more than it may
    ├── FeatureError       features cannot be computed or found
    │   └── StoreError     the feature store cannot be written
    ├── RecipeError        a recipe has an unknown key or a value that is not allowed
    ├── WeightsError       a weight file is missing, altered or of another layout
    ├── BundleError        a trained recognizer is missing, incomplete or altered
    ├── ProfileError       a person's profile is missing, damaged or of another recognizer
    ├── DeviceError        a GPU was asked for and cannot be used, or its memory is full
    ├── ExperimentError    a run cannot start or resume
    │   └── FolderInUseError  another process works in the folder
    ├── JournalError       a batch cannot resume from its journal
    ├── IsolationError     worker processes cannot be started
    ├── WorkerLostError    the process that worked on a task died or had to be killed
    ├── JobError           a job cannot be stored, found or changed
    │   ├── JobQuotaError     too many jobs are open
    │   ├── JobConflictError  a job was changed by somebody else meanwhile
    │   └── JobStoreError     the database of jobs cannot be used
    ├── BatchError         a batch has nothing to read, or its table cannot be written
    │   └── ShardError         shards of a batch are missing, doubled or of different batches
    ├── ClusterError       a cluster cannot be reached, or its nodes cannot do the work
    ├── TimelineError      a stored timeline is missing, damaged or of another version
    ├── AnnotationError    annotations are malformed, or of another recording
    ├── CancelledError     the reading of a recording was cancelled by its caller
    ├── ExportError        a timeline cannot be written: no such format, or a source that cannot be drawn on
    ├── ParameterError     a program, such as ELAN, gave parameters that cannot be used
    ├── ServiceError       the service cannot listen at its address, or its settings contradict each other
    ├── RequestError       a service refused a request of its client, or was not reached
    └── MissingExtraError  an optional part of the package is not installed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class EmofuseError(Exception):
    """The root: everything emofuse raises on purpose. Its text is one line and says how to fix it."""


class CorpusError(EmofuseError):
    """A corpus, a clip name or a table of clips is not what it should be."""


class DownloadError(EmofuseError):
    """A download failed, was too large or did not match its checksum."""


class MediaError(EmofuseError):
    """A media file cannot be read, or lacks what is needed."""

    def __init__(self, path: Path | str, problem: str) -> None:
        from pathlib import Path  # ``import emofuse`` does not need it, and it takes a third of that time

        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str]]:
        """Pickle with both arguments, on the way back from a worker process."""
        return type(self), (self.path, self.problem)


class LimitError(MediaError):
    """A media file asks for more than it may: see :class:`~emofuse.Limits`."""


class FeatureError(EmofuseError):
    """Features cannot be computed or found."""


class StoreError(FeatureError):
    """The feature store cannot be written: its disk is full, or its folder belongs to something else."""


class RecipeError(EmofuseError):
    """A recipe has an unknown key or a value that is not allowed."""


class WeightsError(EmofuseError):
    """A weight file is missing, altered or of another layout."""


class BundleError(EmofuseError):
    """A trained recognizer is missing, incomplete or altered."""


class ProfileError(EmofuseError):
    """A person's profile is missing, damaged, or of another recognizer; or nobody can be enrolled."""


class DeviceError(EmofuseError):
    """A GPU was asked for and cannot be used, or its memory is full."""


class ExperimentError(EmofuseError):
    """A run cannot start or resume."""


class FolderInUseError(ExperimentError):
    """Another process works in the folder."""


class JournalError(EmofuseError):
    """A journal belongs to another run, or cannot be read or written."""


class IsolationError(EmofuseError):
    """Worker processes cannot be started, or refuse to work."""


class WorkerLostError(EmofuseError):
    """The process that worked on a task died, or had to be killed; or its pool was closed.

    ``killed`` tells whether it was killed because the task took more time or memory than it may: it would
    again. Otherwise the task may be tried again.
    """

    def __init__(self, reason: str, *, killed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.killed = killed

    def __reduce__(self) -> tuple[type[WorkerLostError], tuple[str], dict[str, bool]]:
        """Pickle with both arguments, on the way back from a worker process."""
        return type(self), (self.reason,), {"killed": self.killed}


class JobError(EmofuseError):
    """A job of the local service cannot be stored, found or changed."""


class JobQuotaError(JobError):
    """As many jobs are queued or running as the service allows."""


class JobConflictError(JobError):
    """A job was changed by somebody else since it was read."""


class JobStoreError(JobError):
    """The database of jobs cannot be reached, or another version of emofuse wrote it."""


class BatchError(EmofuseError):
    """A batch has nothing to read, or its table cannot be written there or in that format."""


class ShardError(BatchError):
    """A shard cannot be dealt, or shards cannot be merged: one is missing, doubled, or of another batch."""


class ClusterError(EmofuseError):
    """A cluster cannot be reached, is of another version, or its nodes cannot do the work."""


class TimelineError(EmofuseError):
    """A stored timeline is missing, damaged or of another version."""


class AnnotationError(EmofuseError):
    """Annotations are malformed, or of another recording."""


class CancelledError(EmofuseError):
    """The reading of a recording was cancelled by its caller."""


class ExportError(EmofuseError):
    """A timeline cannot be written: no such format, or a source that cannot be drawn on."""


class ParameterError(EmofuseError):
    """A program, such as ELAN, gave parameters that cannot be used."""


class ServiceError(EmofuseError):
    """The service cannot listen at its address, or its settings contradict each other."""


class RequestError(EmofuseError):
    """A service refused a request of its client, or was not reached."""

    def __init__(self, status: int | None, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        """Of HTTP; None where there was no answer."""
        self.title = title
        self.detail = detail

    def __reduce__(self) -> tuple[type[RequestError], tuple[int | None, str, str]]:
        """Pickle with all arguments."""
        return type(self), (self.status, self.title, self.detail)


class MissingExtraError(EmofuseError):
    """An optional part of the package is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional part: pip install 'emofuse[{extra}]'")
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Pickle with both arguments, on the way back from a worker process."""
        return type(self), (self.extra, self.purpose)
