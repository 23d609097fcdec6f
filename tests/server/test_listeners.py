"""Sockets are made with clear errors, and accepting survives the want of descriptors."""

import asyncio
import os
import resource
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.support import hello, running, until
from vivace.errors import StartupError
from vivace.protocols.stream import Stream
from vivace.server.bind import ListeningSocket, bind_tcp, bind_unix

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def test_port_zero_takes_a_free_port_that_others_can_reach() -> None:
    (listener,) = bind_tcp("127.0.0.1", 0, 16)
    with listener, socket.create_connection(listener.getsockname()):
        assert listener.getsockname()[1] > 0


def test_a_name_with_several_addresses_gets_a_socket_for_each_on_one_port() -> None:
    listeners = bind_tcp("localhost", 0, 16)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


def test_a_port_in_use_is_named_with_exit_code_4() -> None:
    (first,) = bind_tcp("127.0.0.1", 0, 16)
    port = first.getsockname()[1]
    with first, pytest.raises(StartupError, match=f"127.0.0.1:{port}.* in use") as caught:
        bind_tcp("127.0.0.1", port, 16)
    assert caught.value.exit_code == 4


def test_an_address_that_is_not_ours_and_a_name_that_is_none_are_named() -> None:
    with pytest.raises(StartupError, match="no such address"):
        bind_tcp("192.0.2.1", 0, 16)
    with pytest.raises(StartupError, match="cannot resolve"):
        bind_tcp("no such host", 0, 16)


def test_a_privileged_port_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ListeningSocket, "bind", refuse)
    with pytest.raises(StartupError, match="below 1024") as caught:
        bind_tcp("127.0.0.1", 80, 16)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_unix_socket_has_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s"
    with bind_unix(str(path), mode, 16):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_stale_unix_socket_is_replaced_and_a_live_one_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    bind_unix(path, 0o600, 16).close()
    with bind_unix(path, 0o600, 16), pytest.raises(StartupError, match="another server answers"):
        bind_unix(path, 0o600, 16)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(StartupError, match="not a socket"):
        bind_unix(str(path), 0o600, 16)
    assert path.read_text() == "data"


async def test_over_the_connection_limit_the_longest_idle_one_makes_room() -> None:
    async with running(hello, MAX_CONNECTIONS=8) as server:
        first = await server.connect()
        await first.send(GET)
        await first.read_response()
        idle = [await server.connect() for _ in range(7)]
        await until(lambda: server.server.connections == 8)
        late = await server.connect()
        await late.send(GET)
        assert (await late.read_response())[0] == 200
        assert server.server.connections <= 8
        assert len(idle) == 7


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_over_the_connection_limit_slow_heads_make_room() -> None:
    async with running(hello, MAX_CONNECTIONS=4) as server:
        for _ in range(4):
            await (await server.connect()).send(b"GET / HT")
        await until(lambda: all(c.unread() for c in server.server._state.connections))  # type: ignore[union-attr]
        good = await server.connect()
        await good.send(GET)
        assert (await good.read_response())[0] == 200


async def test_over_the_connection_limit_with_none_idle_a_new_one_is_503() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held, MAX_CONNECTIONS=2) as server:
        busy = [await server.connect() for _ in range(2)]
        for client in busy:
            await client.send(GET)
        await until(lambda: server.server.active == 2)
        refused = await server.connect()
        assert (await refused.read_all()).startswith(b"HTTP/1.1 503 ")
        release.set()
        for client in busy:
            assert (await client.read_response())[0] == 200


async def test_without_descriptors_accepting_pauses_without_spinning_and_resumes(
    few_descriptors: int,
) -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held, MAX_CONNECTIONS=10_000) as server:
        busy = await server.connect()
        await busy.send(GET)
        await until(lambda: server.server.active == 1)
        hoard = [os.open("/dev/null", os.O_RDONLY) for _ in range(200) if _can_open()]
        os.close(hoard.pop())
        with socket.socket() as waiting:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", server.port))
            before = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - before < 0.2
            for descriptor in hoard:
                os.close(descriptor)
            release.set()
            assert (await busy.read_response())[0] == 200
            late = await server.connect()
            await late.send(GET)
            assert (await late.read_response())[0] == 200


def _can_open() -> bool:
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return False
    return True
