"""What the server asks of an app's side: a call per stream and four moments of its life.

Rules of this file:

- Types only. The server calls an interface and never learns what kind of app stands behind it.
"""

from collections.abc import Coroutine
from typing import Any, Protocol

from vivace.protocols.stream import Stream

__all__ = ["Interface"]


class Interface(Protocol):
    """Where a stream meets an app; one per worker.

    It may have a method ``refuse(stream, error)``. What it gives answers a message that is no request, with a
    stream that stands for it; a body that breaks the rules becomes an error of `Stream.receive`. Without such
    a method the server answers both by a line.

    Attributes:
        cancels: The task of a request is cancelled when its client leaves; else it goes on, and learns of it
            from the stream.
    """

    cancels: bool

    def __call__(self, stream: Stream, /) -> Coroutine[Any, Any, None] | None:
        """Answer one request.

        Returns:
            What answers, to be run in a task of its own; None: it is answered, or will be by other means,
            and the interface sees to it that the exchange comes to an end.
        """
        ...

    async def before_start(self) -> None:
        """Make the app ready; no connection is accepted before this returns. An error ends the start."""
        ...

    async def after_start(self) -> None:
        """Told once connections are accepted."""
        ...

    async def before_stop(self) -> None:
        """Told when no new connection is accepted any more, while requests may still be running."""
        ...

    async def after_stop(self) -> None:
        """Release what the app holds; the last connection is gone."""
        ...
