"""Documents that would take long to be checked are refused before; fields that are resolved are counted."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import graphene  # type: ignore[import-untyped]
import graphql
import pytest
import strawberry

from tests.ext.graphql.schema import TEXT, ObjectType, ask, make_schema, serve, talk
from tests.framework.streams import make_app
from vivace import Vivace
from vivace.ext.graphql.core import CoreEngine
from vivace.ext.graphql.counting import has_more_fields
from vivace.ext.graphql.weight import find_excess


@strawberry.type
class Node:
    @strawberry.field
    def name(self) -> str:
        return "a"

    @strawberry.field
    def two(self) -> list["Node"]:
        return [Node(), Node()]


@pytest.fixture
def app() -> Vivace:
    return make_app()


def excess_of(source: str, tokens: int = 1000) -> str:
    return find_excess(graphql.parse(source), tokens) or ""


def fragments(count: int, body: str = "where") -> str:
    return " ".join(f"fragment f{one} on Query {{ {body} }}" for one in range(count))


def spreads(count: int) -> str:
    return " ".join(f"...f{one}" for one in range(count))


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        ("{" + "where " * 5 + "}", "{" + "where " * 6 + "}"),
        ("{" + "where:fail " * 4 + "where}", "{" + "where:fail " * 5 + "where}"),
        ("{" + "...{where} " * 5 + "}", "{" + "...{where} " * 6 + "}"),
        ("{again{where where where} again{where}}", "{again{where where where} again{where where}}"),
        (
            "{...f0} fragment f0 on Query {where where where where where}",
            "{" + "...f0 " * 4 + "} " + fragments(1),
        ),
        ("{where} " + fragments(3, "where where"), "{where} " + fragments(4, "where where where")),
        ("{" + spreads(3) + "} " + fragments(3), "{" + spreads(4) + "} " + fragments(4)),
    ],
)
def test_pairs_at_their_edge(fits: str, exceeds: str) -> None:
    assert excess_of(fits, 1) == ""
    assert "more than 10 pairs" in excess_of(exceeds, 1)


def test_selections_at_their_edge() -> None:
    wide = " ".join(f"a{one}: again {{ ...f0 }}" for one in range(3))
    assert excess_of("{" + wide + "} " + fragments(1, "where"), 1) == ""
    assert "more than 10 selections" in excess_of("{" + wide + "} " + fragments(1, "where must"), 1)


def test_fragments_that_multiply_end() -> None:
    each = " ".join(
        f"fragment f{one} on Query {{ a: again {{ ...f{one + 1} }} b: again {{ ...f{one + 1} }} }}"
        for one in range(40)
    )
    assert "selections" in excess_of("{...f0} " + each + " fragment f40 on Query {where}")


async def test_circles_and_fragments_that_are_missing_are_told_by_the_check(app: Vivace) -> None:
    async with serve(app) as client:
        circle = "{...A} fragment A on Query { again { ...B } } fragment B on Query { ...A }"
        assert "Cannot spread fragment" in (await ask(client, circle)).text
        assert "Unknown fragment" in (await ask(client, "{...A}")).text


async def test_what_is_too_heavy_is_told(app: Vivace) -> None:
    async with serve(app) as client:
        (error,) = (await ask(client, "{" + "where " * 700 + "}")).json["errors"]
        assert error["message"] == (
            "the document is too heavy: more than 10000 pairs of fields of one name would have to be compared"
            " (GRAPHQL_MAX_TOKENS)"
        )
        assert "errors" not in (await ask(client, "{" + "where " * 141 + "}")).json
    engine = CoreEngine(make_schema())
    assert not engine.validate(engine.parse("{" + "where " * 200 + "}")).errors


async def test_what_graphiql_asks_for_fits(app: Vivace) -> None:
    whole = graphql.get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    async with serve(app) as client:
        assert "errors" not in (await ask(client, whole)).json


@pytest.mark.parametrize(
    "source",
    [
        "{" + "where " * 998 + "}",
        "{" + ("again{" + "where " * 30 + "} ") * 29 + "}",
        "{" + spreads(110) + "} " + fragments(110),
        "{" + spreads(60) + "} " + fragments(60),
        "{" + 'hello(name: "a") ' * 141 + "}",
    ],
)
def test_no_document_takes_long_to_be_checked(source: str) -> None:
    engine = CoreEngine(make_schema(), max_tokens=1000, max_depth=20)
    taken: list[float] = []
    for _ in range(3):
        began = time.process_time()
        engine.validate(engine.parse(source))
        taken.append(time.process_time() - began)
    assert min(taken) < 0.25  # up to 0.12 s; without the limits it was 0.3 to 1.7 s


# Fields that are resolved


def graphene_pairs(calls: list[int]) -> Any:
    class Node(graphene.ObjectType):  # type: ignore[misc]
        name = graphene.String()
        two = graphene.List(lambda: Node)

        def resolve_name(self: Any, info: Any) -> str:
            calls.append(1)
            return "a"

        async def resolve_two(self: Any, info: Any) -> Any:
            await asyncio.sleep(0)
            return [{}, {}]

    class Query(Node):
        pass

    return graphene.Schema(query=Query)


PAIRS = "{ two { name two { name } } }"
"""1 + 2 * 2 + 4 * 1 fields."""


@pytest.mark.parametrize("most", [0, 9])
async def test_fields_at_their_edge(app: Vivace, most: int) -> None:
    calls: list[int] = []
    async with serve(app, graphene_pairs(calls), max_fields=most) as client:
        answer = (await ask(client, PAIRS)).json
    assert answer == {"data": {"two": [{"name": "a", "two": [{"name": "a"}] * 2}] * 2}}


async def test_one_field_too_many(app: Vivace) -> None:
    calls: list[int] = []
    async with serve(app, graphene_pairs(calls), max_fields=8) as client:
        answer = await ask(client, PAIRS)
    told = "the operation has more than 8 fields in its result (GRAPHQL_MAX_FIELDS)"
    assert answer.json == {"errors": [{"message": told}]}
    assert len(calls) == 5


@pytest.mark.parametrize(("most", "fits"), [(9, True), (8, False)])
async def test_fields_of_strawberry(app: Vivace, most: int, fits: bool) -> None:
    schema = strawberry.Schema(Node)
    before = schema.execution_context_class
    async with serve(app, schema, max_fields=most) as client:
        answer = (await ask(client, PAIRS)).json
        assert ("data" in answer, "GRAPHQL_MAX_FIELDS" in str(answer)) == (fits, not fits)
    assert schema.execution_context_class is before


@pytest.mark.parametrize(("most", "fits"), [(2, True), (1, False)])
async def test_fields_of_a_mutation(app: Vivace, most: int, fits: bool) -> None:
    async with serve(app, max_fields=most) as client:
        answer = (await ask(client, "mutation { a: change b: change }")).json
        assert ("data" in answer, "GRAPHQL_MAX_FIELDS" in str(answer)) == (fits, not fits)


async def test_lists_in_lists_end(app: Vivace) -> None:
    calls: list[int] = []
    deep = "{ two " * 18 + "{ name }" + " }" * 18
    async with serve(app, graphene_pairs(calls), max_fields=1000) as client:
        assert "more than 1000 fields" in (await ask(client, deep)).text
    assert len(calls) <= 1000


async def test_fields_of_events_are_counted_for_each(app: Vivace) -> None:
    node = ObjectType("Node", {one: graphql.GraphQLField(TEXT, resolve=lambda *_: "x") for one in "ab"})

    async def thrice(root: Any, info: Any) -> AsyncGenerator[int, None]:
        for one in (1, 2, 3):
            yield one

    field = graphql.GraphQLField(node, subscribe=thrice, resolve=lambda value, info: value)
    async with serve(app, make_schema(nodes=field), max_fields=2) as client, talk(client) as there:
        await there.enter()
        assert len([one for one in await there.all("subscription { nodes { a } }") if "data" in one]) == 3
        assert all("more than 2" in str(one) for one in await there.all("subscription { nodes { a b } }"))


@strawberry.type
class Events:
    @strawberry.subscription
    async def nodes(self) -> AsyncGenerator[Node, None]:
        for _ in range(3):
            yield Node()


@pytest.mark.parametrize(("most", "results"), [(4, 3), (3, 1)])
async def test_events_of_strawberry_end_with_the_first_that_is_too_large(
    app: Vivace, most: int, results: int
) -> None:
    schema = strawberry.Schema(Node, subscription=Events)
    async with serve(app, schema, max_fields=most) as client, talk(client) as there:
        await there.enter()
        got = await there.all("subscription { nodes { two { name } } }")
    assert len(got) == results
    assert ("GRAPHQL_MAX_FIELDS" in str(got)) is (most == 3)


@pytest.mark.parametrize(
    ("data", "count"),
    [(None, 0), ({"a": 1}, 1), ({"a": {"b": [{"c": 1}, None, {"c": 1}]}}, 4), ({"a": [[{"b": 1}]]}, 2)],
)
def test_fields_of_a_result(data: Any, count: int) -> None:
    assert not has_more_fields(data, count)
    assert has_more_fields(data, count - 1) is (count > 0)
