"""Serving connections: sockets, flow control, time-outs and files around the sans-I/O protocols.

It knows streams, not apps: an interface is handed in.
"""

from vivace.server.bind import bind_tcp, bind_unix
from vivace.server.interface import Interface
from vivace.server.server import Server
from vivace.server.tls import Tls, make_tls, read_ssl

__all__ = ["Interface", "Server", "Tls", "bind_tcp", "bind_unix", "make_tls", "read_ssl"]
