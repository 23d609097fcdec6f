"""Tools for the tests of apps: clients for an app in this process, and servers on real sockets.

The public names, and nothing else; each is imported when it is first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.testing.client import Client
    from vivace.testing.response import HTTPStatusError, Response, StreamedResponse
    from vivace.testing.serving import Live, live
    from vivace.testing.sync import SyncClient
    from vivace.testing.websocket import WebSocketRefused, WebSocketSession

__all__ = [
    "Client",
    "HTTPStatusError",
    "Live",
    "Response",
    "StreamedResponse",
    "SyncClient",
    "WebSocketRefused",
    "WebSocketSession",
    "live",
]

_HOME: Final = {
    "Client": "client",
    "HTTPStatusError": "response",
    "Live": "serving",
    "Response": "response",
    "StreamedResponse": "response",
    "SyncClient": "sync",
    "WebSocketRefused": "websocket",
    "WebSocketSession": "websocket",
    "live": "serving",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
