"""The body of a request: whole, as a form, or piece by piece.

Rules of this file:

- A body that is kept in memory has a bound in octets and in seconds (REQUEST_MAX_SIZE, REQUEST_TIMEOUT).
- A multipart body is taken apart while it arrives: its octets and its parts are never held together.
- What goes to disk is written by a thread, not by the loop.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from vivace.http.forms import FormLimits
from vivace.http.multipart import FormCollector, MultipartEvent, MultipartReader, Spool
from vivace.http.uploads import no_room
from vivace.protocols.stream import Stream

__all__ = ["BodyReader", "collect_form", "form_limits", "iterate_parts", "read_all"]

_FLUSH_SIZE: Final = 262144
"""Octets for the disk that are gathered before a thread writes them."""


class BodyReader:
    """The body of a request, piece by piece: ``async for piece in request.stream``.

    Attributes:
        transport: The stream below; what is sent through it goes past the framework.
    """

    __slots__ = ("transport",)

    def __init__(self, transport: Stream) -> None:
        self.transport: Stream = transport

    async def read(self) -> bytes | None:
        """The next piece; None at the end.

        Raises:
            ClientDisconnected: The client left before its body was complete.
            RequestTimeout: The body stalled or was too slow.
            PayloadTooLarge: The body is over a limit.
        """
        return await self.transport.receive() or None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.transport.receive():
            yield data


async def read_all(stream: Stream) -> bytes:
    """Everything that is left of the body, in memory."""
    first = await stream.receive()
    if not first:
        return b""
    pieces = [first]
    while data := await stream.receive():
        pieces.append(data)
    return first if len(pieces) == 1 else b"".join(pieces)


def form_limits(config: Any) -> FormLimits:
    """What a form may cost, from the settings."""
    return FormLimits(
        max_parts=config.FORM_MAX_PARTS,
        max_part_header_size=config.FORM_MAX_PART_HEADER_SIZE,
        max_field_size=config.FORM_MAX_FIELD_SIZE,
        max_memory=config.FORM_MAX_MEMORY,
        spool_size=config.FORM_SPOOL_SIZE,
    )


def _open_spool() -> Spool:
    import tempfile  # few requests need a file

    return tempfile.TemporaryFile()


async def collect_form(stream: Stream, boundary: str, limits: FormLimits) -> FormCollector:
    """Read a multipart body into fields and files; the caller closes the result.

    Raises:
        BadRequest: The body is malformed.
        PayloadTooLarge: A limit of `FormLimits` or of the body is exceeded.
        HTTPException: 507: there is no room for its files.
    """
    collector = FormCollector(boundary, limits, _open_spool)
    try:
        while data := await stream.receive():
            collector.feed(data)
            if collector.pending_size > _FLUSH_SIZE:
                await asyncio.to_thread(collector.flush)
        collector.finish()
        if collector.pending_size:
            await asyncio.to_thread(collector.flush)
    except BaseException as error:
        collector.close()
        if isinstance(error, OSError):
            raise no_room(error) from error
        raise
    return collector


async def iterate_parts(stream: Stream, boundary: str, limits: FormLimits) -> AsyncIterator[MultipartEvent]:
    """The events of a multipart body while it arrives; nothing of it is kept."""
    reader = MultipartReader(boundary, limits)
    while data := await stream.receive():
        for event in reader.feed(data):
            yield event
    reader.finish()
