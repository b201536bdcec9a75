"""Write openapi.json, the description of the service's API, beside this file.

python docs/openapi.py
"""

from __future__ import annotations

import json
from pathlib import Path

from emofuse.server.app import create_app
from emofuse.server.settings import ServerSettings

PATH = Path(__file__).with_name("openapi.json")


def description() -> str:
    """The OpenAPI document as JSON."""
    document = create_app(ServerSettings(Path("data"))).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(description(), encoding="utf-8")
    print(f"wrote {PATH.name}")
