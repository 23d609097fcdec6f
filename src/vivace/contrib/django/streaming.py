"""Responses that stream from a plain iterator, sent under ASGI as they come.

Rules of this file:

- A piece is made in a thread, and only when the one before it was sent: memory holds one piece.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async

__all__ = ["piece_by_piece"]


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
