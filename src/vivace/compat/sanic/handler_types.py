"""sanic.models.handler_types: names for annotations.

Rules of this file: only what stands in annotations.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import Any

from vivace.framework.request import Request
from vivace.framework.response import HTTPResponse

__all__ = [
    "ErrorMiddlewareType",
    "ListenerType",
    "MiddlewareResponse",
    "MiddlewareType",
    "RequestMiddlewareType",
    "ResponseMiddlewareType",
    "RouteHandler",
    "SignalHandler",
]

MiddlewareResponse = HTTPResponse | Coroutine[Any, Any, HTTPResponse | None] | None
RequestMiddlewareType = Callable[[Request], MiddlewareResponse]
ResponseMiddlewareType = Callable[[Request, HTTPResponse], MiddlewareResponse]
ErrorMiddlewareType = Callable[[Request, BaseException], Coroutine[Any, Any, None] | None]
MiddlewareType = RequestMiddlewareType | ResponseMiddlewareType
ListenerType = (
    Callable[[Any], Coroutine[Any, Any, None] | None]
    | Callable[[Any, AbstractEventLoop], Coroutine[Any, Any, None] | None]
)
RouteHandler = Callable[..., HTTPResponse | Coroutine[Any, Any, HTTPResponse | None] | None]
SignalHandler = Callable[..., Coroutine[Any, Any, None]]
