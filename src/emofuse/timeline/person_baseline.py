"""What a timeline says of a person's own baseline, which the recording itself gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emofuse.features.own_baseline import Kind, Modality, OwnBaseline, described

Leading = Literal["own", "plain"]
"""Which reading leads: the one against the own baseline, or the one without."""


@dataclass(frozen=True, slots=True)
class PersonBaseline:
    """A person's baselines, and which shares of them are subtracted in what leads."""

    baselines: Mapping[Kind, OwnBaseline]
    strengths: Mapping[Modality, float]

    @property
    def leading(self) -> Leading:
        """``own`` if anything is subtracted."""
        return "own" if any(self.strengths.values()) else "plain"

    @property
    def described(self) -> str:
        """In words, after the person's name and "is"."""
        how = "read against their" if self.leading == "own" else "not read against their"
        return f"{how} {described(self.baselines, self.strengths)}"

    def as_data(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "leading": self.leading,
            **{
                name: {
                    "clips": round(self.baselines[name].n, 3),
                    "spread_nats": round(self.baselines[name].spread_nats, 6),
                    "subtracted": round(strength, 6),
                }
                for name, strength in self.strengths.items()
            },
        }
