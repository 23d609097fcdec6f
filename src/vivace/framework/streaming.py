"""Responses whose body is sent in pieces.

Rules of this file:

- The head is chosen when the first piece is sent; from then on the status is fixed.
- A body that is complete with its first piece leaves in one write, with its length.
- Over or under an announced content length is the app's error: it is logged and the connection ends.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from vivace.errors import ServerError
from vivace.framework.response import TEXT, HeaderSource, HTTPResponse
from vivace.protocols.stream import Stream

__all__ = ["ResponseStream", "Sender"]


class Sender:
    """Connects an opened response to its stream.

    Attributes:
        ended: The last piece was sent.
    """

    __slots__ = ("_response", "_stream", "ended")

    def __init__(self, stream: Stream, response: HTTPResponse) -> None:
        self._stream = stream
        self._response = response
        self.ended = False

    async def send(self, data: bytes | None, end: bool | None) -> None:
        """Send a piece; the rules are those of `HTTPResponse.send`."""
        if self.ended:
            if end and data is None:
                return
            raise ServerError("Response stream was ended, no more response data is allowed to be sent.")
        if data is None and end is None:
            end = True
        stream, response = self._stream, self._response
        if not stream.response_started:
            data = response.body if data is None else data
            if end:
                response.body = data
                await HTTPResponse.transmit(response, stream)
                self.ended = True
                return
            stream.start(response.status, response.wire_fields())
        if data:
            await stream.send(data)
        if end:
            await stream.end()
            self.ended = True

    async def finish(self) -> None:
        """Complete the response unless it is."""
        if not self.ended:
            await self.send(None, True)


class ResponseStream(HTTPResponse):
    """A response whose body a function writes: ``await response.write(piece)``.

    Args:
        streaming_fn: Called with this response when it is sent; an exception in it ends the connection.
        status: 200 to 599.
        headers: Fields beside the content type; with a content length the body is not chunked.
        content_type: The value of ``Content-Type``.
    """

    __slots__ = ("streaming_fn",)

    def __init__(
        self,
        streaming_fn: Callable[[Any], Awaitable[Any]],
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = TEXT,
    ) -> None:
        super().__init__(None, status, headers, content_type)
        self.streaming_fn: Callable[[Any], Awaitable[Any]] = streaming_fn

    async def write(self, data: str | bytes) -> None:
        """Send a piece; waits while the client reads slowly.

        Raises:
            ClientDisconnected: The client is gone.
        """
        await self.send(data, False)

    async def transmit(self, stream: Stream) -> None:
        """Run the function; the response is complete when it returns."""
        self.sender = Sender(stream, self)
        await self.streaming_fn(self)
        await self.eof()
