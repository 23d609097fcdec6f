"""Vivace: a Python application server and async web framework in one package.

The public names, and nothing else; each is imported when it is first used (PEP 562), so that a
worker that hosts somebody else's app never loads the framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vivace._build import PURE, force_pure

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.config.alarms import Alarm
    from vivace.errors import (
        BadRequest,
        ConfigError,
        DeadlineExceeded,
        Forbidden,
        HTTPException,
        HubUnavailable,
        MessageTooLarge,
        MethodNotAllowed,
        NotFound,
        PayloadTooLarge,
        QueueFull,
        RemoteError,
        RequestTimeout,
        ServerError,
        ServiceUnavailable,
        StartupError,
        SubscriberTooSlow,
        Unauthorized,
        VivaceError,
        WebsocketClosed,
        WorkerDied,
    )
    from vivace.framework.app import Vivace
    from vivace.framework.blueprint import Blueprint, BlueprintGroup
    from vivace.framework.files import file, file_stream
    from vivace.framework.request import Request
    from vivace.framework.response import (
        HTTPResponse,
        JSONResponse,
        empty,
        html,
        json,
        raw,
        redirect,
        text,
    )
    from vivace.framework.sse import EventStream
    from vivace.framework.streaming import ResponseStream
    from vivace.framework.views import HTTPMethodView
    from vivace.framework.websocket import Websocket
    from vivace.http.sse import ServerEvent
    from vivace.hub.hub import Hub
    from vivace.hub.records import Gap, Message, Position

if PURE:
    force_pure()

__version__ = "0.1.0"

__all__ = [
    "Alarm",
    "BadRequest",
    "Blueprint",
    "BlueprintGroup",
    "Config",
    "ConfigError",
    "DeadlineExceeded",
    "EventStream",
    "Forbidden",
    "Gap",
    "HTTPException",
    "HTTPMethodView",
    "HTTPResponse",
    "Hub",
    "HubUnavailable",
    "JSONResponse",
    "Message",
    "MessageTooLarge",
    "MethodNotAllowed",
    "NotFound",
    "PayloadTooLarge",
    "Position",
    "QueueFull",
    "RemoteError",
    "Request",
    "RequestTimeout",
    "ResponseStream",
    "ServerError",
    "ServerEvent",
    "ServiceUnavailable",
    "StartupError",
    "SubscriberTooSlow",
    "Unauthorized",
    "Vivace",
    "VivaceError",
    "Websocket",
    "WebsocketClosed",
    "WorkerDied",
    "empty",
    "file",
    "file_stream",
    "html",
    "json",
    "raw",
    "redirect",
    "text",
]

_PLACES = {
    "vivace.config": ("Config",),
    "vivace.config.alarms": ("Alarm",),
    "vivace.framework.app": ("Vivace",),
    "vivace.framework.blueprint": ("Blueprint", "BlueprintGroup"),
    "vivace.framework.files": ("file", "file_stream"),
    "vivace.framework.request": ("Request",),
    "vivace.framework.response": (
        "HTTPResponse",
        "JSONResponse",
        "empty",
        "html",
        "json",
        "raw",
        "redirect",
        "text",
    ),
    "vivace.framework.sse": ("EventStream",),
    "vivace.framework.streaming": ("ResponseStream",),
    "vivace.framework.views": ("HTTPMethodView",),
    "vivace.framework.websocket": ("Websocket",),
    "vivace.http.sse": ("ServerEvent",),
    "vivace.hub.hub": ("Hub",),
    "vivace.hub.records": ("Gap", "Message", "Position"),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "vivace.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
