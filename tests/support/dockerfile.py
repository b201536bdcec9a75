"""Read a Dockerfile and a .dockerignore, as far as this project's need it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from string import Template


@dataclass(frozen=True, slots=True)
class Instruction:
    """``RUN --mount=… command`` is the name RUN, the flags, and the rest as text."""

    name: str
    flags: tuple[str, ...]
    text: str

    @property
    def words(self) -> list[str]:
        """The rest in exec form (``["a", "b"]``), or split as a shell would."""
        if self.text.startswith("["):
            found = json.loads(self.text)
            assert isinstance(found, list)
            return [str(word) for word in found]
        return shlex.split(self.text)

    def flag(self, name: str) -> str | None:
        """The value of a flag."""
        return next((flag.partition("=")[2] for flag in self.flags if flag.startswith(f"--{name}=")), None)


@dataclass(frozen=True, slots=True)
class Stage:
    """``FROM image AS name`` and what follows it."""

    image: str
    name: str | None
    steps: tuple[Instruction, ...]

    def last(self, name: str) -> Instruction:
        """The last instruction of a name, which is the one that counts."""
        return next(step for step in reversed(self.steps) if step.name == name)


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    found: list[tuple[list[str], list[Instruction]]] = []
    for step in _instructions(path.read_text(encoding="utf-8")):
        if step.name == "FROM":
            found.append((step.words, []))
        else:
            found[-1][1].append(step)
    return [Stage(words[0], words[2] if len(words) == 3 else None, tuple(steps)) for words, steps in found]


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for whole in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = whole.strip().partition(" ")
        flags = []
        while found := re.match(r"(--[a-z-]+=\S+)\s+", rest):
            flags.append(found[1])
            rest = rest[found.end() :]
        yield Instruction(name.upper(), tuple(flags), rest.strip())


def assignments(step: Instruction, known: Mapping[str, str]) -> dict[str, str]:
    """What ENV or ARG sets, with the variables that are known before it."""
    pairs = (word.partition("=") for word in step.words)
    return {name: Template(value).substitute(known) for name, _, value in pairs}


class Ignored:
    """What a .dockerignore keeps from the build: the last pattern that fits a path or a folder of it."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        self._patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def __contains__(self, path: Path) -> bool:
        """Whether a path, relative to the root, is kept out."""
        names = [folder.as_posix() for folder in (path, *path.parents) if folder != Path()]
        ignored = False
        for pattern in self._patterns:
            wanted = pattern.removeprefix("!")
            anywhere = wanted.removeprefix("**/")
            if any(
                fnmatchcase(name.rpartition("/")[2] if anywhere != wanted else name, anywhere)
                and (anywhere != wanted or name.count("/") == wanted.count("/"))
                for name in names
            ):
                ignored = not pattern.startswith("!")
        return ignored
