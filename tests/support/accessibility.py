"""What axe-core finds wrong on a page for people who use a keyboard or a screen reader, or see little."""

from __future__ import annotations

import json
from importlib import resources

from tests.support import chromium

GRAVE = ("serious", "critical")


def grave_problems(page: chromium.Page) -> list[str]:
    """One line for each element with a serious or critical violation."""
    script = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    page.run(f"{script}; true")
    found = json.loads(
        page.run(
            "axe.run(document, {resultTypes: ['violations']}).then((all) => JSON.stringify(all.violations))"
        )
    )
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
        for violation in found
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
    ]
