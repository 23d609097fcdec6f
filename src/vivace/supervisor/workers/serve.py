"""A server's life in a process: start, serve until a stop is asked for, stop.

Rules of this file:

- A server that is to stop may go on accepting for a while, not ready any more (SHUTDOWN_DELAY): whoever
  sends it clients needs time to learn that it leaves.
- Connections that idle are kept for a moment after their last request, for a client may just be sending the
  next one. A worker that is replaced keeps them as long as they were promised.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from vivace.server import Server
from vivace.supervisor.workers.stop import StopRequest

__all__ = ["LONGEST_PATIENCE", "abandon_tasks", "serve_until_stopped"]

logger = logging.getLogger("vivace")

LONGEST_PATIENCE: Final = 30.0
"""Seconds for which a worker that is replaced serves connections that may idle for ever."""
LONGEST_WINDOW: Final = 2.0
"""Seconds after its last request when a server that stops closes a connection, or KEEP_ALIVE_TIMEOUT."""

TASKS_END: Final = 0.3
"""Seconds that tasks have to end once they are cancelled at the end of the process."""


async def serve_until_stopped(
    server: Server,
    stop: StopRequest,
    graceful: float,
    *,
    ready: Callable[[], None],
    leave: Callable[[], None],
    idle: float = 0.0,
    sockets: float = 0.0,
    delay: float = 0.0,
    bar: Callable[[], object] | None = None,
    last_call: bool = True,
) -> None:
    """Start, serve and stop a server.

    Args:
        server: Not started.
        stop: Says when.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT in seconds.
        ready: Called once it serves.
        leave: Closes the listening sockets of this process.
        idle: KEEP_ALIVE_TIMEOUT in seconds; 0.0: for ever.
        sockets: WEBSOCKET_RECYCLE_TIMEOUT in seconds.
        delay: Seconds that it goes on accepting after a stop was asked for.
        bar: Lets no new client into the queues of the sockets; called before they are emptied. None: somebody
            else does, or nobody.
        last_call: The sockets end with this server, or its supervisor: who is just connecting is let in.
    """
    stop.bind(server.force_stop, graceful, delay, server.hasten_stop)
    try:
        await server.start()
        stop.started()
        ready()
        await stop.wait()
        if delay and not stop.retiring:
            logger.info("stopping: not ready any more, accepting for %g s", delay)
            await server.leave_after(delay)
        _say_what_is_waited_for(server.active, graceful)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not stop.requested or task is None:
            raise
        task.uncancel()
    finally:
        stop.started()
        try:
            linger = sockets if stop.patient else 0.0
            await _stop(server, idle, leave, bar, linger, replaced=stop.retiring, last_call=last_call)
        finally:
            leave()


async def abandon_tasks() -> None:
    """Cancel the tasks that are left; those that heed no cancellation are not waited for any longer."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if not left:
        return
    _, pending = await asyncio.wait(left, timeout=TASKS_END)
    for task in pending:
        # Python's runner would wait for them for ever.
        asyncio._unregister_task(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    if pending:
        names = sorted({getattr(task.get_coro(), "__qualname__", task.get_name()) for task in pending})
        logger.warning("%d tasks heed no cancellation: %s", len(pending), ", ".join(names))


async def _stop(
    server: Server,
    idle: float,
    leave: Callable[[], None],
    bar: Callable[[], object] | None,
    linger: float,
    *,
    replaced: bool,
    last_call: bool,
) -> None:
    if replaced:
        await server.stop(idle or LONGEST_PATIENCE, replaced=True, linger=linger, leave=leave)
        return
    if bar is not None:
        bar()
    await server.stop(min(idle or LONGEST_WINDOW, LONGEST_WINDOW), last_call=last_call, leave=leave)


def _say_what_is_waited_for(requests: int, graceful: float) -> None:
    if requests:
        what = "1 request" if requests == 1 else f"{requests} requests"
        logger.info("stopping: waiting for %s, at most %g s", what, graceful)
