"""Cameras and sound cards as Linux names them; elsewhere there are none of these files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DEFAULT_CAMERA: Final = "/dev/video0"
_ALSA_CONFIG: Final = "ALSA_CONFIG_DIR"
_ALSA_PLUGINS: Final = "ALSA_PLUGIN_DIR"


def cameras() -> list[str]:
    """Devices of Video4Linux, in order."""
    return [str(path) for path in sorted(Path("/dev").glob("video[0-9]*"))]


def capture_cards() -> list[str]:
    """Sound cards that can record, by ALSA number: bypasses a sound server that occupies ``default``."""
    try:
        lines = Path("/proc/asound/pcm").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = [re.match(r"(\d+)-(\d+):.*: capture", line) for line in lines]
    return [f"{int(one[1])},{int(one[2])}" for one in found if one is not None]


def alsa_files() -> dict[str, str]:
    """Where this system keeps its configuration of ALSA: variables for the library bundled with PyAV."""
    found = {}
    config = Path("/usr/share/alsa")
    if (config / "alsa.conf").exists():
        found[_ALSA_CONFIG] = str(config)
    for folder in (*Path("/usr/lib").glob("*-linux-gnu/alsa-lib"), Path("/usr/lib64/alsa-lib")):
        if folder.is_dir():
            found.setdefault(_ALSA_PLUGINS, str(folder))
    return found
