"""The app of the gate, for both interfaces: it answers with what its server told it, as JSON."""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

seen = {"started": False, "closed": 0}


async def asgi(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        seen["started"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    client = scope.get("client") or [None]
    content = report(scope["path"], body, client[0])
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


class Closing:
    """The content of a response, which counts that it was closed."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def close(self) -> None:
        seen["closed"] += 1


def wsgi(environ: Message, start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    content = report(path, read(environ), environ.get("REMOTE_ADDR"))
    fields = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    start_response("200 OK", fields)
    return Closing(content)


def read(environ: Message) -> bytes:
    """The body: of the length that is said, or to its end if the server or the coding says it has one."""
    body = b""
    if environ.get("CONTENT_LENGTH"):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    elif environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING"):
        body = environ["wsgi.input"].read()
    return body


def report(path: str, body: bytes, client: object) -> bytes:
    told = {"path": path, "body": body.decode("latin-1"), "client": client, **seen}
    return json.dumps(told).encode()
