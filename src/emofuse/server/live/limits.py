"""What a live session may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Of one session, except ``sessions``. A rate that is broken ends it; a bad frame is only refused."""

    sessions: int = 2
    """At once. Each has a process with a recognizer of its own, which starts with the first session."""
    message_bytes: int = 2 * _MIB
    """Of one binary or text message."""
    block_s: float = 1.0
    """Of one block of audio."""
    messages_per_s: float = 100.0
    """On average; ten blocks of audio and thirty pictures are forty."""
    bytes_per_s: float = 4.0 * _MIB
    """On average."""
    burst_s: float = 5.0
    """How many seconds' worth may come at once."""
    idle_s: float = 30.0
    """How long nothing may come: no audio, or no pictures where there is no audio."""
    pause_s: float = 900.0
    """The same after a client has said that it pauses."""
    session_s: float = 4 * 3600.0
    """How long a session may take."""
    unread_messages: int = 1000
    """Results that a client may leave unread."""
    ready_s: float = 120.0
    """How long a session may wait for its process."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class Allowance:
    """A rate that is kept on average: a bucket that fills steadily up to ``burst_s`` seconds' worth."""

    def __init__(self, per_s: float, burst_s: float) -> None:
        self._per_s, self._most = per_s, per_s * burst_s
        self._left, self._at_s = self._most, float("-inf")

    def spend(self, amount: float, now_s: float) -> bool:
        """Take an amount at a time; False if there is not that much."""
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if amount > self._left:
            return False
        self._left -= amount
        return True
