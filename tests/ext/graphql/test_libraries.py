"""Schemas of graphene, strawberry and ariadne: each in its own words, all with topics."""

import logging
from collections.abc import Callable
from typing import Any

import ariadne
import graphene  # type: ignore[import-untyped]
import pytest
import strawberry
from graphql import GraphQLError, ValidationRule

from tests.ext.graphql.schema import ask, serve, talk
from tests.ext.graphql.test_topics import publish
from tests.framework.streams import make_app
from vivace import Vivace
from vivace.errors import DeclarationError
from vivace.ext.graphql import Engine, topics
from vivace.ext.graphql.core import CoreEngine, make_engine
from vivace.ext.graphql.strawberry_engine import StrawberryEngine


@pytest.fixture
def app() -> Vivace:
    return make_app()


def graphene_schema() -> Any:
    class Message(graphene.ObjectType):  # type: ignore[misc]
        text = graphene.String()

    class Query(graphene.ObjectType):  # type: ignore[misc]
        path = graphene.String()
        fail = graphene.String()

        def resolve_path(self: Any, info: Any) -> str:
            return str(info.context.request.path)

        def resolve_fail(self: Any, info: Any) -> str:
            raise ValueError("a secret")

    class Subscription(graphene.ObjectType):  # type: ignore[misc]
        message_created = graphene.Field(graphene.NonNull(Message), room=graphene.ID(required=True))

        @topics(lambda room: f"room:{room}")
        async def subscribe_message_created(self: Any, info: Any, event: Any, room: str) -> Any:
            return {"text": f"{room} {event.data}"}

    return graphene.Schema(query=Query, subscription=Subscription)


@strawberry.type
class Message:
    text: str


@strawberry.type
class StrawberryQuery:
    @strawberry.field
    def path(self, info: strawberry.Info[Any, Any]) -> str:
        return str(info.context["request"].path)

    @strawberry.field
    def fail(self) -> str | None:
        raise ValueError("a secret")


@strawberry.type
class StrawberrySubscription:
    @strawberry.subscription
    @topics(lambda room: f"room:{room}")
    async def message_created(
        self, info: strawberry.Info[Any, Any], event: Any, room: strawberry.ID
    ) -> Message:
        return Message(text=f"{room} {event.data}")


def strawberry_schema() -> Any:
    return strawberry.Schema(StrawberryQuery, subscription=StrawberrySubscription)


def ariadne_schema() -> Any:
    query, subscription = ariadne.QueryType(), ariadne.SubscriptionType()

    @query.field("path")
    def path(root: Any, info: Any) -> str:
        return str(info.context["request"].path)

    @query.field("fail")
    def fail(root: Any, info: Any) -> str:
        raise ValueError("a secret")

    @subscription.source("messageCreated")
    @topics(lambda room: f"room:{room}")
    async def source(root: Any, info: Any, event: Any, room: str) -> Any:
        return {"text": f"{room} {event.data}"}

    @subscription.field("messageCreated")
    def message_created(message: Any, info: Any, room: str) -> Any:
        return message

    return ariadne.make_executable_schema(
        """
        type Query { path: String fail: String }
        type Message { text: String }
        type Subscription { messageCreated(room: ID!): Message! }
        """,
        query,
        subscription,
    )


@pytest.mark.parametrize("make", [graphene_schema, strawberry_schema, ariadne_schema])
async def test_a_schema_of_each_library(
    app: Vivace, make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(app, make()) as client, talk(client) as told:
        assert (await ask(client, "{ path }")).json == {"data": {"path": "/graphql"}}
        with caplog.at_level(logging.ERROR):
            failed = await ask(client, "{ fail }")
        assert failed.json["errors"][0]["message"] == "Internal Server Error"
        assert caplog.text.count("ValueError: a secret") == 1
        assert (await ask(client, "{ nothing }")).json["errors"]
        await told.enter()
        await told.start("subscription ($r: ID!) { messageCreated(room: $r) { text } }", variables={"r": "7"})
        await publish(app, "7", "hi")
        assert await told.see() == ("next", {"data": {"messageCreated": {"text": "7 hi"}}})


def test_the_engine_for_a_schema() -> None:
    assert type(make_engine(graphene_schema())) is CoreEngine
    assert type(make_engine(strawberry_schema())) is StrawberryEngine
    own: Engine = CoreEngine(ariadne_schema())
    assert make_engine(own) is own
    with pytest.raises(DeclarationError, match="extensions="):
        make_engine(strawberry_schema(), middleware=[1])


async def test_extensions_of_strawberry_run(app: Vivace) -> None:
    from strawberry.extensions import SchemaExtension

    seen: list[str] = []

    class Watch(SchemaExtension):
        def on_operation(self) -> Any:
            seen.append("begin")
            yield
            seen.append("end")

        def get_results(self) -> dict[str, Any]:
            return {"watched": True}

    schema = strawberry.Schema(StrawberryQuery, subscription=StrawberrySubscription, extensions=[Watch])
    async with serve(app, schema) as client:
        answer = await ask(client, "{ path }")
        assert answer.json == {"data": {"path": "/graphql"}, "extensions": {"watched": True}}
    assert seen == ["begin", "end"]


async def test_a_document_is_read_and_checked_once(app: Vivace, monkeypatch: pytest.MonkeyPatch) -> None:
    from strawberry.extensions import AddValidationRules
    from strawberry.schema import schema as library

    checked: list[tuple[Any, ...]] = []
    validate = library.validate_document

    def check(schema: Any, tree: Any, rules: tuple[Any, ...]) -> Any:
        checked.append(rules)
        return validate(schema, tree, rules)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it has been read")

    monkeypatch.setattr(library, "parse", never)
    monkeypatch.setattr(library, "validate_document", check)
    async with serve(app, strawberry_schema()) as client, talk(client) as told:
        assert (await ask(client, "{ path }")).json == {"data": {"path": "/graphql"}}
        await told.enter()
        await told.start("subscription ($r: ID!) { messageCreated(room: $r) { text } }", variables={"r": "7"})
        await publish(app, "7", "hi")
        assert await told.see() == ("next", {"data": {"messageCreated": {"text": "7 hi"}}})
    assert checked == []

    class NoPath(ValidationRule):
        def enter_field(self, node: Any, *_: Any) -> None:
            if node.name.value == "path":
                self.report_error(GraphQLError("no path"))

    own = strawberry.Schema(StrawberryQuery, extensions=[lambda: AddValidationRules([NoPath])])
    async with serve(make_app(), own) as client:
        assert (await ask(client, "{ path }")).json["errors"][0]["message"] == "no path"
    assert checked == [(NoPath,)]


async def test_middleware_of_graphene_runs(app: Vivace) -> None:
    def shout(resolve: Any, root: Any, info: Any, **arguments: Any) -> Any:
        found = resolve(root, info, **arguments)
        return found.upper() if isinstance(found, str) else found

    async with serve(app, graphene_schema(), middleware=[shout]) as client:
        assert (await ask(client, "{ path }")).json == {"data": {"path": "/GRAPHQL"}}
