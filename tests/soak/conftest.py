"""What the long runs read."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support import small_corpora

HOUR_S = 3600


@pytest.fixture(scope="session")
def many(home: Path) -> Path:
    """A corpus that takes half a minute to read."""
    return small_corpora.write_au_corpus(home / "many", actors=24, takes=4)


@pytest.fixture(scope="session")
def hour(home: Path, conversation: Path) -> Path:
    """The conversation again and again, for an hour; its packets are copied."""
    path = home / "hour.mp4"
    with av.open(str(path), "w") as out:
        with av.open(str(conversation)) as source:
            assert source.duration is not None
            length_s = source.duration / av.time_base
            streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        offset_s = 0.0
        while offset_s < HOUR_S:
            with av.open(str(conversation)) as source:
                for packet in source.demux():
                    if packet.dts is None or packet.time_base is None or packet.pts is None:
                        continue
                    shift = round(offset_s / packet.time_base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
            offset_s += length_s + 0.2  # decoding times start before 0
    return path
