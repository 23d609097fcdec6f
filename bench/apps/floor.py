"""What the kernel takes for a message to many sockets: one ``send`` for each, and nothing else.

Run as ``python -m bench.apps.floor PORT``; it answers what `bench.apps.groups` answers, as far as asked.

Rules of this file:

- It is no server: one connection at a time is read, and whoever asks for a WebSocket is kept.
"""

import json
import socket
import sys
import time

_OPEN = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def publish(sockets: list[socket.socket], size: int) -> dict[str, float]:
    """Send one frame to all."""
    frame = bytes((0x81, size)) + b"x" * size
    began, cpu = time.monotonic(), time.process_time()
    for one in sockets:
        one.send(frame)
    return {"began": began, "cpu": cpu}


def main(port: int) -> None:
    """Serve until ended."""
    sockets: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        one, _ = listener.accept()
        head = one.recv(4096)
        if b"Upgrade: websocket" in head:
            one.sendall(_OPEN)
            sockets.append(one)
            continue
        told = publish(sockets, 64) if head.startswith(b"GET /publish") else {"cpu": time.process_time()}
        body = json.dumps(told).encode()
        one.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )
        one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
