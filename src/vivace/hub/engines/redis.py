"""The engine over a Redis or Valkey: one connection for commands, one that listens.

A `fast` message is one PUBLISH. An ordered one is a script that counts, stores and publishes in one step, so
that all machines see one order and a machine that was away reads what it missed.

Rules of this file:

- Two connections and no more, each with its own way back; see `redis_calls` and `redis_listen`.
"""

import os
from typing import Any

import hiredis

from vivace.errors import HubUnavailable
from vivace.hub.engines.pair import COMMANDS, LISTENING, Pair
from vivace.hub.engines.redis_calls import Caller
from vivace.hub.engines.redis_listen import Listener
from vivace.hub.engines.redis_present import keep_words, read_all_words, rolls_of
from vivace.hub.engines.redis_scripts import PUBLISH, READ, Names, read_answer
from vivace.hub.engines.remedies import explain
from vivace.hub.engines.resp import Word
from vivace.hub.engines.upkeep import CallName, Status, Timing
from vivace.hub.engines.urls import Address
from vivace.hub.records import Outgoing, Past, Position, Roll, Rule

__all__ = ["RedisEngine"]


class RedisEngine(Pair):
    """See `vivace.hub.engine.Engine`.

    Args:
        address: Of the server.
        prefix: Of all keys and channels.
        name: Of the connections.
        timing: How long what may take.
    """

    def __init__(self, address: Address, prefix: str, name: str, timing: Timing) -> None:
        self._address = address
        self._names = names = Names(prefix, address.database)
        call, status = CallName(name), Status(COMMANDS, LISTENING)
        self._caller = Caller(address, call, names.probe, timing, status)
        listener = Listener(address, call, names, timing, status, self._read_when_connected)
        super().__init__(call, status, self._caller, listener, self._caller.reason)

    async def publish(self, outgoing: Outgoing) -> Position | None:
        """See `Engine.publish`."""
        message = self._seal(outgoing)
        channel = self._names.channel(outgoing.topic)
        try:
            if not outgoing.rule.ordered:
                await self._caller.call("PUBLISH", channel, b"\n" + message)
                return None
            return await self._store(outgoing, channel, message)
        except hiredis.ReplyError as error:
            raise HubUnavailable(f"{explain(error, self._address)}; the message was not published") from None

    async def _store(self, outgoing: Outgoing, channel: bytes, message: bytes) -> Position:
        rule = outgoing.rule
        fresh, ttl = os.urandom(6).hex(), int(rule.ttl * 1000)
        words = (
            *("EVALSHA", PUBLISH.sha, 2, *self._names.keys(outgoing.topic)),
            *(channel, message, rule.history, ttl, fresh),
        )
        epoch, offset = await self._caller.call(*words, "", again=(*words, "1"))
        return Position(epoch.decode(), int(offset))

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        """See `Engine.history`."""
        del rule  # what is kept was decided when it was stored
        await self._wait_for(topic, f"the history of {topic!r} cannot be read")
        try:
            return await self._read(topic, since, limit)
        except hiredis.ReplyError as error:
            raise HubUnavailable(explain(error, self._address)) from None

    async def keep_present(self, roll: Roll) -> bool:
        """See `Engine.keep_present`."""
        return bool(await self._ask(*keep_words(self._names, roll)))

    async def present(self) -> list[Roll]:
        """See `Engine.present`."""
        return rolls_of(await self._ask(*read_all_words(self._names)))

    async def _ask(self, *words: Word) -> Any:
        try:
            return await self._caller.call(*words)
        except hiredis.ReplyError as error:
            raise HubUnavailable(explain(error, self._address)) from None

    async def _read_when_connected(self, topic: str, since: Position | None, limit: int) -> Past:
        await self._caller.wait_connected()
        return await self._read(topic, since, limit, chunked=True)

    async def _read(self, topic: str, since: Position | None, limit: int, *, chunked: bool = False) -> Past:
        """Read a topic; chunked: the first `limit` messages are wanted, whatever comes after them."""
        epoch, offset = (since.epoch, since.offset) if since else ("", 0)
        count = limit if since is None or chunked else limit + 1
        answer = await self._caller.call(
            "EVALSHA", READ.sha, 2, *self._names.keys(topic), epoch, offset, max(count, 1)
        )
        past = read_answer(topic, since, max(limit, 1), answer)
        return past if limit else Past([], past.complete, past.position)
