"""LSL on this machine's loopback alone, for each process of the tests apart."""

from __future__ import annotations

import os
from pathlib import Path

_CONFIG = """[multicast]
ResolveScope = machine
ListenAddress = 127.0.0.1
AddressesOverride = {127.0.0.1}
IPv6 = disable
[lab]
KnownPeers = {127.0.0.1}
SessionID = emofuse-test-%d
[log]
level = -2
"""


def loopback(folder: Path) -> dict[str, str]:
    """The environment of a process, and of those that it starts; LSL's configuration is in the folder."""
    config = folder / "lsl_api.cfg"
    config.write_text(_CONFIG % os.getpid(), encoding="utf-8")
    return os.environ | {"LSLAPICFG": str(config)}
