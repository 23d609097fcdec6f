"""sanic.types.shared_ctx: what the processes of a server share, with Sanic's words for what they cannot.

Rules of this file: only the words differ.
"""

from vivace.compat.sanic.log import error_logger
from vivace.framework import shared

__all__ = ["SharedContext"]


class SharedContext(shared.SharedContext):
    """A namespace for objects that processes share."""

    def warn(self, name: str, value: object) -> None:
        """Say that `value` is none that processes can share."""
        error_logger.warning(
            "Unsafe object %s with type %s was added to shared_ctx. It may not not function as intended. "
            "Consider using the regular ctx.\nFor more information, please see https://sanic.dev/en/guide/"
            "deployment/manager.html#using-shared-context-between-worker-processes.",
            name,
            type(value),
        )
