"""What a worker is doing, in words: its requests, its tasks with what they wait for, its threads.

Rules of this file:

- It runs in a thread of the worker while everything goes on: it only reads, and what changes meanwhile may be
  missing. It costs some milliseconds.
- Whatever an app may have is bounded: so many tasks, so many octets.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vivace.server.stacks import await_chain, thread_stack
from vivace.server.stream import Stream

__all__ = ["LONGEST_DUMP", "MOST_TASKS", "describe_worker", "list_requests"]

LONGEST_DUMP: Final = 262_144
"""Characters of a dump at most; the rest is cut."""
MOST_TASKS: Final = 200
"""Tasks that are shown, of requests and of others each."""


def describe_worker(loop: asyncio.AbstractEventLoop, streams: Mapping[Stream, float]) -> str:
    """What runs in this process.

    Args:
        loop: Of the server.
        streams: The requests in progress, and since when (monotonic seconds).
    """
    now = time.monotonic()
    requests = sorted(streams.items(), key=lambda pair: pair[1])
    tasks = _tasks(loop)
    own = {id(stream.task) for stream in streams}
    others = [task for task in tasks if id(task) not in own]
    lines = [f"{len(requests)} requests, {len(others)} other tasks, {threading.active_count()} threads"]
    for stream, since in requests[:MOST_TASKS]:
        lines += ["", f"{_request(stream)} for {now - since:.1f} s", *_chain(stream.task)]
    for task in others[:MOST_TASKS]:
        lines += ["", f"task {task.get_name()!r}", *_chain(task)]
    lines += _threads()
    return "\n".join(lines)[:LONGEST_DUMP]


def list_requests(streams: Mapping[Stream, float]) -> list[dict[str, Any]]:
    """The requests in progress, the oldest first: what was asked, for how many seconds, where it is.

    Args:
        streams: Since when they are (monotonic seconds).
    """
    now = time.monotonic()
    oldest = sorted(streams.items(), key=lambda pair: pair[1])[:MOST_TASKS]
    return [
        {
            "request": stream.head.describe(),
            "age": now - since,
            "status": stream.status,
            "handler": chain[0].strip() if (chain := _chain(stream.task)) else "",
        }
        for stream, since in oldest
    ]


def _tasks(loop: asyncio.AbstractEventLoop) -> list["asyncio.Task[Any]"]:
    try:
        return sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    except RuntimeError:  # they came and went too fast to be counted
        return []


def _request(stream: Stream) -> str:
    head = stream.head
    path = head.path.decode("ascii", "backslashreplace")
    return f"{head.method} {path}" + (" (streams its response)" if stream.response_started else "")


def _chain(task: "asyncio.Task[Any] | None") -> list[str]:
    if task is None:
        return []
    try:
        found = await_chain(task)
    except Exception as error:  # noqa: BLE001 - it is foreign state, read while it changes
        return [f"  cannot be seen: {error!r}"]
    return found.splitlines()


def _threads() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    for ident in sys._current_frames():
        if ident != own:
            yield f"\nthread {names.get(ident, str(ident))!r}"
            yield thread_stack(ident)
