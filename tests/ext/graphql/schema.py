"""A schema of graphql-core for the tests, and clients of what serves it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInt,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
)

from vivace import Forbidden, Vivace
from vivace.protocols.graphql_ws import LEGACY, MODERN
from vivace.testing import Client, WebSocketSession

TEXT: Any = GraphQLString
NUMBER: Any = GraphQLInt
ObjectType: Any = GraphQLObjectType
"""pyright takes what their classes make for something else."""

__all__ = [
    "JSON",
    "LEGACY",
    "MODERN",
    "PATH",
    "RESPONSE",
    "Talk",
    "ask",
    "make_schema",
    "serve",
    "talk",
    "where",
]

JSON = "application/json"
RESPONSE = "application/graphql-response+json"
PATH = "/graphql"


def fail(root: Any, info: Any) -> str:
    raise ValueError("a secret")


def forbid(root: Any, info: Any) -> str:
    raise Forbidden("not you")


def refuse(root: Any, info: Any) -> str:
    raise GraphQLError("no", extensions={"code": "NO"})


def where(root: Any, info: Any) -> str:
    return f"{root} {info.context.request.method} {info.context['user']} {info.context.payload}"


async def hello(root: Any, info: Any, name: str) -> str:
    await asyncio.sleep(0)
    return f"hello {name}"


async def count(root: Any, info: Any, to: int) -> AsyncGenerator[int, None]:
    for number in range(to):
        yield number


async def forever(root: Any, info: Any) -> AsyncGenerator[int, None]:
    info.context.app.ctx.running += 1
    try:
        while True:
            yield 1
            await asyncio.sleep(0.001)
    finally:
        info.context.app.ctx.running -= 1


async def break_off(root: Any, info: Any) -> AsyncGenerator[int, None]:
    yield 1
    raise ValueError("a secret")


def same(value: Any, info: Any, **_: Any) -> Any:
    return value


def make_schema(**subscriptions: GraphQLField) -> GraphQLSchema:
    text, number = TEXT, NUMBER
    query = ObjectType("Query", lambda: fields)
    fields: dict[str, Any] = {
        "hello": GraphQLField(text, {"name": GraphQLArgument(GraphQLNonNull(text))}, hello),
        "where": GraphQLField(text, resolve=where),
        "fail": GraphQLField(text, resolve=fail),
        "must": GraphQLField(GraphQLNonNull(text), resolve=fail),
        "forbid": GraphQLField(text, resolve=forbid),
        "refuse": GraphQLField(text, resolve=refuse),
        "again": GraphQLField(query, resolve=lambda root, info: 1),
    }
    mutation = ObjectType("Mutation", {"change": GraphQLField(text, resolve=lambda *_: "changed")})
    limit = {"to": GraphQLArgument(GraphQLNonNull(number))}
    streams = {
        "count": GraphQLField(number, limit, resolve=same, subscribe=count),
        "forever": GraphQLField(number, resolve=same, subscribe=forever),
        "breakOff": GraphQLField(number, resolve=same, subscribe=break_off),
        "fail": GraphQLField(number, resolve=same, subscribe=fail),
        **subscriptions,
    }
    return GraphQLSchema(query, mutation, ObjectType("Subscription", streams))


@asynccontextmanager
async def serve(app: Vivace, schema: Any = None, **options: Any) -> AsyncIterator[Client]:
    """A client of an app that serves a schema at ``/graphql``."""
    app.ctx.running = 0
    app.graphql(PATH, schema or make_schema(), **options)
    async with Client(app) as client:
        yield client


async def ask(client: Client, query: str, accept: str = JSON, **more: Any) -> Any:
    """POST an operation."""
    return await client.post(PATH, json={"query": query, **more}, headers={"accept": accept})


class Talk:
    """A conversation over a WebSocket, in the words of either protocol."""

    def __init__(self, ws: WebSocketSession) -> None:
        self.ws = ws
        self.legacy = ws.subprotocol == LEGACY

    async def enter(self, payload: Any = None) -> Any:
        """Introduce oneself; the payload of the welcome."""
        await self.ws.send_json({"type": "connection_init", "payload": payload or {}})
        while (welcome := await self.ws.recv_json())["type"] != "connection_ack":
            pass
        if self.legacy:
            assert (await self.ws.recv_json())["type"] == "ka"
        return welcome.get("payload")

    async def start(self, query: str, key: str = "1", **more: Any) -> None:
        kind = "start" if self.legacy else "subscribe"
        await self.ws.send_json({"type": kind, "id": key, "payload": {"query": query, **more}})

    async def stop(self, key: str = "1") -> None:
        await self.ws.send_json({"type": "stop" if self.legacy else "complete", "id": key})

    async def see(self) -> tuple[str, Any]:
        """The next message in the words of ``graphql-transport-ws``: its type, and its payload or id."""
        message = await self.ws.recv_json()
        kind = "next" if message["type"] == "data" else str(message["type"])
        payload = message.get("payload", message.get("id"))
        if kind == "error" and self.legacy:
            payload = [payload]
        return kind, payload

    async def all(self, query: str, **more: Any) -> list[Any]:
        """Everything of one operation."""
        await self.start(query, **more)
        seen: list[Any] = []
        while True:
            kind, payload = await self.see()
            if kind == "complete":
                return seen
            seen.append(payload)
            if kind == "error":
                return seen


@asynccontextmanager
async def talk(client: Client, subprotocol: str = MODERN, path: str = PATH) -> AsyncIterator[Talk]:
    async with client.websocket(path, subprotocols=[subprotocol]) as ws:
        yield Talk(ws)
