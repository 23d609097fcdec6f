"""The process of a hub: serves the processes of this machine on a Unix socket.

Rules of this file:

- It never imports the app, nor the framework, nor the server: it stays small, and what breaks them does not
  break it.
- A process that reads too slowly holds nobody up. Above HUB_BUFFER it gets no messages; when it has read,
  it gets what it missed of ordered topics from their histories, and word of the gap of the others.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from vivace.errors import ConfigError, HubUnavailable
from vivace.hub.exchange import Exchange
from vivace.hub.limits import Limits
from vivace.hub.outlet import Outlet
from vivace.hub.places import VARIABLE, make_exchange
from vivace.hub.records import Outgoing, Past, Position, Rule, Stored
from vivace.hub.shapes import read_fields
from vivace.hub.wire import FRAME_MAX, VERSION, Frames, Op, encode_frame

__all__ = ["main", "serve"]

logger = logging.getLogger("vivace.hub")

_NO_RULE: Final = Rule("*")
LAST: Final = 0.5
"""Seconds for which a hub that is told to end waits for the end of those that use it."""
STRANGER: Final = 65_536
"""Octets of a frame of one who has not greeted."""
_SLOW: Final = "hub: this process read too slowly"


def main(listener: socket.socket, config: Any, name: str = "") -> int:
    """Live as a hub until SIGTERM; what a terminal sends to all processes is the supervisor's business.

    Args:
        listener: The Unix socket on which processes connect; it listens.
        config: The settings of the server.
        name: Of the app, for the engine's server; empty: it is not known yet.

    Returns:
        The status to exit with.
    """
    limits = Limits.of(config)
    path = os.environ.get(VARIABLE) or listener.getsockname()
    if not limits.journal and isinstance(path, str) and path and not config.HUB_URL:
        limits = limits._replace(journal=f"{path}.journal")
    # Where an app is not known yet, the first of its processes says the name.
    full_name = f"{name}@{socket.gethostname()}/hub" if name else ""
    # the plain loop: it is small, and the hub is not what a message waits for
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_live(listener, config.HUB_URL or None, limits, full_name))
    except ConfigError as error:
        logger.error("the hub cannot start: %s", error)  # noqa: TRY400  the line says all
        return 2
    return 0


async def _live(listener: socket.socket, url: str | None, limits: Limits, name: str) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    await serve(listener, url, limits, name, stopping)


async def serve(
    listener: socket.socket,
    url: str | None,
    limits: Limits,
    name: str,
    stopping: asyncio.Event,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Be a hub until `stopping` is set.

    Args:
        listener: Where processes connect.
        url: Of the engine; None: there is none.
        limits: Sizes and times.
        name: Names this program to the engine's server.
        stopping: Ends it.
        ready: Called when it takes connections.
    """
    exchange = make_exchange(url, limits, name)
    await exchange.start()
    listener.setblocking(False)
    sessions: set[Session] = set()
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    keep: dict[str, Any] = (
        {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    )  # the path is the supervisor's
    server = await loop.create_unix_server(
        lambda: Session(exchange, limits, sessions, gone), sock=listener, **keep
    )
    ready()
    logger.debug("the hub (pid %d) serves", os.getpid())
    try:
        await stopping.wait()
        gone.clear()
        if sessions:  # all processes may have been told at once: those that use the hub go first
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), LAST)
    finally:
        server.close()
        for session in tuple(sessions):
            session.end()
        await exchange.stop()


