"""Clients in groups: who gets what, in which form, once; leaving; the past; nothing leaks."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from tests.server.support import serving, until
from vivace import Request, Vivace, Websocket, WebsocketClosed
from vivace.errors import DeclarationError
from vivace.framework.groups.fanout import fanout_of
from vivace.framework.sse import EventStream
from vivace.interfaces.native import NativeInterface
from vivace.testing import Client


@pytest.fixture
def app() -> Vivace:
    app = Vivace("app", configure_logging=False)
    app.config.HUB_LINGER = 0.0

    @app.websocket("/ws/<topic>")
    async def plain(request: Request, ws: Websocket, topic: str) -> None:
        joined = await ws.join(topic, **request.app.ctx.options)
        await ws.send_json({"id": ws.id, "recovered": joined.recovered, "position": str(joined.position)})
        async for _ in ws:
            pass

    app.ctx.options = {}
    return app


@pytest.fixture(params=["in process", "socket"])
async def client(app: Vivace, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == "in process":
        async with Client(app) as client:
            yield client
    else:
        app.config.ACCESS_LOG = False
        async with (
            serving(NativeInterface(app), app.config) as server,
            Client(f"http://127.0.0.1:{server.port}") as client,
        ):
            yield client


@asynccontextmanager
async def joined(client: Client, topic: str = "room", **options: Any) -> AsyncIterator[Any]:
    async with client.websocket(f"/ws/{topic}", **options) as ws:
        yield ws, await ws.recv_json()


def is_empty(app: Vivace) -> bool:
    fanout = fanout_of(app.hub)
    stats = app.hub.stats()
    return not (
        fanout.rooms or fanout.outlets or fanout.admission.verdicts or fanout.admission.tasks
    ) and not (stats["receivers"] or stats["topics"])


# -- who gets what ------------------------------------------------------------------------------------


async def test_what_is_published_reaches_all_members_in_order(app: Vivace, client: Client) -> None:
    async with (
        joined(client) as (one, _),
        joined(client, compress=True) as (two, _),
        joined(client, "other") as (other, _),
    ):
        sent = ["text", b"\x00\xff", {"a": 1}, [1], "x" * 10_000, None]
        for data in sent:
            await app.hub.publish("room", data)
        expected = ["text", b"\x00\xff", '{"a":1}', "[1]", "x" * 10_000, "null"]
        for ws in (one, two):
            assert [await ws.recv() for _ in sent] == expected
        await app.hub.publish("other", "mine")
        assert await other.recv() == "mine"
    await until(lambda: is_empty(app))


async def test_the_sender_can_be_left_out(app: Vivace, client: Client) -> None:
    async with joined(client) as (one, told), joined(client) as (two, other):
        assert told["id"] != other["id"]
        await app.hub.publish("room", "a")
        await app.hub.publish("room", "b", exclude=told["id"])
        await app.hub.publish("room", "c", exclude="nobody")
        assert [await one.recv() for _ in range(2)] == ["a", "c"]
        assert [await two.recv() for _ in range(3)] == ["a", "b", "c"]


async def test_a_message_is_made_once_for_all_who_want_one_form(app: Vivace, client: Client) -> None:
    calls: list[Any] = []

    def encode(message: Any) -> str | None:
        calls.append(message.data)
        return None if message.data == "skip" else f"<{message.data}>"

    app.ctx.options = {"encode": encode}
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(joined(client)) for _ in range(5)]
        for data in ("a", "skip", "b"):
            await app.hub.publish("room", data)
        for ws, _ in sockets:
            assert [await ws.recv(), await ws.recv()] == ["<a>", "<b>"]
    assert calls == ["a", "skip", "b"]


async def test_a_form_that_fails_leaves_the_message_out(
    app: Vivace, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    app.ctx.options = {"encode": lambda message: message.data["text"]}
    async with joined(client) as (ws, _):
        await app.hub.publish("room", 5)
        await app.hub.publish("room", {"text": "fine"})
        assert await ws.recv() == "fine"
    assert "could not be encoded" in caplog.text


async def test_typed_sockets_get_json_only(app: Vivace, client: Client) -> None:
    @app.websocket("/typed", message=dict)
    async def typed(request: Request, ws: Websocket) -> None:
        await ws.join("room")
        await ws.send("in")
        await ws.recv()

    async with client.websocket("/typed") as ws:
        assert await ws.recv_json() == "in"
        await app.hub.publish("room", "text")
        assert await ws.recv() == '"text"'


# -- leaving ------------------------------------------------------------------------------------------


async def test_who_joined_twice_leaves_twice(app: Vivace, client: Client) -> None:
    told: list[Any] = []

    @app.websocket("/twice")
    async def twice(request: Request, ws: Websocket) -> None:
        assert await ws.leave("room")
        await ws.join("room")
        await ws.join("room")
        await ws.join("other")
        told.extend([await ws.leave("room"), ws.groups])
        await ws.send("in")
        await ws.recv()
        told.extend([await ws.leave("room"), await ws.leave("room"), await ws.leave("never"), ws.groups])
        await ws.send("out")
        await ws.recv()

    async with client.websocket("/twice") as ws:
        assert await ws.recv() == "in"
        await app.hub.publish("room", "once")
        assert await ws.recv() == "once"
        await ws.send("leave")
        assert await ws.recv() == "out"
        await app.hub.publish("room", "unheard")
        await app.hub.publish("other", "heard")
        assert await ws.recv() == "heard"
    assert told == [False, ("room", "other"), True, True, True, ("other",)]
    await until(lambda: is_empty(app))


async def test_a_closed_socket_leaves_and_joins_no_more(app: Vivace, client: Client) -> None:
    done = asyncio.Event()
    failures: list[BaseException] = []

    @app.websocket("/closing")
    async def closing(request: Request, ws: Websocket) -> None:
        await ws.join("room")
        ws.end_connection()
        assert ws.groups == ()
        try:
            await ws.join("room")
        except WebsocketClosed as error:
            failures.append(error)
        done.set()

    async with client.websocket("/closing") as ws:
        assert [message async for message in ws] == []
        await asyncio.wait_for(done.wait(), 30)
    assert len(failures) == 1
    await until(lambda: is_empty(app))


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_leaks_whatever_happens(app: Vivace, seed: int) -> None:
    rng = random.Random(seed)
    topics = [f"t{n}" for n in range(4)]
    app.hub.topic("t0", history=5)
    app.hub.topic("t1", delivery="latest")

    async def allow(conn: Any, topic: str) -> bool:
        await asyncio.sleep(rng.random() / 500)
        if rng.random() < 0.1:
            raise ValueError("checker")
        return rng.random() < 0.8

    @app.websocket("/random", name="random")
    async def handler(request: Request, ws: Websocket) -> None:
        ws.user = rng.choice(["ann", "bob", None])
        for _ in range(rng.randrange(12)):
            topic = rng.choice(topics)
            joining = asyncio.ensure_future(
                ws.join(
                    topic,
                    allow=rng.choice([None, allow]),
                    recheck=rng.choice([0, 0.005]),
                    recheck_grace=0.01,
                    history=rng.choice([0, 0, 3]),
                    on_revoke=rng.choice(["leave", "close"]),
                )
            )
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() / 500)
                joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            if rng.random() < 0.3:
                await ws.leave(rng.choice(topics))
        if rng.random() < 0.5:
            await ws.recv(timeout=0.02)

    async def one(client: Client) -> None:
        async with client.websocket("/random") as ws:
            await asyncio.sleep(rng.random() / 50)
            if rng.random() < 0.5:
                _ = [message async for message in ws]

    async def disturb() -> None:
        while True:
            topic = rng.choice(topics)
            await app.hub.publish(topic, rng.random())
            if rng.random() < 0.2:
                await app.hub.revoke(user=rng.choice(["ann", "bob", None]), topic=topic)
            if rng.random() < 0.2:
                await app.hub.recheck(topic=rng.choice([topic, None]))
            await asyncio.sleep(0.001)

    async with Client(app, raise_exceptions=False) as client:
        disturbing = asyncio.create_task(disturb())
        for _ in range(5):
            await asyncio.gather(*(one(client) for _ in range(12)))
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        await until(lambda: is_empty(app))


async def test_an_app_that_is_gone_takes_its_groups_along() -> None:
    app = Vivace("gone", configure_logging=False)

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.join("room")

    async with Client(app) as client, client.websocket("/ws"):
        pass
    hub = weakref.ref(app.hub)
    del app, client, handler
    await until(lambda: gc.collect() >= 0 and hub() is None)


# -- the past -----------------------------------------------------------------------------------------


async def test_history_and_positions(app: Vivace, client: Client) -> None:
    app.hub.topic("log", history=3)
    app.ctx.options = {"history": 2, "positions": True}
    positions = [str(await app.hub.publish("log", number)) for number in range(4)]
    async with client.websocket("/ws/log") as ws:
        assert [await ws.recv_json() for _ in range(2)] == [
            {"topic": "log", "pos": positions[2], "data": 2},
            {"topic": "log", "pos": positions[3], "data": 3},
        ]
        assert (await ws.recv_json())["position"] == positions[3]
        position = str(await app.hub.publish("log", 4))
        assert await ws.recv_json() == {"topic": "log", "pos": position, "data": 4}


async def test_who_comes_back_gets_what_was_missed_or_word_of_a_gap(app: Vivace, client: Client) -> None:
    app.hub.topic("log", history=3)
    positions = [str(await app.hub.publish("log", number)) for number in range(5)]
    app.ctx.options = {"since": positions[2], "positions": True}
    async with client.websocket("/ws/log") as ws:
        assert [(await ws.recv_json())["data"] for _ in range(2)] == [3, 4]
        assert (await ws.recv_json())["recovered"] is True
    app.ctx.options = {"since": positions[0], "positions": True}
    async with client.websocket("/ws/log") as ws:
        assert "history" in (await ws.recv_json())["gap"]
        told = await ws.recv_json()
        while "recovered" not in told:
            told = await ws.recv_json()
        assert told["recovered"] is False


async def test_the_latest_value_is_given_to_everybody_who_comes(app: Vivace, client: Client) -> None:
    app.hub.topic("price", delivery="latest")
    for price in (1, 2):
        await app.hub.publish("price", price)
    async with client.websocket("/ws/price") as one:
        assert await one.recv() == "2"
        await one.recv_json()
        async with client.websocket("/ws/price") as two:
            assert await two.recv() == "2"
            await two.recv_json()
            await app.hub.publish("price", 3)
            assert [await one.recv(), await two.recv()] == ["3", "3"]


@pytest.mark.parametrize("seed", range(3))
async def test_who_joins_while_much_is_published_gets_each_message_once(app: Vivace, seed: int) -> None:
    rng = random.Random(seed)
    app.hub.topic("log", history=10_000)
    app.ctx.options = {"since": str(await app.hub.publish("log", -1))}
    total = 300
    got: list[list[int]] = []

    async def listen(client: Client) -> None:
        await asyncio.sleep(rng.random() / 10)
        numbers: list[int] = []
        async with client.websocket("/ws/log") as ws:
            while len(numbers) < total:
                value = await ws.recv_json()
                if isinstance(value, int):
                    numbers.append(value)
        got.append(numbers)

    async with Client(app) as client:
        listeners = [asyncio.create_task(listen(client)) for _ in range(10)]
        for number in range(total):
            await app.hub.publish("log", number)
            await asyncio.sleep(rng.choice([0, 0, 0.001]))
        await asyncio.wait_for(asyncio.gather(*listeners), 20)
    assert got == [list(range(total))] * 10


# -- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"on_slow": "wait"}, DeclarationError, "expected one of disconnect, drop_oldest, conflate"),
        ({"on_revoke": "shout"}, DeclarationError, "expected close, leave or a function"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
async def test_a_wrong_option_is_refused(
    app: Vivace, options: Any, error: type[Exception], says: str
) -> None:
    app.ctx.options = options
    async with Client(app) as client:
        with pytest.raises(error, match=says):
            async with joined(client):
                pass
        app.ctx.options = {}
        assert is_empty(app)


@pytest.mark.parametrize("topic", ["", "$control", "x" * 201, "a\0b", "\xe9" * 101])
async def test_a_name_that_no_group_can_have_is_the_clients_fault(
    app: Vivace, client: Client, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    @app.websocket("/named")
    async def named(request: Request, ws: Websocket) -> None:
        await ws.join(request.args.get("topic", ""))

    @app.sse("/events")
    async def events(request: Request, stream: EventStream) -> None:
        await stream.join(request.args.get("topic", ""))

    @app.get("/published")
    async def published(request: Request) -> None:
        await app.hub.publish(request.args.get("topic", ""), 1)

    @app.get("/subscribed")
    async def subscribed(request: Request) -> None:
        async with app.hub.subscribe(request.args.get("topic", "")):
            raise AssertionError

    asked = f"?topic={quote(topic)}"
    async with client.websocket(f"/named{asked}") as ws:
        with pytest.raises(
            WebsocketClosed, match=r"no group has such a name: .* '\$' at its begin"
        ) as caught:
            await ws.recv()
    assert caught.value.code == 1008
    for path in ("events", "published", "subscribed"):
        answer = await client.get(f"/{path}{asked}")
        assert (answer.status, "no group has such a name" in answer.text) == (400, True)
    assert "Traceback" not in caplog.text
    assert is_empty(app)
