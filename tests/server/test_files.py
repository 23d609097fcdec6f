"""A file goes out whole, to fast and slow clients, and its descriptor does not outlive it."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.server.support import TEXT, running, until
from vivace.errors import BrokenResourceError, ClientDisconnected
from vivace.protocols.stream import Stream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SIZE = 5_000_000


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    return path


class FileApp:
    """Sends a part of a file; remembers how it ended."""

    def __init__(self, path: Path, offset: int = 0, count: int = SIZE, *, chunked: bool = False) -> None:
        self.path = path
        self.offset = offset
        self.count = count
        self.chunked = chunked
        self.ended: list[str] = []

    async def __call__(self, stream: Stream) -> None:
        length = [] if self.chunked else [(b"content-length", b"%d" % self.count)]
        with self.path.open("rb") as file:
            stream.start(200, [*TEXT, *length])
            try:
                await stream.send_file(file.fileno(), self.offset, self.count)
                await stream.end()
                self.ended.append("whole")
            except BaseException as error:
                self.ended.append(type(error).__name__)
                raise


async def test_a_file_arrives_whole_and_the_connection_goes_on(content: Path) -> None:
    async with running(FileApp(content)) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(GET)
            assert (await client.read_response())[2] == content.read_bytes()


async def test_a_part_of_a_file(content: Path) -> None:
    async with running(FileApp(content, 1000, 70_000)) as server:
        client = await server.connect()
        await client.send(GET)
        assert (await client.read_response())[2] == content.read_bytes()[1000:71_000]


async def test_a_file_in_a_chunked_response(content: Path) -> None:
    async with running(FileApp(content, 0, 100_000, chunked=True)) as server:
        client = await server.connect()
        await client.send(GET)
        assert b"chunked" in (await client.read_head()).lower()
        assert await client.reader.readexactly(7) == b"186a0\r\n"
        assert await client.reader.readexactly(100_000) == content.read_bytes()[:100_000]
        assert await client.reader.readexactly(7) == b"\r\n0\r\n\r\n"


async def test_head_sends_no_content(content: Path) -> None:
    async with running(FileApp(content)) as server:
        reply = await server.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"content-length: 5000000" in reply.lower()
        assert reply.endswith(b"\r\n\r\n")


async def test_a_slow_reader_gets_it_whole_while_others_are_served(content: Path) -> None:
    async with running(FileApp(content)) as server:
        slow, quick = await server.connect(), await server.connect()
        await slow.send(GET)
        await slow.read_head()
        await quick.send(GET)
        assert len((await quick.read_response())[2]) == SIZE
        received = b""
        while len(received) < SIZE:
            received += await slow.reader.read(200_000)
        assert received == content.read_bytes()


async def test_a_client_gone_in_mid_download_ends_it(content: Path) -> None:
    app = FileApp(content)
    async with running(app) as server:
        client = await server.connect()
        await client.send(GET)
        await client.reader.readexactly(1000)
        open_before = len(os.listdir("/proc/self/fd"))
        client.reset()
        await until(lambda: app.ended)
        await until(lambda: server.server.connections == 0)
        assert app.ended[0] in (ClientDisconnected.__name__, asyncio.CancelledError.__name__)
        assert len(os.listdir("/proc/self/fd")) < open_before


async def test_a_file_that_became_shorter_cuts_the_response(content: Path) -> None:
    app = FileApp(content, 0, SIZE + 1000)
    async with running(app) as server:
        client = await server.connect()
        await client.send(GET)
        received = b""
        try:
            while piece := await client.reader.read(1 << 20):
                received += piece
        except ConnectionError:
            pass
        assert len(received.partition(b"\r\n\r\n")[2]) <= SIZE
        assert app.ended == [BrokenResourceError.__name__]


async def test_a_reader_that_stops_is_dropped_after_write_timeout(content: Path) -> None:
    app = FileApp(content)
    async with running(app, WRITE_TIMEOUT=0.3) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        await until(lambda: app.ended)
        assert app.ended[0] != "whole"
