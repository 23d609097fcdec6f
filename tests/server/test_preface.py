"""Connections that begin with a header of the PROXY protocol: only where that is asked for."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.server.support import Client, HandlerInterface, Running, running, until
from vivace.config import Config
from vivace.protocols.proxy import SIGNATURE
from vivace.protocols.stream import Stream
from vivace.server import Server, bind_tcp, bind_unix

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LINE = b"PROXY TCP4 203.0.113.7 198.51.100.1 1234 443\r\n"
TEXT = ((b"content-type", b"text/plain"),)
ON: dict[str, Any] = {"PROXY_PROTOCOL": "on"}


async def ends(stream: Stream) -> None:
    """Answers with what is known of the connection."""
    stream.respond(200, TEXT, f"{stream.client} {stream.server} {stream.scheme}".encode())


async def ask(server: Running, data: bytes) -> str:
    return (await server.exchange(data)).partition(b"\r\n\r\n")[2].decode()


def binary(command: int, block: bytes, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


TCP4 = bytes([1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187])


async def test_the_addresses_are_those_of_the_client() -> None:
    async with running(ends, **ON) as server:
        assert await ask(server, LINE + GET) == "('203.0.113.7', 1234) ('198.51.100.1', 443) http"
        assert await ask(server, binary(0x21, TCP4) + GET) == "('1.2.3.4', 80) ('5.6.7.8', 443) http"
        assert (await ask(server, b"PROXY TCP6 ::1 ::2 5 6\r\n" + GET)).startswith("('::1', 5) ('::2', 6)")
        tls = binary(0x21, TCP4 + b"\x20\x00\x05\x01\x00\x00\x00\x00")
        assert (await ask(server, tls + GET)).endswith(" https")


async def test_without_a_client_the_addresses_are_those_of_the_connection() -> None:
    async with running(ends, **ON) as server:
        for header in (b"PROXY UNKNOWN\r\n", binary(0x20, b"", 0), binary(0x20, TCP4)):
            client, own = (await ask(server, header + GET)).split(") (")
            assert client.startswith("('127.0.0.1', ")
            assert own == f"'127.0.0.1', {server.port}) http"


async def test_a_header_may_come_in_pieces() -> None:
    async with running(ends, **ON) as server:
        client = await server.connect()
        for octet in LINE:
            await client.send(bytes([octet]))
            await asyncio.sleep(0.001)
        await client.send(GET)
        assert b"('203.0.113.7', 1234)" in await client.read_all()
        await client.close()
        await until(lambda: server.server.connections == 0)


async def test_only_the_first_octets_of_a_connection_are_a_header() -> None:
    async with running(ends, **ON) as server:
        answer = await server.exchange(LINE + GET.replace(b"Connection: close\r\n", b"") + LINE + GET)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 400" in answer


@pytest.mark.parametrize(
    "data", [GET, b"PROXY TCP4 1.1.1.1\r\n" + GET, SIGNATURE + b"\x31\x11\x00\x00" + GET]
)
async def test_what_is_no_header_is_closed_without_an_answer(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(ends, **ON) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert server.server.connections == 0
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.getMessage().startswith("a connection of 127.0.0.1 was closed: ")


async def test_a_look_whether_somebody_listens_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with running(ends, **ON) as server:
        for data in (b"", b"PROX"):
            client = await server.connect()
            await client.send(data)
            await client.close()
            await until(lambda: server.server.connections == 0)
            expected = 1 if data else 0
            assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == expected


async def test_others_than_the_proxy_are_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    async with running(ends, **ON, PROXY_PROTOCOL_FROM="10.0.0.0/8 unix") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert "127.0.0.1 was turned away: not in PROXY_PROTOCOL_FROM (0 open)" in caplog.text


async def test_without_the_setting_a_header_is_a_malformed_request() -> None:
    async with running(ends) as server:
        assert (await server.exchange(LINE + GET)).startswith(b"HTTP/1.1 400")


async def test_a_header_that_does_not_come_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async with running(ends, **ON, HEAD_TIMEOUT=0.05) as server:
        client = await server.connect()
        await client.send(LINE[:-1])
        assert await client.read_all() == b""
        assert server.server.connections == 0
    assert "its PROXY header did not come in time" in caplog.text


async def test_who_has_sent_no_header_gives_way() -> None:
    async with running(ends, **ON, MAX_CONNECTIONS=2) as server:
        waiting = [await server.connect() for _ in range(2)]
        await until(lambda: server.server.connections == 2)
        assert "203.0.113.7" in await ask(server, LINE + GET)
        closed = [asyncio.ensure_future(client.read_all()) for client in waiting]
        done, left = await asyncio.wait(closed, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [b""]
        left.pop().cancel()


@pytest.mark.parametrize("window", [0.0, 0.2])
async def test_a_stop_does_not_wait_for_headers(window: float) -> None:
    async with running(ends, **ON, GRACEFUL_SHUTDOWN_TIMEOUT=10) as server:
        client = await server.connect()
        await until(lambda: server.server.connections == 1)
        async with asyncio.timeout(9):
            await server.server.stop(window)
        assert await client.read_all() == b""


@pytest.mark.parametrize("window", [0.0, 0.2])
async def test_a_client_that_came_before_the_stop_is_answered(window: float) -> None:
    async with running(ends, **ON) as server:
        client = await server.connect()
        await client.send(LINE[:9])
        await until(lambda: server.server.connections == 1)
        stop = asyncio.ensure_future(server.server.stop(window))
        await client.send(LINE[9:] + GET)
        assert b"203.0.113.7" in await client.read_all()
        await client.close()
        await stop


@contextlib.asynccontextmanager
async def on_sockets(sockets: list[socket.socket], **settings: Any) -> AsyncIterator[Server]:
    config = Config(ACCESS_LOG=False, **settings)
    server = Server(HandlerInterface(ends), config, sockets)
    await server.start()
    try:
        yield server
    finally:
        server.force_stop()
        await server.stop()
        for one in sockets:
            one.close()


async def test_one_address_may_be_behind_a_proxy_and_another_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    (plain,), (proxied,) = bind_tcp("127.0.0.1", 0, 16), bind_tcp("127.0.0.1", 0, 16)
    proxied.proxied = True  # type: ignore[attr-defined]
    path = str(tmp_path_factory.mktemp("s") / "x")
    unix = bind_unix(path, 0o600, 16)
    unix.proxied = True  # type: ignore[attr-defined]
    async with on_sockets([plain, proxied, unix]):
        answers = []
        for one, data in ((plain, GET), (proxied, LINE + GET)):
            client = Client(*await asyncio.open_connection(*one.getsockname()))
            await client.send(data)
            answers.append(await client.read_all())
            await client.close()
        client = Client(*await asyncio.open_unix_connection(path))
        await client.send(LINE + GET)
        answers.append(await client.read_all())
        await client.close()
    assert [b"203.0.113.7" in answer for answer in answers] == [False, True, True]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
async def test_a_socket_for_both_families_shows_ipv4_addresses_as_such() -> None:
    both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    both.setblocking(False)
    port = both.getsockname()[1]
    async with on_sockets([both]):
        answers = []
        for host in ("127.0.0.1", "::1"):
            client = Client(*await asyncio.open_connection(host, port))
            await client.send(GET)
            answers.append((await client.read_all()).partition(b"\r\n\r\n")[2].decode())
            await client.close()
    assert answers[0].startswith("('127.0.0.1', ")
    assert answers[1].startswith("('::1', ")
