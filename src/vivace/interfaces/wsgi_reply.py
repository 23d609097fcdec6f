"""A response of a WSGI app that is not known whole, sent: the loop's side of it.

Rules of this file:

- Of a body that is longer than its Content-Length, that much is sent; of a shorter one, what there is. Both
  are logged, and the connection ends with the response.
- A file that the system cannot read ends it too: nobody else would, there is no task that could fail.
"""

import logging
from typing import Any, Protocol

from vivace.errors import BrokenResourceError, ClientDisconnected, LocalProtocolError

__all__ = ["Pieces", "send_pieces", "send_stretch"]

logger = logging.getLogger("vivace.error")


class Pieces(Protocol):
    """Where the pieces of a streamed response come from."""

    async def next_data(self) -> bytes | None:
        """The next octets; None at the end."""
        ...

    def sent(self, count: int) -> None:
        """So many octets of them were handed to the connection."""


async def send_stretch(call: Any) -> None:
    """Send a file, or the part of it that is the body."""
    stream = call.stream
    if stream.disconnected or stream.response_started:
        call.note_late()
        return
    descriptor, offset, count = call.stretch
    try:
        stream.start(call.status, call.fields)
        await stream.send_file(descriptor, offset, count)
        await stream.end()
    except ClientDisconnected:
        logger.debug("the client of %s left", call.describe())
    except (LocalProtocolError, BrokenResourceError) as error:
        _end_badly(call, error)
    except OSError as error:
        call.complain(error)
        stream.abort()


async def send_pieces(call: Any, pieces: Pieces) -> None:
    """Send a response whose pieces come one by one."""
    stream = call.stream
    if stream.disconnected or stream.response_started:
        call.note_late()
        return
    try:
        stream.start(call.status, call.fields)
        left = call.length
        while (data := await pieces.next_data()) is not None:
            if 0 <= left < len(data):
                await _send_too_much(call, data, left)
                return
            left -= len(data) if left >= 0 else 0
            await stream.send(data)
            pieces.sent(len(data))
        await stream.end()
    except ClientDisconnected:
        stream.abort()
    except LocalProtocolError as error:
        _end_badly(call, error)


def _end_badly(call: Any, error: Exception) -> None:
    """The stream has refused something: it ends a response that has begun by itself."""
    if call.stream.response_started:
        call.complain(error)
    else:
        call.fail(error)
        call.answer()


async def _send_too_much(call: Any, data: bytes, left: int) -> None:
    """Send what belongs to the response; by the rest the stream learns that it must not go on."""
    stream = call.stream
    if left:
        await stream.send(data[:left])
    try:
        await stream.send(data[left:])
    except LocalProtocolError as error:
        call.complain(error)
    await stream.end()
