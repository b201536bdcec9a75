"""Tags in audio files without a container, which stay between the parts when such files are joined."""

from __future__ import annotations


def tags_length(content: bytes) -> int:
    """How many bytes the ID3 and APE tags take with which some bytes start; they may reach further."""
    at = 0
    while True:
        head = content[at : at + 32]
        if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
            at += 10 + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
        elif head[:3] == b"TAG":
            at += 128
        elif head[:8] == b"APETAGEX" and len(head) >= 16:
            at += 32 + int.from_bytes(head[12:16], "little")
        else:
            return at
