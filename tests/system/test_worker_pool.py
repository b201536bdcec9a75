from __future__ import annotations

import asyncio
import concurrent.futures
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emofuse.core.errors import BundleError, IsolationError, WorkerLostError
from emofuse.system.memory import resident_bytes
from emofuse.system.worker_pool import Reply, Request, Talk, TaskHandler, Ticket, WorkerPool
from tests.support.processes import children, is_running, wait_until

PATIENCE_S = 120
posix = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors as POSIX has them")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the memory of others, as Linux tells it")


def versatile(setup: Mapping[str, Any]) -> TaskHandler:
    """Replies with a square, or does what the request says."""
    if setup.get("refuse"):
        raise BundleError("no bundle here")
    if setup.get("stumble"):
        raise RuntimeError("worker was not made for this")
    loaded = setup.get("once")
    if loaded and Path(loaded).exists():
        raise BundleError("the bundle is gone")
    if loaded:
        Path(loaded).touch()
    doings: dict[str, Callable[[Request, Talk], Reply]] = {
        "square": lambda request, _: {"square": request["n"] ** 2},
        "raise": lambda request, _: {"n": request["there is none"]},
        "exit": lambda *_: os._exit(3),
        "hang": _hang,
        "wait": _wait,
        "echo": _echo,
        "count": _count,
        "hold": _hold,
        "write": _write,
        "print": lambda *_: {"n": os.write(1, b"{not a reply\n" * 300_000)},
        "descriptors": lambda *_: {"open": _open_descriptors()},
        "stop": lambda *_: os.kill(os.getpid(), signal.SIGSTOP) or {},  # type: ignore[func-returns-value]
    }
    return lambda request, talk: {"pid": os.getpid()} | doings[request["do"]](request, talk)


def _hang(_: Request, talk: Talk) -> Reply:
    talk.progress({"pid": os.getpid()})
    while True:
        time.sleep(1)


def _wait(request: Request, talk: Talk) -> Reply:
    """Until it is cancelled, or a file is there."""
    talk.progress({"pid": os.getpid()})
    while not talk.cancelled.wait(0.02) and not ("file" in request and Path(request["file"]).exists()):
        pass
    return {"cancelled": talk.cancelled.is_set()}


def _echo(_: Request, talk: Talk) -> Reply:
    n = 0
    while (message := talk.receive(PATIENCE_S)) is not None and "end" not in message:
        talk.progress(message)
        n += 1
    return {"n": n, "cancelled": talk.cancelled.is_set()}


def _count(request: Request, talk: Talk) -> Reply:
    for n in range(request["n"]):
        talk.progress({"n": n})
    return {}


def _hold(request: Request, talk: Talk) -> Reply:
    held = []
    for _ in range(request["mb"]):
        held.append(os.urandom(1_000_000))
        talk.progress({"mb": len(held)})
        time.sleep(0.005)
    return {"mb": len(held)}


def _write(request: Request, talk: Talk) -> Reply:  # noqa: ARG001
    for _ in range(request["mb"]):
        os.write(2, b"x" * 999_999 + b"\n")
        time.sleep(0.02)
    return {"bytes": os.fstat(2).st_size}


def _open_descriptors() -> list[str]:
    folder = Path("/proc/self/fd")
    return [str(path.readlink()) for path in folder.iterdir() if os.path.lexists(path)]


TARGET = f"{__name__}:versatile"


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[WorkerPool]:
    with WorkerPool(TARGET, {}, workers=2) as pool:
        yield pool
    assert workers_here() == []


@pytest.fixture
def pool(shared_pool: WorkerPool) -> WorkerPool:
    """Two workers that have loaded and nothing to do, whatever was done to them before."""
    assert wait_until(lambda: is_idle(shared_pool), limit_s=PATIENCE_S)
    return shared_pool


def is_idle(pool: WorkerPool) -> bool:
    state = pool.state()
    return (state.workers, state.busy, state.waiting, state.waiting_urgent) == (2, 0, 0, 0)


def workers_here() -> list[int]:
    """The worker processes of this one."""
    command = ["ps", "-ww", "-o", "pid=,stat=,args=", "--ppid", str(os.getpid())]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "run_worker" in line and "Z" not in line.split()[1]]


def answer(ticket: Ticket) -> Reply:
    return ticket.future.result(timeout=PATIENCE_S)


