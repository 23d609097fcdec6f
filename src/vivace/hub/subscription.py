"""A topic as an async iterator, with a queue that is bounded and a policy for those who are too slow.

Rules of this file:

- The queue never grows above its bound: what happens then is the policy's business, and it is never silent.
- Nothing is registered before `async with`, and nothing stays registered after it, however it ends.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from vivace.errors import ClosedResourceError, DeclarationError, SubscriberTooSlow
from vivace.hub.local import MOST
from vivace.hub.records import Gap, Message, Position

if TYPE_CHECKING:
    from vivace.hub.hub import Hub
    from vivace.hub.local import Following

__all__ = ["OnSlow", "Subscription"]

OnSlow = Literal["disconnect", "drop_oldest", "conflate"]
_SLOW = "slow: the queue of this subscriber was full"


class Subscription:
    """What `Hub.subscribe` gives.

    Attributes:
        topic: Which one.
        dropped: Messages that its policy has dropped.
    """

    def __init__(
        self,
        hub: "Hub",
        topic: str,
        since: Position | None,
        history: int,
        max_queue: int,
        on_slow: OnSlow,
        key: Callable[[Message], Hashable] | None,
        id: str | None,  # noqa: A002
    ) -> None:
        if on_slow not in {"disconnect", "drop_oldest", "conflate"}:
            raise DeclarationError(
                f"on_slow={on_slow!r} is not one of disconnect, drop_oldest, conflate",
                allowed=("disconnect", "drop_oldest", "conflate"),
            )
        if max_queue < 1:
            raise DeclarationError(f"max_queue={max_queue} is less than 1")
        self.topic = topic
        self.dropped = 0
        self._hub = hub
        self._asked = (since, history, id)
        self._max = max_queue
        self._on_slow = on_slow
        self._key = key
        self._queue: OrderedDict[Hashable, Message | Gap] = OrderedDict()
        self._count = 0
        self._gap_first = False
        self._slow = False
        self._entered = False
        self._room = max_queue
        self._waiter: asyncio.Future[None] | None = None
        self._following: Following | None = None

    @property
    def recovered(self) -> bool | None:
        """Whether everything since the position that was asked for comes; None: nothing was asked for."""
        return None if self._following is None else self._following.recovered

    @property
    def position(self) -> Position | None:
        """Of the newest message that is in the queue or has been taken from it."""
        return None if self._following is None else self._following.position

    async def __aenter__(self) -> Self:
        """Begin; where the hub does not answer within HUB_TIMEOUT seconds, a `Gap` comes with its answer."""
        if self._entered:
            raise ClosedResourceError(
                f"this subscription of {self.topic!r} was used before; make another one"
            )
        self._entered = True
        await self._hub.start()
        since, history, identity = self._asked
        kept = max(self._hub.rules.of(self.topic).history, MOST) if since is not None else history
        self._room = self._max + kept  # what is kept may be more than the queue takes
        self._following = self._hub.follow(self.topic, self._take, since=since, history=history, id=identity)
        try:
            await self._following.ready(self._hub.limits.timeout)
        except BaseException:
            self._following.close()
            raise
        self._room = self._max
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it; an iteration ends too."""
        if self._following is not None:
            self._following.close()
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        """The next message, or word of a gap.

        Raises:
            SubscriberTooSlow: The queue was full, and the policy is ``disconnect``.
        """
        if self._following is None:
            raise ClosedResourceError(f"write `async with` around the subscription of {self.topic!r} first")
        while True:
            if self._slow:
                raise SubscriberTooSlow(
                    f"{self._max} messages of topic {self.topic!r} waited in the queue of a subscriber, which"
                    " is its max_queue: take them faster, or choose on_slow='drop_oldest' or 'conflate'"
                )
            if self._gap_first:
                self._gap_first = False
                return Gap(self.topic, _SLOW)
            if self._queue:
                return self._queue.popitem(last=False)[1]
            if self._following.closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _take(self, item: Message | Gap) -> None:
        """Put something into the queue; called on the loop for each message."""
        if self._slow:
            return
        key = self._key_of(item)
        if key in self._queue:
            self._queue[key] = item  # the newest, where the old one stood
            self.dropped += 1
            return
        if len(self._queue) >= self._room and not self._give_way():
            return
        self._queue[key] = item
        self._wake()

    def _key_of(self, item: Message | Gap) -> Hashable:
        if self._on_slow == "conflate" and isinstance(item, Message):
            return ("key", item.topic if self._key is None else self._key(item))
        self._count += 1
        return self._count

    def _give_way(self) -> bool:
        """The queue is full: make room, or say that there will be none."""
        if self._on_slow == "disconnect":
            self._slow = True
            self._queue.clear()
            self.close()
            return False
        self._queue.popitem(last=False)
        self.dropped += 1
        self._gap_first = True
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
