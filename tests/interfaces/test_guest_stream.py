"""The stream over a foreign server, used wrongly and by interfaces other than that of a native app."""

import asyncio
from typing import Any

import pytest

from tests.interfaces.guest_support import GuestServer, make_scope
from vivace.errors import BrokenResourceError, ClientDisconnected, LocalProtocolError
from vivace.interfaces import guest_stream


class Plain:
    """An interface that is one function."""

    cancels = True

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __call__(self, stream: Any) -> Any:
        return self._answer(stream)


async def run_stream(answer: Any, server: GuestServer | None = None, patience: float = 0.0) -> GuestServer:
    server = server or GuestServer(make_scope())
    stream = guest_stream.GuestStream(server.scope, server.receive, server.send, patience)
    interface: Any = Plain(answer)
    await asyncio.wait_for(stream.run(interface), 10)
    return server


async def test_misuse_is_refused_as_by_our_own_server() -> None:
    async def answer(stream: Any) -> None:
        for status in (99, 199, 1000, "200"):
            with pytest.raises(LocalProtocolError, match="status"):
                stream.start(status, ())
        for status in (101, 200):
            with pytest.raises(LocalProtocolError, match="interim"):
                stream.inform(status, ())
        with pytest.raises(LocalProtocolError, match="not started"):
            await stream.send(b"a")
        with pytest.raises(LocalProtocolError, match="control"):
            stream.respond(200, [(b"a", b"b\r\nc: d")], b"")
        with pytest.raises(LocalProtocolError, match="token"):
            stream.start(200, [(b"a b", b"c")])
        stream.start(200, ())
        with pytest.raises(LocalProtocolError, match="started before"):
            stream.start(200, ())
        with pytest.raises(LocalProtocolError, match="started before"):
            stream.respond(200, (), b"")
        with pytest.raises(LocalProtocolError, match="interim"):
            stream.inform(103, ())
        with pytest.raises(LocalProtocolError, match="trailer"):
            await stream.end([(b"Content-Length", b"1")])
        await stream.send(bytearray(b"abc"))
        await stream.end()
        await stream.end()
        with pytest.raises(LocalProtocolError, match="is complete"):
            await stream.send(b"d")

    server = await run_stream(answer)
    assert (server.status, server.body, server.ended) == (200, b"abc", True)
    assert type(server.sent[1]["body"]) is bytes


async def test_a_file_is_not_read_for_head() -> None:
    async def answer(stream: Any) -> None:
        stream.start(200, [(b"content-length", b"5")])
        await stream.send_file(-1, 0, 5)
        await stream.end()

    server = await run_stream(answer, GuestServer(make_scope("HEAD")))
    assert (server.fields, server.body) == ({b"content-length": b"5"}, b"")


async def test_whoever_sends_to_a_client_that_left_is_told() -> None:
    async def answer(stream: Any) -> None:
        stream.start(200, ())
        await stream.send(b"a")
        with pytest.raises(asyncio.CancelledError):
            await stream.wait_disconnected()
        with pytest.raises(ClientDisconnected):
            await stream.send(b"b")
        await stream.wait_disconnected()
        stream.abort()
        raise ClientDisconnected("as the framework does")

    server = GuestServer(make_scope())
    server.leave()
    await run_stream(answer, server)
    assert server.body == b"a"


async def test_an_interface_that_knows_no_time_out_is_answered_for() -> None:
    server = await run_stream(lambda stream: asyncio.Event().wait(), patience=0.01)
    assert (server.status, server.body) == (503, b"the response took too long\n")


async def test_a_response_that_was_begun_and_left_is_cut() -> None:
    async def answer(stream: Any) -> None:
        stream.start(200, ())
        await stream.send(b"a")

    with pytest.raises(BrokenResourceError):
        await run_stream(answer)


async def test_an_error_of_a_send_in_the_background_is_told_in_the_end() -> None:
    server = GuestServer(make_scope())
    refused = asyncio.Event()

    async def send(message: Any) -> None:
        refused.set()
        raise RuntimeError("wrong state")

    async def answer(stream: Any) -> None:
        stream.respond(200, (), b"a")
        await refused.wait()

    server.send = send  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="wrong state"):
        await run_stream(answer, server)


async def test_the_handler_takes_over_what_was_asked_for_already() -> None:
    server = GuestServer(make_scope("POST", fields=[(b"content-length", b"3")]), None)

    async def answer(stream: Any) -> None:
        await server.until(lambda: server.asked == 1)
        asyncio.get_running_loop().call_soon(server.give, b"abc")
        stream.respond(200, (), await stream.receive())

    await run_stream(answer, server)
    assert server.body == b"abc"


async def test_an_error_of_the_servers_receive_is_raised_to_who_asks() -> None:
    server = GuestServer(make_scope("POST", fields=[(b"content-length", b"3")]), None)

    async def receive() -> dict[str, Any]:
        server.asked += 1
        raise RuntimeError("wrong state")

    async def answer(stream: Any) -> None:
        while not server.asked:
            await asyncio.sleep(0.001)
        with pytest.raises(RuntimeError, match="wrong state"):
            await stream.receive()
        stream.respond(200, (), b"a")

    server.receive = receive  # type: ignore[method-assign]
    await run_stream(answer, server)
    assert (server.body, server.asked) == (b"a", 1)


async def test_an_interface_that_gives_no_answer_is_a_500() -> None:
    class Silent:
        cancels = True

        async def __call__(self, stream: Any) -> None:
            return None

    server = GuestServer(make_scope())
    stream = guest_stream.GuestStream(server.scope, server.receive, server.send, 0.0)
    await stream.run(Silent())  # type: ignore[arg-type]
    assert server.status == 500
    assert b"no answer" in server.body


async def test_an_interface_may_answer_later_by_other_means() -> None:
    class Later:
        cancels = False

        def __call__(self, stream: Any) -> None:
            asyncio.get_running_loop().call_later(0.01, stream.respond, 200, (), b"later")

    server = GuestServer(make_scope())
    stream = guest_stream.GuestStream(server.scope, server.receive, server.send, 0.0)
    await stream.run(Later())  # type: ignore[arg-type]
    assert server.body == b"later"


async def test_an_answer_to_a_client_that_left_is_dropped() -> None:
    went_on: list[str] = []

    class TooLate:
        cancels = False

        async def __call__(self, stream: Any) -> None:
            await stream.wait_disconnected()
            stream.inform(103, ())
            stream.respond(200, (), b"too late")
            await asyncio.sleep(0)
            went_on.append("not cancelled, as it asked for")

    server = GuestServer(make_scope(extensions={"http.response.early_hint": {}}))
    server.leave()
    stream = guest_stream.GuestStream(server.scope, server.receive, server.send, 0.0)
    await stream.run(TooLate())  # type: ignore[arg-type]
    assert server.sent == []
    assert went_on