class Session(asyncio.Protocol):
    """One process that uses the hub.

    Args:
        exchange: The hub.
        limits: Sizes and times.
        sessions: Those that are connected.
        gone: Set when the last of them is gone.
    """

    def __init__(
        self,
        exchange: Exchange,
        limits: Limits,
        sessions: "set[Session]",
        gone: asyncio.Event | None = None,
    ) -> None:
        self._exchange = exchange
        self._limits = limits
        self._sessions = sessions
        self._gone = gone
        self._frames = Frames(STRANGER)
        self._outlet: Outlet | None = None
        self._transport: asyncio.Transport | None = None
        self._known = self._over = False
        self._full = self._paused = False
        self._missed: dict[str, Position | None] = {}

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=65536)
        self._transport, self._outlet = transport, Outlet(transport)
        self._sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._frames.waiting and not self._over:
            logger.warning(
                "a process ended in the middle of what it said: %d octets of it are left out",
                self._frames.waiting,
            )
        self._sessions.discard(self)
        if self._gone is not None and not self._sessions:
            self._gone.set()
        self._outlet = None
        if self._known:
            self._exchange.detach(self)

    def end(self) -> None:
        """Send what waits, and close."""
        self._over = True
        if self._outlet is not None and self._transport is not None:
            self._outlet.flush()
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                if self._over:
                    break
                op, *fields = frame
                self._take(op, fields)
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            self._cut("a process sent what is no frame of the hub: it is disconnected (%s)", error)
        except Exception as error:  # it must not end what others share  # noqa: BLE001
            self._cut("the hub failed at what a process sent, which is disconnected", error, trace=True)

    def _cut(self, text: str, error: BaseException, *, trace: bool = False) -> None:
        self._over = True
        if trace:
            logger.error(text, exc_info=error)
        else:
            logger.error(text, str(error)[:200])
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        """The process has read: give it what it missed."""
        self._full = self._paused = False
        missed, self._missed = self._missed, {}
        for topic, position in missed.items():
            if position is None:
                self.gap(topic, _SLOW)
            else:
                self._exchange.subscribe(self, topic, position)

    # What the process says

    def _take(self, op: int, fields: list[Any]) -> None:
        if op == Op.HELLO:
            self._greet(*fields)
        elif not self._known:
            raise ValueError(f"frame {op!r} came before a greeting")
        else:
            read = read_fields(op, fields)
            _ACTIONS[op](self, *read)

    def _greet(self, version: Any, name: Any = "") -> None:
        self._put(encode_frame(Op.HELLO, VERSION))
        if version != VERSION:
            logger.warning("a process speaks version %.20r of the hub's wire, not %d", version, VERSION)
            self.end()
            return
        if not isinstance(name, str):
            raise TypeError("the name in a greeting is no text")
        self._frames.most = FRAME_MAX
        self._known = True
        self._exchange.attach(self, name)

    def _rules(self, rules: list[Rule]) -> None:
        self._exchange.declare(self, rules)

    def _subscribe(self, topic: str, since: Position | None) -> None:
        self._exchange.subscribe(self, topic, since)

    def _unsubscribe(self, topic: str) -> None:
        self._exchange.unsubscribe(self, topic)
        self._missed.pop(topic, None)

    def _send(self, topic: str, payload: bytes, message_id: str, exclude: str | None) -> None:
        self._exchange.send(self, Outgoing(topic, payload, _NO_RULE, message_id, "", exclude))

    def _publish(self, number: int, topic: str, payload: bytes, message_id: str, exclude: str | None) -> None:
        outgoing = Outgoing(topic, payload, _NO_RULE, message_id, "", exclude)
        self._answer(number, self._exchange.publish(outgoing))

    def _past(self, number: int, topic: str, since: Position | None, limit: int) -> None:
        self._answer(number, self._exchange.past(topic, since, limit))

    def _control(self, payload: bytes) -> None:
        self._exchange.control(self, payload)

    def _track(self, topic: str, key: str, ref: str, meta: Any) -> None:
        self._exchange.track(self, topic, key, ref, meta)

    def _untrack(self, topic: str, key: str, ref: str) -> None:
        self._exchange.untrack(self, topic, key, ref)

    def _presence(self, number: int, topic: str) -> None:
        self._answer(number, self._exchange.census.of(topic))

    def _stats(self, number: int) -> None:
        self._answer(number, {"pid": os.getpid(), **self._exchange.stats()})

    def _answer(self, number: int, value: Any) -> None:
        """Answer a question, now or when the answer is there."""
        if isinstance(value, asyncio.Future):
            value.add_done_callback(lambda done: self._answer_late(number, done))
        else:
            self._put_answer(number, value)

    def _put_answer(self, number: int, value: Any) -> None:
        frame = encode_frame(Op.ANSWER, number, value)
        if len(frame) > FRAME_MAX:
            told = f"the answer has {len(frame)} octets: more than {FRAME_MAX}, so ask for fewer messages"
            frame = encode_frame(Op.FAILED, number, told)
        self._put(frame)

    def _answer_late(self, number: int, done: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            self._put_answer(number, done.result())
            return
        if not isinstance(error, HubUnavailable | asyncio.CancelledError):
            logger.error("the engine of the hub failed", exc_info=error)
        self._put(encode_frame(Op.FAILED, number, str(error) or "the hub is stopping"))

    # What the hub says

    def _put(self, frame: bytes) -> None:
        if self._outlet is not None:
            self._outlet.put(frame)

    def deliver(self, stored: Stored) -> None:
        """Send a message, or remember that it was not sent."""
        outlet = self._outlet
        if outlet is None:
            return
        if self._full or outlet.waiting > self._limits.buffer:
            if not self._full:
                self._full = True
                asyncio.get_running_loop().call_soon(self._look)
            if stored.topic not in self._missed:
                position = stored.pos
                behind = None if position is None else Position(position.epoch, position.offset - 1)
                self._missed[stored.topic] = behind
            return
        outlet.put(_encoded(stored))

    def _look(self) -> None:
        """What was too much for one turn of the loop may be taken at once: then nobody says so."""
        if self._full and not self._paused:
            self.resume_writing()

    def gap(self, topic: str, reason: str) -> None:
        """Messages of a topic were lost."""
        self._put(encode_frame(Op.GAP, topic, reason))

    def past(self, topic: str, past: Past) -> None:
        """The process is known to want a topic."""
        frame = encode_frame(Op.FOLLOWED, topic, past)
        if len(frame) > FRAME_MAX:  # more than the other side takes: it goes on behind it
            frame = encode_frame(Op.FOLLOWED, topic, Past([], False, past.position))
        self._put(frame)

    def control(self, payload: bytes) -> None:
        """Pass on a control message."""
        self._put(encode_frame(Op.CONTROL, payload))

    def declare(self, rules: list[Rule]) -> None:
        """Pass on rules."""
        self._put(encode_frame(Op.RULES, rules))

    def state(self, up: bool, why: str) -> None:
        """Say that the engine is away or back."""
        self._put(encode_frame(Op.STATE, up, why))


_last: tuple[Stored | None, bytes] = (None, b"")


def _encoded(stored: Stored) -> bytes:
    """The frame of a message: it is the same for every process, and is asked for by one after the other."""
    global _last
    if _last[0] is not stored:
        _last = (stored, encode_frame(Op.MESSAGE, stored))
    return _last[1]


_ACTIONS: Final[dict[int, Callable[..., None]]] = {
    Op.RULES: Session._rules,
    Op.SUBSCRIBE: Session._subscribe,
    Op.UNSUBSCRIBE: Session._unsubscribe,
    Op.SEND: Session._send,
    Op.PUBLISH: Session._publish,
    Op.PAST: Session._past,
    Op.CONTROL: Session._control,
    Op.TRACK: Session._track,
    Op.UNTRACK: Session._untrack,
    Op.PRESENCE: Session._presence,
    Op.STATS: Session._stats,
}
