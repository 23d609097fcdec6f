"""Resolvers that block: executed in threads, for queries and for each event of a subscription."""

import asyncio
import threading
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLField, GraphQLSchema

from tests.ext.graphql.schema import NUMBER, ObjectType, ask, count, serve, talk
from tests.framework.streams import make_app
from vivace import Vivace
from vivace.ext.graphql.core import _GIVES_SOURCES


@pytest.fixture
def app() -> Vivace:
    return make_app()


class Places:
    """Where resolvers ran."""

    def __init__(self) -> None:
        self.main = threading.get_ident()
        self.called = 0
        self.inside: list[bool] = []

    def resolve(self, value: Any, info: Any, **_: Any) -> Any:
        self.inside.append(threading.get_ident() == self.main)
        return 7 if value is None else value

    async def refuse(self, root: Any, info: Any) -> Any:
        raise GraphQLError("no")

    async def run(self, function: Any) -> Any:
        self.called += 1
        return await asyncio.to_thread(function)

    async def later(self, root: Any, info: Any) -> int:
        await asyncio.sleep(0)
        return 8

    def schema(self) -> GraphQLSchema:
        async def source(root: Any, info: Any) -> Any:
            async for number in count(root, info, 2):
                yield number

        query = {
            "now": GraphQLField(NUMBER, resolve=self.resolve),
            "later": GraphQLField(NUMBER, resolve=self.later),
        }
        streams = {
            "numbers": GraphQLField(NUMBER, resolve=self.resolve, subscribe=source),
            "refused": GraphQLField(NUMBER, resolve=self.resolve, subscribe=self.refuse),
        }
        return GraphQLSchema(ObjectType("Query", query), None, ObjectType("Subscription", streams))


@pytest.mark.parametrize("own", [False, True])
async def test_plain_functions_run_in_threads(app: Vivace, own: bool) -> None:
    places = Places()
    threads = places.run if own else True
    async with serve(app, places.schema(), threads=threads) as client, talk(client) as told:
        assert (await ask(client, "{ now later }")).json == {"data": {"now": 7, "later": 8}}
        assert places.inside == [False]
        await told.enter()
        assert await told.all("subscription { numbers }") == [{"data": {"numbers": n}} for n in range(2)]
        ((error,),) = await told.all("subscription { refused }")
        assert error["message"] == "no"
    assert places.inside == [False, *[not _GIVES_SOURCES] * 2]
    assert places.called == (0 if not own else 3 if _GIVES_SOURCES else 1)


async def test_otherwise_they_run_on_the_loop(app: Vivace) -> None:
    places = Places()
    async with serve(app, places.schema()) as client:
        assert (await ask(client, "{ now }")).json == {"data": {"now": 7}}
    assert places.inside == [True]
