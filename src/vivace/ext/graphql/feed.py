"""The events of one subscription: what is published on its topics, as long as its client may see it.

Rules of this file:

- Who may see it is asked before anything is followed, and again as `vivace.ext.graphql.access` says.
- What waits for a slow client is bounded; with one event more the subscription ends, and says so.
- Closing it leaves nothing behind, whenever that happens.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from graphql import GraphQLError

from vivace.hub.records import Gap, Message

if TYPE_CHECKING:
    from vivace.ext.graphql.access import Check, Checks
    from vivace.hub.hub import Control, Following, Hub

__all__ = ["RUNNING", "Feed", "Running"]


class Running:
    """The operation that a task executes, for what is declared on resolvers.

    Attributes:
        hub: Where topics are.
        checks: Of the endpoint.
        context: What resolvers get.
        user: Who asks, as it can be compared; None: not known.
        max_queue: Events that may wait.
    """

    __slots__ = ("_hub", "checks", "context", "max_queue", "user")

    def __init__(self, app: Any, checks: "Checks", context: Any, user: Any, max_queue: int) -> None:
        self._hub = app
        self.checks = checks
        self.context = context
        self.user = user
        self.max_queue = max_queue

    @property
    def hub(self) -> "Hub":
        """The groups of the app."""
        return self._hub.hub  # type: ignore[no-any-return]


RUNNING: "ContextVar[Running]" = ContextVar("vivace_graphql_operation")


def ended(message: str, code: str) -> GraphQLError:
    """The error that ends a subscription."""
    return GraphQLError(message, extensions={"code": code})


class Feed:
    """The messages of some topics, in the order in which they come.

    Args:
        running: The operation.
        names: The topics.
        checks: One for each of them, or none.
        gaps: Give a `Gap` where messages were lost.
        max_queue: Events that may wait.
    """

    def __init__(
        self,
        running: Running,
        names: Sequence[str],
        checks: "Sequence[Check]",
        *,
        gaps: bool,
        max_queue: int,
    ) -> None:
        self._hub = running.hub
        self._user = None if running.user is None else str(running.user)
        self._names = frozenset(names)
        self._checks = checks
        self._gaps = gaps
        self._max_queue = max_queue
        self._queue: deque[Message | Gap] = deque()
        self._error: GraphQLError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._following: list[Following] = []
        self._end_control: Any = None

    async def __aenter__(self) -> Self:
        try:
            # Before anybody is asked: what is revoked meanwhile counts.
            self._end_control = self._hub.on_control(self._take_control)
            for check in self._checks:
                check.hold(self.deny)
            for check in self._checks:
                denial = await check.judge()
                if denial is not None:
                    self.deny(denial)
            if self._error is not None:
                raise self._error
            self._following = [self._hub.follow(name, self._take) for name in self._names]
            for following in self._following:
                await following.ready()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        for following in self._following:
            following.close()
        for check in self._checks:
            check.release(self.deny)
        if self._end_control is not None:
            self._end_control()
        self._following, self._checks, self._end_control = [], (), None

    def deny(self, reason: str) -> None:
        """The client may not follow this any more, or not at all."""
        self._fail(ended(reason, "FORBIDDEN"))

    def _fail(self, error: GraphQLError) -> None:
        """End with an error; what waits is not given any more."""
        if self._error is None:
            self._error = error
            self._queue.clear()
            self._wake()

    def _take(self, item: Message | Gap) -> None:
        if self._error is not None or (isinstance(item, Gap) and not self._gaps):
            return
        if len(self._queue) >= self._max_queue:
            self._fail(ended(f"{self._max_queue} events wait for this client: it is too slow", "TOO_SLOW"))
            return
        self._queue.append(item)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take_control(self, said: "Control") -> None:
        if said.topic is not None and said.topic not in self._names:
            return
        if said.user is not None and said.user != self._user:
            return
        if said.kind == "revoke":
            for check in self._checks:
                check.expire()
            self._fail(ended("access was revoked", "REVOKED"))
        else:
            for check in self._checks:
                check.again()

    async def next(self) -> Message | Gap:
        """The next message.

        Raises:
            GraphQLError: The client may not follow any more, or was too slow.
        """
        while not self._queue:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()

    async def check(self) -> None:
        """Ask now whether the client may see the next event.

        Raises:
            GraphQLError: It may not.
        """
        for check in self._checks:
            denial = await check.judge(0.0)
            if denial is not None:
                self.deny(denial)
        if self._error is not None:
            raise self._error
