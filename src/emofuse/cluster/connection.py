"""The connection to a Ray cluster: found, checked and closed.

>>> with connected("auto") as cluster:                                     # doctest: +SKIP
...     cluster.nodes()
(Node(id='5d3b…', host='server7', address='10.0.0.7', cores=16),)

Ray tries for minutes to reach what is not there, and says little in the end. What can be known before is
therefore asked first, within seconds: whether anything answers at the address, whether that is Ray, of which
version, and whether this machine is one of its nodes. Whoever reaches the port of a Ray head runs code as the
user who started it; a cluster that is started here listens on the loopback interface alone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.metadata
import json
import logging
import os
import platform
import queue
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from emofuse.core.errors import ClusterError, MissingExtraError
from emofuse.system.cache_dirs import short_temporary_folder
from emofuse.system.cores import usable_cores

logger = logging.getLogger(__name__)

AUTO: Final = "auto"
"""The cluster that runs on this machine; if none does, one that is started here, and ended."""
_ADDRESS_VARIABLE: Final = "RAY_ADDRESS"
_REACH_S: Final = 5.0
"""Within which a port answers."""
_ASK_S: Final = 30.0
"""Within which Ray answers; on a crowded machine it takes seconds."""
_OBJECT_STORE_BYTES: Final = 80 * 2**20
"""About the least that Ray takes: neither recordings nor features are put there."""
_SETTINGS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what later versions do, and others warn of
}
_CHANGED: Final = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "PYTHONBREAKPOINT")
_LOOPBACK: Final = "127.0.0.1"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How a client of HTTP/2, and so of gRPC, begins: with this, and its settings."""
_SETTINGS_FRAME: Final = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster, or a part of one."""

    id: str
    host: str
    address: str
    cores: float
    """That Ray may use there."""

    def __str__(self) -> str:
        return f"node {self.address}" if self.host == self.address else f"node {self.address} ({self.host})"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster to which this process is connected."""

    address: str
    """Host and port of its head."""
    started_here: bool

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are alive now, by their addresses."""
        import ray

        alive = [
            Node(
                str(one["NodeID"]), str(one["NodeManagerHostname"]), str(one["NodeManagerAddress"]),
                float(one["Resources"].get("CPU", 0.0)),
            )
            for one in ray.nodes()
            if one["Alive"]
        ]  # fmt: skip
        return tuple(sorted(alive, key=lambda node: (node.address, node.id)))

    def cores(self) -> float:
        """Those of all nodes together."""
        return sum(node.cores for node in self.nodes())


def load_ray() -> None:
    """Load Ray, which takes seconds.

    Raises:
        MissingExtraError: it is not installed.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("cluster", "working on a cluster")
    import ray

    assert ray


@contextlib.contextmanager
def connected(address: str = AUTO) -> Iterator[Cluster]:
    """Connect this process to a cluster, and leave it at the end.

    A process that is connected already, by ``ray.init`` of its own, uses that connection and keeps it.

    Args:
        address: host and port of the head, such as ``10.0.0.7:6379``; or ``auto``: that of the environment
            variable ``RAY_ADDRESS``, else the cluster that was started on this machine by ``ray start``, else
            a new one with the cores of this machine, which ends with this.

    Yields:
        The cluster.

    Raises:
        ClusterError: nothing is reached there, or it is no cluster of this version of Ray and Python, or this
            machine is no node of it.
        MissingExtraError: Ray is not installed.
    """
    load_ray()
    with _process_as_before():
        import ray

        if ray.is_initialized():
            yield Cluster(ray.get_runtime_context().gcs_address, started_here=False)
            return
        found = _found(address)
        with _started_here() if found is None else _joined(found):
            yield Cluster(ray.get_runtime_context().gcs_address, started_here=found is None)


