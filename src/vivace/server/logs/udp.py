"""Datagrams to one receiver, for places that send each line by itself.

Rules of this file:

- What is on its way is taken off the list: if a later one fails, none is sent twice.
"""

import socket
from collections.abc import Callable
from typing import Final

from vivace.server.logs.shipper import Entry

__all__ = ["Datagrams", "cut", "each"]

SEND: Final = 10.0
"""Seconds that the system may take nothing."""
_CUT: Final = b"...[cut]"


class Datagrams:
    """A connected socket of UDP, made when it is needed.

    Args:
        host: Of the receiver.
        port: The same.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> None:
        """Send one; one that nobody listens for is lost, as UDP has it.

        Raises:
            OSError: It cannot be sent now.
        """
        if self._socket is None:
            family, kind, number, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, kind, number)
            made.settimeout(SEND)
            try:
                made.connect(address)
            except OSError:
                made.close()
                raise
            self._socket = made
        try:
            self._socket.send(data)
        except ConnectionRefusedError:  # of the one before; this one was not sent
            self._socket.send(data)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def each(entries: list[Entry], send: Callable[[Entry], None]) -> None:
    """Send entries, and take those that are away off the list.

    Raises:
        OSError: One cannot be sent now.
    """
    done = 0
    try:
        for entry in entries:
            send(entry)
            done += 1
    finally:
        del entries[:done]


def cut(data: bytes, most: int) -> bytes:
    """`data`, or as many of its characters as fit into `most` octets with a mark at its end."""
    if len(data) <= most:
        return data
    return data[: most - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT
