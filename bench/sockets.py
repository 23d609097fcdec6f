"""Very many WebSocket clients in one process: opened by hand, read with epoll, counted and not looked at.

Rules of this file:

- Reading must cost less than what is measured: octets are counted, frames are not parsed.
- Clocks are monotonic, which all processes of a machine share.
"""

import contextlib
import select
import socket
import time

__all__ = ["Swarm"]

_HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
_DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


class Swarm:
    """So many open WebSockets.

    Args:
        port: On 127.0.0.1.
        path: What is asked for.
        count: How many.
        deflate: Offer compression.

    Attributes:
        octets: Received so far, handshakes aside.
    """

    def __init__(self, port: int, path: str, count: int, deflate: bool = False) -> None:
        request = _HANDSHAKE % (path.encode(), _DEFLATE if deflate else b"")
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._buffer = bytearray(262_144)
        self.octets = 0
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), timeout=20)
            one.sendall(request)
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += one.recv(1)  # what follows the handshake stays where it is counted
            assert answer.startswith(b"HTTP/1.1 101"), answer
            assert (b"permessage-deflate" in answer) == deflate, answer
            one.setblocking(False)
            self._sockets[one.fileno()] = one
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def read(self, octets: int, seconds: float = 30.0) -> float:
        """Read until so many more octets have come; the time at which the last one came.

        Raises:
            TimeoutError: They did not.
            ConnectionError: A socket was closed.
        """
        wanted = self.octets + octets
        until = time.monotonic() + seconds
        sockets, buffer = self._sockets, self._buffer
        while self.octets < wanted:
            if time.monotonic() > until:
                raise TimeoutError(f"{wanted - self.octets} of {octets} octets did not come")
            for number, _ in self._epoll.poll(0.5, 4096):
                with contextlib.suppress(BlockingIOError):
                    size = sockets[number].recv_into(buffer)
                    if not size:
                        raise ConnectionError("the server closed a socket")
                    self.octets += size
        return time.monotonic()

    def close(self) -> None:
        """Close them all."""
        self._epoll.close()
        for one in self._sockets.values():
            one.close()
