"""A connection that became a WebSocket: messages, back-pressure, the end of either side, time."""

import asyncio
import logging
from typing import Any

import pytest

from tests.protocols.ws_driver import of_client
from tests.server.support import running, until
from tests.server.ws_support import ECHOES, accept, echo, open_websocket
from vivace.errors import LocalProtocolError, WebsocketClosed
from vivace.protocols.broadcast import Broadcast, Encoded
from vivace.protocols.socket import SocketOptions
from vivace.protocols.stream import Stream
from vivace.protocols.ws import Closed, Ping, Pong
from vivace.server.ws_closing import RESTART_CLOSES_PER_SECOND

DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


@pytest.fixture(params=ECHOES)
def any_echo(request: pytest.FixtureRequest) -> Any:
    return ECHOES[request.param]


async def test_a_websocket_is_opened_and_echoes(any_echo: Any) -> None:
    async with running(any_echo) as server:
        peer = await open_websocket(server)
        assert peer.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\ndate: ")
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in peer.head
        for message in ("hello", b"\xff", "", "x" * 200_000):
            await peer.send(message)
            assert await peer.recv() == message
        assert await peer.close() == 1000
        await until(lambda: server.server.connections == 0)
    assert server.server.active == 0


async def test_messages_of_one_arrival_come_in_order(any_echo: Any) -> None:
    async with running(any_echo) as server:
        peer = await open_websocket(server)
        messages = [str(i) for i in range(500)]
        await peer.send(*messages)
        assert [await peer.recv() for _ in messages] == messages


async def test_what_comes_right_behind_the_handshake_is_not_lost(any_echo: Any) -> None:
    async with running(any_echo) as server:
        peer = await open_websocket(server, behind=of_client(0x81, b"early"))
        assert await peer.recv() == "early"


@pytest.mark.parametrize(("last", "code"), [(of_client(0x88, b"\x03\xe9"), 1001), (of_client(0x83), 1002)])
async def test_what_came_before_the_end_is_answered_before_it(any_echo: Any, last: bytes, code: int) -> None:
    async with running(any_echo) as server:
        peer = await open_websocket(server)
        await peer.client.send(of_client(0x81, b"one") + of_client(0x81, b"two") + last)
        assert [await peer.recv(), await peer.recv()] == ["one", "two"]
        event = await peer.recv()
        assert isinstance(event, Closed)
        assert event.code == code
        assert await peer.client.read_all() == b""


async def test_pings_are_answered_while_the_handler_is_busy() -> None:
    async def busy(stream: Stream) -> None:
        accept(stream)
        await asyncio.Event().wait()

    async with running(busy) as server:
        peer = await open_websocket(server)
        await peer.client.send(of_client(0x89, b"?"))
        assert (await peer.recv()).data == b"?"


async def test_messages_are_compressed_for_who_offers_it() -> None:
    async def talk(stream: Stream) -> None:
        socket = accept(stream, options=SocketOptions(compress=stream.head.query != b"no"))
        await socket.send("a" * 1000)

    async with running(talk) as server:
        peer = await open_websocket(server, DEFLATE)
        assert b"\r\nsec-websocket-extensions: permessage-deflate; " in peer.head
        assert len(await peer.client.reader.readexactly(12)) < 100
        peer = await open_websocket(server)
        assert b"extensions" not in peer.head
        assert await peer.recv() == "a" * 1000
    async with running(talk, WEBSOCKET_COMPRESSION=False) as server:
        peer = await open_websocket(server, DEFLATE)
        assert b"extensions" not in peer.head


async def test_the_answer_names_the_subprotocol_and_our_fields() -> None:
    async def talk(stream: Stream) -> None:
        socket = accept(stream, subprotocol="chat", fields=[(b"x-room", b"1")])
        assert socket.subprotocol == "chat"
        with pytest.raises(LocalProtocolError):
            stream.respond(200, (), b"")

    async with running(talk) as server:
        peer = await open_websocket(server)
        assert b"\r\nsec-websocket-protocol: chat\r\n" in peer.head
        assert b"\r\nx-room: 1\r\n" in peer.head


async def test_what_is_sent_in_one_turn_leaves_in_two_writes() -> None:
    written: list[int] = []

    async def talk(stream: Stream) -> None:
        socket = accept(stream)
        async for _ in socket:
            before = socket.writer.written
            for i in range(10):
                await socket.send(str(i))
            written.append(socket.writer.written - before)
            await socket.send(bytes(100_000))
            await socket.send("end")

    async with running(talk) as server:
        peer = await open_websocket(server)
        await peer.send("go", "go")
        for _ in range(2):
            assert [await peer.recv() for _ in range(10)] == [str(i) for i in range(10)]
            assert await peer.recv() == bytes(100_000)
            assert await peer.recv() == "end"
    # Only the first message of the turn had been handed to the transport when the last one was sent.
    assert written == [3, 0]


