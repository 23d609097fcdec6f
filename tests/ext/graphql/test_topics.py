"""Topics that resolvers declare: what is published reaches whoever may see it, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from graphql import GraphQLArgument, GraphQLField, GraphQLNonNull

from tests.ext.graphql.schema import LEGACY, MODERN, TEXT, Talk, make_schema, same, serve, talk
from tests.ext.graphql.test_socket import until
from tests.framework.streams import make_app
from vivace import Forbidden, Vivace
from vivace.errors import DeclarationError
from vivace.ext.graphql import SKIP, Context, topics
from vivace.hub import Gap

BOTH = pytest.mark.parametrize("subprotocol", [MODERN, LEGACY])
SUBSCRIPTION = 'subscription { room(name: "%s") }'


class House:
    """Rooms, and who may be in them."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {"a": {"ann", "bob"}, "b": {"bob"}}
        self.asked: list[tuple[str, str]] = []
        self.broken: Exception | None = None

    async def may(self, user: str, topic: str) -> bool:
        await asyncio.sleep(0)
        self.asked.append((user, topic))
        if self.broken is not None:
            raise self.broken
        return user in self.members[topic.removeprefix("room:")]

    def schema(self, **options: Any) -> Any:
        @topics(lambda name: f"room:{name}", **options)
        async def room(root: Any, info: Any, event: Any, name: str) -> Any:
            if isinstance(event, Gap):
                return f"gap in {name}"
            return SKIP if event.data == "skip" else f"{name} {event.data}"

        arguments = {"name": GraphQLArgument(GraphQLNonNull(TEXT))}
        return make_schema(room=GraphQLField(TEXT, arguments, resolve=same, subscribe=room))


@pytest.fixture
def app() -> Vivace:
    return make_app()


@pytest.fixture
def house() -> House:
    return House()


def name_user(context: Context) -> None:
    context.user = context.payload.get("user")


@asynccontextmanager
async def entering(app: Vivace, schema: Any, user: str, **options: Any) -> AsyncIterator[Talk]:
    """A user who has introduced itself."""
    async with serve(app, schema, on_connect=name_user, **options) as client, talk(client) as told:
        await told.enter({"user": user})
        yield told


async def publish(app: Vivace, room: str, data: Any) -> None:
    await until(lambda: app.hub.has_subscribers(f"room:{room}"))
    await app.hub.publish(f"room:{room}", data)


@BOTH
async def test_events_reach_who_follows_their_topic(app: Vivace, house: House, subprotocol: str) -> None:
    async with serve(app, house.schema()) as client, talk(client, subprotocol) as told:
        await told.enter()
        await told.start(SUBSCRIPTION % "a")
        for data in ("one", "skip", "two"):
            await publish(app, "a", data)
        await app.hub.publish("room:b", "nobody")
        assert await told.see() == ("next", {"data": {"room": "a one"}})
        assert await told.see() == ("next", {"data": {"room": "a two"}})


@BOTH
async def test_ending_one_operation_leaves_others_of_the_topic(
    app: Vivace, house: House, subprotocol: str
) -> None:
    app.config.HUB_LINGER = 0
    async with serve(app, house.schema()) as client, talk(client, subprotocol) as told:
        await told.enter()
        await told.start(SUBSCRIPTION % "a", "kept")
        await told.start(SUBSCRIPTION % "a", "ended")
        await until(lambda: app.hub.stats()["receivers"] == 2)
        await told.stop("ended")
        await until(lambda: app.hub.stats()["receivers"] == 1)
        await publish(app, "a", "one")
        messages = [await told.ws.recv_json()]
        if told.legacy:
            messages.append(await told.ws.recv_json())
        assert messages[-1]["id"] == "kept"
        await told.stop("kept")
        await until(lambda: app.hub.stats()["receivers"] == 0)


async def test_who_may_not_is_told_so(app: Vivace, house: House) -> None:
    options: dict[str, Any] = {"on_connect": name_user}
    async with serve(app, house.schema(allow=house.may), **options) as client, talk(client) as told:
        await told.enter({"user": "ann"})
        ((error,),) = await told.all(SUBSCRIPTION % "b")
        assert (error["message"], error["extensions"]["code"]) == ("Forbidden", "FORBIDDEN")
        assert not app.hub.has_subscribers("room:b")
        await told.start(SUBSCRIPTION % "a")
        await publish(app, "a", "one")
        assert (await told.see())[0] == "next"


