"""The line for a listening socket: who has accepted goes to its end; pauses and stops leave no trace."""

import asyncio
import os
import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.support import HandlerInterface, hello, running, until
from vivace.config import Config
from vivace.protocols.threads import AtWork, teams
from vivace.server import Server, bind_tcp
from vivace.server.turns import Turns

GET = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_server_beside_others_serves_each_connection_and_leaves_nothing_open() -> None:
    async with running(hello, WORKERS=2) as server:
        for _ in range(50):
            assert (await server.exchange(GET)).endswith(b"hello /a")
        for client in server.clients:
            await client.close()
        server.clients.clear()
        before = descriptors()
        await server.server.stop()
        assert descriptors() < before


async def test_connections_that_come_at_once_are_all_accepted() -> None:
    async with running(hello, WORKERS=2) as server:
        answers = await asyncio.gather(*(server.exchange(GET) for _ in range(100)))
        assert [one.endswith(b"hello /a") for one in answers] == [True] * 100


async def test_a_connection_is_seen_though_it_came_while_nobody_was_in_line() -> None:
    loop = asyncio.get_running_loop()
    seen = 0

    def accept() -> None:
        nonlocal seen
        with listener.accept()[0]:
            seen += 1
        turns.pass_on()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        turns = Turns(loop, listener, accept)
        for count in range(1, 6):
            with socket.create_connection(listener.getsockname()):
                await until(lambda count=count: seen == count)  # type: ignore[misc]
        loop.remove_reader(listener)
        turns.close()
        turns.pass_on()
        turns.close()


async def test_a_system_without_turns_serves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    # Together with these the kernel refuses it.
    monkeypatch.setattr("vivace.server.turns._EXCLUSIVE", (1 << 28) | select.EPOLLPRI)
    async with running(hello, WORKERS=2) as server:
        for _ in range(3):
            assert (await server.exchange(GET)).endswith(b"hello /a")
            await asyncio.sleep(0.01)


async def test_a_loop_that_does_not_show_its_epoll_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.server.turns._epoll_of", lambda loop: None)
    async with running(hello, WORKERS=2) as server:
        assert (await server.exchange(GET)).endswith(b"hello /a")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_socket_that_the_supervisor_has_shut_is_left(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(ACCESS_LOG=False, WORKERS=workers)
    (listener,) = bind_tcp("127.0.0.1", 0, 16)
    server = Server(HandlerInterface(hello), config, [listener])
    await server.start()
    with socket.create_connection(listener.getsockname()) as client:
        await until(lambda: server.connections == 1)
        listener.shutdown(socket.SHUT_RDWR)
        client.sendall(GET)
        client.setblocking(False)
        assert (await asyncio.get_running_loop().sock_recv(client, 4096)).endswith(b"hello /a")
    await asyncio.wait_for(server.stop(2.0, last_call=True, leave=listener.close), 9)
    assert caplog.text == ""


class Crew:
    """A pool of one thread."""

    size = 1

    def __init__(self) -> None:
        self.work: list[AtWork] = []

    def at_work(self) -> list[AtWork]:
        return self.work

    def take(self) -> None:
        stream: Any = SimpleNamespace(head=object())
        self.work = [AtWork(1, "one", stream)]


@pytest.fixture
def crew() -> Iterator[Crew]:
    found = Crew()
    teams.add(found)
    yield found
    teams.discard(found)


async def test_who_has_no_thread_left_leaves_the_line_and_comes_back(crew: Crew) -> None:
    async with running(hello, WORKERS=2) as server:
        (turns,) = [one._turns for one in server.server._acceptors]
        assert turns is not None
        crew.take()
        await until(lambda: turns._away)
        # Nobody else takes it: there may be files to ask for.
        assert (await server.exchange(GET)).endswith(b"hello /a")
        assert turns._away
        crew.work = []
        await until(lambda: not turns._away)
        assert (await server.exchange(GET)).endswith(b"hello /a")


async def test_requests_that_are_soon_over_keep_nobody_from_the_line(crew: Crew) -> None:
    async with running(hello, WORKERS=2) as server:
        (turns,) = [one._turns for one in server.server._acceptors]
        assert turns is not None
        for _ in range(20):
            crew.take()
            turns._consider()  # as it is called each `HELD`
            assert not turns._away


async def test_a_server_stops_though_its_threads_are_held(crew: Crew) -> None:
    before = descriptors()
    async with running(hello, WORKERS=2) as server:
        (turns,) = [one._turns for one in server.server._acceptors]
        assert turns is not None
        crew.take()
        await until(lambda: turns._away)
    assert descriptors() <= before
