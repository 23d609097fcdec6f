"""Services: functions of an app that run for as long as the server does, in processes of their own.

    @app.service
    async def mailer(service):
        async for letter in service.messages:
            await deliver(letter)

    await mailer.send({"to": "ann@example.org"})     # in a handler

Rules of this file:

- `send` returns when the process has the message in its queue, and raises if it does not take it: nothing is
  dropped in silence. What must outlive the process is a task, not a message.
- A function that takes nothing knows of no messages, and ends where it is when the server stops.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec

from vivace.errors import DeadlineExceeded, DeclarationError, QueueFull, WorkerDied
from vivace.framework.beside import Companion, Context
from vivace.framework.processes.caller import Again, Ask, Line
from vivace.framework.processes.host import Guest, Host
from vivace.framework.processes.local import Place, folder_of
from vivace.framework.processes.words import Word, place_of

__all__ = ["Messages", "Service", "ServiceContext"]

logger = logging.getLogger("vivace")

_END: Final = object()


class Messages:
    """What was sent to a service, in the order of arrival: ``async for`` in a coroutine, ``for`` elsewhere.

    It ends when the process is asked to stop and all is read.

    Args:
        most: Messages that may wait.
        kind: What each is made of it by msgspec; None: they stay as they came.
    """

    def __init__(self, most: int, kind: Any = None) -> None:
        self._most = most
        self._kind = kind
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def __len__(self) -> int:
        return self._queue.qsize() - self._closed

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self._queue.get()
        if item is _END:
            self._queue.put_nowait(_END)
            raise StopAsyncIteration
        return item

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(self.__anext__(), self._loop).result()
        except StopAsyncIteration:
            raise StopIteration from None

    def hear(self, guest: Guest, frame: list[Any]) -> None:
        """A worker says something."""
        word, number, *fields = frame
        if word != Word.PUT:
            return
        if self._closed:
            guest.tell(Word.AWAY, number)
        elif self._queue.qsize() >= self._most:
            guest.tell(Word.FULL, number)
        else:
            self._take(guest, number, fields[0])

    def _take(self, guest: Guest, number: int, value: Any) -> None:
        if self._kind is not None:
            try:
                value = msgspec.convert(value, self._kind)
            except msgspec.ValidationError as error:
                guest.tell(Word.FAILED, number, 400, str(error))
                return
        self._queue.put_nowait(value)
        guest.tell(Word.TAKEN, number)

    def close(self) -> None:
        """Nothing is taken any more; what is there can be read."""
        if not self._closed:
            self._closed = True
            self._queue.put_nowait(_END)


class ServiceContext(Context):
    """What the function of a service is called with: a `Context` with its messages.

    Attributes:
        messages: What was sent to it.
    """

    def __init__(self, given: Context, messages: Messages) -> None:
        self.__dict__.update(given.__dict__)
        self.messages = messages


class Service:
    """A service as its app knows it.

    Args:
        app: That declares it.
        function: Called with a `ServiceContext`, or with nothing.
        name: Of it.
        instances: Processes that run it; a message goes to one of them.
        restart: ``always``, ``on-failure`` or ``never``.
        grace: Seconds from the request to stop until the kill; None: GRACEFUL_SHUTDOWN_TIMEOUT.
        max_queue: Messages that may wait in each process.
        timeout: Seconds that `send` waits for a process that is just being started, or does not answer.
        kind: What messages are made of it; None: they stay as they came.

    Attributes:
        function: See above; so `name`, `max_queue`.
    """

    def __init__(
        self,
        app: Any,
        function: Callable[..., Any],
        name: str,
        instances: "int | Callable[[Any], int]" = 1,
        restart: str = "always",
        grace: float | None = None,
        max_queue: int = 10_000,
        timeout: float = 5.0,
        kind: Any = None,
    ) -> None:
        if max_queue < 1:
            raise DeclarationError(f"service {name}: max_queue={max_queue}; expected 1 or more")
        self.function = function
        self.name = name
        self.max_queue = max_queue
        self._timeout = timeout
        self._kind = kind
        companion = Companion(name, self._main, instances, restart, grace, kind="service", tells=True)
        self._place = Place(app, name, lambda: companion.count(app.config), self._main)
        app.companions.append(companion)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, here and now: for tests."""
        return self.function(*args, **kwargs)

    # In a worker

    async def send(self, message: Any) -> None:
        """Give the service a message; returns when it is in its queue.

        Args:
            message: What msgspec encodes: plain values, structs, dataclasses.

        Raises:
            QueueFull: Its queue is full.
            WorkerDied: No process of it can be reached, or the one that had the message is gone, which may
                have read it.
            DeadlineExceeded: The process is there and does nothing: it may still read it.
            TypeError: The message cannot be encoded.
            MessageTooLarge: It is too long.
        """
        caller = self._place.caller()
        until = asyncio.get_running_loop().time() + self._timeout
        full: set[int] = set()
        while len(full) < self._place.count:
            try:
                index, line = await caller.choose(full, until)
            except WorkerDied:
                if full:
                    break
                raise
            try:
                await self._give(line, message)
            except Again:
                continue
            except QueueFull:
                full.add(index)
            else:
                return
        raise QueueFull(f"service {self.name} has {self.max_queue} messages waiting, and takes no more now")

    def send_sync(self, message: Any) -> None:
        """The same as `send`, for threads of the server: WSGI apps, plain handlers.

        Args:
            message: See `send`.

        Raises:
            WorkerDied: See `send`; or no server runs in this process.
            RuntimeError: This is the thread of the loop.
        """
        self._place.from_thread(self.send(message), 2 * self._timeout)

    async def _give(self, line: Line, message: Any) -> None:
        """Give a message to one process."""
        ask: Ask | None = None
        try:
            async with asyncio.timeout(self._timeout):
                ask = await line.ask(Word.PUT, message)
                ask.started = True  # it may be read from now on
                await ask.answer
        except TimeoutError:
            rest = "it may still read it" if ask is not None else "it was not sent"
            raise DeadlineExceeded(
                f"service {self.name} did not take the message within {self._timeout:g} s; {rest}"
            ) from None
        finally:
            if ask is not None:
                line.cancel(ask)

    # In its process

    async def _main(self, given: Context) -> None:
        messages = Messages(self.max_queue, self._kind)
        host = Host(place_of(folder_of(given), self.name, given.index), messages.hear)
        await host.open()
        given.ready()
        stopping = asyncio.create_task(_shut_at_stop(given, messages, host))
        try:
            await self._run(ServiceContext(given, messages))
            messages.close()
            host.shut()
            await host.part()
        finally:
            stopping.cancel()
            host.close()
            if left := len(messages):
                logger.error("service %s ends with %d messages that it has not read", self.name, left)

    async def _run(self, context: "ServiceContext") -> None:
        """Call the function; one that takes nothing ends with the request to stop."""
        arguments = (context,) if inspect.signature(self.function).parameters else ()
        if inspect.iscoroutinefunction(self.function):
            running = asyncio.ensure_future(self.function(*arguments))
        else:
            running = _in_thread(self.function, arguments)
        waits = [running] if arguments else [running, asyncio.create_task(context.stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        if running.done() and not running.cancelled():
            running.result()


async def _shut_at_stop(context: Context, messages: Messages, host: Host) -> None:
    await context.stopping.wait()
    host.shut()
    messages.close()


def _in_thread(function: Callable[..., Any], arguments: tuple[Any, ...]) -> "asyncio.Future[Any]":
    """Run a plain function in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def live() -> None:
        result, error = None, None
        try:
            result = function(*arguments)
        except BaseException as caught:  # noqa: BLE001 - it is raised where it is waited for
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=live, name="vivace-service", daemon=True).start()
    return done