# -- back-pressure --------------------------------------------------------------------------------------


async def test_who_does_not_take_its_messages_is_not_read() -> None:
    taken: list[Any] = []
    go = asyncio.Event()
    seen: list[Any] = []

    async def slow(stream: Stream) -> None:
        socket = accept(stream)
        seen.append(socket)
        await go.wait()
        async for message in socket:
            taken.append(message)  # noqa: PERF401  # the test looks at it on the way

    async with running(slow, WEBSOCKET_MAX_QUEUE=4) as server:
        peer = await open_websocket(server)
        await until(lambda: seen)
        await peer.send("1", "2", "3", "4")
        await until(lambda: seen[0].read_paused)
        await peer.send("5")
        await asyncio.sleep(0.05)
        assert not taken
        go.set()
        await until(lambda: len(taken) == 5)
        assert taken == ["1", "2", "3", "4", "5"]
        assert not seen[0].read_paused


async def test_who_does_not_read_is_not_written_to() -> None:
    sent = 0

    async def pour(stream: Stream) -> None:
        nonlocal sent
        socket = accept(stream)
        while sent < 20_000:
            await socket.send(bytes(65_536))
            sent += 1

    async with running(pour, WRITE_TIMEOUT=1.0) as server:
        peer = await open_websocket(server)
        await until(lambda: sent > 5)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 200
        await until(lambda: server.server.connections == 0)
        assert peer.client.reader is not None


async def test_a_client_that_only_pings_and_never_reads_is_not_read_for_ever() -> None:
    seen: list[Any] = []

    async def listen(stream: Stream) -> None:
        socket = accept(stream)
        seen.append(socket)
        socket.listen(lambda _: None)
        await socket.wait_closed()

    async with running(listen) as server:
        peer = await open_websocket(server)
        ping = of_client(0x89, bytes(125)) * 1000
        peer.client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            peer.client.writer.write(ping)
        await until(lambda: seen and seen[0].read_paused)
        peer.client.reset()
        await until(lambda: server.server.connections == 0)


# -- the end --------------------------------------------------------------------------------------------


async def test_a_handler_learns_of_the_end_in_recv_and_send() -> None:
    errors: list[WebsocketClosed] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        for act in (socket.recv, lambda: socket.send("x"), socket.ping, socket.pong):
            try:
                await act()
            except WebsocketClosed as error:
                errors.append(error)

    async with running(handler) as server:
        peer = await open_websocket(server)
        await peer.close(4001)
        await until(lambda: len(errors) == 4)
    assert {error.code for error in errors} == {4001}


async def test_what_came_before_a_lost_connection_can_still_be_taken() -> None:
    go = asyncio.Event()
    taken: list[Any] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        await asyncio.shield(go.wait())
        taken.extend([m async for m in socket])
        taken.append(socket.close_code)

    async with running(handler) as server:
        peer = await open_websocket(server)
        await peer.send("a", "b")
        await asyncio.sleep(0.05)
        await peer.client.close()
        await until(lambda: server.server.connections == 0)
        go.set()
        await until(lambda: taken)
    assert taken == ["a", "b", 1006]


async def test_the_handler_of_a_lost_client_is_cancelled_unless_it_waits_for_messages() -> None:
    ends: list[str] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        try:
            if stream.head.query == b"recv":
                await socket.recv()
            await asyncio.Event().wait()
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    async with running(handler) as server:
        peer = await open_websocket(server)
        peer.client.reset()
        await until(lambda: ends == ["CancelledError"])


async def test_a_server_closes_and_the_client_answers() -> None:
    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        await socket.close(4000, "enough")
        assert (socket.closed, socket.close_code, socket.close_reason) == (True, 4000, "enough")
        with pytest.raises(WebsocketClosed):
            await socket.send("late")

    async with running(handler) as server:
        peer = await open_websocket(server)
        event = await peer.recv()
        assert (event.code, event.reason) == (4000, "enough")
        await peer.client.send(peer.ws.send_close(4000))
        assert await peer.client.read_all() == b""


