"""What reads the files of a batch: what every worker process loads, and where these processes run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emofuse.core.devices import Device, DeviceChoice
from emofuse.core.records import StreamChoice
from emofuse.core.version import __version__
from emofuse.features.embeddings.tabled import Modality, given_tables
from emofuse.features.library_versions import OF_PREDICTION, library_versions
from emofuse.recognition.bundle import MANIFEST, Bundle, load_bundle, warn_of_licence
from emofuse.system.checksums import file_digest
from emofuse.system.isolated_workers import Lost, Reply, Task, isolated
from emofuse.system.onnx_session import usable_device
from emofuse.system.source_digest import source_digest

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What every worker process loads."""

    bundle: Path
    emotions: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    """The names of the bundle's numeric scales."""
    action_units: Path | None = None
    embeddings: Mapping[Modality, Path] = field(default_factory=dict)
    """Tables of the recordings, where the bundle reads any."""
    profile: Profile | None = None
    streams: StreamChoice = field(default_factory=StreamChoice)
    device: Device = "cpu"

    @classmethod
    def of(
        cls,
        recognizer: Recognizer | Bundle | str | Path | None,
        profile: Profile | None = None,
        streams: StreamChoice | None = None,
        device: DeviceChoice | None = None,
    ) -> WorkerSettings:
        """Those of a recognizer, a bundle or its folder, or None: the recognizer that comes with emofuse.

        This process needs no networks: they are loaded here only to check a profile. ``device``: of the
        networks; None: the recognizer's, else the CPU.

        Raises:
            BundleError: there is no such bundle.
            DeviceError: ``device`` is ``cuda``, and there is no GPU that can be used.
            ProfileError: the profile was made with another recognizer.
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
            bundle, table = recognizer.bundle, recognizer.action_units
            device = device or recognizer.device
            if profile is not None:
                recognizer.check_profile(profile)
        return cls(
            bundle=bundle.folder.absolute(),
            emotions=bundle.emotions,
            dimensions=bundle.dimension_names,
            action_units=None if table is None else table.path.absolute(),
            embeddings=given_tables(bundle.recipe),
            profile=profile,
            streams=streams or StreamChoice(),
            device=usable_device(device or "cpu"),
        )

    def identity(self) -> dict[str, str | None]:
        """What the results depend on, as digests; chosen streams and a GPU only if there are any."""
        chosen = {
            f"{kind} stream": str(number)
            for kind, number in asdict(self.streams).items()
            if number is not None
        }
        if self.device != "cpu":
            chosen["device"] = self.device
        chosen |= {f"embeddings of the {name}": file_digest(path) for name, path in self.embeddings.items()}
        return chosen | {
            "version of emofuse": __version__,
            "version of its code": source_digest(),
            "version of a library": json.dumps(library_versions(OF_PREDICTION)),
            "recogniser": file_digest(self.bundle / MANIFEST),
            "table of action units": None if self.action_units is None else file_digest(self.action_units),
            "profile": None if self.profile is None else _digest(self.profile),
        }

    @contextlib.contextmanager
    def setup(self) -> Iterator[dict[str, Any]]:
        """The setup of a worker process, as JSON data; a profile is passed as a temporary file."""
        with tempfile.TemporaryDirectory(prefix="emofuse-") as folder:
            profile = None
            if self.profile is not None:
                profile = Path(folder, "profile")
                self.profile.save(profile)
            yield {
                "bundle": str(self.bundle),
                "action_units": None if self.action_units is None else str(self.action_units),
                "embeddings": {name: str(path) for name, path in self.embeddings.items()},
                "profile": None if profile is None else str(profile),
                "streams": asdict(self.streams),
                "device": self.device,
            }


def _digest(profile: Profile) -> str:
    digest = hashlib.sha256(f"{profile.recogniser} {profile.clips}".encode())
    for name, known in sorted(profile.moments.items()):
        digest.update(f"{name} {known.n}".encode())
        digest.update(known.mean.tobytes() + known.deviations.tobytes())
    for kind, one in sorted(profile.baselines.items()):
        digest.update(f"{kind} {one.n} {one.spread_nats}".encode() + one.mean.tobytes())
    if profile.face is not None:
        digest.update(profile.face.tobytes())
    return digest.hexdigest()


class Workers(Protocol):
    """Where the worker processes run: on this machine, or on the nodes of a cluster."""

    def __call__(
        self,
        target: str,
        settings: WorkerSettings,
        more: Mapping[str, Any],
        tasks: Iterable[Task],
        *,
        out_dir: Path | None = None,
    ) -> Generator[tuple[int, Reply | Lost], None, None]:
        """Have tasks done, one at a time by each process, whatever becomes of the process.

        Args:
            target: ``"module:function"``, which gets the setup and returns the handler of a task.
            settings: what every worker loads.
            more: what is added to their setup, as JSON data.
            tasks: what to do, taken one by one; the entry ``file`` of each names what it reads.
            out_dir: the folder in which workers write, if they do.

        Yields:
            The key of a task, and its reply or how it was lost, as they are ready.
        """


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """Workers that are processes of this machine."""

    jobs: int

    def __call__(
        self,
        target: str,
        settings: WorkerSettings,
        more: Mapping[str, Any],
        tasks: Iterable[Task],
        *,
        out_dir: Path | None = None,  # noqa: ARG002
    ) -> Generator[tuple[int, Reply | Lost], None, None]:
        """See :class:`Workers`.

        Raises:
            IsolationError: a worker cannot start, or cannot load.
        """
        with settings.setup() as setup:
            yield from isolated(target, {**setup, **more}, tasks, self.jobs)
