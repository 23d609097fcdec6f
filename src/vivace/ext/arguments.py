"""What decorators of handlers find among the arguments: a method has its object before the request."""

from typing import Any

from vivace.errors import ServerError
from vivace.framework.request import Request

__all__ = ["extract_request"]


def extract_request(*args: Any) -> Request:
    """The request among the positional arguments of a handler.

    Raises:
        ServerError: There is none.
    """
    for item in args:
        if isinstance(item, Request):
            return item
    raise ServerError("Request could not be found")
