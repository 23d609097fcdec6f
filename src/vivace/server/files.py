"""Sending a part of an open file on a connection without copying it through Python.

Rules of this file:

- `sendfile(2)` goes past the transport, so the transport's own buffer is flushed first, and octets are
  sent through a duplicate of the socket's descriptor: the transport may close its own at any time, and
  event loops refuse to watch a descriptor that a transport owns.
- One call sends at most `TURN_SIZE` octets and then other connections get their turn.
- TLS, and sockets that refuse `sendfile`, read and write in pieces.
"""

import asyncio
import os
from typing import TYPE_CHECKING

from vivace.errors import BrokenResourceError, ClientDisconnected

if TYPE_CHECKING:
    from vivace.server.connection import Connection
    from vivace.server.stream import Stream

__all__ = ["TURN_SIZE", "send_file"]

TURN_SIZE = 1 << 20
"""Octets of a file per turn of the event loop."""
PIECE_SIZE = 65_536
"""Octets per piece where the file has to be copied."""


async def send_file(connection: "Connection", stream: "Stream", file: int, offset: int, count: int) -> None:
    """Send `count` octets of `file` from `offset`.

    Raises:
        ClientDisconnected: The client is gone.
        BrokenResourceError: The file became shorter; the response was cut.
    """
    transport = await connection.writer.flushed()
    socket = transport.get_extra_info("socket")
    if connection.scheme == "https" or socket is None:
        await _copy(connection, stream, file, offset, count)
        return
    duplicate = os.dup(socket.fileno())
    try:
        await _send_past_transport(connection, stream, duplicate, file, offset, count)
    except ConnectionError as error:
        connection.abort()
        raise ClientDisconnected("the client is gone") from error
    finally:
        os.close(duplicate)


async def _send_past_transport(
    connection: "Connection", stream: "Stream", socket: int, file: int, offset: int, count: int
) -> None:
    end = offset + count
    while offset < end:
        if stream.disconnected:
            raise ClientDisconnected("the client is gone")
        try:
            sent = os.sendfile(socket, file, offset, min(end - offset, TURN_SIZE))
        except BlockingIOError:
            await _writable(stream, socket)
            continue
        if sent == 0:
            connection.abort()
            raise BrokenResourceError("the file became shorter while it was sent")
        offset += sent
        stream.sent += sent
        connection.writer.passed_by(sent)
        if offset < end:
            await asyncio.sleep(0)


async def _writable(stream: "Stream", socket: int) -> None:
    """Wait until the socket takes octets again or the client is gone."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    gone = stream.gone = stream.gone or loop.create_future()

    def go_on(_: object = None) -> None:
        if not ready.done():
            ready.set_result(None)

    gone.add_done_callback(go_on)
    loop.add_writer(socket, go_on)
    try:
        await ready
    finally:
        gone.remove_done_callback(go_on)
        loop.remove_writer(socket)


async def _copy(connection: "Connection", stream: "Stream", file: int, offset: int, count: int) -> None:
    end = offset + count
    while offset < end:
        data = os.pread(file, min(end - offset, PIECE_SIZE), offset)
        if not data:
            connection.abort()
            raise BrokenResourceError("the file became shorter while it was sent")
        offset += len(data)
        stream.sent += len(data)
        connection.writer.write(data)
        await connection.writer.drained()
