"""One part of a batch that several machines share: shard 3 of 40, and which files are in it.

>>> shard = Shard.parse("3/40")
>>> shard.number, shard.of, str(shard)
(3, 40, '3/40')

Nothing runs the shards but a person, or whatever starts jobs on a cluster: every shard is a run of its own,
which knows its files from the list of all (:mod:`~emofuse.recognition.file_list`) without asking anybody.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emofuse.core.errors import ShardError

MOST_SHARDS: Final = 100_000
"""Of one batch."""
_MOST_NAMED: Final = 10
_TEXT: Final = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """The ``number``-th of ``of`` parts of a batch, counted from 1."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.of <= MOST_SHARDS:
            raise ShardError(f"{self}: a batch has 1 to {MOST_SHARDS} shards")
        if not 1 <= self.number <= self.of:
            raise ShardError(f"{self}: shards count from 1 to {self.of}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``3/40`` names.

        Raises:
            ShardError: it is not of this form, or there is no such shard.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ShardError(f"{text!r} is not a shard: write its number and how many there are, as in 3/40")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def deal(names: Sequence[str], sizes: Sequence[int], of: int) -> list[list[int]]:
    """Deal files to shards: the largest first, each to the shard that has the fewest bytes so far.

    Where sizes are equal, the order is that of the names; where shards have as many bytes, the one with fewer
    files takes the next, then the first. The same names and sizes are dealt in the same way everywhere.

    Args:
        names: of the files.
        sizes: of each, in bytes.
        of: number of shards.

    Returns:
        For each shard the positions of its files, ascending; a shard may have none.
    """
    shards: list[list[int]] = [[] for _ in range(of)]
    loads = [(0, 0, number) for number in range(of)]
    for position in sorted(range(len(names)), key=lambda i: (-sizes[i], names[i])):
        size_bytes, n_files, number = loads[0]
        shards[number].append(position)
        heapq.heapreplace(loads, (size_bytes + sizes[position], n_files + 1, number))
    return [sorted(shard) for shard in shards]


def numbers_text(numbers: Sequence[int]) -> str:
    """Numbers of shards for a message, runs of them drawn together.

    >>> numbers_text([3, 7, 8, 9])
    '3, 7-9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    more = len(texts) - _MOST_NAMED
    return ", ".join(texts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
