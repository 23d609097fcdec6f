"""The lifespan of an ASGI app: it is told of the start and the stop of its server.

Rules of this file:

- No connection is accepted before the app said that it is ready; an app that fails ends the start.
- An app that does not know the protocol is served without: it raised before it took the first message, or
  answered it with something that is not of this protocol. LIFESPAN=on makes that an error.
- A lifespan that ends while the server serves is in the log at once: what it held for the app is gone.
- Follows the ASGI specification, Lifespan Protocol 2.0, with the lifespan state.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from vivace.errors import LocalProtocolError, StartupError

__all__ = ["Lifespan"]

logger = logging.getLogger("vivace.server")

Message = dict[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

END_GRACE: Final = 1.0
"""Seconds that the app has to return from its lifespan after its last message."""

_STARTED: Final = "lifespan.startup.complete"
_NOT_STARTED: Final = "lifespan.startup.failed"
_STOPPED: Final = "lifespan.shutdown.complete"
_NOT_STOPPED: Final = "lifespan.shutdown.failed"
_ANSWERS: Final = {
    "lifespan.startup": (_STARTED, _NOT_STARTED),
    "lifespan.shutdown": (_STOPPED, _NOT_STOPPED),
}


class Lifespan:
    """One run of an app's lifespan.

    Args:
        app: An ASGI 3 callable.
        mode: LIFESPAN: ``auto``, ``on`` or ``off``.
        version: The version of ASGI that the app speaks.

    Attributes:
        state: What the app put there at its start; a copy goes into the scope of each request.
    """

    def __init__(self, app: App, mode: str, version: str = "3.0") -> None:
        self._app = app
        self._mode = mode
        self._version = version
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: asyncio.Future[Message] | None = None
        self._awaited: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._foreign = False
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Tell the app that the server starts, and wait until it is ready.

        Raises:
            StartupError: It failed, or knows no lifespan though LIFESPAN is ``on``.
        """
        if self._mode == "off":
            return
        self._task = asyncio.create_task(self._run(), name="vivace-lifespan")
        answer = await self._tell("lifespan.startup")
        if answer is None:
            self._go_on_without()
        elif answer["type"] == _NOT_STARTED:
            await self._end()
            said = answer.get("message") or "no reason given"
            raise StartupError(f"the app's lifespan failed: {said}", stage="lifespan")
        else:
            assert self._task is not None
            self._task.add_done_callback(_log_end)

    async def stop(self) -> None:
        """Tell the app that the server stops, and wait until it has ended."""
        if self._task is None or self._task.done():
            return
        self._task.remove_done_callback(_log_end)
        answer = await self._tell("lifespan.shutdown")
        if answer is None:
            _log_end(self._task)
        elif answer["type"] == _NOT_STOPPED:
            logger.error("the app's lifespan failed to stop: %s", answer.get("message") or "no reason given")
        await self._end()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": self._version, "spec_version": "2.0"},
            "state": self.state,
        }
        await self._app(scope, self._receive, self._send)

    async def _tell(self, what: str) -> Message | None:
        """Send the app a message; its answer, or None if it ended without one."""
        assert self._task is not None
        self._awaited = _ANSWERS[what]
        self._answer = asyncio.get_running_loop().create_future()
        self._messages.put_nowait({"type": what})
        await asyncio.wait((self._answer, self._task), return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _receive(self) -> Message:
        self._asked = True
        return await self._messages.get()

    async def _send(self, message: Message) -> None:
        kind = message.get("type") if isinstance(message, dict) else message  # type: ignore[redundant-expr]
        if kind not in self._awaited:
            self._foreign = not str(kind).startswith("lifespan.")
            raise LocalProtocolError(f"{kind!r} is no answer here; expected {self._awaited[0]!r}")
        if self._answer is None or self._answer.done():
            raise LocalProtocolError(f"{kind!r} was sent without a lifespan message to answer")
        self._answer.set_result(message)

    def _go_on_without(self) -> None:
        """The app ended before it said that it is ready: it does not know the protocol, or it failed."""
        assert self._task is not None
        error = None if self._task.cancelled() else self._task.exception()
        self._task = None
        self.state.clear()
        failed = error is not None and self._asked and not self._foreign
        if failed or self._mode == "on":
            why = f"{error!r}" if error is not None else "it returned without an answer"
            raise StartupError(f"the app's lifespan failed: {why}", stage="lifespan") from error
        logger.debug("the app takes no part in the lifespan: %r", error)

    async def _end(self) -> None:
        """Let the app's task end, and log what it ends with."""
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait((task,), timeout=END_GRACE)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            logger.debug("the app's lifespan did not end by itself")
        except Exception as error:  # noqa: BLE001  # told before
            # What startup.failed told of is raised by many apps as well; the message is enough then.
            logger.debug("the app's lifespan ended with %r", error)


def _log_end(task: asyncio.Task[None]) -> None:
    """Say with what the app's lifespan ended before it was told to."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.error("the app's lifespan ended before the server stopped: %r", error, exc_info=error)
