"""emofuse: the emotion a person expresses, from voice and face together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emofuse.errors import EmofuseError
from emofuse.labels import EMOTIONS

if TYPE_CHECKING:
    from emofuse.bundle import Bundle, load_bundle
    from emofuse.estimator import EmotionClassifier
    from emofuse.features.arrays import recording
    from emofuse.prediction_tables import to_pandas
    from emofuse.predictor import Recognizer
    from emofuse.profile import Profile
    from emofuse.recipes import Recipe, load_recipe
    from emofuse.records import Prediction, Recording, TimedFrames, Waveform

__version__ = "0.1.0"

__all__ = [
    "EMOTIONS",
    "Bundle",
    "EmofuseError",
    "EmotionClassifier",
    "Prediction",
    "Profile",
    "Recipe",
    "Recognizer",
    "Recording",
    "TimedFrames",
    "Waveform",
    "__version__",
    "load_bundle",
    "load_recipe",
    "recording",
    "to_pandas",
]

_HOMES = {
    "Bundle": "bundle",
    "EmotionClassifier": "estimator",
    "Prediction": "records",
    "Profile": "profile",
    "Recipe": "recipes",
    "Recognizer": "predictor",
    "Recording": "records",
    "TimedFrames": "records",
    "Waveform": "records",
    "load_bundle": "bundle",
    "load_recipe": "recipes",
    "recording": "features.arrays",
    "to_pandas": "prediction_tables",
}


def __getattr__(name: str) -> Any:
    """Public names come from their modules when first used: ``import emofuse`` loads no media library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
