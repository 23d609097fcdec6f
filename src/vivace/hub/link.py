"""The hub's process, as a process that uses it sees it: one connection that comes back by itself.

Rules of this file:

- What was asked and not answered is asked again on the next connection, under the same number and id; the hub
  knows what it has stored. So the death of the hub's process loses no message of an ordered topic.
- What is `fast` and was sent to a hub that died may be lost: each follower gets a `Gap`.
- Whatever waits is bounded, in number and in time.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections import deque
from typing import Any, Final, cast

import msgspec

from vivace.errors import HubUnavailable
from vivace.hub.ledger import Ledger
from vivace.hub.limits import Limits
from vivace.hub.local import Local
from vivace.hub.outlet import Outlet
from vivace.hub.records import Outgoing, Past, Position, Rule, Stored
from vivace.hub.wire import VERSION, Frames, Op, encode_frame

__all__ = ["Link"]

logger = logging.getLogger("vivace.hub")

_FIRST_RETRY: Final = 0.01
_LAST_RETRY: Final = 1.0
_HIGH: Final = 1_048_576
"""Octets that may wait to be sent before those who publish wait as well."""


class _Asked:
    """A question that has no answer yet."""

    __slots__ = ("deadline", "frame", "future", "kind", "sent")

    def __init__(self, frame: bytes, kind: Any, deadline: float, future: "asyncio.Future[Any]") -> None:
        self.frame = frame
        self.kind = kind
        self.deadline = deadline
        self.future = future
        self.sent = False


class Link(asyncio.Protocol):
    """A `Station` whose hub is another process.

    Args:
        path: Of the hub's socket.
        local: What this process follows.
        limits: Sizes and times.
        name: Names this program to the hub.
    """

    remote = True

    def __init__(self, path: str, local: Local, limits: Limits, name: str = "") -> None:
        self._path = path
        self._name = name
        self._local = local
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._outlet: Outlet | None = None
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._closed = False
        self._pause = self._ready_at = 0.0
        self._complained = False
        self._lost_at: float | None = None
        self._engine_up = True
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._outbox: deque[tuple[float, bytes]] = deque()
        self._said = Ledger()
        self._unsaid = 0
        self._rules: list[Rule] = []
        self._tracked: dict[tuple[str, str, str], Any] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # Life

    @property
    def up(self) -> bool:
        """Whether the hub answers, and its engine if it has one."""
        return self._ready and self._engine_up

    async def start(self) -> None:
        """Connect; return when the hub answered, or did not for HUB_TIMEOUT seconds."""
        self._connect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.timeout):
                await self._changed.wait()

    async def stop(self) -> None:
        """Send what waits, and leave."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._outlet is not None and self._transport is not None:
            self._outlet.flush()
            self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        for asked in self._asked.values():
            if not asked.future.done():
                asked.future.set_exception(HubUnavailable("this process leaves the hub"))
        self._asked.clear()
        await asyncio.sleep(0)

    def _connect(self) -> None:
        if not self._closed and (self._connecting is None or self._connecting.done()):
            self._connecting = self._loop.create_task(self._keep_connecting(), name="vivace-hub-connect")

    async def _keep_connecting(self) -> None:
        bound, told = _FIRST_RETRY, False
        await asyncio.sleep(self._pause)
        while not self._closed:
            try:
                await self._loop.create_unix_connection(lambda: self, self._path)
                return
            except OSError as error:
                if not told and bound >= _LAST_RETRY:
                    told = True
                    logger.warning("the hub at %s cannot be reached: %s", self._path, error.strerror or error)
            await asyncio.sleep(bound * (0.5 + secrets.randbelow(1000) / 2000))
            bound = min(bound * 2, _LAST_RETRY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=_HIGH)
        self._frames = Frames()
        self._transport, self._outlet = transport, Outlet(transport)
        self._outlet.put(encode_frame(Op.HELLO, VERSION, self._name))

    def connection_lost(self, exc: Exception | None) -> None:
        now = self._loop.time()
        if self._ready and now - self._ready_at >= _LAST_RETRY:
            self._pause, self._complained = 0.0, False
        else:  # what ends each connection soon is no hub, or will do so again
            self._pause = min(max(2 * self._pause, _FIRST_RETRY), _LAST_RETRY)
        if self._ready and not self._closed:
            self._lost_at = now
            self._complain("the hub is gone: this process connects again")
        self._ready, self._transport, self._outlet = False, None, None
        self._writable.set()
        self._connect()

    def _complain(self, text: str, *details: object) -> None:
        """Say what is wrong, once until the hub has stayed for a while."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        logger.log(level, text, *details)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _greet(self, version: int) -> None:
        """The hub answers: say everything again."""
        if version != VERSION:
            self._complain(
                "the hub speaks version %s of the wire, not %d: restart the server", version, VERSION
            )
            return
        outlet = self._outlet
        assert outlet is not None
        self._ready, self._engine_up, self._ready_at = True, True, self._loop.time()
        self._changed.set()
        outlet.put(encode_frame(Op.RULES, self._rules))
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            self._local.lost_hub(f"hub: it was away for {self._loop.time() - lost_at:.1f} s")
        for topic, since in self._local.wanted().items():
            outlet.put(encode_frame(Op.SUBSCRIBE, topic, since))
        for (topic, key, ref), meta in self._tracked.items():
            outlet.put(encode_frame(Op.TRACK, topic, key, ref, meta))
        for payload in self._said.recent(self._loop.time()):
            outlet.put(encode_frame(Op.CONTROL, payload))
        self._unsaid = 0
        for asked in self._asked.values():
            asked.sent = True
            outlet.put(asked.frame)
        now = self._loop.time()
        for deadline, frame in self._outbox:
            if deadline > now:
                outlet.put(frame)
            else:
                self._local.dropped += 1
        self._outbox.clear()

    # What the hub says

    def data_received(self, data: bytes) -> None:
        try:
            for op, *fields in self._frames.feed(data):
                self._take(op, fields)
        except (ValueError, TypeError, LookupError, RecursionError, msgspec.MsgspecError) as error:
            told = "%s is no hub, for it sent what cannot be read (%.200s): this process connects again"
            self._complain(told, self._path, error)
            if self._transport is not None:
                self._transport.abort()

    def _take(self, op: int, fields: list[Any]) -> None:
        local = self._local
        if op == Op.MESSAGE:
            local.deliver(_stored(fields[0]))
        elif op == Op.ANSWER:
            self._settle(fields[0], fields[1], None)
        elif op == Op.FOLLOWED:
            local.past(fields[0], msgspec.convert(fields[1], Past))
        elif op == Op.GAP:
            local.gap(fields[0], fields[1])
        elif op == Op.CONTROL:
            local.control(fields[0])
        elif op == Op.FAILED:
            self._settle(fields[0], None, HubUnavailable(fields[1]))
        elif op == Op.RULES:
            local.declare(msgspec.convert(fields[0], list[Rule]))
        elif op == Op.STATE:
            self._engine_up = fields[0]
            local.state(fields[0], fields[1])
        elif op == Op.HELLO:
            self._greet(*fields)

    def _settle(self, number: int, value: Any, error: HubUnavailable | None) -> None:
        asked = self._asked.pop(number, None)
        if asked is None or asked.future.done():
            return
        if error is not None:
            asked.future.set_exception(error)
        else:
            asked.future.set_result(msgspec.convert(value, asked.kind))

    # What this process says

    def _put(self, frame: bytes) -> None:
        """Say something that is said again on each connection: so it may be dropped now."""
        if self._ready and self._outlet is not None:
            self._outlet.put(frame)

    def declare(self, rules: list[Rule]) -> None:
        """Tell the hub rules."""
        patterns = {rule.pattern for rule in rules}
        self._rules = [*(rule for rule in self._rules if rule.pattern not in patterns), *rules]
        self._put(encode_frame(Op.RULES, rules))

    def subscribe(self, topic: str, since: Position | None) -> None:
        """This process wants a topic."""
        self._put(encode_frame(Op.SUBSCRIBE, topic, since))

    def unsubscribe(self, topic: str) -> None:
        """This process does not want it any more."""
        self._put(encode_frame(Op.UNSUBSCRIBE, topic))

    def send(self, outgoing: Outgoing) -> None:
        """Publish a `fast` message to the other processes.

        Raises:
            HubUnavailable: Too much waits already.
        """
        frame = encode_frame(Op.SEND, outgoing.topic, outgoing.payload, outgoing.id, outgoing.exclude)
        outlet = self._outlet
        if self._ready and outlet is not None:
            if outlet.waiting + len(frame) > self._limits.buffer:
                raise HubUnavailable(
                    f"the hub takes nothing: {outlet.waiting} octets wait for it, and HUB_BUFFER is"
                    f" {self._limits.buffer}"
                )
            outlet.put(frame)
            return
        now = self._loop.time()
        while self._outbox and self._outbox[0][0] <= now:
            self._outbox.popleft()
            self._local.dropped += 1
        self._check_room()
        self._outbox.append((now + self._limits.timeout, frame))

    def _check_room(self) -> None:
        waiting = len(self._outbox) + len(self._asked) + self._unsaid
        if waiting >= self._limits.outbox:
            raise HubUnavailable(
                f"the hub is away, and {waiting} messages wait for it already (HUB_OUTBOX): not published"
            )

    async def flush(self) -> None:
        """Wait while much waits to be sent.

        Raises:
            HubUnavailable: The hub took nothing for HUB_TIMEOUT seconds.
        """
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self._limits.timeout):
                    await self._writable.wait()
            except TimeoutError:
                raise HubUnavailable(
                    f"the hub took nothing for {self._limits.timeout:g} s; it may still publish what it has"
                ) from None

    def publish(self, outgoing: Outgoing) -> "asyncio.Future[Position | None]":
        """Publish a message; its position comes when it is stored."""
        return self._ask(
            Position | None,
            Op.PUBLISH,
            outgoing.topic,
            outgoing.payload,
            outgoing.id,
            outgoing.exclude,
        )

    def past(self, topic: str, since: Position | None, limit: int) -> "asyncio.Future[Past]":
        """What is kept of a topic."""
        return self._ask(Past, Op.PAST, topic, since, limit)

    def presence(self, topic: str) -> "asyncio.Future[dict[str, list[Any]]]":
        """Who is present."""
        return self._ask(dict[str, list[Any]], Op.PRESENCE, topic)

    def ask_stats(self) -> "asyncio.Future[dict[str, Any]]":
        """The numbers of the hub."""
        return self._ask(dict[str, Any], Op.STATS)

    def control(self, payload: bytes) -> None:
        """Tell every other process something; a hub that is away, or comes anew, is told when it is there.

        Raises:
            HubUnavailable: It is away, and too much waits for it.
        """
        if not self._ready:
            self._check_room()
            self._unsaid += 1
        self._said.add(payload, self._loop.time())
        self._put(encode_frame(Op.CONTROL, payload))

    def track(self, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present."""
        self._tracked[topic, key, ref] = meta
        self._put(encode_frame(Op.TRACK, topic, key, ref, meta))

    def untrack(self, topic: str, key: str, ref: str) -> None:
        """Somebody is present no more."""
        self._tracked.pop((topic, key, ref), None)
        self._put(encode_frame(Op.UNTRACK, topic, key, ref))

    # Questions

    def _ask(self, kind: Any, op: Op, *fields: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self._loop.create_future()
        future.add_done_callback(_look_at_error)
        if not self._ready or len(self._asked) >= 100 * self._limits.outbox:
            try:
                self._check_room()
            except HubUnavailable as error:
                future.set_exception(error)
                return future
        number = next(self._numbers)
        asked = _Asked(
            encode_frame(op, number, *fields), kind, self._loop.time() + self._limits.timeout, future
        )
        self._asked[number] = asked
        if self._ready and self._outlet is not None:
            asked.sent = True
            self._outlet.put(asked.frame)
        if self._timer is None:
            self._timer = self._loop.call_at(asked.deadline, self._expire)
        return future

    def _expire(self) -> None:
        """Fail what has waited for too long; the oldest comes first."""
        self._timer = None
        now = self._loop.time()
        for number, asked in list(self._asked.items()):
            if asked.deadline > now:
                self._timer = self._loop.call_at(asked.deadline, self._expire)
                return
            del self._asked[number]
            if not asked.future.done():
                fate = "it may still take effect" if asked.sent else "it was not sent"
                asked.future.set_exception(
                    HubUnavailable(f"the hub did not answer within {self._limits.timeout:g} s; {fate}")
                )


def _look_at_error(future: "asyncio.Future[Any]") -> None:
    """Whoever asked may have gone: then nobody is told."""
    if not future.cancelled():
        future.exception()


def _stored(fields: list[Any]) -> Stored:
    """A message as it came; by hand, for it is what comes most."""
    topic, payload, position, message_id, origin, exclude = fields
    where = None if position is None else Position(position[0], position[1])
    return Stored(topic, payload, where, message_id, origin, exclude)
