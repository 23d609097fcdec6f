"""What the processes of an app share: `app.shared_ctx`.

Rules of this file:

- Only what is made to be shared belongs here: queues, values, locks and their like of multiprocessing. For
  anything else each worker has a copy of its own, and a warning says so.
- In a running worker nothing can be added any more: the other workers would not see it.
"""

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

__all__ = ["SharedContext"]

logger = logging.getLogger("vivace.app")

_SAFE_MODULES: Final = ("multiprocessing", "ctypes", "_ctypes")


class SharedContext(SimpleNamespace):
    """A namespace for objects that processes share."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_locked", False)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.is_locked:
            raise RuntimeError(f"Cannot set {name} on locked SharedContext object")
        if not _is_shareable(value):
            self.warn(name, value)
        super().__setattr__(name, value)

    def warn(self, name: str, value: object) -> None:
        """Say that `value` is none that processes can share."""
        logger.warning(
            "shared_ctx.%s is a %s, of which each worker gets a copy of its own: use app.ctx, or what "
            "multiprocessing offers for sharing",
            name,
            type(value).__name__,
        )

    @property
    def is_locked(self) -> bool:
        """Whether a worker runs with it."""
        return self.__dict__["_locked"]  # type: ignore[no-any-return]

    def lock(self) -> None:
        """Refuse additions from now on."""
        self.__dict__["_locked"] = True

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.__dict__ if not name.startswith("_"))


def _is_shareable(value: Any) -> bool:
    modules = (kind.__module__.partition(".")[0] for kind in type(value).__mro__)
    return any(module in _SAFE_MODULES for module in modules)
