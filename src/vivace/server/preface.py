"""What stands before a connection behind a proxy that speaks the PROXY protocol: its header.

It is read from the socket before a transport is made, so that TLS and HTTP begin where they always do.

Rules of this file:

- Octets are looked at first and taken when they belong to the header: what follows stays for the connection.
- It is a connection by shape for as long as it lasts: it counts among them, gives way to others when there is
  no room, ends with the server, and has HEAD_TIMEOUT seconds.
- Only those in PROXY_PROTOCOL_FROM are asked for a header; others could name any address.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

from vivace.errors import RemoteProtocolError
from vivace.protocols.proxy import ProxyHeader, ProxyReader
from vivace.server.connection import Connection
from vivace.server.intake import DRAIN_TIMEOUT
from vivace.server.state import ServerState

__all__ = ["Preface"]

logger = logging.getLogger("vivace.server")

_LOOK: Final = 4096


class Preface:
    """A connection whose header is awaited.

    Args:
        state: Shared by the worker's connections.
        accepted: The socket; it is closed here or handed to `ready`.
        ready: Takes the socket and the header.
        failed: Told why there is none.

    Attributes:
        deadline: When it is given up; as a connection has it.
        stream: Never one.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_failed",
        "_reader",
        "_ready",
        "_state",
        "_timer",
        "deadline",
        "stream",
    )

    def __init__(
        self,
        state: ServerState,
        accepted: socket.socket,
        ready: Callable[[socket.socket, ProxyHeader], None],
        failed: Callable[[str], None],
    ) -> None:
        self._state = state
        self._accepted = accepted
        self._ready = ready
        self._failed = failed
        self._reader = ProxyReader()
        self._timer: asyncio.TimerHandle | None = None
        self.deadline = float("inf")
        self.stream = None

    def start(self) -> None:
        """Read what is there, and wait for the rest."""
        self._state.connections.add(cast("Connection", self))
        self._state.loop.add_reader(self._accepted, self._read)
        self._give(DRAIN_TIMEOUT if self._state.closing else self._state.settings.head_timeout)
        self._read()

    def _read(self) -> None:
        try:
            data = self._accepted.recv(_LOOK, socket.MSG_PEEK)
            used = self._reader.feed(data)
            self._accepted.recv(used)
        except (BlockingIOError, InterruptedError):
            return
        except RemoteProtocolError as error:
            self._fail(str(error))
            return
        except OSError as error:
            self._fail(error.strerror or str(error), expected=True)
            return
        if self._reader.header is not None:
            self._leave()
            self._ready(self._accepted, self._reader.header)
        elif not data:
            self._fail("it was closed within the header of the PROXY protocol", expected=self._reader.empty)

    def _fail(self, why: str, *, expected: bool = False) -> None:
        """Close; nothing is answered, for whoever speaks otherwise is not the proxy."""
        self.abort()
        if expected:  # a look whether somebody listens
            logger.debug("a connection ended before its PROXY header: %s", why)
        else:
            self._failed(why)

    def _give(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0:
            self.deadline = self._state.now + seconds
            self._timer = self._state.loop.call_later(
                seconds, self._fail, "its PROXY header did not come in time"
            )

    def _leave(self) -> None:
        self._give(0)
        self._state.loop.remove_reader(self._accepted)
        self._state.connections.discard(cast("Connection", self))

    # -- what the server does with connections ----------------------------------------------------------

    def spare(self) -> int:
        """It gives way like one that has sent a part of a head."""
        return 1

    def shed(self) -> None:
        """Make room."""
        self.abort()

    def drain(self) -> None:
        """The server stops."""
        self._give(DRAIN_TIMEOUT)

    def hurry(self, window: float) -> None:
        """The server stops, and who waits has a while for a request."""
        self.drain()

    def expire_idle(self, now: float) -> None:
        """Nothing: what is waited for has a time-out of its own."""

    def abort(self) -> None:
        """Drop it."""
        if self._accepted.fileno() >= 0:
            self._leave()
            self._accepted.close()
