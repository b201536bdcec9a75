"""emofuse: the emotion a person expresses, from voice and face together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emofuse.core.errors import EmofuseError
from emofuse.core.labels import EMOTIONS
from emofuse.core.lazy import lazy_names
from emofuse.core.version import __version__

if TYPE_CHECKING:
    from emofuse.core.label_maps import convert, convert_label, heuristic_valence_arousal, label_map
    from emofuse.core.labels import LABEL_SETS
    from emofuse.core.limits import Limits
    from emofuse.core.recipes.load import load_recipe
    from emofuse.core.recipes.recipe import Recipe
    from emofuse.core.records import Prediction, Recording, TimedFrames, Waveform
    from emofuse.corpus.crema_d import read_crema_d
    from emofuse.exports.json_schema import timeline_schema
    from emofuse.exports.overlay import write_overlay
    from emofuse.exports.waveform import PeakMeter
    from emofuse.exports.write import write_timeline
    from emofuse.features.profile import Profile
    from emofuse.folders.merged import merge_timelines
    from emofuse.folders.timelines import write_timelines
    from emofuse.media.arrays import recording
    from emofuse.recognition.batch import predict_table
    from emofuse.recognition.bundle import Bundle, load_bundle
    from emofuse.recognition.merged_table import merge_tables
    from emofuse.recognition.recognizer import Recognizer
    from emofuse.recognition.tables import to_pandas
    from emofuse.timeline.live import live_windows
    from emofuse.timeline.records import Timeline
    from emofuse.timeline.segments import SegmentRules
    from emofuse.timeline.windows import WindowRules
    from emofuse.training.estimator import EmotionClassifier

__all__ = [
    "EMOTIONS",
    "LABEL_SETS",
    "Bundle",
    "EmofuseError",
    "EmotionClassifier",
    "Limits",
    "PeakMeter",
    "Prediction",
    "Profile",
    "Recipe",
    "Recognizer",
    "Recording",
    "SegmentRules",
    "TimedFrames",
    "Timeline",
    "Waveform",
    "WindowRules",
    "__version__",
    "convert",
    "convert_label",
    "heuristic_valence_arousal",
    "label_map",
    "live_windows",
    "load_bundle",
    "load_recipe",
    "merge_tables",
    "merge_timelines",
    "predict_table",
    "read_crema_d",
    "recording",
    "timeline_schema",
    "to_pandas",
    "write_overlay",
    "write_timeline",
    "write_timelines",
]

# ``import emofuse`` loads no media library
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Bundle": "recognition.bundle",
        "EmotionClassifier": "training.estimator",
        "LABEL_SETS": "core.labels",
        "Limits": "core.limits",
        "PeakMeter": "exports.waveform",
        "Prediction": "core.records",
        "Profile": "features.profile",
        "Recipe": "core.recipes.recipe",
        "Recognizer": "recognition.recognizer",
        "Recording": "core.records",
        "SegmentRules": "timeline.segments",
        "TimedFrames": "core.records",
        "Timeline": "timeline.records",
        "Waveform": "core.records",
        "WindowRules": "timeline.windows",
        "convert": "core.label_maps",
        "convert_label": "core.label_maps",
        "heuristic_valence_arousal": "core.label_maps",
        "label_map": "core.label_maps",
        "live_windows": "timeline.live",
        "load_bundle": "recognition.bundle",
        "load_recipe": "core.recipes.load",
        "merge_tables": "recognition.merged_table",
        "merge_timelines": "folders.merged",
        "predict_table": "recognition.batch",
        "read_crema_d": "corpus.crema_d",
        "recording": "media.arrays",
        "timeline_schema": "exports.json_schema",
        "to_pandas": "recognition.tables",
        "write_overlay": "exports.overlay",
        "write_timeline": "exports.write",
        "write_timelines": "folders.timelines",
    },
)
