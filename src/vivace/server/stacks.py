"""Where a request is stuck: the await chain of its task, or the stack of the thread that works for it.

Rules of this file:

- Runs only when something went wrong. What cannot be seen is left out; it never fails.
- Our own frames are left out: they are the same for every request.
- When many requests are stuck in the same place, the place is written once.
- Follows the attributes of coroutines in `inspect`; the future that a task waits for is `Task._fut_waiter`.
"""

import asyncio
import gc
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from vivace.protocols.threads import find_worker, late_workers, who_waits

__all__ = ["StuckLog", "await_chain", "describe_place", "thread_stack"]

logger = logging.getLogger("vivace.server")

REPEAT_AFTER: Final = 10.0
"""Seconds for which a place that was written is not written again."""
DEEPEST: Final = 64
"""Frames shown at most."""
_OURS: Final = "vivace."
_BUILT: Final = "src/vivace/"
_LINKS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))

_Frame = tuple[FrameType, int]


class StuckLog:
    """Says where requests were stuck.

    Attributes:
        id_field: The field in which clients send the id of a request, in lower case.
    """

    __slots__ = ("_seen", "id_field")

    def __init__(self, id_field: str = "") -> None:
        self.id_field = id_field.lower().encode("ascii")
        self._seen: dict[str, float] = {}

    def report(self, stream: Any, task: "asyncio.Task[Any] | None", age: float) -> None:
        """Log a request whose time is over, before anything is done about it.

        Args:
            stream: The request.
            task: What answers it, if a task does.
            age: Seconds since it came.
        """
        head = stream.head
        given = self._id_of(head)
        logger.warning(
            "%s had no answer after %.1f s%s: answered with 503; %s",
            head.describe(),
            age,
            f", request id {given}" if given else "",
            self._once(_safe_place(stream, task)),
            extra={"event": "request.timeout", "subject": head.describe()},
        )

    def _id_of(self, head: Any) -> str:
        for name, value in head.fields() if self.id_field else ():
            if name == self.id_field:
                return ascii(value[:128].decode("latin-1"))[1:-1]
        return ""

    def _once(self, place: str) -> str:
        now = time.monotonic()
        self._seen = {known: when for known, when in self._seen.items() if now - when < REPEAT_AFTER}
        if place in self._seen:
            return "in the same place as one before"
        self._seen[place] = now
        return place


def _safe_place(stream: Any, task: "asyncio.Task[Any] | None") -> str:
    try:
        return describe_place(stream, task)
    except Exception:
        logger.exception("the place of a late request cannot be told")
        return "nothing can be seen of it"


def describe_place(stream: Any, task: "asyncio.Task[Any] | None") -> str:
    """Where a request is stuck, in words and frames."""
    worker = find_worker(stream)
    if worker is not None:
        late = [one for one in late_workers() if one.stream is not stream]
        others = f"; others that are late: {', '.join(one.describe() for one in late)}" if late else ""
        return f"{worker.name} goes on with it{others}\n{thread_stack(worker.thread)}"
    team = who_waits(stream)
    if team is not None:
        busy = ", ".join(one.describe() for one in team.at_work())
        return f"it waited for one of {team.size} threads, which were busy ({busy})"
    if task is None:
        return "nothing can be seen of it"
    frames = await_chain(task)
    return f"it waited here:\n{frames}" if frames else "it had not begun"


def await_chain(task: "asyncio.Task[Any]") -> str:
    """The frames of a task from its outermost coroutine to what it waits for, other tasks included."""
    lines: list[str] = []
    _follow(task, lines, set(), "")
    return "\n".join(lines[: 2 * DEEPEST])


def _follow(task: "asyncio.Future[Any]", lines: list[str], seen: set[int], indent: str) -> None:
    if id(task) in seen or len(seen) > DEEPEST:
        return
    seen.add(id(task))
    frames = list(_frames_of(task.get_coro())) if isinstance(task, asyncio.Task) else []
    lines += [f"{indent}{line}" for line in _format(frames)]
    for other in _awaited(task, frames):
        if isinstance(other, asyncio.Task):
            lines.append(f"{indent}  task {other.get_name()!r}:")
            _follow(other, lines, seen, indent + "  ")
        else:
            _follow(other, lines, seen, indent)


def _awaited(task: "asyncio.Future[Any]", frames: list[_Frame]) -> list["asyncio.Future[Any]"]:
    """The tasks that a task waits for and that are not done."""
    waiter = getattr(task, "_fut_waiter", None)
    found: list[Any] = list(getattr(waiter or task, "_children", ()))  # those of asyncio.gather
    if isinstance(waiter, asyncio.Task):
        found.append(waiter)
    elif not found and frames and frames[-1][0].f_globals.get("__name__", "").startswith("asyncio."):
        found += _held(frames[-1][0].f_locals)
    return [one for one in found if isinstance(one, asyncio.Future) and not one.done()]


def _held(names: dict[str, Any]) -> list[Any]:
    """The tasks that a function of asyncio holds: wait, wait_for, a TaskGroup."""
    group = getattr(names.get("self"), "_tasks", ())
    values = [*names.values(), *(group if isinstance(group, set) else ())]
    for value in list(values):
        if isinstance(value, (set, frozenset, list, tuple)):
            values += value
    return list({id(value): value for value in values if isinstance(value, asyncio.Task)}.values())


def _frames_of(awaitable: Any) -> Iterator[_Frame]:
    for _ in range(DEEPEST):
        for frame_name, next_name in _LINKS:
            frame = getattr(awaitable, frame_name, None)
            if frame is not None:
                yield frame, max(frame.f_lineno or 0, 0)
                awaitable = getattr(awaitable, next_name, None)
                break
        else:
            awaitable = _inside(awaitable)
            if awaitable is None:
                return


def _inside(awaitable: Any) -> Any:
    """What an iterator of C code steps through: compiled code awaits by one, and so does ``async for``."""
    for found in gc.get_referents(awaitable) if awaitable is not None else ():
        if any(hasattr(found, name) for name, _ in _LINKS):
            return found
    return None


def thread_stack(thread: int) -> str:
    """The frames of a thread, the innermost last."""
    frame = sys._current_frames().get(thread)
    return "\n".join(_format(list(traceback.walk_stack(frame))[::-1])) if frame is not None else ""


def _format(frames: list[_Frame]) -> list[str]:
    """The frames as a traceback shows them, without ours and those that lead to ours."""
    theirs = [pair for pair in frames if not _is_ours(pair[0])]
    summaries = [
        traceback.FrameSummary(frame.f_code.co_filename, line or 0, frame.f_code.co_name)
        for frame, line in (theirs or frames)[-DEEPEST:]
    ]
    return "".join(traceback.format_list(summaries)).rstrip("\n").splitlines()


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    compiled = frame.f_code.co_filename.startswith(_BUILT)  # its globals are another module's
    return compiled or name.startswith((_OURS, "threading", "concurrent.futures")) or name == "vivace"