def lost(ticket: Ticket) -> WorkerLostError:
    error = ticket.future.exception(timeout=PATIENCE_S)
    assert isinstance(error, WorkerLostError)
    return error


def begun(pool: WorkerPool, request: Request, **options: Any) -> tuple[Ticket, int]:
    """A task that runs, and the process that it runs in."""
    pids: list[int] = []
    running = threading.Event()

    def note(message: Reply) -> None:
        pids.append(message["pid"])
        running.set()

    ticket = pool.submit(request, on_progress=note, **options)
    assert running.wait(PATIENCE_S)
    return ticket, pids[0]


def test_tasks_run_in_other_processes_that_stay(pool: WorkerPool) -> None:
    replies = [answer(ticket) for ticket in [pool.submit({"do": "square", "n": n}) for n in range(50)]]
    assert [reply["square"] for reply in replies] == [n * n for n in range(50)]
    pids = {reply["pid"] for reply in replies}
    assert pids <= set(workers_here()) and os.getpid() not in pids
    assert is_idle(pool)


def test_progress_comes_in_order_and_before_the_reply(pool: WorkerPool) -> None:
    seen: list[int] = []
    ticket = pool.submit({"do": "count", "n": 500}, on_progress=lambda message: seen.append(message["n"]))
    at_the_end: list[int] = []
    ticket.future.add_done_callback(lambda _: at_the_end.append(len(seen)))
    answer(ticket)
    assert seen == list(range(500)) and at_the_end == [500]


def test_an_error_of_who_is_told_of_progress_costs_nothing(
    pool: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Reply) -> None:
        raise RuntimeError("no longer interested")

    answer(pool.submit({"do": "count", "n": 3}, on_progress=fail))
    assert len(caplog.records) == 3 and "no longer interested" in caplog.text


def test_messages_reach_the_handler_even_when_sent_before_it_starts(pool: WorkerPool) -> None:
    busy = [begun(pool, {"do": "wait"})[0] for _ in range(2)]
    seen: list[Reply] = []
    ticket = pool.submit({"do": "echo"}, on_progress=seen.append)
    ticket.send({"n": 0})
    for one in busy:
        one.cancel()
    for n in range(1, 20):
        ticket.send({"n": n, "text": "ü" * 10_000})
    ticket.send({"end": True})
    assert answer(ticket)["n"] == 20
    assert [message["n"] for message in seen] == list(range(20))
    ticket.send({"n": 99})  # too late, and harmless
    assert answer(pool.submit({"do": "square", "n": 4}))["square"] == 16


@pytest.mark.parametrize(
    ("do", "reason"),
    [("exit", "ended (exit status 3)"), ("raise", "ended (exit status 1)")],
)
def test_a_death_costs_only_its_own_task(pool: WorkerPool, do: str, reason: str) -> None:
    died = pool.state().died
    tickets = [pool.submit({"do": "square", "n": n}) for n in range(5)]
    error = lost(pool.submit({"do": do}))
    assert (str(error), error.killed) == (f"the worker process {reason}", False)
    assert [answer(ticket)["square"] for ticket in tickets] == [0, 1, 4, 9, 16]
    assert wait_until(lambda: pool.state().workers == 2, limit_s=PATIENCE_S)
    assert pool.state().died == died + 1


@posix
def test_a_killed_worker_is_replaced(pool: WorkerPool) -> None:
    ticket, pid = begun(pool, {"do": "wait"})
    os.kill(pid, signal.SIGKILL)
    assert str(lost(ticket)) == "the worker process was killed (SIGKILL; out of memory?)"
    assert wait_until(lambda: pool.state().workers == 2, limit_s=PATIENCE_S)
    assert not is_running(pid)


@posix
def test_idle_workers_that_are_killed_are_replaced(pool: WorkerPool) -> None:
    """And cost no task, even one that is given to them before anybody has noticed."""
    died = pool.state().died
    for pid in workers_here():
        os.kill(pid, signal.SIGKILL)
    assert answer(pool.submit({"do": "square", "n": 3}))["square"] == 9
    assert wait_until(lambda: pool.state().died == died + 2, limit_s=PATIENCE_S)


def test_a_task_that_takes_too_long_is_killed(pool: WorkerPool) -> None:
    error = lost(pool.submit({"do": "hang"}, limit_s=0.3))
    assert (str(error), error.killed) == ("took longer than 0.3 s", True)
    assert answer(pool.submit({"do": "square", "n": 3}, limit_s=PATIENCE_S))["square"] == 9


