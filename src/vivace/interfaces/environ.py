# cython: language_level=3, annotation_typing=False
"""The environ of a WSGI app: a request as PEP 3333 (and RFC 3875, CGI) names its parts.

Rules of this file:

- What is the same for all requests of a connection is made once and copied.
- PATH_INFO is the path percent-decoded exactly once, an octet a character; it is not normalized, so ``//``,
  ``..`` and ``%2f`` are the app's business. RAW_URI and REQUEST_URI are the target as it was sent.
- Fields that could forge others are left out; `vivace.wire.environ` says which.
"""

import io
import sys
from typing import Any

from vivace.config import Config
from vivace.interfaces.file_wrapper import FileWrapper
from vivace.interfaces.hosted import outer_path
from vivace.interfaces.wsgi_input import EmptyInput
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream
from vivace.wire.percent import unquote_octets

__all__ = ["EnvironMaker"]

_PORTS = {"http": "80", "https": "443"}


class EnvironMaker:
    """Makes the environs of one app.

    Args:
        config: The settings; ROOT_PATH, THREADS and WORKERS are read.
        root_path: The path under which the app is mounted; the paths of its requests begin with it.

    Raises:
        ConfigError: ROOT_PATH does not begin with a slash.
    """

    __slots__ = ("_common", "_mount")

    def __init__(self, config: Config, root_path: str = "") -> None:
        self._mount = _as_octets(root_path)
        self._common: dict[str, Any] = {
            "REQUEST_METHOD": "",
            "SCRIPT_NAME": _as_octets(outer_path(config)) + self._mount,
            "PATH_INFO": "",
            "QUERY_STRING": "",
            "RAW_URI": "",
            "REQUEST_URI": "",
            "REMOTE_ADDR": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "vivace",
            "wsgi.version": (1, 0),
            "wsgi.input": EmptyInput(),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": config.THREADS > 1,
            "wsgi.multiprocess": config.WORKERS != 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }

    def open(self) -> None:
        """Take over what the process has at the start of the server: its standard error."""
        self._common["wsgi.errors"] = sys.stderr or _Nowhere()

    def make(self, stream: Stream, head: RequestReceived) -> dict[str, Any]:
        """The environ of a request.

        Args:
            stream: The request.
            head: Its head.

        Returns:
            A dictionary of its own; its ``wsgi.input`` is empty.
        """
        memo = stream.memo
        if memo is None or memo[0] is not self:
            memo = self._first(stream)
        environ: dict[str, Any] = memo[1].copy()
        path = head.path
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = (unquote_octets(path) if b"%" in path else path).decode("latin-1")
        if head.query:
            environ["QUERY_STRING"] = head.query.decode("latin-1")
        environ["RAW_URI"] = environ["REQUEST_URI"] = head.target.decode("latin-1")
        head.fill_environ(environ)
        if memo[2] or head.http_version != "1.1" or path == b"*":
            self._adapt(environ, stream)
        return environ

    def _first(self, stream: Stream) -> tuple[Any, ...]:
        """What is the same for all requests of a connection, and whether there is more to do for each."""
        scheme = stream.scheme
        server = stream.server
        client = stream.client
        name, port = server or ("localhost", _PORTS.get(scheme, "80"))
        base = {**self._common, "SERVER_NAME": name, "SERVER_PORT": str(port), "wsgi.url_scheme": scheme}
        if client is not None:
            base["REMOTE_ADDR"] = client[0]
            base["REMOTE_PORT"] = str(client[1])
        memo = stream.memo = self, base, bool(self._mount) or server is None
        return memo

    def _adapt(self, environ: dict[str, Any], stream: Stream) -> None:
        """What few requests need."""
        environ["SERVER_PROTOCOL"] = f"HTTP/{stream.head.http_version}"
        path = environ["PATH_INFO"]
        mount = self._mount
        if path == "*":  # OPTIONS *: a path is empty or begins with a slash
            environ["PATH_INFO"] = ""
        elif mount and path.startswith(mount) and path[len(mount) :][:1] in ("", "/"):
            environ["PATH_INFO"] = path[len(mount) :]
        if stream.server is None and stream.head.host:
            self._take_host(environ, stream.head.host.decode("latin-1"))

    def _take_host(self, environ: dict[str, Any], host: str) -> None:
        """On a Unix socket the request alone says what the server is called."""
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):
            name, port = host, ""
        environ["SERVER_NAME"] = name
        if port:
            environ["SERVER_PORT"] = port


class _Nowhere(io.TextIOBase):
    """Standard error of a process that has none."""

    def write(self, text: str, /) -> int:
        """Forget it."""
        return len(text)


def _as_octets(path: str) -> str:
    """Text as WSGI has it: the octets of its UTF-8, a character each."""
    return path.encode().decode("latin-1")
