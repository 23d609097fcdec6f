"""`@app.sse`: what handlers send, yield and join, heartbeats, coming back, the stop of the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server.support import Running, serving, until
from vivace import Blueprint, Forbidden, Request, Vivace
from vivace.errors import DeclarationError
from vivace.framework.sse import EventStream
from vivace.http.sse import EventParser, ServerEvent
from vivace.interfaces.native import NativeInterface
from vivace.testing import Client


@pytest.fixture
def app() -> Vivace:
    return Vivace("app", configure_logging=False)


@asynccontextmanager
async def served(app: Vivace, **settings: Any) -> AsyncIterator[tuple[Client, Running]]:
    app.config.update({"ACCESS_LOG": False, **settings})
    async with (
        serving(NativeInterface(app), app.config) as server,
        Client(f"http://127.0.0.1:{server.port}") as client,
    ):
        yield client, server


class Source:
    """A browser's ``EventSource``, as far as tests need it."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.parser = EventParser()
        self.events: list[ServerEvent] = []
        self.raw = b""

    async def next(self) -> ServerEvent:
        while not self.events:
            piece = await asyncio.wait_for(self.response.receive(), 30)
            if not piece:
                raise EOFError
            self.raw += piece
            self.events += self.parser.feed(piece)
        return self.events.pop(0)


@asynccontextmanager
async def listening(client: Client, path: str = "/events", last_id: str = "") -> AsyncIterator[Source]:
    headers = {"last-event-id": last_id} if last_id else {}
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status == 200, await response.receive()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        yield Source(response)


async def test_events_that_are_sent(app: Vivace) -> None:
    @app.sse("/events/<n:int>", retry=1500)
    async def handler(request: Request, stream: EventStream, n: int) -> None:
        await stream.send("one\ntwo", event="lines", id="1")
        await stream.comment("nobody sees it")
        await stream.send({"n": n})
        await stream.send(ServerEvent("three", "kind", "3"))
        await stream.send(stream.last_id)

    async with served(app) as (client, _), listening(client, "/events/5", "x") as source:
        found = [await source.next() for _ in range(4)]
        with pytest.raises(EOFError):
            await source.next()
    assert found == [
        ServerEvent("one\ntwo", "lines", "1", 1500),
        ServerEvent('{"n":5}', id="1", retry=1500),
        ServerEvent("three", "kind", "3", 1500),
        ServerEvent("x", id="3", retry=1500),
    ]
    assert b": nobody sees it" in source.raw


async def test_events_that_are_yielded(app: Vivace) -> None:
    ended = asyncio.Event()

    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> Any:
        try:
            for number in range(1_000_000):
                yield number
        finally:
            ended.set()

    async with served(app) as (client, _):
        async with listening(client) as source:
            assert [(await source.next()).data for _ in range(3)] == ["0", "1", "2"]
        await asyncio.wait_for(ended.wait(), 30)


@pytest.mark.parametrize("how", ["sent", "yielded"])
async def test_a_client_that_does_not_read_is_waited_for(app: Vivace, how: str) -> None:
    count = [0]

    async def send(request: Request, stream: EventStream) -> None:
        while True:
            await stream.send("x" * 10_000)
            count[0] += 1

    async def give(request: Request, stream: EventStream) -> Any:
        while True:
            yield "x" * 10_000
            count[0] += 1

    app.sse("/events")(send if how == "sent" else give)
    async with served(app) as (_, server):
        client = await server.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = -1
        while seen != count[0]:
            seen = count[0]
            await asyncio.sleep(0.2)
        assert 0 < count[0] < 3_000


async def test_silence_is_broken_by_comments(app: Vivace) -> None:
    @app.sse("/events", heartbeat=0.02)
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.send("first")
        await asyncio.Event().wait()

    async with served(app) as (client, _), listening(client) as source:
        await source.next()
        while source.raw.count(b":\n\n") < 4:
            source.raw += await asyncio.wait_for(source.response.receive(), 30)


@pytest.mark.parametrize("given", [{"SSE_HEARTBEAT": 0.0}, {"SSE_HEARTBEAT": 60}])
async def test_heartbeats_by_the_setting(app: Vivace, given: Any) -> None:
    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.send("first")
        await asyncio.sleep(0.1)

    async with served(app, **given) as (client, _), listening(client) as source:
        await source.next()
        with pytest.raises(EOFError):
            await source.next()
        assert source.raw.count(b":\n\n") == 1


async def test_what_is_raised_before_the_first_event_is_an_answer(app: Vivace) -> None:
    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        raise Forbidden("not for you")

    async with served(app) as (client, _):
        response = await client.get("/events")
        assert response.status == 403
        assert "not for you" in response.text