def test_time_in_the_queue_does_not_count(pool: WorkerPool, tmp_path: Path) -> None:
    file = tmp_path / "go"
    busy = [begun(pool, {"do": "wait", "file": str(file)})[0] for _ in range(2)]
    waiting = pool.submit({"do": "square", "n": 5}, limit_s=2)
    time.sleep(2.2)
    file.touch()
    assert answer(waiting)["square"] == 25
    assert not any(answer(ticket)["cancelled"] for ticket in busy)


@linux
def test_a_task_that_takes_too_much_memory_is_killed() -> None:
    with WorkerPool(TARGET, {}, workers=1, memory_bytes=200_000_000) as pool:
        assert answer(pool.submit({"do": "hold", "mb": 20}))["mb"] == 20
        held: list[int] = []
        ticket = pool.submit({"do": "hold", "mb": 3000}, on_progress=lambda one: held.append(one["mb"]))
        error = lost(ticket)
        assert (str(error), error.killed) == ("took more than 200 MB of memory", True)
        assert 100 < held[-1] < 2500
        assert answer(pool.submit({"do": "hold", "mb": 20}))["mb"] == 20


@linux
def test_a_worker_that_needs_too_much_from_the_start_is_refused() -> None:
    pool = WorkerPool(TARGET, {}, workers=1, memory_bytes=2_000_000)
    with pytest.raises(IsolationError, match="took more than 2 MB of memory"):
        pool.start()


@linux
def test_memory_of_a_process() -> None:
    here = resident_bytes(os.getpid())
    assert here is not None and 10e6 < here < 1e11
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident_bytes(process.pid) is None


def test_a_waiting_task_that_is_cancelled_never_runs(pool: WorkerPool) -> None:
    died = pool.state().died
    busy = [begun(pool, {"do": "wait"})[0] for _ in range(2)]
    waiting = [pool.submit({"do": "exit"}) for _ in range(3)]
    waiting[0].cancel()
    assert waiting[1].future.cancel()
    waiting[2].cancel()
    waiting[2].cancel()
    assert all(ticket.future.cancelled() for ticket in waiting)
    with pytest.raises(concurrent.futures.CancelledError):
        waiting[0].future.result()
    for ticket in busy:
        ticket.cancel()
    done, _ = concurrent.futures.wait([ticket.future for ticket in busy], PATIENCE_S)
    assert len(done) == 2 and all(future.cancelled() for future in done)
    assert pool.state().died == died


def test_a_running_task_that_is_cancelled_ends_and_its_worker_stays(pool: WorkerPool) -> None:
    died = pool.state().died
    ticket, pid = begun(pool, {"do": "wait"})
    ticket.cancel()
    assert concurrent.futures.wait([ticket.future], PATIENCE_S).done
    assert ticket.future.cancelled()
    assert is_running(pid) and pool.state().died == died
    ticket.cancel()
    assert not ticket.future.done() or ticket.future.cancelled()
    echo = pool.submit({"do": "echo"})
    echo.cancel()  # wakes the handler that waits for a message
    assert concurrent.futures.wait([echo.future], PATIENCE_S).done and pool.state().died == died


def test_a_handler_that_does_not_end_when_it_is_cancelled_is_killed(pool: WorkerPool) -> None:
    ticket, pid = begun(pool, {"do": "hang"})
    start = time.monotonic()
    ticket.cancel()
    assert not ticket.future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        ticket.future.result(timeout=PATIENCE_S)
    assert time.monotonic() - start > 1.9
    assert not is_running(pid)
    assert wait_until(lambda: pool.state().workers == 2, limit_s=PATIENCE_S)


@posix
def test_a_stopped_worker_holds_nobody_up(pool: WorkerPool) -> None:
    ticket, pid = begun(pool, {"do": "wait"})
    os.kill(pid, signal.SIGSTOP)
    for _ in range(50):
        ticket.send({"much": "x" * 100_000})
    assert answer(pool.submit({"do": "square", "n": 3}))["square"] == 9
    for _ in range(700):
        ticket.send({"much": "x" * 100_000})
    assert str(lost(ticket)) == "did not read what it was sent"
    assert not is_running(pid)


