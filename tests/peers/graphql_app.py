"""One schema in the words of graphene, strawberry and ariadne, for clients that are not ours."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import ariadne
import graphene  # type: ignore[import-untyped]
import strawberry

from vivace import Forbidden, Vivace
from vivace.ext.graphql import Context

app = Vivace("graphql-peers")
running = 0
"""Subscriptions of `forever` that somebody follows."""


async def numbers(to: int) -> AsyncGenerator[int, None]:
    for number in range(to):
        yield number
        await asyncio.sleep(0)


async def ticks() -> AsyncGenerator[int, None]:
    global running
    running += 1
    try:
        number = 0
        while True:
            yield number
            number += 1
            await asyncio.sleep(0.01)
    finally:
        running -= 1


def judge(context: Context) -> Any:
    """Who introduces itself with a bad token is sent away."""
    if context.payload.get("token") == "bad":
        raise Forbidden("a bad token")
    return {"welcome": "you"}


# graphene


class GrapheneQuery(graphene.ObjectType):  # type: ignore[misc]
    hello = graphene.String(name=graphene.String(required=True))
    running = graphene.Int()
    fail = graphene.String()

    def resolve_hello(self: Any, info: Any, name: str) -> str:
        return f"hello {name} from {info.context.payload.get('token', 'nobody')}"

    def resolve_running(self: Any, info: Any) -> int:
        return running

    def resolve_fail(self: Any, info: Any) -> str:
        raise ValueError("a secret")


class Rename(graphene.Mutation):  # type: ignore[misc]
    class Arguments:
        name = graphene.String(required=True)

    name = graphene.String()

    def mutate(self: Any, info: Any, name: str) -> dict[str, str]:
        return {"name": name}


class GrapheneMutation(graphene.ObjectType):  # type: ignore[misc]
    rename = Rename.Field()


class GrapheneSubscription(graphene.ObjectType):  # type: ignore[misc]
    count = graphene.Int(to=graphene.Int(required=True))
    forever = graphene.Int()

    def subscribe_count(self: Any, info: Any, to: int) -> AsyncIterator[int]:
        return numbers(to)

    def subscribe_forever(self: Any, info: Any) -> AsyncIterator[int]:
        return ticks()


app.graphql(
    "/graphene",
    graphene.Schema(query=GrapheneQuery, mutation=GrapheneMutation, subscription=GrapheneSubscription),
    name="graphene",
    on_connect=judge,
    graphiql=True,
)


# strawberry


@strawberry.type
class StrawberryQuery:
    @strawberry.field
    def hello(self, info: strawberry.Info[Any, Any], name: str) -> str:
        return f"hello {name} from {info.context['payload'].get('token', 'nobody')}"

    @strawberry.field
    def running(self) -> int:
        return running

    @strawberry.field
    def fail(self) -> str | None:
        raise ValueError("a secret")


@strawberry.type
class Renamed:
    name: str


@strawberry.type
class StrawberryMutation:
    @strawberry.mutation
    def rename(self, name: str) -> Renamed:
        return Renamed(name=name)


@strawberry.type
class StrawberrySubscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        async for number in numbers(to):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncGenerator[int, None]:
        source = ticks()
        try:
            async for number in source:
                yield number
        finally:
            await source.aclose()


app.graphql(
    "/strawberry",
    strawberry.Schema(StrawberryQuery, mutation=StrawberryMutation, subscription=StrawberrySubscription),
    name="strawberry",
    on_connect=judge,
)


# ariadne

query = ariadne.QueryType()
mutation = ariadne.MutationType()
subscription = ariadne.SubscriptionType()


@query.field("hello")
def hello(root: Any, info: Any, name: str) -> str:
    return f"hello {name} from {info.context['payload'].get('token', 'nobody')}"


@query.field("running")
def count_running(root: Any, info: Any) -> int:
    return running


@query.field("fail")
def fail(root: Any, info: Any) -> str:
    raise ValueError("a secret")


@mutation.field("rename")
def rename(root: Any, info: Any, name: str) -> dict[str, str]:
    return {"name": name}


@subscription.source("count")
def count_source(root: Any, info: Any, to: int) -> AsyncGenerator[int, None]:
    return numbers(to)


@subscription.source("forever")
def forever_source(root: Any, info: Any) -> AsyncGenerator[int, None]:
    return ticks()


@subscription.field("count")
@subscription.field("forever")
def same(event: int, info: Any, **arguments: Any) -> int:
    return event


app.graphql(
    "/ariadne",
    ariadne.make_executable_schema(
        """
        type Query { hello(name: String!): String running: Int fail: String }
        type Renamed { name: String }
        type Mutation { rename(name: String!): Renamed }
        type Subscription { count(to: Int!): Int forever: Int }
        """,
        query,
        mutation,
        subscription,
    ),
    name="ariadne",
    on_connect=judge,
)