@contextlib.contextmanager
def _joined(address: str) -> Iterator[None]:
    import ray

    try:
        with _loopback(_host_and_port(address)[0] == _LOOPBACK):
            _connect(address=address)
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _started_here() -> Iterator[None]:
    """A cluster of this machine alone, whose ports no other machine reaches, and which takes a token."""
    import ray

    folder = tempfile.mkdtemp(prefix="emofuse-ray-", dir=short_temporary_folder())
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else it would be left in the home folder
    try:
        with _loopback(True):
            _connect(
                num_cpus=usable_cores(), include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES,
                _node_ip_address=_LOOPBACK, _temp_dir=folder,
            )  # fmt: skip
        yield
    finally:
        ray.shutdown(wait_for_processes=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _loopback(wanted: bool) -> Iterator[None]:
    """Have Ray take the loopback address as it is, which it otherwise replaces by one that others reach."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = before and not wanted
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _connect(**options: Any) -> None:
    import ray

    try:
        with _own_signal_handler():
            ray.init(log_to_driver=False, configure_logging=False, job_config=_job_config(), **options)
    except (OSError, RuntimeError, ValueError) as error:
        where = options.get("address")
        what = "a Ray cluster could not be started here" if where is None else f"{where}: Ray refused"
        raise ClusterError(f"{what}: {_first_line(error)}") from None


def _job_config() -> Any:
    from ray.job_config import JobConfig

    class OfInstalledCode(JobConfig):  # type: ignore[misc] # Ray is not followed
        """Workers import what is installed, and nothing from the folder in which the driver works."""

        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return OfInstalledCode()


def _found(address: str) -> str | None:
    """Host and port of the cluster to join, after all checks; None: start one here.

    Raises:
        ClusterError: there is none at a given address, or it cannot be used.
    """
    given = os.environ.get(_ADDRESS_VARIABLE) or AUTO if address == AUTO else address
    if given == AUTO:
        noted = _started_on_this_machine()
        if noted is None:
            return None
        try:
            _reach(*_host_and_port(noted))
        except OSError:  # it has ended
            return None
        return _checked(noted)
    host, port = _host_and_port(given)
    try:
        speaks = _reach(host, port)
    except OSError as error:
        raise ClusterError(
            f"{given}: nothing answers there ({error.strerror or error}): is the head running (ray start "
            "--head), and may this machine reach its port?"
        ) from None
    if not speaks:
        raise ClusterError(f"{given}: what answers there is not Ray: give the address that ray start named")
    return _checked(given)


def _host_and_port(address: str) -> tuple[str, int]:
    if "://" in address:
        raise ClusterError(
            f"{address}: the client of Ray is not used: run the command on a machine of the cluster, with "
            "auto or HOST:PORT"
        )
    host, colon, port = address.rpartition(":")
    if not (colon and host.strip("[] ") and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterError(f"{address!r} is not the address of a cluster: write auto, or HOST:PORT of a head")
    return host.strip("[] "), int(port)


def _started_on_this_machine() -> str | None:
    """What ``ray start`` noted last, if this user started it."""
    from ray._private.utils import get_ray_address_file

    file = Path(get_ray_address_file(None))
    try:
        ours = sys.platform == "win32" or file.stat().st_uid == Path.home().stat().st_uid
        return (file.read_text(encoding="utf-8").strip() or None) if ours else None
    except OSError:
        return None


def _reach(host: str, port: int) -> bool:
    """Whether what listens there speaks HTTP/2, as Ray does.

    Raises:
        OSError: nothing listens there.
    """
    head = b""
    with socket.create_connection((host, port), timeout=_REACH_S) as peer, contextlib.suppress(OSError):
        peer.sendall(_PREFACE)
        while len(head) < 9 and (more := peer.recv(9 - len(head))):
            head += more
    return len(head) == 9 and head[3] == _SETTINGS_FRAME


def _checked(address: str) -> str:
    """The address of a cluster that this process can join.

    Raises:
        ClusterError: it does not answer, is of another version, or this machine is no node of it.
    """
    from ray._private.services import find_node_ids
    from ray._private.utils import check_version_info
    from ray._raylet import GcsClient

    def ask() -> tuple[dict[str, Any], set[str]]:
        client = GcsClient(address=address)
        about = client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=_ASK_S)
        nodes = client.get_all_node_info(timeout=_ASK_S)
        alive = {one.node_id.hex() for one in nodes.values() if one.state == 0}
        return json.loads(about or b"{}"), alive

    try:
        about, alive = _within(_ASK_S, ask)
    except TimeoutError:
        raise ClusterError(f"{address}: the head of the cluster does not answer: is it overloaded?") from None
    except Exception as error:
        raise ClusterError(f"{address}: Ray refused: {_first_line(error)}") from None
    try:
        if about:
            check_version_info(about, "this machine")
    except RuntimeError:
        raise ClusterError(
            f"{address}: the cluster runs Ray {about['ray_version']} on Python {about['python_version']}, "
            f"and this is Ray {importlib.metadata.version('ray')} on Python {platform.python_version()}: all "
            "machines need the same"
        ) from None
    if not alive & set(find_node_ids()):
        raise ClusterError(
            f"{address}: this machine is no node of that cluster: run the command on one of its machines, or "
            f"join it first: ray start --address={address}"
        )
    if "os" in about:
        logger.warning(
            "%s: this cluster reports its usage to the makers of Ray: start it with --disable-usage-stats",
            address,
        )
    return address


def _within(limit_s: float, ask: Callable[[], T]) -> T:
    """What a call returns or raises, whose C++ waits for minutes and cannot be interrupted.

    Raises:
        TimeoutError: it takes longer.
    """
    outcome: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def run() -> None:
        try:
            outcome.put((True, ask()))
        except Exception as error:
            outcome.put((False, error))

    threading.Thread(target=run, daemon=True, name="ask-ray").start()
    try:
        succeeded, value = outcome.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if not succeeded:
        raise value
    return cast(T, value)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _process_as_before() -> Iterator[None]:
    """Leave this process as it was: Ray sets variables, reports of crashes and the level of its messages."""
    variables = {name: os.environ.get(name) for name in (*_SETTINGS, *_CHANGED)}
    os.environ.update(_SETTINGS)
    import ray  # before its level of messages is set, which importing it sets

    assert ray
    logger_of_ray = logging.getLogger("ray")
    level, reports_crashes = logger_of_ray.level, faulthandler.is_enabled()
    logger_of_ray.setLevel(logging.CRITICAL)
    try:
        with _unprinted():
            yield
    finally:
        logger_of_ray.setLevel(level)
        if not reports_crashes:
            faulthandler.disable()
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with contextlib.suppress(ImportError, AttributeError):  # of versions without tokens
            from ray._raylet import AuthenticationTokenLoader, Config

            Config.initialize("")
            AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _unprinted() -> Iterator[None]:
    """Have Ray not print on standard output, which belongs to results, what has become of its nodes."""
    from ray._private import worker

    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextlib.contextmanager
def _own_signal_handler() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces in the main thread."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
