"""The events of one subscription: what is published on its topics, as long as its client may see it.

Rules of this file:

- Who may see it is asked before anything is followed, and again as `Admission` says.
- What waits for a slow client is bounded; with one event more the subscription ends, and says so.
- Closing it leaves nothing behind, whenever that happens.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from graphql import GraphQLError

from vivace.errors import Forbidden
from vivace.ext.graphql.access import Access, Seat
from vivace.framework.groups.admission import Allow
from vivace.hub.records import Gap, Message

if TYPE_CHECKING:
    from vivace.hub.hub import Following, Hub

__all__ = ["RUNNING", "Feed", "Running"]


class Running:
    """The operation that a task executes, for what is declared on resolvers.

    Attributes:
        hub: Where topics are.
        access: Who may follow what at the endpoint.
        context: What resolvers get.
        user: Who asks, as it can be compared; None: not known.
        max_queue: Events that may wait.
    """

    __slots__ = ("_app", "access", "context", "max_queue", "user")

    def __init__(self, app: Any, access: Access, context: Any, user: Any, max_queue: int) -> None:
        self._app = app
        self.access = access
        self.context = context
        self.user = user
        self.max_queue = max_queue

    @property
    def hub(self) -> "Hub":
        """The groups of the app."""
        return self._app.hub  # type: ignore[no-any-return]


RUNNING: "ContextVar[Running]" = ContextVar("vivace_graphql_operation")


def ended(message: str, code: str) -> GraphQLError:
    """The error that ends a subscription."""
    return GraphQLError(message, extensions={"code": code})


class Feed:
    """The messages of some topics, in the order in which they come.

    Args:
        running: The operation.
        names: The topics.
        allow: Whether who asks may follow a topic, given `conn` and its name; None: everybody may.
        conn: What `allow` is asked about.
        recheck: Seconds between two questions; 0: none but those of `check`.
        gaps: Give a `Gap` where messages were lost.
        max_queue: Events that may wait.
    """

    def __init__(
        self,
        running: Running,
        names: Sequence[str],
        allow: Allow | None,
        conn: Mapping[str, Any],
        *,
        recheck: float,
        gaps: bool,
        max_queue: int,
    ) -> None:
        self._hub = running.hub
        self._access = running.access
        self._user = None if running.user is None else str(running.user)
        self._names = frozenset(names)
        self._allow = allow
        self._recheck = recheck
        self._gaps = gaps
        self._max_queue = max_queue
        self._queue: deque[Message | Gap] = deque()
        self._error: GraphQLError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._following: list[Following] = []
        self._seats = [] if allow is None else [Seat(self, name, self._user, conn) for name in names]

    async def __aenter__(self) -> Self:
        try:
            # Before anybody is asked: what is revoked meanwhile counts.
            self._access.enter(self, self._hub)
            for seat in self._seats:
                await self._admit(seat)
            if self._error is not None:
                raise self._error
            self._following = [self._hub.follow(name, self._take) for name in self._names]
            for following in self._following:
                await following.ready(self._hub.limits.timeout)
        except BaseException:
            self.close()
            raise
        return self

    async def _admit(self, seat: Seat) -> None:
        assert self._allow is not None
        access = self._access
        try:
            await access.admission.admit(seat, self._allow, self._recheck, access.grace)
        except Forbidden:
            self.deny()

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        for following in self._following:
            following.close()
        for seat in self._seats:
            seat.leave()
        self._access.leave(self)
        self._following, self._seats = [], []

    def deny(self) -> None:
        """The client may not follow this any more, or not at all."""
        self._fail(ended("Forbidden", "FORBIDDEN"))

    def revoke(self, user: str | None, topic: str | None) -> None:
        """End if it is about that user and that topic; None: any."""
        if (topic is None or topic in self._names) and (user is None or user == self._user):
            self._fail(ended("access was revoked", "REVOKED"))

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
        for seat in self._seats:
            if not await seat.is_allowed():
                self.deny()
        if self._error is not None:
            raise self._error