def test_what_was_asked_for_in_asyncio_and_given_up_ends(pool: WorkerPool) -> None:
    async def give_up(ticket: Ticket) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.wrap_future(ticket.future)

    ticket, _ = begun(pool, {"do": "wait"})
    asyncio.run(give_up(ticket))
    assert concurrent.futures.wait([ticket.future], PATIENCE_S).done and ticket.future.cancelled()
    assert pool.state().busy == 0


def test_urgent_tasks_go_first(pool: WorkerPool) -> None:
    busy = [begun(pool, {"do": "wait"})[0] for _ in range(2)]
    order: list[str] = []
    tickets = []
    for name, urgent in [("a", False), ("b", False), ("C", True), ("d", False), ("E", True)]:
        ticket = pool.submit({"do": "square", "n": 1}, urgent=urgent)
        ticket.future.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        tickets.append(ticket)
    state = pool.state()
    assert (state.busy, state.waiting, state.waiting_urgent) == (2, 3, 2)
    busy[0].cancel()  # one worker is enough to see an order
    for ticket in tickets:
        answer(ticket)
    assert order == ["C", "E", "a", "b", "d"]
    busy[1].cancel()


def test_workers_are_kept_free_for_urgent_tasks() -> None:
    with WorkerPool(TARGET, {}, workers=2, kept_free=1) as pool:
        running, _ = begun(pool, {"do": "wait"})
        waiting = pool.submit({"do": "square", "n": 2})
        assert [answer(pool.submit({"do": "square", "n": n}, urgent=True))["square"] for n in (3, 4)] == [
            9,
            16,
        ]
        state = pool.state()
        assert (state.busy, state.waiting) == (1, 1)
        running.cancel()
        assert answer(waiting)["square"] == 4


@pytest.mark.parametrize(("workers", "kept_free"), [(0, 0), (1, 1), (2, 2), (2, -1)])
def test_a_pool_has_workers_for_all_tasks(workers: int, kept_free: int) -> None:
    with pytest.raises(ValueError, match="fewer of them kept free"):
        WorkerPool(TARGET, {}, workers=workers, kept_free=kept_free)


def test_closing_ends_what_runs_and_what_waits() -> None:
    others = workers_here()
    pool = WorkerPool(TARGET, {}, workers=1)
    early = pool.submit({"do": "square", "n": 6})  # before it has started
    pool.start()
    assert answer(early)["square"] == 36
    running, pid = begun(pool, {"do": "hang"})
    waiting = pool.submit({"do": "square", "n": 1})
    pool.close()
    after = pool.submit({"do": "square", "n": 1})
    for ticket in (running, waiting, after):
        assert ticket.future.done()
        assert (str(lost(ticket)), lost(ticket).killed) == ("the pool of workers was closed", False)
    assert not is_running(pid) and workers_here() == others
    pool.close()
    with pytest.raises(RuntimeError, match="started once"):
        pool.start()


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        ({"refuse": True}, r"^no bundle here$"),
        (
            {"stumble": True},
            r"could not start: it ended \(exit status 1\): RuntimeError: worker was not made for this",
        ),
    ],
)
def test_a_pool_whose_workers_do_not_load_does_not_start(setup: dict[str, Any], text: str) -> None:
    others = workers_here()
    with pytest.raises(IsolationError, match=text):
        WorkerPool(TARGET, setup, workers=2).start()
    assert workers_here() == others


@posix
def test_a_replacement_that_does_not_load_is_tried_again(tmp_path: Path) -> None:
    once = tmp_path / "loaded"
    with WorkerPool(TARGET, {"once": str(once)}, workers=1) as pool:
        assert str(lost(pool.submit({"do": "exit"}))).endswith("(exit status 3)")
        ticket = pool.submit({"do": "square", "n": 7})
        time.sleep(1.0)
        assert pool.state().workers == 0 and not ticket.future.done()
        once.unlink()
        assert answer(ticket)["square"] == 49


def test_what_cannot_be_sent_is_refused_at_once(pool: WorkerPool) -> None:
    with pytest.raises(TypeError):
        pool.submit({"do": object()})
    with pytest.raises(TypeError):
        pool.submit({"do": "square", "n": 1}).send({"n": object()})


def test_what_is_printed_is_neither_a_reply_nor_kept_for_ever(pool: WorkerPool) -> None:
    assert answer(pool.submit({"do": "print"}))["n"] > 1_000_000
    # about 2 s: what is written is forgotten once a second
    assert answer(pool.submit({"do": "write", "mb": 100}))["bytes"] < 90_000_000


