"""What the system tells of the queues of listening sockets: how often one was full.

Rules of this file:

- None: the system does not say; that is no reason to act.
- Follows socket(7) SO_MEMINFO, whose ninth number counts what a listening socket has dropped (for a full
  queue, and for segments that make no sense), and proc(5) for TcpExt ListenOverflows (full queues alone, of
  all sockets of the network namespace).
"""

import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from vivace.server.last_call import count_waiting

__all__ = ["count_dropped", "count_overflows", "describe_queues"]

_MEMINFO: Final = 55
_NUMBERS: Final = struct.Struct("=9I")
_LINUX: Final = sys.platform == "linux"
NETSTAT: Final = Path("/proc/net/netstat")


def count_dropped(listener: socket.socket) -> int | None:
    """What a listening socket of TCP has dropped since it was made; the number begins anew at 2**32."""
    if not _LINUX or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        data = listener.getsockopt(socket.SOL_SOCKET, _MEMINFO, _NUMBERS.size)
    except OSError:
        return None
    return int(_NUMBERS.unpack(data)[8]) if len(data) == _NUMBERS.size else None


def count_overflows() -> int | None:
    """How often any queue of connections was full."""
    try:
        lines = NETSTAT.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return None
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        found = dict(zip(names.split(), values.split(), strict=False))
        if names.startswith("TcpExt:") and found.get("ListenOverflows", "").isdecimal():
            return int(found["ListenOverflows"])
    return None


def describe_queues(listeners: Iterable[tuple[str, socket.socket]]) -> list[dict[str, Any]]:
    """What there is to show of listening sockets of TCP: clients that wait, and what was dropped.

    Args:
        listeners: Where they listen, and they.
    """
    found = ((address, one, count_dropped(one)) for address, one in listeners)
    return [
        {"address": address, "queue": count_waiting(one), "dropped": dropped}
        for address, one, dropped in found
        if dropped is not None
    ]
