"""The methods of a hub that are about people: who is present, and who may stay.

Rules of this file:

- Nothing is kept here but what this process said: the hub of the machine knows the rest.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from vivace.hub.exchange import PRESENT
from vivace.hub.ledger import Ledger
from vivace.hub.local import Following, Local
from vivace.hub.records import Gap, Message, check_topic, decode_payload, encode_payload
from vivace.hub.station import Station

__all__ = ["Change", "Control", "People", "Tracked"]


class Control(NamedTuple):
    """What `Hub.revoke` and `Hub.recheck` said, for those who hold sockets.

    Attributes:
        kind: ``revoke`` or ``recheck``.
        user: The id of the user, as text; None: every user.
        topic: The topic; None: every topic.
    """

    kind: str
    user: str | None
    topic: str | None


class Change(NamedTuple):
    """Somebody came to a topic, or went; see `Hub.follow_presence`.

    Attributes:
        topic: Which one.
        key: Who.
        came: Whether they are present now.
        meta: What was said of them: by the first who did, or the last.
    """

    topic: str
    key: str
    came: bool
    meta: Any


class Tracked(NamedTuple):
    """Somebody who is present; give it to `Hub.untrack`, or close it."""

    hub: "People"
    topic: str
    key: str
    ref: str

    def close(self) -> None:
        """The same as `Hub.untrack` of it, without waiting."""
        self.hub.forget(self)


class People:
    """What a `Hub` can say and be asked about people."""

    _local: Local | None
    _station: Station | None
    _tracked: dict["Tracked", Any]
    _numbers: "itertools.count[int]"
    _own: str
    _heard: Ledger

    async def start(self) -> None:
        """See `Hub.start`."""
        raise NotImplementedError

    def begin(self) -> None:
        """See `Hub.begin`."""
        raise NotImplementedError

    # Presence

    async def track(self, topic: str, key: Any, meta: Any = None) -> Tracked:
        """Say that somebody is present in a topic, until `untrack`, or until this process ends.

        Args:
            topic: Where.
            key: Who, as text; one who is present twice has two metas.
            meta: What others shall know.

        Returns:
            What `untrack` takes.
        """
        check_topic(topic)
        await self.start()
        assert self._station is not None
        tracked = Tracked(self, topic, str(key), f"{self._own}{next(self._numbers):x}")
        self._tracked[tracked] = meta
        self._station.track(topic, tracked.key, tracked.ref, meta)
        return tracked

    async def untrack(self, topic: "str | Tracked", key: Any = None) -> None:
        """Say that somebody is present no more.

        Args:
            topic: What `track` gave; or the topic.
            key: With a topic: who, with all that this process said of them.
        """
        if isinstance(topic, Tracked):
            self.forget(topic)
            return
        for tracked in [one for one in self._tracked if (one.topic, one.key) == (topic, str(key))]:
            self.forget(tracked)

    def forget(self, tracked: Tracked) -> None:
        """The same as `untrack`, without waiting."""
        if self._tracked.pop(tracked, self) is not self and self._station is not None:
            self._station.untrack(tracked.topic, tracked.key, tracked.ref)

    async def presence(self, topic: str) -> dict[str, list[Any]]:
        """Who is present in a topic on all machines: what was said of them, by key.

        Raises:
            HubUnavailable: The hub does not answer.
        """
        await self.start()
        assert self._station is not None
        return await self._station.presence(topic)

    def follow_presence(self, topic: str, receiver: Callable[[Change | Gap], None]) -> Following:
        """Have a plain function called for everybody who comes to a topic or goes, on any machine.

        Who is present several times comes once, and goes with the last. Nothing is told of topics with more
        than 1000 present. Ask `presence` after it is ready to know who was there before, and again after a
        `Gap`.

        Args:
            topic: Which one.
            receiver: Takes a `Change`, or a `Gap` when the hub was lost; it must not wait.
        """
        check_topic(topic)
        self.begin()
        assert self._local is not None

        def take(item: Message | Gap) -> None:
            if isinstance(item, Message):
                receiver(Change(topic, *item.data))
            else:
                receiver(Gap(topic, item.reason))

        return self._local.follow(PRESENT + topic, take, None, 0, None)

    # Who may stay

    async def revoke(self, *, user: Any = None, topic: str | None = None) -> None:
        """Take a user out of a topic, at once and on every machine: who joined it is left without.

        Args:
            user: The id, as text; None: everybody.
            topic: None: every topic.

        Raises:
            HubUnavailable: The hub is away, and too much waits for it. In this process it has taken effect.
        """
        await self._say("revoke", user, topic)

    async def recheck(self, *, user: Any = None, topic: str | None = None) -> None:
        """Ask again whether those who joined a topic may stay: now, and on every machine.

        Args:
            user: The id, as text; None: everybody.
            topic: None: every topic.
        """
        await self._say("recheck", user, topic)

    async def _say(self, kind: str, user: Any, topic: str | None) -> None:
        await self.start()
        assert self._station is not None
        name = f"{self._own}{next(self._numbers):x}"
        payload = encode_payload([kind, None if user is None else str(user), topic, name])
        self._take_control(payload)
        self._station.control(payload)
        await self._station.flush()

    def on_control(self, receiver: Callable[[Control], None]) -> Callable[[], None]:
        """Have a plain function called for each `revoke` and `recheck`, wherever it was said.

        Returns:
            A function that ends it.
        """
        self.begin()
        assert self._local is not None
        controls = self._local.controls
        controls[receiver] = None
        return lambda: controls.pop(receiver, None)

    def _take_control(self, payload: bytes) -> None:
        if self._local is None:
            return
        kind, user, topic, *names = decode_payload(payload)
        if names and not self._heard.add(payload, asyncio.get_running_loop().time()):
            return  # it was said again for others, who were away
        for receiver in tuple(self._local.controls):
            receiver(Control(kind, user, topic))
