# cython: language_level=3, annotation_typing=False
"""What a WSGI app answered, sent: the loop's side of a response.

Rules of this file:

- Of a body that is longer than its Content-Length, that much is sent; of a shorter one, what there is. Both
  are logged, and the connection ends with the response.
- An answer that comes after the server has answered, or after the client left, is dropped with a line in the
  log.
"""

import logging
from typing import Any, Final, Protocol

from vivace.errors import BrokenResourceError, ClientDisconnected, LocalProtocolError

__all__ = ["Pieces", "answer", "send_pieces", "send_stretch"]

logger = logging.getLogger("vivace.error")

TEXT_FIELDS: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


class Pieces(Protocol):
    """Where the pieces of a streamed response come from."""

    async def next_data(self) -> bytes | None:
        """The next octets; None at the end."""
        ...

    def sent(self, count: int) -> None:
        """So many octets of them were handed to the connection."""


def answer(call: Any) -> None:
    """Send a response that is known whole, or the refusal that stands for one."""
    stream = call.stream
    if stream.disconnected or stream.response_started:
        _note_late(call)
        return
    if call.failure is None:
        try:
            stream.respond(call.status, call.fields, call.body)
            return
        except LocalProtocolError as error:
            call.fail(error)
    _refuse(call)


def _refuse(call: Any) -> None:
    status, text = call.failure
    call.stream.respond(status, TEXT_FIELDS, text)


async def send_stretch(call: Any) -> None:
    """Send a file, or the part of it that is the body."""
    stream = call.stream
    if stream.disconnected or stream.response_started:
        _note_late(call)
        return
    descriptor, offset, count = call.stretch
    try:
        stream.start(call.status, call.fields)
        await stream.send_file(descriptor, offset, count)
        await stream.end()
    except ClientDisconnected:
        logger.debug("the client of %s left", call.describe())
    except (LocalProtocolError, BrokenResourceError) as error:
        call.complain(error)
        stream.abort()


async def send_pieces(call: Any, pieces: Pieces) -> None:
    """Send a response whose pieces come one by one."""
    stream = call.stream
    if stream.disconnected or stream.response_started:
        _note_late(call)
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
        call.complain(error)


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


def _note_late(call: Any) -> None:
    if call.stream.timed_out:
        logger.warning("%s was answered after RESPONSE_TIMEOUT: dropped", call.describe())
    else:
        logger.debug("nobody waits for the answer to %s", call.describe())
