"""A connection answers requests in order, over real sockets, and comes to an orderly end."""

import asyncio
import logging

import pytest

from tests.server.support import TEXT, echo, hello, running, until
from vivace.errors import ClientDisconnected, LocalProtocolError
from vivace.protocols.stream import Stream

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_keep_alive_serves_one_request_after_another() -> None:
    async with running(hello) as server:
        client = await server.connect()
        for _ in range(3):
            await client.send(GET)
            status, head, body = await client.read_response()
            assert (status, body) == (200, b"hello /a")
            assert b"\r\ndate: " in head.lower()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(stream: Stream) -> None:
        if stream.head.path == b"/0":
            await asyncio.sleep(0.02)
        await hello(stream)

    async with running(slow_first) as server:
        client = await server.connect()
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)))
        assert [(await client.read_response())[2] for _ in range(20)] == [b"hello /%d" % n for n in range(20)]


async def test_a_thousand_pipelined_requests_in_one_segment_do_not_recurse() -> None:
    async with running(hello) as server:
        client = await server.connect()
        await client.send(GET * 1000)
        for _ in range(1000):
            assert (await client.read_response())[0] == 200


async def test_pipelined_bodies_do_not_mix() -> None:
    bodies = [b"%d" % n * n for n in range(1, 21)]
    async with running(echo) as server:
        client = await server.connect()
        await client.send(
            b"".join(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(b), b) for b in bodies
            )
        )
        assert [(await client.read_response())[2] for _ in bodies] == bodies


async def test_reading_stops_while_a_client_pipelines_without_end() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held, REQUEST_BUFFER_SIZE=65_536) as server:
        client = await server.connect()
        client.writer.transport.set_write_buffer_limits(high=0)
        client.writer.write(GET * 2_000_000)
        await until(lambda: server.server.active == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.writer.drain(), 0.5)
        (connection,) = server.server._state.connections  # type: ignore[union-attr]
        assert connection.unread() < 1 << 20
        client.reset()
        release.set()


async def test_an_upload_behind_a_full_pipeline_is_read_to_its_end() -> None:
    async with running(echo, REQUEST_BUFFER_SIZE=1024) as server:
        client = await server.connect()
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
        await client.send(GET * 500 + head + b"x" * 1000)
        for _ in range(500):
            assert (await client.read_response())[0] == 200
        await client.send(b"x" * 499_000)
        assert len((await client.read_response())[2]) == 500_000


async def test_many_unread_bodies_in_one_segment_do_not_recurse() -> None:
    post = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    async with running(hello) as server:
        client = await server.connect()
        await client.send(post * 2000)
        for _ in range(2000):
            assert (await client.read_response())[2] == b"hello /p"


async def test_a_body_that_is_wrong_from_its_first_octet_is_not_handed_to_the_app() -> None:
    seen: list[bytes] = []

    async def notes(stream: Stream) -> None:
        seen.append(stream.head.path)
        await echo(stream)

    async with running(notes) as server:
        reply = await server.exchange(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        )
        assert reply.startswith(b"HTTP/1.1 400 ")
        assert seen == []
        assert server.server.active == 0


async def test_chunked_upload_and_trailers() -> None:
    async with running(echo) as server:
        client = await server.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert (await client.read_response())[2] == b"hello world"
        await client.send(GET)
        assert (await client.read_response())[2] == b""


async def test_continue_is_sent_when_the_app_reads_and_not_before() -> None:
    reading = asyncio.Event()

    async def waits(stream: Stream) -> None:
        await reading.wait()
        await echo(stream)

    async with running(waits) as server:
        client = await server.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.1)
        reading.set()
        assert (await client.read_head()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"ok")
        assert (await client.read_response())[2] == b"ok"


async def test_a_refusal_in_place_of_continue_closes() -> None:
    async with running(hello) as server:
        reply = await server.exchange(
            b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in reply.lower()


async def test_http_1_0_closes_unless_asked_to_keep_alive() -> None:
    async with running(hello) as server:
        assert (await server.exchange(b"GET /a HTTP/1.0\r\n\r\n")).endswith(b"hello /a")
        client = await server.connect()
        for _ in range(2):
            await client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.read_response())[0] == 200


async def test_connection_close_is_honoured_and_nothing_after_it_is_read() -> None:
    async with running(hello) as server:
        reply = await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: x, CLOSE\r\n\r\n" + GET)
        assert reply.count(b"HTTP/1.1") == 1
        assert b"\r\nconnection: close\r\n" in reply.lower()


