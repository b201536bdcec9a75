"""What a node must see and have, so that what it computes is what this machine would compute."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.system.source_digest import source_digest
from emofuse.training.run_folder import software

_MOST_FILES: Final = 100
"""That are looked for, each in another folder."""
_LOOKS: Final = 5
_LOOK_S: Final = 1.0
"""How often, and after how long, a node looks for a probe: shared file systems show it a moment later."""
_OF_EMOFUSE: Final = "code of emofuse"


@dataclass(frozen=True, slots=True)
class Terms:
    """Plain data, which is sent to every node."""

    folder: str
    """In which the driver works: paths may be relative to it."""
    probes: Mapping[str, bytes]
    """The content of files that the driver has just made."""
    files: Mapping[str, int]
    """The sizes of some that tasks read."""
    software: Mapping[str, str]
    """Versions of what results depend on."""

    @classmethod
    def of(cls, probes: Iterable[Path], files: Iterable[Path] = ()) -> Terms:
        """Those of this machine.

        Args:
            probes: files in the folders that all nodes must see.
            files: that they must see, such as recordings; one of each folder is looked for.
        """
        contents = {str(path): path.read_bytes() for path in probes}
        return cls(str(Path.cwd()), contents, _sizes(files), _software())

    def refusal(self) -> str | None:
        """Why this process, on whichever machine, cannot do the work; None: it can."""
        with contextlib.suppress(OSError):
            os.chdir(self.folder)  # the process is Ray's, and works for one driver
        return self._other_software() or self._unseen_folder() or self._unseen_file()

    def _other_software(self) -> str | None:
        here = _software()
        differing = [name for name, version in self.software.items() if here.get(name) != version]
        if not differing:
            return None
        if differing == [_OF_EMOFUSE]:
            return "its emofuse is not that of this machine, though of the same version: install the same"
        what = ", ".join(f"{name} {here.get(name)}, not {self.software[name]}" for name in differing
                         if name != _OF_EMOFUSE)  # fmt: skip
        return f"it has {what}: results depend on it, install the same as on this machine"

    def _unseen_folder(self) -> str | None:
        for probe, content in self.probes.items():
            folder = Path(probe).parent.absolute()
            for look in range(_LOOKS):
                with contextlib.suppress(OSError):
                    if Path(probe).read_bytes() == content:
                        break
                if look + 1 == _LOOKS:
                    return f"it does not see {folder} as this machine does: all nodes must share that folder"
                time.sleep(_LOOK_S)
            if not os.access(folder, os.W_OK):
                return f"it cannot write to {folder}"
        return None

    def _unseen_file(self) -> str | None:
        for path, size in self.files.items():
            try:
                found = Path(path).stat().st_size
            except OSError:
                return f"it does not see {Path(path).absolute()}: all nodes must have it there"
            if found != size:
                return f"{Path(path).absolute()} has {found} bytes there, and {size} on this machine"
        return None


def _sizes(files: Iterable[Path]) -> dict[str, int]:
    """The size of a file in each folder, of those that are there."""
    sizes: dict[str, int] = {}
    folders: set[Path] = set()
    for path in files:
        if path.parent not in folders and len(sizes) < _MOST_FILES:
            with contextlib.suppress(OSError):
                sizes[str(path)] = path.stat().st_size
                folders.add(path.parent)
    return sizes


def _software() -> dict[str, str]:
    found = {name: version for name, version in software().items() if name != "platform"}
    return {**found, _OF_EMOFUSE: source_digest()}
