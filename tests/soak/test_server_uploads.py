"""Three hundred malformed uploads to one service; by hand, by make soak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.malformed_uploads import malformed_uploads
from tests.support.processes import children
from tests.support.service import RunningService, resident_bytes
from tests.support.small_corpora import write_wav
from tests.support.speech import speech_like

pytestmark = pytest.mark.soak

RATE = 16_000
WORKER_BYTES = 1500 * 2**20
SERVER_BYTES = 700 * 2**20


def test_three_hundred_malformed_uploads_leave_nothing(tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "clip.wav", speech_like(RATE), RATE)
    quotas = {
        "idle_s": 1.0, "prediction_bytes": 1_000_000, "upload_bytes": 2_000_000, "burst": 1_000_000,
        "requests_per_s": 1000.0, "worker_bytes": WORKER_BYTES,
    }  # fmt: skip
    with RunningService(tmp_path / "data", quotas=quotas) as service:
        largest = {"server": 0, "worker": 0}
        for path in ("/v1/predictions", "/v1/jobs"):
            for upload in malformed_uploads(clip.read_bytes(), 150, seed=len(path), path=path):
                answer = service.send(upload.head, upload.body)
                assert answer.status is not None and 400 <= answer.status < 500, (upload.name, answer.body)
                largest["server"] = max(largest["server"], resident_bytes(service.process.pid))
                for worker in children(service.process.pid):
                    largest["worker"] = max(largest["worker"], resident_bytes(worker))
            assert service.leftovers() == []
            assert service.client.get("/v1/health").json() == {"status": "ok"}
        print({name: f"{value / 2**20:.0f} MiB" for name, value in largest.items()})
        assert largest["server"] < SERVER_BYTES
        assert largest["worker"] < WORKER_BYTES * 1.2, "it is looked at every tenth of a second"
        assert service.client.get("/v1/jobs").json() == {"jobs": []}
        assert service.predict(clip).status_code == 200
        assert " 500 " not in service.log()
