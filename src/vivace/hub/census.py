"""Who is present on all machines: what a hub tells the others, and what it has written down at the engine.

Each hub keeps what the others say, and hears of changes within half a second. So that one which has just
begun (a machine, a script) knows everybody at once, each hub also has whom it speaks for written down at the
engine: it is read at the start. What is not renewed there ends by itself, as it does at the other hubs, so a
machine that dies takes whom it spoke for with it within HUB_PRESENCE_TTL.

Rules of this file:

- What is changed is written down first and told to the others then: whoever has read the old state follows
  the topic already on which the change comes.
- An engine that cannot write down is asked nothing: then the others are asked, and get a moment to answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from vivace.errors import HubUnavailable
from vivace.hub.engine import Engine
from vivace.hub.presence import Presence

__all__ = ["ANSWERS", "DELTA", "PRESENCE", "Census", "Desk"]

logger = logging.getLogger("vivace.hub")

PRESENCE: Final = "$presence"
DELTA: Final = 0.5
"""Seconds between two messages about changes, at least."""
ANSWERS: Final = 0.5
"""Seconds for which the answers of other hubs are waited for, where nothing is written down."""
_LOOKS: Final = 6
"""How many times a hub looks within HUB_PRESENCE_TTL whether another one is silent."""


class Desk(Protocol):
    """What the hub does for its census."""

    def publish_presence(self, payload: bytes) -> None:
        """Tell the other hubs."""
        ...

    def clock(self) -> float:
        """The time."""
        ...

    def later(self, name: str, delay: float, action: Callable[[], None]) -> None:
        """Do something after a while; what waits already under the name is enough."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Do something beside."""
        ...


class Census:
    """See above.

    Args:
        engine: The way to the other machines; None: there are none.
        presence: Who is present, as far as this hub knows.
        desk: The hub.
    """

    def __init__(self, engine: Engine | None, presence: Presence, desk: Desk) -> None:
        self._engine = engine
        self._presence = presence
        self._desk = desk
        self._known = asyncio.Event()
        self._learning = False
        self._writing = asyncio.Lock()
        self._refused = False
        self._whole = True
        """What is written down is not what was: everything has to be, next time."""

    def begin(self) -> None:
        """The engine is started, and follows `PRESENCE`."""
        self._desk.later("digest", self._presence.ttl / 2, self._say_digest)
        self.learn()

    def learn(self) -> None:
        """The other machines can be reached now, or are tried to be: find who is there."""
        if not self._learning:
            self._learning = True
            self._known.clear()
            self._desk.spawn(self._learn(), "vivace-hub-presence")

    def away(self) -> None:
        """The other machines cannot be reached: nobody waits for them."""
        self._known.set()

    def of(self, topic: str) -> "dict[str, list[Any]] | asyncio.Future[dict[str, list[Any]]]":
        """Who is present in a topic, at once or, if the other machines are not known yet, later."""
        if self._engine is None or self._known.is_set():
            return self._presence.of(topic)
        return asyncio.ensure_future(self._of_late(topic))

    async def _of_late(self, topic: str) -> dict[str, list[Any]]:
        await self._known.wait()
        return self._presence.of(topic)

    async def _learn(self) -> None:
        assert self._engine is not None
        try:
            with contextlib.suppress(HubUnavailable):  # it says so itself, and this is done again then
                await self._engine.followed(PRESENCE)
                await self._read(self._engine)
        finally:
            self._learning = False
            self._known.set()

    async def _read(self, engine: Engine) -> None:
        if not engine.mirrors:
            self._desk.publish_presence(self._presence.ask())
            await asyncio.sleep(ANSWERS)
            return
        for roll in await engine.present():
            self._presence.learn(roll, self._desk.clock())
        if self._presence.hubs:
            self._look_later()
        self._known.set()
        await self._write()

    # What this hub says

    def changed(self) -> None:
        """Somebody came or went on this machine."""
        if self._engine is None:
            self._presence.forget_changes()
        elif self._presence.changed:
            self._desk.later("delta", DELTA, self._say_delta)

    def _say_delta(self) -> None:
        self._desk.spawn(self._tell_delta(), "vivace-hub-presence")

    async def _tell_delta(self) -> None:
        if self._presence.changed:
            async with self._writing:
                roll, payload = self._presence.delta()
                await self._write_down(roll)
                self._desk.publish_presence(payload)

    def _say_digest(self) -> None:
        self._desk.spawn(self._tell_digest(), "vivace-hub-presence")
        self._desk.later("digest", self._presence.ttl / 2, self._say_digest)

    async def _tell_digest(self) -> None:
        await self._write()
        self._desk.publish_presence(self._presence.digest())

    async def _write(self) -> None:
        async with self._writing:
            await self._write_down(self._presence.sign_of_life())

    async def _write_down(self, roll: Any) -> None:
        """Have written down what changed; everything, if what is there is not what it builds on."""
        engine = self._engine
        if engine is None or not engine.mirrors:
            return
        try:
            if self._whole or not await engine.keep_present(roll):
                await engine.keep_present(self._presence.whole())
            self._whole = False
            self._refused = False
        except HubUnavailable as error:
            self._whole = True
            if engine.up and not self._refused:
                self._refused = True
                logger.warning(
                    "who is present is told to the other machines, but not written down: %s", error
                )

    def leave(self) -> None:
        """Say the end."""
        self._desk.publish_presence(self._presence.leaving())
        self._desk.spawn(self._forget(), "vivace-hub-presence")

    async def _forget(self) -> None:
        if self._engine is not None and self._engine.mirrors:
            with contextlib.suppress(HubUnavailable):
                await self._engine.keep_present(self._presence.last_words())

    # What others say

    def take(self, payload: bytes) -> None:
        """Hear another hub."""
        answer = self._presence.take(payload, self._desk.clock())
        if answer is not None:
            self._desk.publish_presence(answer)
            self._whole = True
        if self._presence.hubs:
            self._look_later()

    def missed(self) -> None:
        """Something that others said was lost: ask for everything."""
        self._desk.publish_presence(self._presence.ask())

    def _sweep(self) -> None:
        for hub in self._presence.sweep(self._desk.clock()):
            logger.warning("the hub %s of another machine is silent: whom it spoke for is gone", hub)
        if self._presence.hubs:
            self._look_later()

    def _look_later(self) -> None:
        self._desk.later("hubs", self._presence.ttl / _LOOKS, self._sweep)
