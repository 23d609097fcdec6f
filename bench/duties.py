"""The gate: what a server owes its clients and its app, tried before it is measured.

Rules of this file:

- A duty is a MUST of RFC 9110, RFC 9112, PEP 3333 or the ASGI specification, or what every app takes for
  granted. Speed that comes from leaving one out is shown beside the speed, never hidden.
- The app behind the server is `apps/duties.py`, which answers every request with what it was told of it.
- A server that answers wrongly, breaks the connection or says nothing in time has not done its duty.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

SECONDS = 2.0
"""How long an answer may take."""
QUIET_SECONDS = 0.2
"""How long is waited for octets that should not come."""


class Answer(NamedTuple):
    """A response: status, fields by lower-case name, content."""

    status: int
    fields: dict[str, str]
    content: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What the app was told about the request."""
        found: dict[str, Any] = json.loads(self.content)
        return found


class Client:
    """A connection that sends octets as they are and reads responses strictly."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb")

    def close(self) -> None:
        self._input.close()
        self._connection.close()

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def ask(self, method: str, path: str, fields: str = "Host: a\r\n", body: bytes = b"") -> Answer:
        """Send a request and read its response."""
        self.send(request(method, path, fields) + body)
        return self.read(method)

    def read(self, method: str = "GET") -> Answer:
        """Read a response to a request with `method`.

        Raises:
            ValueError: It is not one.
            EOFError: The connection ends before it.
        """
        version, status, fields = self._read_head()
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise ValueError(f"not the version of a response: {version!r}")
        if method == "HEAD" or status in (100, 204, 304):
            return Answer(status, fields, b"")
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, fields, b"".join(self._read_chunks()))
        if "content-length" in fields:
            return Answer(status, fields, self._read_exactly(int(fields["content-length"])))
        return Answer(status, fields, self._input.read())

    def is_quiet(self) -> bool:
        """Whether nothing follows for a moment, or the end."""
        self._connection.settimeout(QUIET_SECONDS)
        try:
            return not self._input.peek(1)
        except TimeoutError:
            return True

    def _read_line(self) -> str:
        line = self._input.readline(65536)
        if not line:
            raise EOFError("the connection ends")
        if not line.endswith(b"\r\n"):
            raise ValueError(f"not a line: {line!r}")
        return line[:-2].decode("latin-1")

    def _read_head(self) -> tuple[str, int, dict[str, str]]:
        version, status, _ = f"{self._read_line()} ".split(" ", 2)
        fields = {}
        while line := self._read_line():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return version, int(status), fields

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self._read_line(), 16):
            yield self._read_exactly(size)
            self._read_line()
        self._read_line()

    def _read_exactly(self, size: int) -> bytes:
        data = self._input.read(size)
        if len(data) < size:
            raise ValueError("the content ends too early")
        return data


def request(method: str, path: str, fields: str = "Host: a\r\n") -> bytes:
    """The head of a request."""
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode("latin-1")


@contextmanager
def connected(port: int) -> Iterator[Client]:
    """A client of the server at this port of 127.0.0.1."""
    client = Client(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
    try:
        yield client
    finally:
        client.close()


def date(client: Client) -> bool:
    """RFC 9110 section 6.6.1: a server that has a clock says when it answered."""
    return "date" in client.ask("GET", "/").fields


def keep_alive(client: Client) -> bool:
    """RFC 9112 section 9.3: the connection serves on, also behind a body."""
    first = client.ask("POST", "/one", "Host: a\r\nContent-Length: 5\r\n", b"hello").told
    second = client.ask("GET", "/two").told
    return (first["path"], first["body"], second["path"]) == ("/one", "hello", "/two")


def pipelining(client: Client) -> bool:
    """RFC 9112 section 9.3.2: requests that come together are answered in their order."""
    client.send(request("GET", "/one") + request("GET", "/two") + request("GET", "/three"))
    return [client.read().told["path"] for _ in range(3)] == ["/one", "/two", "/three"]


def decoding(client: Client) -> bool:
    """ASGI, HTTP connection scope, and RFC 3875 section 4.1.5: the path comes without percent-escapes."""
    return bool(client.ask("GET", "/a%20b/%C3%A9?c=%20").told["path"] == "/a b/\xe9")


def head(client: Client) -> bool:
    """RFC 9110 section 9.3.2: a response to HEAD has no content."""
    return client.ask("HEAD", "/").status == 200 and client.is_quiet()


def chunks(client: Client) -> bool:
    """RFC 9112 section 7.1: a chunked body reaches the app, without its framing."""
    coded = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    told = client.ask("POST", "/", "Host: a\r\nTransfer-Encoding: chunked\r\n", coded).told
    return bool(told["body"] == "hello world")


def proceed(client: Client) -> bool:
    """RFC 9110 section 10.1.1: a client that expects 100 is told to go on, and once is enough."""
    client.send(request("POST", "/", "Host: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"))
    if client.read().status != 100:
        return False
    client.send(b"hello")
    return bool(client.read().told["body"] == "hello")


def host(client: Client) -> bool:
    """RFC 9112 section 3.2: a request without Host is refused."""
    return _is_refused(client, "GET", "")


def one_length(client: Client) -> bool:
    """RFC 9112 section 6.3: two lengths that differ are how requests are smuggled; they are refused."""
    return _is_refused(client, "POST", "Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n", b"abc")


def _is_refused(client: Client, method: str, fields: str, body: bytes = b"") -> bool:
    """By 400, as the RFC demands, or at least by the end of the connection."""
    try:
        return client.ask(method, "/", fields, body).status == 400
    except (EOFError, ConnectionError):
        return True


def address(client: Client) -> bool:
    """The app learns who asks: scope["client"], REMOTE_ADDR."""
    return bool(client.ask("GET", "/").told["client"] == "127.0.0.1")


def lifespan(client: Client) -> bool:
    """ASGI, lifespan protocol: the app is told of its start before it is asked."""
    return bool(client.ask("GET", "/").told["started"])


def closing(client: Client) -> bool:
    """PEP 3333: close() of what the app returned is called, for the requests before this one."""
    return bool(client.ask("GET", "/").told["closed"])


HTTP: dict[str, Callable[[Client], bool]] = {
    "Date": date,
    "keep-alive": keep_alive,
    "pipelining": pipelining,
    "decoded path": decoding,
    "HEAD": head,
    "chunked body": chunks,
    "100 Continue": proceed,
    "Host required": host,
    "one length": one_length,
    "client address": address,
}
DUTIES = {"asgi": {**HTTP, "lifespan": lifespan}, "wsgi": {**HTTP, "close()": closing}}
"""By the interface: the duties, by the names that the tables use."""


def skipped(port: int, interface: str) -> list[str]:
    """The names of the duties that the server at this port does not do, which runs `apps/duties.py`.

    Args:
        port: On 127.0.0.1.
        interface: ``asgi`` or ``wsgi``.
    """
    return [name for name, duty in DUTIES[interface].items() if not _is_done(duty, port)]


def _is_done(duty: Callable[[Client], bool], port: int) -> bool:
    with (
        contextlib.suppress(OSError, EOFError, ValueError, LookupError, TypeError),
        connected(port) as client,
    ):
        return duty(client)
    return False