@pytest.mark.parametrize(
    ("error", "message"),
    [(Forbidden("not you"), "Forbidden"), (ValueError("a secret"), "Internal Server Error")],
)
async def test_a_check_that_raises_lets_nobody_in(
    app: Vivace, house: House, error: Exception, message: str
) -> None:
    house.broken = error
    async with entering(app, house.schema(allow=house.may), "ann") as told:
        ((error_told,),) = await told.all(SUBSCRIPTION % "a")
        assert error_told["message"] == message


@BOTH
async def test_who_is_revoked_gets_no_more_and_others_do(app: Vivace, house: House, subprotocol: str) -> None:
    async with (
        serve(app, house.schema(allow=house.may), on_connect=name_user) as client,
        talk(client, subprotocol) as ann,
        talk(client, subprotocol) as bob,
    ):
        for told, user in ((ann, "ann"), (bob, "bob")):
            await told.enter({"user": user})
            await told.start(SUBSCRIPTION % "a")
        await bob.start(SUBSCRIPTION % "b", "2")
        await until(lambda: app.hub.stats()["receivers"] == 3)
        await app.hub.revoke(user="bob", topic="room:a")
        kind, (error,) = await bob.see()
        assert (kind, error["extensions"]["code"]) == ("error", "REVOKED")
        await publish(app, "a", "one")
        await publish(app, "b", "two")
        assert await ann.see() == ("next", {"data": {"room": "a one"}})
        assert await bob.see() == ("next", {"data": {"room": "b two"}})


async def test_who_loses_access_is_out_when_it_is_asked_again(app: Vivace, house: House) -> None:
    async with entering(app, house.schema(allow=house.may), "ann") as told:
        await told.start(SUBSCRIPTION % "a")
        await until(lambda: app.hub.has_subscribers("room:a"))
        house.members["a"].remove("ann")
        await app.hub.recheck(topic="room:b")
        await app.hub.recheck(user="bob")
        assert len(house.asked) == 1
        await app.hub.recheck(topic="room:a")
        kind, (error,) = await told.see()
        assert (kind, error["message"]) == ("error", "Forbidden")


async def test_access_is_asked_again_by_itself(app: Vivace, house: House) -> None:
    async with entering(app, house.schema(allow=house.may, recheck=0.02), "ann") as told:
        await told.start(SUBSCRIPTION % "a")
        await until(lambda: len(house.asked) > 2)
        house.members["a"].remove("ann")
        assert (await told.see())[0] == "error"
        asked = len(house.asked)
        await asyncio.sleep(0.05)
        assert len(house.asked) == asked


async def test_access_is_asked_before_each_event(app: Vivace, house: House) -> None:
    async with entering(app, house.schema(allow=house.may, recheck=0), "ann") as told:
        await told.start(SUBSCRIPTION % "a")
        await publish(app, "a", "one")
        assert (await told.see())[0] == "next"
        house.members["a"].remove("ann")
        await publish(app, "a", "two")
        kind, (error,) = await told.see()
        assert (kind, error["message"]) == ("error", "Forbidden")


async def test_one_question_for_all_operations_of_a_user(app: Vivace, house: House) -> None:
    async with entering(app, house.schema(allow=house.may), "bob") as told:
        for number in range(20):
            await told.start(SUBSCRIPTION % "ab"[number % 2], str(number))
        await until(lambda: app.hub.stats()["receivers"] == 20)
        assert sorted(house.asked) == [("bob", "room:a"), ("bob", "room:b")]
        await app.hub.recheck()
        await until(lambda: len(house.asked) == 4)


async def test_a_check_that_fails_lets_people_stay_for_a_while(app: Vivace, house: House) -> None:
    app.config.GROUP_RECHECK_GRACE = 0.1
    async with entering(app, house.schema(allow=house.may, recheck=0.02), "ann") as told:
        await told.start(SUBSCRIPTION % "a")
        await until(lambda: app.hub.has_subscribers("room:a"))
        house.broken = ValueError("a secret")
        asked = len(house.asked)
        await until(lambda: len(house.asked) > asked + 1)
        await publish(app, "a", "one")
        assert (await told.see())[0] == "next"
        kind, (error,) = await told.see()
        assert (kind, error["message"]) == ("error", "Forbidden")