async def test_a_close_that_is_not_answered_ends_in_time() -> None:
    async def handler(stream: Stream) -> None:
        await accept(stream).close()

    async with running(handler, WEBSOCKET_CLOSE_TIMEOUT=0.2, KEEP_ALIVE_TIMEOUT=0.2) as server:
        peer = await open_websocket(server)
        await peer.recv()
        with pytest.raises(ConnectionError):
            await peer.recv()
        await until(lambda: server.server.connections == 0)


async def test_a_listener_that_fails_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        socket.listen(lambda _: 1 / 0)
        await socket.wait_closed()

    async with running(handler) as server:
        peer = await open_websocket(server)
        await peer.send("x")
        assert (await peer.recv()).code == 1011
    assert "the listener of a WebSocket failed" in caplog.text


@pytest.mark.parametrize(
    ("window", "replaced", "code"), [(0.0, False, 1001), (1.0, False, 1001), (1.0, True, 1012)]
)
async def test_the_server_stops_with_1001_and_restarts_with_1012(
    window: float, replaced: bool, code: int
) -> None:
    async with running(echo) as server:
        peers = [await open_websocket(server) for _ in range(3)]
        stopping = asyncio.create_task(server.server.stop(window, replaced=replaced))
        for peer in peers:
            event = await asyncio.wait_for(peer.recv(), 9)
            assert isinstance(event, Closed)
            assert event.code == code
            await peer.client.send(peer.ws.send_close(code))
        await asyncio.wait_for(stopping, 9)


async def test_a_restart_spreads_what_comes_back() -> None:
    async with running(echo) as server:
        peers = [await open_websocket(server) for _ in range(40)]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stopping = asyncio.create_task(server.server.stop(1.0, replaced=True))
        for peer in peers:
            assert (await asyncio.wait_for(peer.recv(), 9)).code == 1012
            await peer.client.send(peer.ws.send_close(1012))
        assert loop.time() - begun >= 39 / RESTART_CLOSES_PER_SECOND - 0.005  # a loop knows milliseconds
        await asyncio.wait_for(stopping, 9)


async def test_where_nothing_hurries_they_may_leave_by_themselves() -> None:
    async with running(echo) as server:
        early, late = await open_websocket(server), await open_websocket(server)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stopping = asyncio.create_task(server.server.stop(0.1, replaced=True, linger=0.6))
        await asyncio.sleep(0.3)
        await early.send("still there")
        assert await early.recv() == "still there"
        assert await early.close() == 1000
        assert (await asyncio.wait_for(late.recv(), 9)).code == 1012
        assert loop.time() - begun >= 0.6
        await late.client.send(late.ws.send_close(1012))
        await asyncio.wait_for(stopping, 9)


@pytest.mark.parametrize("leaves", [True, False])
async def test_nobody_is_waited_for_who_left_or_must_not_stay(leaves: bool) -> None:
    async with running(echo) as server:
        peer = await open_websocket(server)
        stopping = asyncio.create_task(server.server.stop(0.1, replaced=True, linger=60.0))
        await asyncio.sleep(0.2)
        if leaves:
            assert await peer.close() == 1000
        else:
            server.server.hasten_stop()
            assert (await asyncio.wait_for(peer.recv(), 9)).code == 1012
            await peer.client.send(peer.ws.send_close(1012))
        await asyncio.wait_for(stopping, 9)


async def test_a_client_that_ignores_the_stop_is_cut_within_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    async with running(echo, GRACEFUL_SHUTDOWN_TIMEOUT=0.3) as server:
        await open_websocket(server)
        await asyncio.wait_for(server.server.stop(), 9)
    assert not caplog.records


# -- time -----------------------------------------------------------------------------------------------


async def test_a_silent_client_is_pinged_and_given_up() -> None:
    async with running(
        echo, WEBSOCKET_PING_INTERVAL=0.2, WEBSOCKET_PING_TIMEOUT=0.3, KEEP_ALIVE_TIMEOUT=0.1
    ) as server:
        lively, dead = await open_websocket(server), await open_websocket(server)
        assert isinstance(await dead.recv(), Ping)
        for _ in range(3):
            assert isinstance(await lively.recv(), Ping)
            await lively.client.send(lively.ws.take_answers())
        event = await dead.recv()
        assert isinstance(event, Closed)
        assert event.code == 1011
        assert await lively.close() == 1000


