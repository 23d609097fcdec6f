"""Which request running code belongs to: asked for when something is logged, noted by nobody before.

Rules of this file:

- A plain request pays nothing: the request is found from the task or the thread that runs.
- Code that a handler has run elsewhere (a task of its own) belongs to no request, unless the app keeps track
  of them. What cannot be found is left out; it never fails.
- The id is what the client sent in REQUEST_ID_HEADER, else one that is made from the process and the request.
"""

import gc
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from vivace.protocols.threads import teams

if TYPE_CHECKING:
    import asyncio

    from vivace.server.server import Server
    from vivace.server.state import ServerState
    from vivace.server.stream import Stream

__all__ = ["current_request_id", "current_span", "current_stream", "request_id", "serving"]

serving: "WeakSet[Server]" = WeakSet()
"""The servers of this process."""
LONGEST: Final = 128
"""Characters of an id that a client sends."""
MOST: Final = 2000
"""Connections that are looked at for a handler that runs without a task."""
_REQUEST: Final = "vivace-request"


def _states() -> "list[ServerState]":
    return [server.state for server in list(serving) if server.state is not None]


def current_request_id() -> str:
    """The id of the request that the running code belongs to; empty if it belongs to none."""
    try:
        stream = current_stream()
        return request_id(stream) if stream is not None else ""
    except Exception:  # noqa: BLE001 - a log line without an id is better than none
        return ""


def current_span() -> dict[str, str]:
    """``trace_id`` and ``span_id`` of OpenTelemetry's span that is current; empty if there is none."""
    api = sys.modules.get("opentelemetry.trace")
    try:
        context = api.get_current_span().get_span_context() if api is not None else None
    except Exception:  # noqa: BLE001 - as above
        return {}
    if context is None or not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def current_stream() -> "Stream | None":
    """The request that the running code belongs to."""
    if not serving:
        return None
    import asyncio  # it is there where a server is; a supervisor logs too, and is small without it

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        ident = threading.get_ident()
        found = (one.stream for team in list(teams) for one in team.at_work() if one.thread == ident)
        return next(found, None)
    task = asyncio.current_task()
    if task is not None:
        return _of_task(task) if task.get_name() == _REQUEST else None
    return _without_task(loop)


def _of_task(task: "asyncio.Task[Any]") -> "Stream | None":
    """The request that a task of the server answers: an argument of its coroutine."""
    coroutine: Any = task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    if frame is not None and _is_stream(found := frame.f_locals.get("stream")):
        return found  # type: ignore[no-any-return]
    near = gc.get_referents(coroutine)
    return next((one for one in (*near, *gc.get_referents(*near)) if _is_stream(one)), None)


def _is_stream(value: Any) -> bool:
    return hasattr(value, "started_at") and hasattr(value, "head")


def _without_task(loop: "asyncio.AbstractEventLoop") -> "Stream | None":
    """A handler that has not waited for anything yet has no task: one request at most is in that state."""
    for state in _states():
        if state.loop is not loop or not state.active or len(state.connections) > MOST:
            continue
        for connection in state.connections:
            stream = connection.stream
            if stream is not None and stream.task is None and not stream.complete and not _elsewhere(stream):
                return stream
    return None


def _elsewhere(stream: Any) -> bool:
    return any(
        team.waits(stream) or any(one.stream is stream for one in team.at_work()) for team in list(teams)
    )


def request_id(stream: Any, field: bytes = b"") -> str:
    """The id of a request.

    Args:
        stream: The request.
        field: The field in which clients send one, in lower case; empty: that of the servers here.
    """
    field = field or next((state.stuck.id_field for state in _states()), b"")
    for name, value in stream.head.fields() if field else ():
        if name == field and value:
            return ascii(value[:LONGEST].decode("latin-1"))[1:-1]
    return (
        f"{os.getpid():x}-{id(stream.head) & 0xFFFFFFFF:08x}{int(stream.started_at * 1e6) & 0xFFFFFFFF:08x}"
    )