async def test_keep_alive_off_closes_after_each_response() -> None:
    async with running(hello, KEEP_ALIVE=False) as server:
        assert b"connection: close" in (await server.exchange(GET)).lower()


async def test_head_has_no_content() -> None:
    async with running(hello) as server:
        reply = await server.exchange(b"HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"content-length: 8" in reply.lower()
        assert reply.endswith(b"\r\n\r\n")


async def test_a_streamed_response_is_chunked() -> None:
    async def streams(stream: Stream) -> None:
        stream.start(200, TEXT)
        for part in (b"one", b"", b"two"):
            await stream.send(part)
        await stream.end()

    async with running(streams) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(GET)
            head = await client.read_head()
            assert b"transfer-encoding: chunked" in head.lower()
            body = await client.reader.readuntil(b"0\r\n\r\n")
            assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_a_streamed_response_to_http_1_0_ends_with_the_connection() -> None:
    async def streams(stream: Stream) -> None:
        stream.start(200, TEXT)
        await stream.send(b"one")
        await stream.end()

    async with running(streams) as server:
        reply = await server.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"chunked" not in reply.lower()
        assert reply.endswith(b"\r\n\r\none")


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000

    async def large(stream: Stream) -> None:
        stream.respond(200, TEXT, body)

    async with running(large) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(GET)
            assert (await client.read_response())[2] == body


async def test_a_large_body_of_a_head_request_is_not_sent() -> None:
    async def large(stream: Stream) -> None:
        stream.respond(200, TEXT, b"x" * 100_000)

    async with running(large) as server:
        reply = await server.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"content-length: 100000" in reply.lower()
        assert reply.endswith(b"\r\n\r\n")


async def test_an_early_answer_to_a_large_upload_reaches_the_client() -> None:
    async def refuses(stream: Stream) -> None:
        stream.respond(413, TEXT, b"too large")

    async with running(refuses) as server:
        client = await server.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 200_000)
        status, head, body = await client.read_response()
        assert (status, body) == (413, b"too large")
        assert b"connection: close" in head.lower()


async def test_a_small_unread_body_does_not_become_the_next_request() -> None:
    async with running(hello) as server:
        client = await server.connect()
        await client.send(
            b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(GET), GET) + GET
        )
        assert (await client.read_response())[2] == b"hello /p"
        assert (await client.read_response())[2] == b"hello /a"


