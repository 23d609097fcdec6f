"""A message to many with the library `websockets`: the same questions as to `bench.apps.groups`.

Run as ``python -m bench.apps.websockets_app PORT``.

Rules of this file:

- As its documentation advises: `broadcast` over a set of connections, no compression, uvloop where it is.
"""

import asyncio
import json
import sys
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve

_members: set[ServerConnection] = set()


async def join(connection: ServerConnection) -> None:
    """A client that says nothing."""
    _members.add(connection)
    try:
        await connection.wait_closed()
    finally:
        _members.discard(connection)


def answer(connection: ServerConnection, request: Any) -> Any:
    """Publish, or tell the CPU time; None: it is a WebSocket."""
    if "Upgrade" in request.headers:
        return None
    began, cpu = time.monotonic(), time.process_time()
    if request.path.startswith("/publish"):
        broadcast(_members, "x" * 64)
    return connection.respond(200, json.dumps({"began": began, "cpu": cpu}))


async def main(port: int) -> None:
    """Serve until ended."""
    options: dict[str, Any] = {"process_request": answer, "compression": None, "ping_interval": None}
    async with serve(join, "127.0.0.1", port, backlog=1024, **options):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
