"""Which servers that share a database are dead: those whose beats stand still, on one's own watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class _Seen:
    beat: int
    still_s: float = 0.0


class DeadServers:
    """Watches the beats of the other servers. No clock of another machine counts, nor the time of day.

    Args:
        still_s: a server is dead whose beats have stood still for so long.
        longest_gap_s: the time between two looks counts so much at most. While nobody could look, because the
            database was away, nobody could beat either.
        clock: seconds, of a clock that nobody sets.
    """

    def __init__(
        self, still_s: float, *, longest_gap_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._still_s: Final = still_s
        self._longest_gap_s: Final = longest_gap_s
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._looked = clock()

    def observe(self, beats: Mapping[str, int]) -> list[str]:
        """The servers that are dead by now; each is named again as long as it is there and stands still.

        Args:
            beats: how often each server has beaten so far, as read just now.
        """
        now = self._clock()
        passed_s = min(now - self._looked, self._longest_gap_s)
        self._looked = now
        seen = {}
        for server, beat in beats.items():
            before = self._seen.get(server)
            moved = before is None or before.beat != beat
            seen[server] = _Seen(beat, 0.0 if moved or before is None else before.still_s + passed_s)
        self._seen = seen
        return [server for server, one in seen.items() if one.still_s >= self._still_s]
