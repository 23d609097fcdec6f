"""GraphQL over WebSocket: what drives `vivace.protocols.graphql_ws`.

Rules of this file:

- Messages are handled where they come in; each operation, and the judging of a client, is a task of its own.
- Whatever ends a connection ends its operations: nothing of them is left when `serve_socket` returns.
- A result is on its way before the next one is asked for: who reads slowly is sent nothing to pile up.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from vivace.errors import BadRequest, WebsocketClosed
from vivace.ext.graphql.context import Context
from vivace.ext.graphql.endpoint import Endpoint, Refused, close
from vivace.ext.graphql.params import read_params
from vivace.protocols.graphql_ws import Connect, Event, Machine, Operation, Start, make_machine

if TYPE_CHECKING:
    from vivace.framework.request import Request
    from vivace.framework.websocket import Websocket

__all__ = ["serve_socket"]

MAX_REASON = 120
"""Octets of a message that fit the reason of a close."""


async def serve_socket(endpoint: Endpoint, request: "Request", ws: "Websocket") -> None:
    """Serve a connection until it is closed."""
    connection = _Connection(endpoint, request, ws)
    try:
        await ws.listen(connection.receive)
    finally:
        await connection.end()


class _Connection:
    """One client and the operations that it runs."""

    __slots__ = (
        "_admitting",
        "_context",
        "_endpoint",
        "_given",
        "_loop",
        "_machine",
        "_tasks",
        "_timer",
        "_ws",
    )

    def __init__(self, endpoint: Endpoint, request: "Request", ws: "Websocket") -> None:
        self._endpoint = endpoint
        self._ws = ws
        self._loop = asyncio.get_running_loop()
        self._context = Context(request, None, ws)
        self._given: Any = None
        self._machine: Machine = make_machine(ws.subprotocol, endpoint.limits, self._loop.time())
        self._tasks: dict[Operation, asyncio.Task[None]] = {}
        self._admitting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_only()

    async def end(self) -> None:
        """End what runs."""
        self._machine.close(1001, "")
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._tasks.values(), *([self._admitting] if self._admitting else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def receive(self, message: str | bytes) -> None:
        """Take a message."""
        self._do(self._machine.receive(message, self._loop.time()))
        self._flush_only()

    def _do(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Connect):
                self._context.payload = event.payload
                self._admitting = self._loop.create_task(self._admit())
            elif isinstance(event, Start):
                task = self._loop.create_task(self._operate(event.operation))
                self._tasks[event.operation] = task
                # Not at its end: a task that is cancelled before it began never comes there.
                task.add_done_callback(partial(self._forget, event.operation))
            elif (stopped := self._tasks.get(event.operation)) is not None:
                stopped.cancel()

    def _forget(self, operation: Operation, _task: Any) -> None:
        self._tasks.pop(operation, None)

    def _flush(self) -> Awaitable[None] | None:
        """Send what there is to send; what can be awaited until the client has read enough of it."""
        machine, drained = self._machine, None
        try:
            for text in machine.outbox:
                _leave(drained)
                drained = self._ws.send(text)
        except WebsocketClosed:
            machine.close(1006, "")
        machine.outbox.clear()
        if machine.closing is not None:
            code, reason = machine.closing
            self._ws.end_connection(code, reason.encode()[:MAX_REASON].decode("utf-8", "ignore"))
        self._arm()
        return drained

    async def _drain(self) -> None:
        drained = self._flush()
        if drained is not None:
            await drained

    def _arm(self) -> None:
        """Set the timer to when the machine wants to be asked."""
        due = None if self._machine.closing else self._machine.deadline()
        timer = self._timer
        if timer is not None and (due is None or timer.when() > due):
            timer.cancel()
            timer = self._timer = None
        if due is not None and timer is None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._machine.tick(self._loop.time())
        self._flush_only()

    def _flush_only(self) -> None:
        _leave(self._flush())

    async def _admit(self) -> None:
        """Judge the client, for GRAPHQL_INIT_TIMEOUT at most, and begin what it has asked for meanwhile."""
        machine, time = self._machine, asyncio.timeout(self._endpoint.limits.init_timeout or None)
        try:
            async with time:
                welcome = await self._endpoint.admit(self._context)
                self._given = await self._endpoint.make_context(self._context)
        except Refused as refused:
            machine.refuse(refused.errors[0]["message"])
        except Exception as error:  # noqa: BLE001  # the client is told
            late = "it took too long to decide whether you may come in"
            machine.refuse(late if time.expired() else self._endpoint.errors.format(error)["message"])
        else:
            self._do(machine.accept(welcome, self._loop.time()))
        self._flush_only()

    async def _operate(self, operation: Operation) -> None:
        machine = self._machine
        try:
            await self._run(operation)
        except Refused as refused:
            machine.error(operation, refused.errors)
        except BadRequest as error:
            machine.error(operation, [{"message": str(error)}])
        except WebsocketClosed:
            pass
        except Exception as error:  # noqa: BLE001  # the client is told
            machine.error(operation, [self._endpoint.errors.format(error)])
        self._flush_only()

    async def _run(self, operation: Operation) -> None:
        endpoint, machine = self._endpoint, self._machine
        params = read_params(operation.payload)
        document, kind = endpoint.choose(params)
        if kind != "subscription":
            machine.result(operation, await endpoint.execute(document, params, self._given))
        else:
            results = await endpoint.subscribe(document, params, self._given)
            try:
                async for outcome in results:
                    if not machine.result(operation, endpoint.format(outcome)):
                        return
                    await self._drain()
            finally:
                await close(results)
        machine.complete(operation)


def _leave(drained: Awaitable[None] | None) -> None:
    """Do not wait: a coroutine, also one that was compiled, complains otherwise."""
    if isinstance(drained, Coroutine):
        drained.close()