async def test_what_is_raised_later_breaks_the_stream(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.send("first")
        raise ValueError("out of cheese")

    async with served(app) as (client, _), listening(client) as source:
        await source.next()
        with pytest.raises(Exception, match="broke off"):
            await source.next()
    assert "out of cheese" in caplog.text


async def test_a_handler_that_is_slow_to_begin_is_not_waited_for(
    app: Vivace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.framework.sse.BEGIN_TIME", 0.01)

    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await asyncio.Event().wait()

    async with served(app) as (client, _), listening(client) as source:
        assert await source.response.receive() == b":\n\n"


async def test_the_stop_of_the_server_ends_streams_whole(app: Vivace) -> None:
    cancelled = asyncio.Event()

    @app.sse("/busy")
    async def busy(request: Request, stream: EventStream) -> None:
        await stream.send("first")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @app.sse("/joined")
    async def joined(request: Request, stream: EventStream) -> None:
        await stream.join("news")

    async with served(app) as (client, server), listening(client, "/busy") as one:
        await one.next()
        async with client.stream("GET", "/joined") as other:
            assert await other.receive() == b":\n\n"
            stopping = asyncio.create_task(server.server.stop(1.0))
            with pytest.raises(EOFError):
                await one.next()
            assert 500 <= (one.parser.retry or 0) <= 5_000, "not all come back at once"
            assert (await other.receive()).startswith(b"retry: ")
            assert await other.receive() == b""
            assert cancelled.is_set()
            assert app.hub.stats()["receivers"] == 0
        await asyncio.wait_for(stopping, 30)


# -- groups -------------------------------------------------------------------------------------------


async def test_groups_and_coming_back(app: Vivace) -> None:
    app.hub.topic("log", history=3)

    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.join("log", event="entry")
        await stream.join("chat")

    async with served(app) as (client, _):
        async with listening(client) as source:
            await until(lambda: app.hub.stats()["receivers"] == 2)
            await app.hub.publish("log", {"n": 1})
            event = await source.next()
            assert (event.data, event.event) == ('{"n":1}', "entry")
            await app.hub.publish("chat", "hello")
            said = await source.next()
            assert (said.data, said.event, said.id) == ("hello", "message", event.id)
        for number in (2, 3):
            await app.hub.publish("log", {"n": number})
        async with listening(client, last_id=event.id) as source:
            assert [(await source.next()).data for _ in range(2)] == ['{"n":2}', '{"n":3}']
            await app.hub.publish("log", {"n": 4})
            assert (await source.next()).data == '{"n":4}'
        await app.hub.publish("log", {"n": 5})
        async with listening(client, last_id=event.id) as source:
            gap = await source.next()
            assert gap.event == "gap"
            assert "not kept any more" in gap.data
        async with listening(client, last_id="rubbish") as source:
            assert (await source.next()).event == "gap"


async def test_who_is_refused_gets_an_answer_and_who_is_revoked_an_end(app: Vivace) -> None:
    allowed = {"ann"}

    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        stream.user = request.args.get("user")
        await stream.join("room", allow=lambda conn, topic: conn.user in allowed)

    async with served(app) as (client, _):
        assert (await client.get("/events?user=bob")).status == 403
        async with listening(client, "/events?user=ann") as source:
            await app.hub.publish("room", "hi")
            assert (await source.next()).data == "hi"
            await app.hub.revoke(user="ann", topic="room")
            await app.hub.publish("room", "secret")
            with pytest.raises(EOFError):
                await source.next()
            assert b"4403" in source.raw
            assert b"secret" not in source.raw
        assert app.hub.stats()["receivers"] == 0


async def test_a_slow_client_of_a_group_is_cut_off(app: Vivace) -> None:
    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.join("room", max_queue=3)

    async with served(app) as (_, server):
        client = await server.connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: app.hub.stats()["receivers"] == 1)
        for _ in range(400):
            await app.hub.publish("room", "x" * 65_536)
            await asyncio.sleep(0)
        await until(lambda: app.hub.stats()["receivers"] == 0)


# -- declaring ----------------------------------------------------------------------------------------


def test_a_handler_that_takes_no_stream_is_refused(app: Vivace) -> None:
    async def alone(request: Request) -> None: ...

    with pytest.raises(DeclarationError, match=r"write \(request, stream, \.\.\.\)"):
        app.sse("/a")(alone)
    with pytest.raises(DeclarationError, match="does not accept the path parameter 'n'"):
        app.sse("/a/<n>")(lambda request, stream: None)
    with pytest.raises(DeclarationError, match="heartbeat=-1"):
        app.sse("/a", heartbeat=-1)(lambda request, stream: None)
    with pytest.raises(TypeError, match="heardbeat"):
        app.sse("/a", heardbeat=1)(lambda request, stream: None)


async def test_on_a_blueprint_and_asked_by_head(app: Vivace) -> None:
    blueprint = Blueprint("bp", url_prefix="/bp/<kind>")

    @blueprint.sse("/events")
    async def handler(request: Request, stream: EventStream, kind: str) -> None:
        await stream.send(kind)

    app.blueprint(blueprint)
    async with served(app) as (client, _):
        assert (await client.get("/bp/x/events")).body == b":\n\ndata: x\n\n"
        head = await client.head("/bp/x/events")
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_who_leaves_in_this_process_leaves_its_groups(app: Vivace) -> None:
    app.config.HUB_LINGER = 0.0

    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> None:
        await stream.join("room")

    async with Client(app) as client:
        async with client.stream("GET", "/events") as response:
            assert await response.receive() == b":\n\n"
            await app.hub.publish("room", "a")
            assert await response.receive() == b"data: a\n\n"
        await until(lambda: app.hub.stats()["receivers"] == 0)


async def test_in_this_process(app: Vivace) -> None:
    @app.sse("/events")
    async def handler(request: Request, stream: EventStream) -> Any:
        yield "a"

    async with Client(app) as client:
        assert (await client.get("/events")).body == b":\n\ndata: a\n\n"
