"""The errors a user can meet.

::

    EmofuseError
    ├── CorpusError        a corpus, a clip name or a table of clips is not what it should be
    ├── DownloadError      a download failed, was too large or did not match its checksum
    ├── MediaError         a media file cannot be read, or has not what was asked for
    ├── FeatureError       features cannot be computed or found
    ├── RecipeError        a recipe has an unknown key or a value that is not allowed
    ├── WeightsError       a weight file is missing, altered or of another layout
    ├── BundleError        a trained recogniser is missing, incomplete or altered
    ├── ProfileError       a person's profile is missing, damaged or of another recogniser
    ├── ExperimentError    a run cannot start or go on
    ├── JournalError       a batch cannot go on from what was done before
    ├── IsolationError     worker processes cannot be started
    ├── ExportError        a timeline cannot be written: no such format, or a source that cannot be drawn on
    └── MissingExtraError  an optional part of the package is not installed
"""

from __future__ import annotations

from pathlib import Path


class EmofuseError(Exception):
    """The root: everything emofuse raises on purpose. Its text is one line that names the mend."""


class CorpusError(EmofuseError):
    """A corpus, a clip name or a table of clips is not what it should be."""


class DownloadError(EmofuseError):
    """A download failed, was too large or did not match its checksum."""


class MediaError(EmofuseError):
    """A media file cannot be read, or has not what was asked for."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.path, self.problem)


class FeatureError(EmofuseError):
    """Features cannot be computed or found."""


class RecipeError(EmofuseError):
    """A recipe has an unknown key or a value that is not allowed."""


class WeightsError(EmofuseError):
    """A weight file is missing, altered or of another layout."""


class BundleError(EmofuseError):
    """A trained recogniser is missing, incomplete or altered."""


class ProfileError(EmofuseError):
    """A person's profile is missing, damaged, or of another recogniser; or nobody can be enrolled."""


class ExperimentError(EmofuseError):
    """A run cannot start or go on."""


class ExportError(EmofuseError):
    """A timeline cannot be written: no such format, or a source that cannot be drawn on."""


class MissingExtraError(EmofuseError):
    """An optional part of the package is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional part: pip install 'emofuse[{extra}]'")
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.extra, self.purpose)