async def test_unknown_users_do_not_share_an_answer(app: Vivace, house: House) -> None:
    def may(context: Context, topic: str) -> bool:
        return bool(context.payload["let"] == "me")

    async with serve(app, house.schema(allow=may)) as client, talk(client) as one, talk(client) as other:
        await one.enter({"let": "me"})
        await other.enter({"let": "not"})
        await one.start(SUBSCRIPTION % "a")
        await until(lambda: app.hub.has_subscribers("room:a"))
        ((error,),) = await other.all(SUBSCRIPTION % "a")
        assert error["message"] == "Forbidden"


async def test_who_does_not_read_is_told_that_it_was_too_slow(app: Vivace, house: House) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    @topics("room:a", max_queue=2)
    async def slow(root: Any, info: Any, event: Any) -> Any:
        begun.set()
        await gate.wait()
        return str(event.data)

    field = GraphQLField(TEXT, resolve=same, subscribe=slow)
    async with serve(app, make_schema(slow=field)) as client, talk(client) as told:
        await told.enter()
        await told.start("subscription { slow }")
        await publish(app, "a", 0)
        await begun.wait()  # the resolver has the first one
        for number in (1, 2, 3):
            await app.hub.publish("room:a", number)
        gate.set()
        assert await told.see() == ("next", {"data": {"slow": "0"}})
        kind, (error,) = await told.see()
        assert (kind, error["extensions"]["code"]) == ("error", "TOO_SLOW")


@pytest.mark.parametrize("gaps", [True, False])
async def test_gaps_are_for_resolvers_that_want_them(app: Vivace, house: House, gaps: bool) -> None:
    async with serve(app, house.schema(gaps=gaps)) as client, talk(client) as told:
        await told.enter()
        await told.start(SUBSCRIPTION % "a")
        await until(lambda: app.hub.has_subscribers("room:a"))
        local = app.hub._local
        assert local is not None
        local.gap("room:a", "engine: lost")
        await publish(app, "a", "one")
        if gaps:
            assert await told.see() == ("next", {"data": {"room": "gap in a"}})
        assert await told.see() == ("next", {"data": {"room": "a one"}})


async def test_several_topics_and_functions_that_wait(app: Vivace) -> None:
    async def many(user: Any, info: Any, **others: Any) -> list[str]:
        await asyncio.sleep(0)
        return [f"room:{info.field_name}", f"room:{user}"]

    @topics("room:all", many)
    def news(root: Any, info: Any, event: Any) -> str:
        return str(event.topic)

    field = GraphQLField(TEXT, resolve=same, subscribe=news)
    async with serve(app, make_schema(news=field), on_connect=name_user) as client, talk(client) as told:
        await told.enter({"user": "ann"})
        await told.start("subscription { news }")
        for room in ("all", "news", "ann"):
            await publish(app, room, 1)
            assert await told.see() == ("next", {"data": {"news": f"room:{room}"}})


async def test_topics_over_server_sent_events(app: Vivace, house: House) -> None:
    async with serve(app, house.schema()) as client:
        options: dict[str, Any] = {"headers": {"accept": "text/event-stream"}}
        query = {"query": SUBSCRIPTION % "a"}
        async with client.stream("POST", "/graphql", json=query, **options) as response:
            assert await response.receive() == b":\n\n"
            await publish(app, "a", "one")
            assert b'{"data":{"room":"a one"}}' in await response.receive()
        await until(lambda: app.hub.stats()["receivers"] == 0)


def test_declarations_that_cannot_be() -> None:
    with pytest.raises(DeclarationError, match="needs a topic"):
        topics()
    with pytest.raises(DeclarationError, match="recheck=-1"):
        topics("a", allow=same, recheck=-1)
    with pytest.raises(DeclarationError, match="there is none"):
        topics("a", recheck=1)
    with pytest.raises(DeclarationError, match="max_queue=0"):
        topics("a", max_queue=0)
    with pytest.raises(DeclarationError, match="root, info, event"):
        topics("a")(lambda root, info: 1)


async def test_it_works_only_where_operations_run() -> None:
    source = topics("a")(lambda root, info, event: 1)
    with pytest.raises(RuntimeError, match=r"app\.graphql"):
        await anext(source(None, None))