async def test_a_ping_of_ours_gives_the_time_until_its_pong() -> None:
    waited: list[float] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        first, second = await socket.ping(b"1"), await socket.ping()
        with pytest.raises(LocalProtocolError):
            await socket.ping(b"1")
        waited.extend([await first, await second])
        await socket.pong(b"unasked")

    async with running(handler) as server:
        peer = await open_websocket(server)
        await peer.recv()
        second = await peer.recv()
        await peer.client.send(of_client(0x8A, b"unasked") + of_client(0x8A, second.data))
        pong = await peer.recv()
        assert isinstance(pong, Pong)
        assert pong.data == b"unasked"
    assert len(waited) == 2


async def test_a_websocket_is_closed_with_1012_at_its_age_but_not_within_a_message() -> None:
    async with running(echo, WEBSOCKET_MAX_LIFETIME=0.3, KEEP_ALIVE_TIMEOUT=0.1) as server:
        peer, half = await open_websocket(server), await open_websocket(server)
        await half.client.send(of_client(0x01, b"ha"))
        assert (await peer.recv()).code == 1012
        await asyncio.sleep(0.2)
        await half.client.send(of_client(0x80, b"lf"))
        assert await half.recv() == "half"
        assert (await half.recv()).code == 1012


async def test_recv_waits_no_longer_than_it_is_told() -> None:
    results: list[Any] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        assert await socket.recv(timeout=0.01) is None
        waiting = asyncio.ensure_future(socket.recv())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await socket.recv()
        results.append("waits")
        results.append(await waiting)

    async with running(handler) as server:
        peer = await open_websocket(server)
        await until(lambda: results)
        await peer.send("late")
        await until(lambda: len(results) == 2)
    assert results == ["waits", "late"]


async def test_only_text_and_octets_can_be_sent() -> None:
    done: list[bool] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        with pytest.raises(TypeError, match="not int"):
            await socket.send(5)
        await socket.send(bytearray(b"ab"))
        await socket.send(memoryview(b"cd"))
        done.append(True)

    async with running(handler) as server:
        peer = await open_websocket(server)
        assert [await peer.recv(), await peer.recv()] == [b"ab", b"cd"]
        assert done


async def test_waiting_can_be_given_up_and_begun_again() -> None:
    results: list[Any] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    async for _message in socket:
                        pass
        results.append("waited")
        results.append(await socket.recv())

    async with running(handler) as server:
        peer = await open_websocket(server)
        await until(lambda: results)
        await peer.send("late")
        await until(lambda: len(results) == 2)
    assert results == ["waited", "late"]


async def test_a_handler_that_waits_for_something_else_does_not_hold_up_a_stop() -> None:
    ends: list[str] = []

    async def handler(stream: Stream) -> None:
        accept(stream)
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("end")

    async with running(handler) as server:
        peer = await open_websocket(server)
        stopping = asyncio.create_task(server.server.stop())
        assert (await peer.recv()).code == 1001
        await peer.client.send(peer.ws.send_close(1001))
        await asyncio.wait_for(stopping, 9)
    assert ends == ["end"]


# -- messages that many get ---------------------------------------------------------------------------


class Noting:
    """A watcher that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def resumed(self) -> None:
        self.told.append("resumed")

    def ended(self) -> None:
        self.told.append("ended")


async def test_what_is_pushed_arrives_in_order_with_what_is_sent() -> None:
    noting = Noting()
    sockets: list[Any] = []

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        socket.watch(noting)
        sockets.append(socket)
        await socket.send("1")
        await socket.send("2")
        assert socket.push(Broadcast([Encoded.of("3"), Encoded.of("4")]))
        await socket.recv()
        assert socket.push(Broadcast([Encoded.of("5")]))

    async with running(handler) as server:
        peer = await open_websocket(server)
        assert [await peer.recv() for _ in range(4)] == ["1", "2", "3", "4"]
        await peer.send("go on")
        assert await peer.recv() == "5"
        assert await peer.close() == 1000
        assert noting.told == ["ended"]
        assert sockets[0].push(Broadcast([Encoded.of("6")])), "dropped, and no error"


async def test_a_client_that_is_behind_gets_nothing_pushed_until_it_reads() -> None:
    noting = Noting()
    counts: list[int] = []
    message = Broadcast([Encoded.of(b"x" * 65_536)])

    async def handler(stream: Stream) -> None:
        socket = accept(stream)
        socket.watch(noting)
        count = 0
        while socket.push(message):
            count += 1
        counts.append(count)
        await socket.recv()

    async with running(handler) as server:
        peer = await open_websocket(server)
        await until(lambda: len(counts) > 0)
        assert noting.told == []
        for _ in range(counts[0]):
            assert len(await peer.recv()) == 65_536
        await until(lambda: len(noting.told) > 0)
        assert noting.told == ["resumed"]
