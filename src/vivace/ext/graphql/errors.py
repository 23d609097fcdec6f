"""What clients are told of errors, and what the log gets instead.

Rules of this file:

- What GraphQL itself says (syntax, types, variables) and what a resolver raises as a GraphQL error is for the
  client. So is an exception with a status below 500, such as `Forbidden`.
- Anything else is the program's failure: the log gets it whole, the client "Internal Server Error", and with
  DEBUG its type and message.
"""

import logging
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError

from vivace.errors import SanicException

__all__ = ["MASKED", "ErrorFormatter"]

logger = logging.getLogger("vivace.error")

MASKED = "Internal Server Error"


class ErrorFormatter:
    """Makes what clients see of errors.

    Args:
        debug: Tell type and message of failures.
        logs: Log failures: not for an engine that does so itself.
        expose: Exceptions of the program whose messages are for clients.
    """

    def __init__(self, *, debug: bool, logs: bool = True, expose: tuple[type[Exception], ...] = ()) -> None:
        self._debug = debug
        self._logs = logs
        self._told: tuple[type[Exception], ...] = (GraphQLError, *expose)

    def format_all(self, errors: Iterable[Any]) -> list[dict[str, Any]]:
        """What a client is told of the errors of a result."""
        return [self.format(error) for error in errors]

    def format(self, error: Any) -> dict[str, Any]:
        """What a client is told of one error."""
        if not isinstance(error, GraphQLError):
            error = GraphQLError(str(error), original_error=error)
        told: dict[str, Any] = dict(error.formatted)
        cause = error.original_error
        while isinstance(cause, GraphQLError) and cause.original_error is not None:
            cause = cause.original_error
        if cause is None or isinstance(cause, self._told):
            return told
        if isinstance(cause, SanicException) and cause.status_code < 500:
            code = {"status": cause.status_code, **told.get("extensions", {})}
            return {**told, "message": str(cause), "extensions": code}
        return self._mask(told, error, cause)

    def _mask(self, told: dict[str, Any], error: GraphQLError, cause: Exception) -> dict[str, Any]:
        if self._logs:
            path = ".".join(map(str, error.path or ())) or "the operation"
            logger.error("GraphQL: %s failed: %r", path, cause, exc_info=cause)
        if self._debug:
            return {**told, "message": f"{type(cause).__name__}: {cause}"}
        told.pop("extensions", None)
        return {**told, "message": MASKED}
