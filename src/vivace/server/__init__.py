"""Serving connections: sockets, flow control, time-outs and files around the sans-I/O protocols.

It knows streams, not apps: an interface is handed in. Names are imported when they are first used: a
supervisor binds sockets and serves nobody, and does without an event loop and TLS in its memory.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivace.server.bind import bind_tcp, bind_unix
    from vivace.server.interface import Interface
    from vivace.server.server import Server
    from vivace.server.tls import Tls, make_tls, read_ssl

__all__ = ["Interface", "Server", "Tls", "bind_tcp", "bind_unix", "make_tls", "read_ssl"]

_PLACES = {
    "Interface": "interface",
    "Server": "server",
    "Tls": "tls",
    "bind_tcp": "bind",
    "bind_unix": "bind",
    "make_tls": "tls",
    "read_ssl": "tls",
}


def __getattr__(name: str) -> Any:
    """The public name, imported."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found