@pytest.mark.parametrize("size", [60_000, 70_000])
async def test_an_unread_body_is_skipped_up_to_its_limit(size: int) -> None:
    async with running(hello) as server:
        client = await server.connect()
        await client.send(b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        _, head, _ = await client.read_response()
        assert (b"connection: close" in head.lower()) == (size > 65_536)
        if size < 65_536:
            await client.send(b"x" * size + GET)
            assert (await client.read_response())[2] == b"hello /a"


async def test_a_good_request_is_answered_before_the_rubbish_behind_it() -> None:
    async with running(hello) as server:
        reply = await server.exchange(GET + b"BAD\x00REQUEST\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 400 " in reply


async def test_a_half_closed_client_gets_its_answer() -> None:
    async def soon(stream: Stream) -> None:
        await asyncio.sleep(0.05)
        await hello(stream)

    async with running(soon) as server:
        client = await server.connect()
        await client.send(GET)
        client.shut_down()
        assert (await client.read_all()).endswith(b"hello /a")


async def test_the_handler_is_cancelled_when_the_client_is_gone() -> None:
    cancelled = asyncio.Event()

    async def waits(stream: Stream) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    for leave in ("close", "reset"):
        cancelled.clear()
        async with running(waits, HALF_CLOSE_TIMEOUT=0.1) as server:
            client = await server.connect()
            await client.send(GET)
            await until(lambda: server.server.active == 1)
            await client.close() if leave == "close" else client.reset()
            await asyncio.wait_for(cancelled.wait(), 9)
            await until(lambda: server.server.active == 0 and server.server.connections == 0)


async def test_a_body_that_breaks_off_is_an_error_and_no_end() -> None:
    seen: list[object] = []

    async def reads(stream: Stream) -> None:
        try:
            while data := await stream.receive():
                seen.append(data)
            seen.append("end")
        except BaseException as error:
            seen.append(type(error))
            raise

    for framing in (b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"):
        seen.clear()
        async with running(reads) as server:
            client = await server.connect()
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
            await until(lambda: seen)
            await client.close()
            await until(lambda: len(seen) == 2)
            assert seen[0] == b"half"
            assert seen[1] in (ClientDisconnected, asyncio.CancelledError)


async def test_bad_framing_in_the_middle_of_a_body_is_400_and_the_app_sees_a_disconnect() -> None:
    seen: list[object] = []

    async def reads(stream: Stream) -> None:
        try:
            while data := await stream.receive():
                seen.append(data)
        except BaseException as error:
            seen.append(type(error))
            raise

    async with running(reads) as server:
        client = await server.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello")
        await until(lambda: seen == [b"hello"])
        await client.send(b"XX0\r\n\r\n")
        assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")
        assert seen[1:] in ([ClientDisconnected], [asyncio.CancelledError])


async def test_a_handler_that_gives_no_answer_is_500() -> None:
    async def silent(stream: Stream) -> None:
        return

    async with running(silent) as server:
        assert (await server.exchange(GET)).startswith(b"HTTP/1.1 500 ")


async def test_a_handler_that_raises_is_500_without_a_trace_of_why(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(stream: Stream) -> None:
        raise RuntimeError("the secret")

    async with running(fails) as server:
        reply = await server.exchange(GET)
    assert reply.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in reply
    assert "the secret" in caplog.text


async def test_an_error_after_the_start_cuts_the_response() -> None:
    async def fails(stream: Stream) -> None:
        stream.start(200, TEXT)
        await stream.send(b"part")
        raise RuntimeError

    async with running(fails) as server:
        logging.getLogger("vivace.server").disabled = True
        client = await server.connect()
        await client.send(GET)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readuntil(b"0\r\n\r\n")
        logging.getLogger("vivace.server").disabled = False


@pytest.mark.parametrize(
    "field",
    [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x", b"a\x00"), (b"a b", b"c"), (b"", b"c"), (b"x:y", b"c")],
)
async def test_illegal_response_fields_are_refused_before_anything_is_sent(
    field: tuple[bytes, bytes],
) -> None:
    async def injects(stream: Stream) -> None:
        with pytest.raises(LocalProtocolError):
            stream.respond(200, [field], b"")
        with pytest.raises(LocalProtocolError):
            stream.start(200, [field])
        stream.respond(200, TEXT, b"clean")

    async with running(injects) as server:
        client = await server.connect()
        await client.send(GET)
        assert (await client.read_response())[2] == b"clean"


async def test_a_second_response_is_refused() -> None:
    seen: list[Exception] = []

    async def twice(stream: Stream) -> None:
        stream.respond(200, TEXT, b"first")
        try:
            stream.respond(200, TEXT, b"second")
        except LocalProtocolError as error:
            seen.append(error)

    async with running(twice) as server:
        client = await server.connect()
        await client.send(GET)
        assert (await client.read_response())[2] == b"first"
        await client.send(GET)
        assert (await client.read_response())[2] == b"first"
        assert len(seen) == 2


@pytest.mark.parametrize("parts", [[b"123456"], [b"123"]])
async def test_a_streamed_body_that_differs_from_its_length_is_cut(parts: list[bytes]) -> None:
    async def wrong(stream: Stream) -> None:
        stream.start(200, [*TEXT, (b"content-length", b"5")])
        for part in parts:
            await stream.send(part)
        await stream.end()

    async with running(wrong) as server:
        logging.getLogger("vivace.server").disabled = True
        client = await server.connect()
        await client.send(GET + GET)
        reply = await client.read_all()
        logging.getLogger("vivace.server").disabled = False
        assert reply.count(b"HTTP/1.1") <= 1
        assert len(reply.partition(b"\r\n\r\n")[2]) < 5


async def endless(stream: Stream) -> None:
    stream.start(200, TEXT)
    while True:
        await stream.send(b"x" * 1000)


async def test_an_endless_stream_to_a_quick_reader_does_not_keep_others_out() -> None:
    async def app(stream: Stream) -> None:
        await (endless(stream) if stream.head.path == b"/endless" else hello(stream))

    async with running(app) as server:
        greedy, other = await server.connect(), await server.connect()
        await greedy.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        reading = asyncio.create_task(greedy.reader.read(1 << 24))
        await other.send(GET)
        assert (await other.read_response())[0] == 200
        reading.cancel()
        greedy.reset()


async def test_head_ends_an_endless_stream() -> None:
    async with running(endless) as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        await until(lambda: server.server.active == 0)


async def test_head_of_a_streamed_response_of_known_length() -> None:
    async def counted(stream: Stream) -> None:
        stream.start(200, [*TEXT, (b"content-length", b"6")])
        await stream.send(b"one")
        await stream.send(b"two")
        await stream.end()

    async with running(counted) as server:
        client = await server.connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
        assert b"content-length: 6" in (await client.read_head()).lower()
        assert (await client.read_response())[2] == b"onetwo"


@pytest.mark.parametrize("size", [100, 20_000])
async def test_a_wrong_length_of_a_whole_response_is_refused_before_anything_is_sent(size: int) -> None:
    async def wrong(stream: Stream) -> None:
        with pytest.raises(LocalProtocolError):
            stream.respond(200, [(b"content-length", b"5")], b"x" * size)
        stream.respond(500, TEXT, b"mended")

    async with running(wrong) as server:
        client = await server.connect()
        await client.send(GET)
        assert (await client.read_response())[::2] == (500, b"mended")


async def test_reading_again_after_a_reader_gave_up_waiting() -> None:
    async def patient(stream: Stream) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.receive(), 0.02)
        stream.respond(200, TEXT, await stream.receive())

    async with running(patient) as server:
        client = await server.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        await asyncio.sleep(0.05)
        await client.send(b"ok")
        assert (await client.read_response())[2] == b"ok"


async def test_a_client_that_leaves_behind_a_pipeline_is_noticed() -> None:
    async def second_waits(stream: Stream) -> None:
        if stream.head.path == b"/2":
            stream.start(200, TEXT)
            await stream.send(b"part")
            await asyncio.Event().wait()
        await hello(stream)

    async with running(second_waits, HALF_CLOSE_TIMEOUT=0.05) as server:
        client = await server.connect()
        await client.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shut_down()
        await client.read_all()
        await until(lambda: server.server.active == 0 and server.server.connections == 0)


async def test_waiting_for_the_disconnect_ends_with_the_exchange() -> None:
    ended = asyncio.Event()

    async def waits(stream: Stream) -> None:
        async def watch() -> None:
            await stream.wait_disconnected()
            await stream.wait_disconnected()
            ended.set()

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await hello(stream)
        await watching

    async with running(waits) as server:
        client = await server.connect()
        await client.send(GET)
        await client.read_response()
        await asyncio.wait_for(ended.wait(), 9)


async def test_an_exception_of_no_common_kind_is_500(caplog: pytest.LogCaptureFixture) -> None:
    class Strange(BaseException):
        pass

    async def fails(stream: Stream) -> None:
        raise Strange

    async with running(fails) as server:
        assert (await server.exchange(GET)).startswith(b"HTTP/1.1 500 ")
    assert "Strange" in caplog.text


async def test_aborting_a_complete_response_leaves_the_next_request_alone() -> None:
    async def aborts(stream: Stream) -> None:
        await hello(stream)
        await asyncio.sleep(0.02)
        stream.abort()

    async with running(aborts) as server:
        client = await server.connect()
        await client.send(GET)
        await client.read_response()
        await client.send(GET)
        assert (await client.read_response())[0] == 200
        await asyncio.sleep(0.05)
        await client.send(GET)
        assert (await client.read_response())[0] == 200


async def test_requests_beyond_the_concurrency_limit_are_503() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held, MAX_CONCURRENT_REQUESTS=2) as server:
        held_clients = [await server.connect() for _ in range(2)]
        for client in held_clients:
            await client.send(GET)
        await until(lambda: server.server.active == 2)
        refused = await server.exchange(GET)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in refused.lower()
        release.set()
        for client in held_clients:
            assert (await client.read_response())[0] == 200


async def test_work_after_the_response_goes_on_and_does_not_hold_up_the_next_request() -> None:
    finished: list[bytes] = []
    release = asyncio.Event()

    async def works_on(stream: Stream) -> None:
        await hello(stream)
        if stream.head.path == b"/a":
            await release.wait()
        finished.append(stream.head.path)

    async with running(works_on) as server:
        client = await server.connect()
        await client.send(GET)
        await client.read_response()
        await client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.read_response())[2] == b"hello /b"
        await until(lambda: finished == [b"/b"])
        release.set()
        await until(lambda: finished == [b"/b", b"/a"])
