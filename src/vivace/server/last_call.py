"""The last moments of a listening socket: nobody new gets into its queue, and whoever is there is served.

Rules of this file:

- To close a listening socket resets the connections in its queue, and while it is emptied others come. So
  first the kernel is told to drop requests for new connections: their clients try again a second later, when
  the socket is closed, and are refused; or somebody else listens there by then.
- The filter belongs to the socket, not to the descriptor: only for sockets that end with this server. Where
  there is no such filter the moment between the last look and the close remains.
- Follows socket(7) SO_ATTACH_FILTER, tcp(7) TCP_INFO.
"""

import contextlib
import ctypes
import socket
import struct
import sys
from typing import Final

__all__ = ["LAST_CALL", "bar", "count_waiting"]

LAST_CALL: Final = 0.05
"""Seconds for which a server that ends accepts those who are just connecting."""

_ATTACH_FILTER: Final = 26
_LINUX: Final = sys.platform == "linux"
_FLAGS, _SYN, _SYN_ACK = 13, 0x02, 0x12
_PROGRAM: Final = (
    (0x30, 0, 0, _FLAGS),  # load the octet of the flags of the TCP header
    (0x54, 0, 0, _SYN_ACK),  # keep SYN and ACK
    (0x15, 0, 1, _SYN),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
_LISTEN: Final = 10
_QUEUED: Final = 24
"""Where in TCP_INFO of a listening socket the length of its queue is."""


def bar(listener: socket.socket) -> bool:
    """Let no new connection into the queue of a listening socket; whether the system can do that."""
    if not _LINUX or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _PROGRAM)
    memory = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(memory))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        return True
    return False


def count_waiting(listener: socket.socket) -> int:
    """Connections in the queue of a listening socket of TCP; 0 where the system does not say."""
    if not _LINUX or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUED + 4)
    except OSError:
        return 0
    if len(info) < _QUEUED + 4 or info[0] != _LISTEN:
        return 0
    queued: int = struct.unpack_from("I", info, _QUEUED)[0]
    return queued
