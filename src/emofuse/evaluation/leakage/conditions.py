"""Leakage conditions: the ways to measure a recipe that the audit compares, and what leaks in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RANDOM_FOLDS: Final = "rosred-stratified-5"

SHARED_PEOPLE: Final = "the people of the test clips are in the training part too"
CHOSEN_ON_TEST: Final = (
    "the epoch of each network, the settings of the fusion and its classifier are those that do best on the "
    "test clips, which are then scored"
)
FUSION_CHOSEN_ON_TEST: Final = (
    "the settings of the fusion and its classifier are those that do best on the test clips, which are then "
    "scored"
)
SEEN_CLIPS: Final = (
    "the networks are those of the next fold, so they were trained on the very clips that are scored; as the "
    "notebooks' fusion, which took networks of another split"
)


@dataclass(frozen=True, slots=True)
class LeakageCondition:
    """One way to measure a recipe: with which folds, and what leaks."""

    key: str
    folder: str
    title: str
    folds: Literal["random", "strangers"]
    leaks: tuple[str, ...]

    @property
    def selects_on_test(self) -> bool:
        """Whether anything is chosen on the clips that are scored."""
        return CHOSEN_ON_TEST in self.leaks or FUSION_CHOSEN_ON_TEST in self.leaks

    @property
    def has_seen(self) -> bool:
        """Whether the networks were trained on the clips that are scored."""
        return SEEN_CLIPS in self.leaks


CONDITIONS: Final = (
    LeakageCondition(
        "a", "random-selected-on-test", "random folds, selection on the test fold", "random",
        (SHARED_PEOPLE, CHOSEN_ON_TEST),
    ),
    LeakageCondition(
        "a+", "random-seen-by-networks", "the same, with networks that had seen the test clips", "random",
        (SHARED_PEOPLE, FUSION_CHOSEN_ON_TEST, SEEN_CLIPS),
    ),
    LeakageCondition("b", "random-nested", "random folds, nested selection", "random", (SHARED_PEOPLE,)),
    LeakageCondition(
        "c", "strangers-selected-on-test", "strangers, selection on the test fold", "strangers",
        (CHOSEN_ON_TEST,),
    ),
    LeakageCondition("d", "strangers-nested", "strangers, nested selection", "strangers", ()),
)  # fmt: skip
"""In the order in which they are run: a+ uses the networks of a."""

SHORTCUTS: Final = (
    ("selection on the test fold, random folds", "a", "b"),
    ("selection on the test fold, strangers", "c", "d"),
    ("known people, selection on the test fold", "a", "c"),
    ("known people, nested selection", "b", "d"),
    ("networks that had seen the test clips", "a+", "a"),
    ("known people and selection on the test fold", "a", "d"),
    ("all three", "a+", "d"),
)
"""Each shortcut: its name, the condition that takes it, and the condition that it is compared with."""
