"""Serving connections: sockets, flow control, time-outs and files around the sans-I/O protocols.

It knows streams, not apps: an interface is handed in. Names are imported when they are first used: a
supervisor binds sockets and serves nobody, and does without an event loop and TLS in its memory.

    server, stopping, state, settings, interface
                                         a worker's server from start to stop, and what all of it shares
    bind, listeners, turns, last_call, occupant
                                         listening sockets: made, accepted from, shared, left
    connection, phase, preface, redirect, deadlines, timeouts
                                         a connection, what stands before it, and when its time is up
    stream, intake, body, flow, files    an exchange on it: what comes in and goes out
    websocket, ws_closing, ws_pings, ws_silence
                                         a connection that became a WebSocket
    tls, tls_transport, certificates, local_certificate
                                         encryption
    access, durations, stacks, logs/     what is told of requests
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
