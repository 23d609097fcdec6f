"""What the server asks of an app's side: a call per stream and four moments of its life.

Rules of this file:

- Types only. The server calls an interface and never learns what kind of app stands behind it.
"""

from collections.abc import Coroutine
from typing import Any, Protocol

from vivace.protocols.stream import Stream

__all__ = ["Interface"]


class Interface(Protocol):
    """Where a stream meets an app; one per worker."""

    def __call__(self, stream: Stream, /) -> Coroutine[Any, Any, None]:
        """Answer one request. The coroutine runs in a task of its own, cancelled when the client leaves."""
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
