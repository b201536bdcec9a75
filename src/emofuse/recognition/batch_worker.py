"""The worker process of a batch: one recognizer, one file after the other, one thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emofuse.system.isolated_workers import Handler, Reply, Request


def load_reader(setup: Mapping[str, Any]) -> Handler:
    """Load the recognizer; the returned function reads a file and never raises.

    Raises:
        BundleError: the bundle cannot be loaded.
        FeatureError: the table of action units cannot be read.
        ProfileError: the profile cannot be read.
    """
    import cv2

    from emofuse.core.records import StreamChoice
    from emofuse.features.profile import Profile
    from emofuse.recognition.recognizer import Recognizer

    cv2.setNumThreads(1)
    logging.getLogger("emofuse").setLevel(logging.ERROR)  # the license is reported once, by the parent
    recognizer = Recognizer.load(
        setup["bundle"], action_units=setup["action_units"], embeddings=setup["embeddings"],
        decoder_threads=1, device=setup["device"],
    )  # fmt: skip
    profile = None if setup["profile"] is None else Profile.load(Path(setup["profile"]))

    streams = StreamChoice(**setup["streams"])

    def read(request: Request) -> Reply:
        (prediction,) = recognizer.predict_many([request["file"]], profile=profile, streams=streams)
        return prediction.to_dict()

    return read
