"""Methods that are answered where no route declares them: HEAD by the handler of GET, OPTIONS by a list.

Rules of this file:

- It follows RFC 9110 sections 9.3.2 and 9.3.7; a route that declares the method itself goes first.
- Which methods these are is a matter of the app, decided when routes are compiled.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vivace.framework.response import HTTPResponse, empty

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["AUTOMATIC", "Automatic", "answer_options"]

Automatic = Mapping[str, Callable[..., Any] | None]
"""Method -> a coroutine function of the request and of ``allowed``, the methods there are; None for HEAD."""


async def answer_options(_request: "Request", allowed: str) -> HTTPResponse:
    """The methods that a path has."""
    return empty(headers={"Allow": allowed})


AUTOMATIC: Final[Automatic] = {"HEAD": None, "OPTIONS": answer_options}
"""What an app answers by itself."""
