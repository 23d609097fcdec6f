"""A GraphQL endpoint, by strawberry's own ASGI app and by its router for FastAPI."""

import asyncio
from collections.abc import AsyncGenerator

import strawberry
from fastapi import FastAPI
from strawberry.asgi import GraphQL
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL

from tests.apps.support import note, wait_for_gate


@strawberry.type
class Book:
    title: str
    year: int


_books = [Book(title="Emma", year=1815), Book(title="Middlemarch", year=1871)]


@strawberry.type
class Query:
    @strawberry.field
    def books(self, since: int = 0) -> list[Book]:
        return [book for book in _books if book.year >= since]

    @strawberry.field
    async def both_at_once(self) -> str:
        first, second = await asyncio.gather(asyncio.sleep(0, "one"), asyncio.sleep(0, "two"))
        return f"{first} {second}"

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("the shelf broke")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, title: str, year: int) -> Book:
        return Book(title=title, year=year)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, word: str) -> AsyncGenerator[int, None]:
        try:
            for number in (1, 2, 3):
                yield number
                await wait_for_gate(f"{word}-{number}")
        finally:
            note(f"{word} left")


schema = strawberry.Schema(Query, Mutation, Subscription)
over = (GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL)
app: GraphQL[None, None] = GraphQL(schema, subscription_protocols=over)
api = FastAPI()
api.include_router(GraphQLRouter(schema, subscription_protocols=over), prefix="/graphql")
