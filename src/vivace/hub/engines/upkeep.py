"""What every engine does to stay up: come back for ever, say each change once, and let publishers wait a bit.

Rules of this file:

- No server's protocol is known here.
- Times come from `Timing`, so that a test can make them short.
"""

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from vivace.hub.engine import Sink

__all__ = ["Backoff", "CallName", "LinkDown", "Status", "Timing", "keep"]
logger = logging.getLogger("vivace")


class Timing(NamedTuple):
    """How long an engine waits for what, in seconds, and how much waits with it.

    Attributes:
        outbox: Messages that wait for a server that is away; one more raises `HubUnavailable`.
        patience: How long a message or a question waits before it does so too.
        ping_after: Silence of a connection after which it is asked for a sign of life.
        ping_timeout: How long a connection may owe an answer; then it is given up.
        connect_timeout: For a connection to be made and greeted.
        first_delay: The longest pause before the first attempt to connect anew; it doubles.
        last_delay: The longest pause of all.
        farewell: How long a stop waits for what is still to be sent.
    """

    outbox: int = 1000
    patience: float = 5.0
    ping_after: float = 15.0
    ping_timeout: float = 5.0
    connect_timeout: float = 5.0
    first_delay: float = 0.1
    last_delay: float = 5.0
    farewell: float = 1.0


class LinkDown(ConnectionError):
    """A connection cannot be had or is lost; its text says what was seen and what to do."""


class CallName:
    """What the server's list of clients calls the connections of this machine.

    A hub that begins before its app is known has no name. The first process that comes brings it; the hub
    waits for that, since a connection that listens cannot be named anew.

    Args:
        name: Such as ``shop@host/hub``; empty: it is not known yet.
    """

    PATIENCE = 30.0
    """Seconds; until a process comes nobody needs the engine."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known = asyncio.Event()
        if name:
            self._known.set()

    def become(self, name: str) -> None:
        """The name is known, if it was not before; empty: whoever came has none."""
        if not self._name:
            self._name = name or f"vivace@{socket.gethostname()}/hub"
            self._known.set()

    async def get(self) -> str:
        """The name, or one for an app that nobody has named."""
        if not self._known.is_set():
            try:
                async with asyncio.timeout(self.PATIENCE):
                    await self._known.wait()
            except TimeoutError:
                self.become("")
        return self._name


class Backoff:
    """Pauses between attempts: anything up to a bound that doubles, so that machines do not come in step.

    Args:
        timing: Gives the first and the last bound.
    """

    _LEAST: Final = 0.01

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._bound = timing.first_delay

    def reset(self) -> None:
        """It worked: the next pause is a short one."""
        self._bound = self._timing.first_delay

    def next(self) -> float:
        """Seconds until the next attempt."""
        pause = self._LEAST + random.uniform(0, self._bound)  # noqa: S311
        self._bound = min(self._bound * 2, self._timing.last_delay)
        return pause


class Status:
    """Whether a server can be reached: up if all links are; each change is said once.

    Args:
        links: Their names.
    """

    def __init__(self, *links: str) -> None:
        self._problems = dict.fromkeys(links, "")
        self._fine: set[str] = set()
        self._said: tuple[bool, str] | None = None
        self._sink: Sink | None = None

    def begin(self, sink: Sink) -> None:
        """Say changes to this one from now on."""
        self._sink = sink

    def end(self) -> None:
        """Say nothing any more."""
        self._sink = None
        self._fine.clear()

    @property
    def up(self) -> bool:
        """Whether all links are up."""
        return len(self._fine) == len(self._problems)

    @property
    def why(self) -> str:
        """The first problem; empty if there is none."""
        return next((why for why in self._problems.values() if why), "")

    def fine(self, link: str) -> None:
        """A link is up."""
        self._problems[link] = ""
        self._fine.add(link)
        if self.up:
            self._say(up=True, why="")

    def problem(self, link: str, why: str) -> None:
        """A link is down."""
        self._problems[link] = why
        self._fine.discard(link)
        self._say(up=False, why=self.why)

    def _say(self, *, up: bool, why: str) -> None:
        if self._sink is not None and self._said != (up, why):
            self._said = (up, why)
            logger.debug("hub: the engine is %s", "up" if up else f"down: {why}")
            self._sink.state(up, why)


async def keep(
    link: str,
    session: Callable[[Callable[[], None]], Awaitable[None]],
    status: Status,
    timing: Timing,
    explain: Callable[[Exception], str],
) -> None:
    """Have a connection, again and again, until this is cancelled.

    Args:
        link: Its name in `status`.
        session: Connects, calls its argument when everything is in place, and returns or raises when the
            connection is gone.
        status: Is told.
        timing: Gives the pauses.
        explain: Words for what `session` raised.
    """
    backoff = Backoff(timing)

    def settled() -> None:
        backoff.reset()
        status.fine(link)

    while True:
        try:
            await session(settled)
            why = "the connection was closed"
        except Exception as error:  # noqa: BLE001 # whatever it is, the way back is to connect anew
            why = explain(error)
        status.problem(link, why)
        await asyncio.sleep(backoff.next())
