"""Redis servers of the tests' own: `redis_server` is shared by a session, `start_redis` makes another one.

Rules of this file:

- Commands of a test go over a connection of their own, so that they never are those of the code under test.
- A test that changes the shared server's configuration uses a server of its own instead.
"""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import find_free_port
from tests.services.daemon import Daemon

__all__ = ["RedisServer", "StartRedis", "redis_server", "start_redis"]


class RedisServer(Daemon):
    """A running Redis.

    Args:
        folder: Of its own.
        configuration: Lines of redis.conf, such as ``timeout="1"``.
        tls: Certificate and key, and then it speaks TLS alone.

    Attributes:
        url: Where it is.
    """

    def __init__(self, folder: Path, tls: tuple[str, str] | None = None, **configuration: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("Redis is not installed (Debian package redis-server)")
        port = find_free_port()
        lines = {"bind": "127.0.0.1", "save": '""', "appendonly": "no", "dir": str(folder), **configuration}
        lines |= {"port": "0" if tls else str(port), "enable-debug-command": "yes"}
        if tls:
            lines |= {"tls-port": str(port), "tls-cert-file": tls[0], "tls-key-file": tls[1]}
            lines |= {"tls-auth-clients": "no"}
        text = "".join(f"{name.replace('_', '-')} {value}\n" for name, value in lines.items())
        (folder / "redis.conf").write_text(text)
        super().__init__([program, str(folder / "redis.conf")], port, folder)
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{port}/0"
        self._tls = bool(tls)
        self._password = configuration.get("requirepass")

    def ask(self, *words: object) -> Any:
        """The answer to one command: text, number, list or None; AssertionError if it is an error."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            connection: socket.socket = plain
            if self._tls:
                connection = ssl._create_unverified_context().wrap_socket(plain)
            with connection.makefile("rwb") as file:
                if self._password:
                    _exchange(file, ("AUTH", self._password))
                return _exchange(file, words)

    def clients(self) -> list[dict[str, str]]:
        """Its connections, but for the one that asks: what CLIENT LIST says of each."""
        lines = str(self.ask("CLIENT", "LIST")).splitlines()
        found = [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]
        return [client for client in found if not client["cmd"].startswith("client|list")]

    def kill_clients(self, kind: str = "") -> None:
        """Cut connections: those of a kind, ``normal`` or ``pubsub``, or all but the one that asks."""
        for one in [kind] if kind else ["normal", "pubsub"]:
            self.ask("CLIENT", "KILL", "TYPE", one, "SKIPME", "yes")


def _exchange(file: Any, words: tuple[object, ...]) -> Any:
    octets = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    file.write(b"*%d\r\n" % len(octets) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in octets))
    file.flush()
    return _answer(file)


def _answer(file: Any) -> Any:
    line = file.readline()
    assert line, "Redis closed the connection"
    kind, rest = line[:1], line[1:-2].decode()
    assert kind != b"-", f"Redis answered {rest}"
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else file.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return None if rest == "-1" else [_answer(file) for _ in range(int(rest))]
    return rest


StartRedis = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server that all tests of a session share; skips where there is none."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """Start servers that are gone after the test: `start_redis(timeout="1")`."""
    started: list[RedisServer] = []

    def start(tls: tuple[str, str] | None = None, **configuration: str) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), tls, **configuration)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
