"""The channel layer: what Channels calls.

Rules of this file:

- Every method may be called from any loop and any thread; each process has one connection to the hub, which
  is made by the first call, anew after a fork. So ``async_to_sync(layer.send)`` costs no connection.
- Names and messages are checked here, before anything is sent.
- Follows the channel layer specification of Channels 4, with the extensions `groups` and `flush`.
"""

import os
import secrets
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final

from channels.exceptions import ChannelFull, MessageTooLarge  # type: ignore[import-untyped]
from channels.layers import BaseChannelLayer  # type: ignore[import-untyped]

from vivace.contrib.django.channels.drops import Drops, OnDrop
from vivace.contrib.django.channels.home import Home, find_home
from vivace.contrib.django.channels.message import pack, unpack
from vivace.contrib.django.channels.post import Limits, Post

__all__ = ["HubLayer"]

SYNC_SECONDS: Final = 10.0
"""How long `send_sync` and `group_send_sync` wait for the hub."""
ROOM: Final = 1024
"""Octets of a message of the hub that are not the layer's message."""


class HubLayer(BaseChannelLayer):
    """A channel layer on the hub: one machine needs nothing else, several need HUB_URL.

    ``CHANNEL_LAYERS = {"default": {"BACKEND": "vivace.contrib.django.channels.HubLayer"}}``; everything below
    may stand in its ``CONFIG``.

    Args:
        expiry: Seconds for which a message waits for its reader.
        group_expiry: Seconds after which a member of a group is none any more.
        capacity: Messages that wait in a channel; one more is `ChannelFull`, or dropped if sent to a group.
        channel_capacity: Others for channels whose names match: ``{"http.*": 200}``.
        max_size: Octets of a message, at most.
        prefix: Of the topics on the hub; two layers with different ones do not know each other.
        url: Of the hub's server, as HUB_URL; None: what HUB_URL says.
        on_drop: Called with the group and the channel for each message that a group lost; or its dotted path.
    """

    extensions: Final = ["groups", "flush"]
    ChannelFull: Final = ChannelFull
    MessageTooLarge: Final = MessageTooLarge

    def __init__(
        self,
        *,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: dict[Any, int] | None = None,
        max_size: int = 2**20,
        prefix: str = "channels",
        url: str | None = None,
        on_drop: OnDrop | str | None = None,
    ) -> None:
        super().__init__(capacity=capacity)
        self.expiry: Any = expiry
        self.channel_capacity: Any = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self._max_size = max_size
        self._url = url
        self._limits = Limits(prefix, self.get_capacity, expiry, group_expiry)
        self._clock = monotonic
        self._drops = Drops(on_drop, self._clock)
        self._pid = 0
        self._place: tuple[Home, Post] | None = None

    # -- sending and receiving ------------------------------------------------------------------------------

    async def new_channel(self, prefix: str = "specific") -> str:
        """The name of a new channel that is read in this process.

        Args:
            prefix: Its begin.

        Raises:
            TypeError: It cannot be one.
        """
        _, post = await self._here()
        name = f"{prefix.rstrip('.')}.{post.address}!{secrets.token_hex(8)}"
        self.require_valid_channel_name(name)
        return name

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send to one channel; never waits for its reader.

        Args:
            channel: Its name.
            message: What the reader gets.

        Raises:
            ChannelFull: Its reader leaves too much unread.
            MessageTooLarge: The message is.
            TypeError: The name or the message is not what it must be.
            HubUnavailable: The hub cannot be reached.
        """
        self.require_valid_channel_name(channel)
        payload = pack(message, self._max_size)
        home, post = await self._here()
        owner = _owner(channel)
        if owner == post.address:
            sent = post.put(channel, payload)
        else:
            sent = await home.run(post.send(channel, owner, payload))
        if not sent:
            raise ChannelFull(f"{channel}: its reader leaves {self.get_capacity(channel)} messages unread")

    async def receive(self, channel: str) -> dict[str, Any]:
        """The next message of a channel; waits until there is one.

        Args:
            channel: Its name.

        Raises:
            TypeError: There can be no such name, or its channel is read in another process.
        """
        self.require_valid_channel_name(channel)
        home, post = await self._here()
        owner = _owner(channel)
        if not owner:
            await home.run(post.read(channel))
        elif owner != post.address:
            raise TypeError(f"{channel!r} is read in the process {owner}, and this is {post.address}")
        return unpack(await post.get(channel))

    # -- groups ---------------------------------------------------------------------------------------------

    async def group_add(self, group: str, channel: str) -> None:
        """Make a channel a member; what is sent to the group from now on reaches it.

        Args:
            group: Its name.
            channel: Of the new member.

        Raises:
            TypeError: One of the names cannot be one.
            HubUnavailable: The hub cannot be reached.
        """
        await self._change("add", group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """End a membership, if there is one.

        Args:
            group: Its name.
            channel: Of the member.

        Raises:
            TypeError: One of the names cannot be one.
            HubUnavailable: The hub cannot be reached.
        """
        await self._change("discard", group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send to all members of a group; those whose channel is full lose it.

        Args:
            group: Its name.
            message: What they get, each a dict of its own.

        Raises:
            MessageTooLarge: The message is.
            TypeError: The name or the message is not what it must be.
            HubUnavailable: The hub cannot be reached.
        """
        self.require_valid_group_name(group)
        payload = pack(message, self._max_size)
        home, post = await self._here()
        await home.run(post.send_group(group, payload))

    async def revoke(self, user: Any) -> None:
        """End the WebSockets of a user, on every machine; see `Revocable`, through which they have come.

        Args:
            user: The primary key.

        Raises:
            HubUnavailable: The hub cannot be reached.
        """
        home, _ = await self._here()
        await home.run(home.hub.revoke(user=user))

    @property
    def dropped(self) -> dict[str, int]:
        """How many messages each group lost in this process, since its start."""
        return self._drops.totals

    # -- for code that is not async -------------------------------------------------------------------------

    def send_sync(self, channel: str, message: dict[str, Any]) -> None:
        """As `send`, for code without a loop: views, Celery tasks, management commands.

        Args:
            channel: Its name.
            message: What the reader gets.

        Raises:
            RuntimeError: It is called on the loop that would do the work.
            TimeoutError: The hub did not take it within 10 s.
        """
        self._wait(lambda: self.send(channel, message))

    def group_send_sync(self, group: str, message: dict[str, Any]) -> None:
        """As `group_send`, for code without a loop.

        Args:
            group: Its name.
            message: What its members get.

        Raises:
            RuntimeError: It is called on the loop that would do the work.
            TimeoutError: The hub did not take it within 10 s.
        """
        self._wait(lambda: self.group_send(group, message))

    def revoke_sync(self, user: Any) -> None:
        """As `revoke`, for code without a loop.

        Args:
            user: The primary key.

        Raises:
            RuntimeError: It is called on the loop that would do the work.
            TimeoutError: The hub did not take it within 10 s.
        """
        self._wait(lambda: self.revoke(user))

    # -- the life of the layer ------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Forget every message and every membership, in all processes."""
        home, post = await self._here()
        await home.run(post.flush())

    async def close(self) -> None:
        """Leave the hub. A later call comes back, with a new address."""
        place, self._place = self._place, None
        if place is not None and self._pid == os.getpid() and not place[0].closed:
            home, post = place
            await home.run(post.close())

    async def _change(self, wish: str, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        home, post = await self._here()
        owner = _owner(channel)
        if owner not in {"", post.address}:
            await home.run(post.ask(wish, group, channel, owner))
        elif wish == "add":
            await home.run(post.add(group, channel))
        else:
            await self._on_home(post.discard, group, channel)

    # -- this process ---------------------------------------------------------------------------------------

    async def _here(self) -> tuple[Home, Post]:
        """The home of this process and the layer's part in it; both are made by the first call."""
        place = self._place
        if place is not None and self._pid == os.getpid() and not place[0].closed:
            return place
        home = find_home(self._url)
        return await home.run(self._settle(home))

    async def _settle(self, home: Home) -> tuple[Home, Post]:
        async with home.lock:
            if self._place is None or self._place[0] is not home:
                limits = self._limits
                home.hub.topic(f"{limits.prefix}.*", max_message=self._max_size + ROOM)
                post = Post(home.hub, secrets.token_hex(6), limits, self._drops, self._clock)
                await post.open()
                self._place, self._pid = (home, post), os.getpid()
            return self._place

    async def _on_home(self, function: Callable[..., None], *args: Any) -> None:
        """Call something of the post that does not wait."""

        async def call() -> None:
            function(*args)

        home, _ = await self._here()
        await home.run(call())

    def _wait(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        find_home(self._url).wait(make, SYNC_SECONDS)


def _owner(channel: str) -> str:
    """The address of the process that reads a channel; empty if it is one that any process may read."""
    process, mark, _ = channel.partition("!")
    return process.rpartition(".")[2] if mark else ""
