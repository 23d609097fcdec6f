"""The engine over NATS: one connection, core NATS, for `fast` topics.

NATS sends a machine only what it has asked for, and forgets at once: there is no order across machines and no
history. A topic that wants these is refused in words; Redis and PostgreSQL give them.

Rules of this file:

- The library's own way to reconnect is off: the connection is made anew here, as for the other engines, so
  that gaps are said and nothing waits without a bound.
- A message counts as published, and a topic as followed, when a message of this machine to itself has come
  back that was sent behind it. The library's own `flush` sends its ping ahead of what it still holds back.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import msgspec
import nats
import nats.errors

from vivace.errors import HubUnavailable
from vivace.hub.engine import Sink
from vivace.hub.engines.envelope import Numbers, stored_from, unseal
from vivace.hub.engines.link import Link
from vivace.hub.engines.outbox import Job, Outbox
from vivace.hub.engines.remote import Remote, wait_ready
from vivace.hub.engines.upkeep import CallName, LinkDown, Status, Timing
from vivace.hub.engines.urls import hide_password
from vivace.hub.records import Outgoing, Past, Position, Roll, Rule

__all__ = ["NatsEngine"]

_LINK: Final = "nats"
_ODD: Final = re.compile(rb"[^A-Za-z0-9_-]")


class NatsEngine(Remote, Link):
    """See `vivace.hub.engine.Engine`.

    Args:
        url: Of the server, or of several with commas between them.
        prefix: Of all subjects.
        name: Of the connection.
        timing: How long what may take.
    """

    mirrors = False

    def __init__(self, url: str, prefix: str, name: str, timing: Timing) -> None:
        self._url = url
        self._prefix = _encode(prefix)
        call, status = CallName(name), Status(_LINK)
        Remote.__init__(self, call, status, self._explain_absence)
        Link.__init__(self, _LINK, call, timing, status)
        self._outbox: Outbox[tuple[str, bytes]] = Outbox(timing, self._explain_absence)
        self._sink: Sink | None = None
        self._topics: dict[str, asyncio.Future[None]] = {}
        self._subscriptions: dict[str, Any] = {}
        self._lost: set[str] = set()
        self._lost_at = 0.0
        self._numbers: dict[str, Numbers] = {}
        self._wake = asyncio.Event()

    @property
    def connections(self) -> int:
        """See `Engine.connections`."""
        return int(self.connected)

    async def start(self, sink: Sink) -> None:
        """See `Engine.start`."""
        self._sink = sink
        self._status.begin(sink)
        self._connect()

    async def stop(self) -> None:
        """See `Engine.stop`."""
        await self._outbox.drain()
        self._status.end()
        await self._disconnect()
        self._outbox.close()
        self.unfollow(list(self._topics))
        self._sink = None

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        for topic in topics:
            self._topics.setdefault(topic, asyncio.get_running_loop().create_future())
        self._wake.set()

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        for topic in topics:
            ready = self._topics.pop(topic, None)
            self._numbers.pop(topic, None)
            if ready is not None and not ready.done():
                ready.set_result(None)
        self._wake.set()

    async def _until_followed(self, topic: str) -> None:
        await wait_ready(self._topics.get(topic), self._timing.patience)

    async def publish(self, outgoing: Outgoing) -> Position | None:
        """See `Engine.publish`."""
        if outgoing.rule.ordered:
            raise HubUnavailable(
                f"topic {outgoing.topic!r} is {outgoing.rule.delivery!r}, but NATS keeps no order and no"
                " history: let HUB_URL name a Redis or a PostgreSQL; the message was not published"
            )
        what = self._subject(outgoing.topic), self._seal(outgoing)
        job = self._outbox.add(what, away=not self.connected)
        self._wake.set()
        await job.future
        return None

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        """See `Engine.history`: there is none, ever."""
        del rule, limit
        await self.followed(topic)
        return Past([], since is None, None)

    async def keep_present(self, roll: Roll) -> bool:
        """See `Engine.keep_present`: it keeps nothing."""
        del roll
        return True

    async def present(self) -> list[Roll]:
        """See `Engine.present`: it has kept nothing."""
        return []

    def _explain_absence(self) -> str:
        return self._status.why or self._explain(TimeoutError())

    def _explain(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            what = "nothing listens there: is it running, is the port right?"
        elif isinstance(error, TimeoutError):
            what = "it did not answer in time: is a firewall in between, or does it hang?"
        elif "authorization" in str(error).lower():
            what = f"it does not accept the user, password or token in HUB_URL ({error})"
        else:
            what = str(error) or type(error).__name__
        return f"nats at {hide_password(self._url)}: {what}"

    def _subject(self, topic: str) -> str:
        return f"{self._prefix}.{_encode(topic)}"

    async def _session(self, settled: Callable[[], None]) -> None:
        client = await self._open()
        try:
            echo = await self._listen(client)
            await self._subscribe(client, echo)
            self._connection = client
            settled()
            while not client.is_closed:
                self._wake.clear()
                await self._subscribe(client, echo)
                if not await self._send(client, echo):
                    await self._wake.wait()
            raise LinkDown("the server closed the connection")
        finally:
            self._connection = None
            self._subscriptions.clear()
            self._lost |= {topic for topic, ready in self._topics.items() if ready.done()}
            self._lost_at = self._lost_at or asyncio.get_running_loop().time()
            leave = asyncio.wait_for(client.close(), self._timing.farewell)
            await asyncio.gather(leave, return_exceptions=True)

    async def _open(self) -> Any:
        timing, name = self._timing, await self._name.get()
        seen: list[Exception] = []

        async def closed() -> None:
            self._wake.set()

        async def failed(error: Exception) -> None:
            seen.append(error)

        try:
            async with asyncio.timeout(timing.connect_timeout):
                return await nats.connect(
                    self._url.split(","),
                    name=name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    closed_cb=closed,
                    error_cb=failed,
                    ping_interval=cast("int", timing.ping_after),
                    max_outstanding_pings=1,
                )
        except nats.errors.NoServersError:
            raise (seen or [ConnectionRefusedError()])[-1] from None

    async def _listen(self, client: Any) -> "_Echo":
        echo = _Echo(client, f"{self._prefix}.$echo.{self._run}", self._timing.ping_timeout)
        await client.subscribe(echo.subject, cb=echo.take)
        return echo

    async def _subscribe(self, client: Any, echo: "_Echo") -> None:
        """Follow at the server what is followed here, and nothing else."""
        for topic in [topic for topic in self._subscriptions if topic not in self._topics]:
            await self._subscriptions.pop(topic).unsubscribe()
        there = self._subscriptions
        new = {t: ready for t, ready in self._topics.items() if t not in there or not ready.done()}
        if not new:
            return
        for topic in new:
            if topic not in there:
                there[topic] = await client.subscribe(self._subject(topic), cb=self._taker(topic))
        await echo.wait()
        self._say_gaps(new)
        for ready in new.values():
            if not ready.done():
                ready.set_result(None)

    def _say_gaps(self, topics: Iterable[str]) -> None:
        away = asyncio.get_running_loop().time() - self._lost_at
        for topic in topics:
            if topic in self._lost and topic in self._topics and self._sink is not None:
                self._sink.gap(topic, f"engine: the connection to nats was lost for {away:.1f} s")
        self._lost.clear()
        self._lost_at = 0.0

    def _taker(self, topic: str) -> Callable[[Any], Any]:
        # The library has a task for each subscription: there is an order within a topic, but not among them.
        numbers = self._numbers.setdefault(topic, Numbers())

        async def take(message: Any) -> None:
            try:
                envelope = unseal(message.data)
            except msgspec.MsgspecError:
                return
            if topic in self._topics and self._sink is not None and numbers.is_new(envelope):
                self._sink.deliver(stored_from(topic, None, envelope))

        return take

    async def _send(self, client: Any, echo: "_Echo") -> bool:
        """Publish what waits; whether there was something."""
        jobs = self._outbox.open
        for job in jobs:
            job.sent = True
            try:
                await client.publish(*job.what)
            except nats.errors.MaxPayloadError:
                _refuse(job, client.max_payload)
        if jobs:
            await echo.wait()
        for job in jobs:
            if not job.future.done():
                job.future.set_result(None)
        return bool(jobs)


def _refuse(job: Job[tuple[str, bytes]], most: int) -> None:
    """A message is larger than the server takes: no other connection would help."""
    if not job.future.done():
        job.future.set_exception(
            HubUnavailable(
                f"nats takes {most} octets (max_payload), and this message with its envelope has"
                f" {len(job.what[1])}: raise it there, or send a reference; the message was not published"
            )
        )


class _Echo:
    """A message to oneself: when it is back, the server has dealt with all that was sent before.

    Args:
        client: The connection.
        subject: Of these messages; nobody else has it.
        timeout: Seconds for one.
    """

    def __init__(self, client: Any, subject: str, timeout: float) -> None:
        self.subject = subject
        self._client = client
        self._timeout = timeout
        self._number = 0
        self._back: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Return when a message that is sent now is back.

        Raises:
            TimeoutError: It does not come.
        """
        self._number += 1
        self._back = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(self._timeout):
            await self._client.publish(self.subject, b"%d" % self._number)
            await self._back

    async def take(self, message: Any) -> None:
        """Called by the library for each message that is back."""
        back = self._back
        if back is not None and not back.done() and message.data == b"%d" % self._number:
            back.set_result(None)


def _encode(name: str) -> str:
    """A name as one token of a subject."""
    return _ODD.sub(lambda found: b"%%%02X" % found[0][0], name.encode()).decode()
