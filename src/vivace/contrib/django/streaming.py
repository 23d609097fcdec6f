"""Responses that stream, sent under ASGI as they come: files by the server itself, iterators piece by piece.

Rules of this file:

- A piece is made in a thread, and only when the one before it was sent: memory holds one piece.
- A file needs no thread at all where the server has the extension ``http.response.zerocopysend`` of ASGI.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from asgiref.sync import sync_to_async

__all__ = ["FileSender", "piece_by_piece"]

_ZERO_COPY: Final = "http.response.zerocopysend"


def piece_by_piece(response: Any, *, thread_sensitive: bool = True) -> Any:
    """Let a response that streams from a plain iterator be sent as it comes.

    Django itself reads such an iterator to its end before it sends the first octet, and warns.

    Args:
        response: Of Django; returned as it is unless it streams from a plain iterator.
        thread_sensitive: Make the pieces in the thread of the request's other sync code.
    """
    if response.streaming and not response.is_async:
        following = sync_to_async(next, thread_sensitive=thread_sensitive)
        response.streaming_content = _later(iter(response.streaming_content), following)
    return response


async def _later(pieces: Iterator[bytes], following: Callable[..., Any]) -> AsyncIterator[bytes]:
    while (piece := await following(pieces, None)) is not None:
        yield piece


class FileSender:
    """The `send` of a request, which leaves the file of a FileResponse to the server if that can send files.

    Args:
        scope: Of the request.
        send: The server's.
    """

    def __init__(self, scope: Any, send: Any) -> None:
        self._send = send
        self._can = _ZERO_COPY in (scope.get("extensions") or {})
        self._instead: dict[str, Any] | None = None

    async def __call__(self, message: dict[str, Any]) -> None:
        """Send a message.

        Args:
            message: Of ASGI.
        """
        if self._instead is not None and message["type"] == "http.response.body":
            message = self._instead
        await self._send(message)

    def take_file(self, response: Any) -> None:
        """Send the file of a response by the server; its head and its end stay the business of Django.

        Args:
            response: Left as it is unless it streams a file of the system.
        """
        file = getattr(response, "file_to_stream", None)
        if file is None or not self._can:
            return
        try:
            part = {"file": file.fileno(), "offset": file.tell(), "count": int(response["Content-Length"])}
        except (AttributeError, KeyError, OSError, ValueError):  # in memory, elsewhere, or of unknown length
            return
        self._instead = {"type": _ZERO_COPY, **part}
        response.streaming_content = _nothing()


async def _nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
