"""What is special about the WebSockets of one route: limits, times, who may connect, what is said there.

Rules of this file:

- A number is held against the bounds of the setting that it replaces; a name that nobody knows is refused.
- Everything is looked at when the route is declared; the handshake only reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from vivace.errors import DeclarationError
from vivace.protocols.socket import USUAL, SocketOptions

__all__ = ["WebsocketOptions", "take_options"]

_LEAST: Final[dict[str, int]] = {
    "max_size": 0,
    "max_frame_size": 0,
    "max_fragments": 0,
    "max_queue": 1,
    "ping_interval": 0,
    "ping_timeout": 0,
    "close_timeout": 0,
    "max_lifetime": 0,
}
_WHOLE: Final = frozenset(("max_size", "max_frame_size", "max_fragments", "max_queue"))


@dataclass(frozen=True, slots=True)
class WebsocketOptions:
    """See `vivace.framework.registry.Registry.websocket`.

    Attributes:
        subprotocols: What is spoken, the best first; empty: any.
        origins: The pages that may connect; None: WEBSOCKET_ORIGINS.
        message: The type of the messages; None: text and octets.
        socket: What the server has to know.
    """

    subprotocols: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    message: Any = None
    socket: SocketOptions = USUAL


def take_options(
    given: dict[str, Any], subprotocols: Iterable[str] | None = None, compress: bool = True
) -> WebsocketOptions:
    """Take the options of WebSockets out of `given`; the others stay.

    Raises:
        DeclarationError: One is out of its bounds.
    """
    numbers = {name: _number(name, given.pop(name)) for name in _LEAST if name in given}
    origins = given.pop("origins", None)
    return WebsocketOptions(
        subprotocols=_names(subprotocols) or (),
        origins=_names(origins),
        message=given.pop("message", None),
        socket=SocketOptions(compress=compress, **numbers),
    )


def _names(given: Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return tuple(given.replace(",", " ").split() if isinstance(given, str) else given)


def _number(name: str, value: Any) -> Any:
    wanted = int if name in _WHOLE else (int, float)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, wanted) or value < _LEAST[name]:
        what = "whole number" if name in _WHOLE else "number of seconds"
        raise DeclarationError(
            f"{name}={value!r}: expected a {what} from {_LEAST[name]} on, or None", key=name
        )
    return value
