"""Clusters that are there, and what is mistaken for one; whatever happens, this process stays as it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray._raylet import GcsClient

from benchmarks.ray_nodes import LOOPBACK
from emofuse.cluster import connection
from emofuse.cluster.connection import connected
from emofuse.core.errors import ClusterError, MissingExtraError
from tests.cluster.conftest import Pair

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:ray")


def refusal(address: str) -> str:
    with pytest.raises(ClusterError) as caught, connected(address):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def listener(reply: bytes | None) -> Iterator[str]:
    """Something that is not Ray, which sends this to whoever connects, or is silent."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                if reply is not None:
                    peer.sendall(reply)
                else:
                    peer.recv(1000)
                    peer.recv(1000)  # until the other side gives up

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{LOOPBACK}:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("address", ["", "head", "head:", "head:port", "head:70000", ":6379", "head:0"])
def test_what_is_no_address(address: str) -> None:
    assert refusal(address) == (
        f"{address!r} is not the address of a cluster: write auto, or HOST:PORT of a head"
    )


def test_the_client_of_ray_is_refused() -> None:
    assert "run the command on a machine of the cluster" in refusal("ray://head:10001")


def test_nothing_listens_there() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        address = f"{LOOPBACK}:{server.getsockname()[1]}"
    assert refusal(address).startswith(f"{address}: nothing answers there (Connection refused): is the head ")
    assert "nothing answers there" in refusal("no-such-host.invalid:6379")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0-OpenSSH\r\n", None])
def test_what_listens_there_is_not_ray(reply: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_REACH_S", 1.0)
    with listener(reply) as address:
        assert refusal(address).startswith(f"{address}: what answers there is not Ray")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emofuse\[cluster\]'"), connected():
        pass


def test_a_cluster_is_joined_and_left(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with connected(pair.address) as cluster:
        assert (cluster.address, cluster.started_here) == (pair.address, False)
        node, other = cluster.nodes()
        assert (node.address, node.cores, cluster.cores()) == (LOOPBACK, 1.0, 2.0)
        assert node.id != other.id
        assert str(node).startswith(f"node {LOOPBACK}")
        assert signal.getsignal(signal.SIGTERM) is handler
        paths = ray.get(ray.remote(lambda: __import__("sys").path).remote())
        assert str(tmp_path) not in paths, "workers would import what lies in the folder of the driver"
        with connected("somewhere:1") as same:  # this process is connected already
            assert same.address == pair.address
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert (dict(os.environ), signal.getsignal(signal.SIGTERM)) == (variables, handler)


def test_the_address_may_come_from_the_environment(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", pair.address)
    with connected() as cluster:
        assert (cluster.address, cluster.started_here) == (pair.address, False)


@pytest.mark.parametrize(("key", "value"), [("ray_version", "2.51.0"), ("python_version", "3.99.1")])
def test_another_version(pair: Pair, key: str, value: str) -> None:
    client = GcsClient(address=pair.address)
    before = client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster")
    try:
        about = json.dumps(json.loads(before) | {key: value}).encode()
        client.internal_kv_put(b"CLUSTER_METADATA", about, overwrite=True, namespace=b"cluster")
        message = refusal(pair.address)
    finally:
        client.internal_kv_put(b"CLUSTER_METADATA", before, overwrite=True, namespace=b"cluster")
    assert f"{value}" in message and "all machines need the same" in message
    assert message.startswith(f"{pair.address}: the cluster runs Ray ")


def test_a_machine_that_is_no_node(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.services.find_node_ids", set)  # as where no raylet runs
    begun = time.monotonic()
    assert f"ray start --address={pair.address}" in refusal(pair.address)
    assert time.monotonic() - begun < 60


def test_one_is_started_here_and_ended(tmp_path: Path) -> None:
    """In a process of its own, which has not used Ray before."""
    script = (
        "import logging, os, socket\n"
        "from emofuse.cluster.connection import connected\n"
        "with connected() as cluster:\n"
        "    import ray\n"
        "    host, port = cluster.address.split(':')\n"
        "    folder = ray._private.worker._global_node.temp_dir\n"
        "    refused = 0\n"
        "    for ip in {one[4][0] for one in socket.getaddrinfo(socket.gethostname(), None)} | {'::1'}:\n"
        "        if ip != host:\n"
        "            family = socket.AF_INET6 if ':' in ip else socket.AF_INET\n"
        "            with socket.socket(family) as one:\n"
        "                refused += one.connect_ex((ip, int(port))) != 0\n"
        "    pid = ray.get(ray.remote(lambda: os.getpid()).remote())\n"
        "    print(host, cluster.started_here, refused, pid, folder)\n"
    )
    env = {**os.environ, "HOME": str(tmp_path), "RAY_TMPDIR": str(tmp_path)}
    env.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=False, env=env
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    host, here, refused, pid, folder = done.stdout.split()
    assert (host, here) == (LOOPBACK, "True") and int(refused) >= 1
    assert not Path(folder).exists() and not Path("/proc", pid).exists()
    assert list(tmp_path.iterdir()) == [], "Ray has left a token in the home folder"
