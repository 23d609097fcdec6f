"""An awaitable that has nothing to wait for.

Rules of this file:

- It counts as a coroutine, so that tasks can be made of it, and costs no object: one serves everybody.
"""

from collections.abc import Coroutine
from typing import Any, Final, cast

__all__ = ["COMPLETED", "Completed"]


class Completed:
    """A coroutine that has nothing left to do."""

    __slots__ = ()

    def __await__(self) -> Any:
        return iter(())

    def send(self, _value: None) -> None:
        """Take a step: there is none."""
        raise StopIteration

    def throw(self, *error: Any) -> None:
        """Raise within: there is nothing to catch it."""
        raise error[0]

    def close(self) -> None:
        """End: it has ended."""


COMPLETED: Final = cast("Coroutine[Any, Any, None]", Completed())
"""The one that is handed out."""
