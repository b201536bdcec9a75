"""What networks run on."""

from __future__ import annotations

from typing import Literal

Device = Literal["cpu", "cuda"]
"""``cuda``: a GPU."""
DeviceChoice = Literal["auto", "cpu", "cuda"]
"""What a user may ask for; ``auto``: a GPU if there is one that can be used, else the CPU."""
