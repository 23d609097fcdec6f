"""GraphQL over WebSocket, from the handshake to the last operation that is ended."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLField

from tests.ext.graphql.schema import LEGACY, MODERN, TEXT, make_schema, same, serve, talk
from tests.framework.streams import make_app
from vivace import Forbidden, Vivace, WebsocketClosed
from vivace.ext.graphql import Context, Endpoint
from vivace.ext.graphql.socket import _Connection
from vivace.testing import Client, WebSocketRefused, live


class FakeWebsocket:
    """Takes what is sent."""

    def __init__(self, subprotocol: str) -> None:
        self.subprotocol = subprotocol
        self.sent: list[str] = []

    def send(self, message: str) -> None:
        self.sent.append(message)


class FakeRequest:
    def __init__(self, app: Vivace) -> None:
        self.app = app
        self.ctx = object()


BOTH = pytest.mark.parametrize("subprotocol", [MODERN, LEGACY])


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@BOTH
async def test_every_kind_of_operation(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.enter()
        assert await told.all('{ hello(name: "x") }') == [{"data": {"hello": "hello x"}}]
        assert await told.all("mutation { change }") == [{"data": {"change": "changed"}}]
        numbers = await told.all("subscription ($n: Int!) { count(to: $n) }", variables={"n": 2})
        assert numbers == [{"data": {"count": 0}}, {"data": {"count": 1}}]


@BOTH
async def test_what_is_not_begun_is_an_error(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.enter()
        for query in (
            "{",
            "{ nothing }",
            "subscription ($n: Int!) { count(to: $n) }",
            "subscription { fail }",
        ):
            ((error,),) = await told.all(query)
            assert set(error) >= {"message"}
            assert "a secret" not in error["message"]
        ((error,),) = await told.all("query A { fail } query B { fail }", operationName="C")
        assert "'C'" in error["message"]
        assert await told.all("{ __typename }") == [{"data": {"__typename": "Query"}}]


@BOTH
async def test_wrong_parameters_are_an_error(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.enter()
        ((error,),) = await told.all("{ fail }", variables=[1])
        assert "variables" in error["message"]


@BOTH
async def test_a_subscription_that_breaks_off(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.enter()
        first, (error,) = await told.all("subscription { breakOff }")
        assert (first, error["message"]) == ({"data": {"breakOff": 1}}, "Internal Server Error")


@BOTH
async def test_a_stopped_subscription_is_ended(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.enter()
        await told.start("subscription { forever }", "a")
        await told.start("subscription { forever }", "b")
        await until(lambda: app.ctx.running == 2)
        await told.stop("a")
        await until(lambda: app.ctx.running == 1)
        await told.stop("b")
        await until(lambda: app.ctx.running == 0)


@BOTH
async def test_an_operation_that_is_stopped_at_once_leaves_nothing(app: Vivace, subprotocol: str) -> None:
    endpoint = Endpoint(app, make_schema())
    ws = FakeWebsocket(subprotocol)
    connection = _Connection(endpoint, FakeRequest(app), ws)  # type: ignore[arg-type]
    stop, start = ("stop", "start") if subprotocol == LEGACY else ("complete", "subscribe")
    connection.receive('{"type": "connection_init"}')
    await until(lambda: len(ws.sent) > 0)
    connection.receive(f'{{"type": "{start}", "id": "1", "payload": {{"query": "{{ fail }}"}}}}')
    connection.receive(f'{{"type": "{stop}", "id": "1"}}')
    await until(lambda: not connection._tasks)
    await connection.end()


@BOTH
async def test_a_client_that_leaves_leaves_nothing(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client:
        async with talk(client, subprotocol) as told:
            await told.enter()
            for key in "abc":
                await told.start("subscription { forever }", key)
            await until(lambda: app.ctx.running == 3)
        await until(lambda: app.ctx.running == 0)


@BOTH
async def test_clients_are_judged_and_welcomed(app: Vivace, subprotocol: str) -> None:
    async def judge(context: Context) -> dict[str, str]:
        await asyncio.sleep(0)
        context.user = context.payload["name"]
        return {"hello": context.user}

    async with serve(app, on_connect=judge) as client, talk(client, subprotocol) as told:
        assert await told.enter({"name": "ann"}) == {"hello": "ann"}
        ((answer),) = await told.all("{ where }")
        assert answer == {"data": {"where": "None GET ann {'name': 'ann'}"}}


def no(context: Context) -> bool:
    return False


def not_you(context: Context) -> None:
    raise Forbidden("not you")


async def broken(context: Context) -> None:
    raise ValueError("a secret")


@BOTH
@pytest.mark.parametrize(
    ("judge", "reason"), [(no, "Forbidden"), (not_you, "not you"), (broken, "Internal Server Error")]
)
async def test_clients_are_refused(app: Vivace, subprotocol: str, judge: Any, reason: str) -> None:
    async with serve(app, on_connect=judge) as client, talk(client, subprotocol) as told:
        await told.ws.send_json({"type": "connection_init"})
        if told.legacy:
            assert await told.ws.recv_json() == {"type": "connection_error", "payload": {"message": reason}}
        with pytest.raises(WebsocketClosed):
            await told.ws.recv()
        assert (told.ws.close_code, told.ws.close_reason) == (1011 if told.legacy else 4403, reason)


@BOTH
async def test_a_context_that_cannot_be_made_refuses(app: Vivace, subprotocol: str) -> None:
    async with serve(app, context=not_you) as client, talk(client, subprotocol) as told:
        await told.ws.send_json({"type": "connection_init"})
        with pytest.raises(WebsocketClosed):
            while True:
                await told.ws.recv()
        assert told.ws.close_reason == "not you"


@BOTH
async def test_time_to_judge_a_client(app: Vivace, subprotocol: str) -> None:
    async def judge(context: Context) -> None:
        await asyncio.sleep(60)

    async with serve(app, on_connect=judge, init_timeout=0.05) as client, talk(client, subprotocol) as told:
        await told.ws.send_json({"type": "connection_init"})
        with pytest.raises(WebsocketClosed):
            while True:
                await told.ws.recv()
        assert told.ws.close_reason == "it took too long to decide whether you may come in"


async def test_operations_of_old_clients_wait_for_the_welcome(app: Vivace) -> None:
    gate = asyncio.Event()

    async def judge(context: Context) -> None:
        await gate.wait()

    async with serve(app, on_connect=judge) as client, talk(client, LEGACY) as told:
        await told.start("{ __typename }", "0")
        await told.ws.send_json({"type": "connection_init"})
        await told.start("{ __typename }", "1")
        gate.set()
        seen = [
            (message["type"], message.get("id")) for message in [await told.ws.recv_json() for _ in range(6)]
        ]
        assert seen[:2] == [("connection_ack", None), ("ka", None)]
        assert set(seen[2:]) == {("data", "0"), ("complete", "0"), ("data", "1"), ("complete", "1")}


async def test_an_old_client_starts_an_id_anew(app: Vivace) -> None:
    async with serve(app) as client, talk(client, LEGACY) as told:
        await told.enter()
        await told.start("subscription { forever }")
        await until(lambda: app.ctx.running == 1)
        await told.start("{ __typename }")
        while (message := await told.ws.recv_json())["type"] != "complete":
            pass
        assert message["id"] == "1"
        await until(lambda: app.ctx.running == 0)


@BOTH
async def test_time_to_introduce_oneself(app: Vivace, subprotocol: str) -> None:
    async with serve(app, init_timeout=0.05) as client, talk(client, subprotocol) as told:
        with pytest.raises(WebsocketClosed):
            await told.ws.recv()
        assert told.ws.close_code == 4408


async def test_signs_of_life_go_on(app: Vivace) -> None:
    async with serve(app, keep_alive=0.02, init_timeout=0.5) as client, talk(client, LEGACY) as told:
        await told.enter()
        assert [await told.ws.recv_json() for _ in range(3)] == [{"type": "ka"}] * 3


@BOTH
async def test_what_breaks_the_protocol(app: Vivace, subprotocol: str) -> None:
    async with serve(app) as client, talk(client, subprotocol) as told:
        await told.ws.send("{")
        if told.legacy:
            assert (await told.ws.recv_json())["type"] == "connection_error"
            await told.ws.send_json({"type": "connection_terminate"})
        with pytest.raises(WebsocketClosed):
            await told.ws.recv()
        assert told.ws.close_code == (1000 if told.legacy else 4400)


@BOTH
async def test_operations_of_a_connection_are_limited(app: Vivace, subprotocol: str) -> None:
    async with serve(app, max_operations=1) as client, talk(client, subprotocol) as told:
        await told.enter()
        await told.start("subscription { forever }", "a")
        await told.start("{ __typename }", "b")
        while (message := await told.ws.recv_json())["type"] != "error":
            pass
        assert message["id"] == "b"


@pytest.mark.parametrize("offered", [[], ["chat"]])
async def test_other_protocols_are_refused(app: Vivace, offered: list[str]) -> None:
    async with serve(app) as client:
        with pytest.raises(WebSocketRefused) as refused:
            async with client.websocket("/graphql", subprotocols=offered):
                pass
        assert refused.value.response.status == 400
        assert "graphql-transport-ws" in refused.value.response.text


async def test_the_newer_protocol_is_preferred(app: Vivace) -> None:
    async with serve(app) as client, client.websocket("/graphql", subprotocols=[LEGACY, MODERN]) as ws:
        assert ws.subprotocol == MODERN


async def test_a_client_that_does_not_read_is_not_sent_more(app: Vivace) -> None:
    async def flood(root: Any, info: Any) -> Any:
        for _ in range(1000):
            app.ctx.sent += 1
            yield "x" * 65_536

    app.ctx.sent = 0
    app.graphql("/graphql", make_schema(flood=GraphQLField(TEXT, resolve=same, subscribe=flood)))
    with live(app) as server:
        async with Client(server.url) as client, talk(client) as told:
            await told.enter()
            await told.start("subscription { flood }")
            await until(lambda: app.ctx.sent > 0)
            before = -1
            while before != app.ctx.sent:
                before = app.ctx.sent
                await asyncio.sleep(0.2)
            assert app.ctx.sent < 500
            assert await told.see() == ("next", {"data": {"flood": "x" * 65_536}})
