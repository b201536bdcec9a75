"""What runs in a worker of :mod:`emofuse.system.worker_pool`: one task after the other."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from emofuse.system.memory import be_ended_first, leave_no_core
from emofuse.system.worker_process import Channel, Reply, Request, load_target


class Talk:
    """Between the handler of a task and the one who submitted it."""

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self.cancelled = threading.Event()
        """Set when the task was cancelled: the handler has 2 s to return, then its process is killed."""
        self._channel = channel
        self._inbox: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()

    def progress(self, message: Mapping[str, Any]) -> None:
        """Send JSON data to the task's ``on_progress``, from any thread."""
        self._channel.send({"task": self.number, "progress": dict(message)})

    def receive(self, timeout_s: float) -> Reply | None:
        """The next message that the ticket sent; None: there was none in time, or it was cancelled."""
        if self.cancelled.is_set():
            return None
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=timeout_s)
        return None

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of the pool; called by the thread that reads them."""
        if "cancel" in message:
            self.cancelled.set()
            self._inbox.put(None)  # wakes who waits for one
        else:
            self._inbox.put(message["message"])


TaskHandler = Callable[[Request, Talk], Reply]


def handle_tasks(start: Mapping[str, Any], channel: Channel) -> None:
    """What a worker process does until its parent ends."""
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # where all processes of a service get it, the parent drains
    be_ended_first()
    leave_no_core()
    tasks: queue.SimpleQueue[tuple[Request, Talk]] = queue.SimpleQueue()
    latest = Talk(-1, channel)

    def take(message: Mapping[str, Any]) -> None:
        nonlocal latest
        if "request" in message:
            latest = Talk(message["task"], channel)
            tasks.put((message["request"], latest))
        elif message["task"] == latest.number:
            latest.take(message)

    channel.follow(take)
    handle: TaskHandler | None = load_target(start, channel)
    if handle is None:
        return
    with contextlib.suppress(BrokenPipeError):
        while True:
            request, talk = tasks.get()
            channel.send({"task": talk.number, "begun": True})
            channel.send({"task": talk.number, "result": handle(request, talk)})