@posix
def test_sockets_and_pipes_stay_with_the_parent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Path(__file__).open("rb") as file:
        for descriptor in (server.fileno(), file.fileno()):
            os.set_inheritable(descriptor, True)  # as Uvicorn does with its socket
        with WorkerPool(TARGET, {}, workers=3) as pool:
            tickets = [pool.submit({"do": "descriptors"}) for _ in range(3)]
            for ticket in tickets:
                found = answer(ticket)["open"]
                assert not [one for one in found if one.startswith("socket:") or one == __file__]
                # its own standard streams, each of which it has twice, and the folder that it lists
                assert len({one for one in found if one.startswith("pipe:")}) == 2
                assert len(found) <= 6


def test_nothing_is_left_in_the_parent() -> None:
    def open_here() -> int:
        return len([*Path("/proc/self/fd").iterdir()]) if sys.platform == "linux" else 0

    before, threads = open_here(), threading.active_count()
    for _ in range(2):
        with WorkerPool(TARGET, {}, workers=2) as pool:
            lost(pool.submit({"do": "exit"}))
            answer(pool.submit({"do": "square", "n": 1}))
    assert wait_until(lambda: threading.active_count() <= threads, limit_s=PATIENCE_S)
    assert open_here() <= before


PARENT = """
import sys, time
from tests.system.test_worker_pool import TARGET, begun
from emofuse.system.worker_pool import WorkerPool

pool = WorkerPool(TARGET, {}, workers=2)
pool.start()
begun(pool, {"do": "hang"})
print("ready", flush=True)
time.sleep(600)
"""


@posix
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_workers_end_with_their_parent(how: str) -> None:
    """Those that work and those that do not."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        try:
            assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
            workers = children(parent.pid)
            assert len(workers) == 2
            parent.send_signal(signal.Signals[how])
            parent.wait()
            assert wait_until(lambda: not any(map(is_running, workers)), limit_s=30)
        finally:
            parent.kill()


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_to_all_processes_are_left_to_the_parent(pool: WorkerPool, name: str, tmp_path: Path) -> None:
    file = tmp_path / "go"
    ticket, pid = begun(pool, {"do": "wait", "file": str(file)})
    os.kill(pid, signal.Signals[name])
    time.sleep(0.3)
    file.touch()
    assert answer(ticket) == {"pid": pid, "cancelled": False}


@posix
def test_each_of_many_tasks_ends_once_whatever_is_killed() -> None:
    """500 tasks, a tenth of which are cancelled, and workers killed at random times."""
    chance, others = random.Random(14), set(workers_here())
    ends: dict[int, int] = {}
    with WorkerPool(TARGET, {}, workers=3, kept_free=1) as pool:
        tickets = []
        for n in range(500):
            ticket = pool.submit({"do": "square", "n": n}, urgent=n % 7 == 0, limit_s=PATIENCE_S)
            ticket.future.add_done_callback(lambda _, n=n: ends.update({n: ends.get(n, 0) + 1}))  # type: ignore[misc]
            tickets.append(ticket)
        stop = threading.Event()

        def kill_now_and_then() -> None:
            while not stop.wait(chance.uniform(0.0, 0.3)):
                if workers := set(workers_here()) - others:
                    os.kill(chance.choice(sorted(workers)), signal.SIGKILL)

        killer = threading.Thread(target=kill_now_and_then)
        killer.start()
        for ticket in chance.sample(tickets, 50):
            time.sleep(chance.uniform(0.0, 0.01))
            ticket.cancel()
        _, open_ = concurrent.futures.wait([ticket.future for ticket in tickets], PATIENCE_S)
        stop.set()
        killer.join()
        assert not open_
        outcomes = {"reply": 0, "lost": 0, "cancelled": 0}
        for n, ticket in enumerate(tickets):
            if ticket.future.cancelled():
                outcomes["cancelled"] += 1
            elif ticket.future.exception() is not None:
                assert not lost(ticket).killed
                outcomes["lost"] += 1
            else:
                assert answer(ticket)["square"] == n * n
                outcomes["reply"] += 1
        assert outcomes["reply"] > 300 and outcomes["lost"] <= pool.state().died
        assert wait_until(lambda: pool.state().workers == 3, limit_s=PATIENCE_S)
        assert answer(pool.submit({"do": "square", "n": 3}))["square"] == 9
    assert ends == dict.fromkeys(range(500), 1)
