"""Who may be in a group: asked at the join, again while it lasts, once for a user, closed when it fails."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.support import until
from vivace import Forbidden, NotFound, Request, Vivace, Websocket
from vivace.framework.groups.fanout import fanout_of
from vivace.testing import Client


class House:
    """An app with one group, and the check that guards it."""

    def __init__(self) -> None:
        self.app = Vivace("app", configure_logging=False)
        self.asked: list[tuple[Any, str]] = []
        self.opened: list[Any] = []
        self.allowed = {"ann", "bob"}
        self.failure: Exception | None = None
        self.options: dict[str, Any] = {}
        self.app.config.HUB_LINGER = 0.0

        @self.app.websocket("/ws/<user>")
        async def handler(request: Request, ws: Websocket, user: str) -> None:
            ws.user = None if user == "nobody" else user
            await ws.join("room", **{"allow": self.allow, **self.options})
            await ws.send("in")
            async for _ in ws:
                pass

    def allow(self, conn: Any, topic: str) -> bool:
        self.asked.append((conn.user, topic))
        if self.failure is not None:
            raise self.failure
        return conn.user is None or conn.user in self.allowed

    async def allow_slowly(self, conn: Any, topic: str) -> bool:
        await asyncio.sleep(0.01)
        return self.allow(conn, topic)

    async def enter(self, client: Client, user: str = "ann") -> Any:
        opened = client.websocket(f"/ws/{user}")
        self.opened.append(opened)
        ws = await opened.__aenter__()
        assert await ws.recv() == "in"
        return ws

    async def is_empty(self) -> None:
        fanout = fanout_of(self.app.hub)
        await until(lambda: not (fanout.rooms or fanout.outlets or fanout.admission.verdicts))


@pytest.fixture
def house() -> House:
    return House()


async def out(ws: Any) -> tuple[list[Any], int]:
    """What still came, and the code of the close."""
    return [message async for message in ws], ws.close_code


@pytest.mark.parametrize("slow", [False, True])
async def test_who_may_not_is_refused(house: House, slow: bool) -> None:
    if slow:
        house.options = {"allow": house.allow_slowly}
    async with Client(house.app) as client:
        ann = await house.enter(client)
        async with client.websocket("/ws/eve") as ws:
            assert await out(ws) == ([], 1008)
            assert ws.close_reason == "not allowed in room"
        await house.app.hub.publish("room", "x")
        assert await ann.recv() == "x"
        await ann.close()
    await house.is_empty()


@pytest.mark.parametrize(("failure", "code"), [(NotFound("no such room"), 1008), (ValueError("db"), 1011)])
async def test_a_check_that_raises_refuses(house: House, failure: Exception, code: int) -> None:
    house.failure = failure
    async with Client(house.app, raise_exceptions=False) as client, client.websocket("/ws/ann") as ws:
        assert await out(ws) == ([], code)
    await house.is_empty()


async def test_one_answer_stands_for_all_connections_of_a_user(house: House) -> None:
    house.options = {"allow": house.allow_slowly, "recheck": 0.05}
    async with Client(house.app) as client:
        sockets = await asyncio.gather(
            *(house.enter(client, user) for user in ("ann", "bob") for _ in range(20))
        )
        assert len(house.asked) == 2
        await until(lambda: len(house.asked) >= 6)
        await asyncio.gather(*(ws.close() for ws in sockets))
    await house.is_empty()


async def test_who_is_not_known_is_asked_about_alone(house: House) -> None:
    async with Client(house.app) as client:
        for _ in range(3):
            await house.enter(client, "nobody")
    assert house.asked == [(None, "room")] * 3


async def test_who_may_not_stay_is_taken_out_by_the_next_check(house: House) -> None:
    house.options = {"recheck": 0.02}
    async with Client(house.app) as client:
        ann, bob = await house.enter(client), await house.enter(client, "bob")
        house.allowed.discard("ann")
        assert await out(ann) == ([], 4403)
        assert ann.close_reason == "not allowed in room"
        await house.app.hub.publish("room", "for bob")
        assert await bob.recv() == "for bob"


async def test_a_check_that_fails_is_borne_for_a_while_and_then_closes(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.options = {"recheck": 0.01, "recheck_grace": 0.2}
    async with Client(house.app) as client:
        ann = await house.enter(client)
        house.failure = ValueError("the database is away")
        await until(lambda: len(house.asked) >= 3)
        await house.app.hub.publish("room", "still in")
        assert await ann.recv() == "still in"
        house.failure = None
        count = len(house.asked)
        await until(lambda: len(house.asked) >= count + 2)
        house.failure = ValueError("again")
        began = time.monotonic()
        assert await out(ann) == ([], 4403)
        assert time.monotonic() - began >= 0.15
    assert caplog.text.count("cannot be checked; after") == 2
    assert caplog.text.count("is taken out of the group 'room'") == 1


async def test_the_grace_is_a_setting_and_may_be_nothing(house: House) -> None:
    house.app.config.GROUP_RECHECK_GRACE = 0.0
    house.options = {"recheck": 0.01}
    async with Client(house.app) as client:
        ann = await house.enter(client)
        house.failure = ValueError("the database is away")
        assert await out(ann) == ([], 4403)


# -- at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [{"user": "ann", "topic": "room"}, {"user": "ann"}, {"topic": "room"}, {}],
)
async def test_who_is_revoked_gets_nothing_any_more(house: House, said: dict[str, str]) -> None:
    async with Client(house.app) as client:
        ann = await house.enter(client)
        await house.app.hub.publish("room", "before")
        await house.app.hub.revoke(**said)
        await house.app.hub.publish("room", "after")
        messages, code = await out(ann)
        assert "after" not in messages
        assert code == 4403


@pytest.mark.parametrize("said", [{"user": "bob", "topic": "room"}, {"user": "ann", "topic": "other"}])
async def test_others_stay(house: House, said: dict[str, str]) -> None:
    async with Client(house.app) as client:
        ann = await house.enter(client)
        await house.app.hub.revoke(**said)
        await house.app.hub.recheck(**said)
        await house.app.hub.publish("room", "after")
        assert await ann.recv() == "after"


async def test_the_user_may_be_a_number_or_stand_in_the_request(house: House) -> None:
    class User:
        id = 7

    @house.app.websocket("/me")
    async def me(request: Request, ws: Websocket) -> None:
        request.ctx.user = User()
        await ws.join("room")
        await ws.send(str(ws.user))
        await ws.recv()

    async with Client(house.app) as client, client.websocket("/me") as ws:
        assert await ws.recv() == "7"
        await house.app.hub.revoke(user=7)
        assert await out(ws) == ([], 4403)


async def test_a_long_name_is_cut_where_it_is_told(house: House) -> None:
    @house.app.websocket("/long")
    async def long(request: Request, ws: Websocket) -> None:
        await ws.join("ä" * 100)
        await ws.send("in")
        await ws.recv()

    async with Client(house.app) as client, client.websocket("/long") as ws:
        assert await ws.recv() == "in"
        await house.app.hub.revoke()
        assert await out(ws) == ([], 4403)
        assert ws.close_reason.startswith("not allowed in ä")


@pytest.mark.parametrize("slow", [False, True])
async def test_word_to_check_again_is_followed_at_once(house: House, slow: bool) -> None:
    if slow:
        house.options = {"allow": house.allow_slowly}
    async with Client(house.app) as client:
        bob = await house.enter(client, "bob")
        delays = []
        for _ in range(3):
            house.allowed.add("ann")
            ann = await house.enter(client)
            house.allowed.discard("ann")
            began = time.monotonic()
            await house.app.hub.recheck(topic="room")
            assert await out(ann) == ([], 4403)
            delays.append(time.monotonic() - began)
        assert min(delays) < 0.1, "the shortest, for this machine may be busy"
        await house.app.hub.publish("room", "for bob")
        assert await bob.recv() == "for bob"


@pytest.mark.parametrize("how", ["leave", "function"])
async def test_what_follows_can_be_chosen(house: House, how: str) -> None:
    told: list[str] = []
    choices: dict[str, str | Callable[[str], object]] = {"leave": "leave", "function": told.append}
    house.options = {"on_revoke": choices[how]}
    async with Client(house.app) as client:
        ann = await house.enter(client)
        await house.app.hub.revoke(user="ann")
        await house.app.hub.publish("room", "after")
        with pytest.raises(TimeoutError):
            await ann.recv(timeout=0.05)
        assert told == (["room"] if how == "function" else [])
    await house.is_empty()


async def test_an_answer_from_before_a_revocation_does_not_count(house: House) -> None:
    """The check has read that Ann may; she is revoked before it says so."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def allow(conn: Any, topic: str) -> bool:
        answer = house.allow(conn, topic)
        entered.set()
        await go_on.wait()
        return answer

    house.options = {"allow": allow}
    async with Client(house.app) as client, client.websocket("/ws/ann") as ws:
        await asyncio.wait_for(entered.wait(), 30)
        house.allowed.discard("ann")
        await house.app.hub.revoke(user="ann")
        go_on.set()
        assert await out(ws) == ([], 1008)
    assert len(house.asked) == 2


async def test_a_check_may_say_why(house: House) -> None:
    def allow(conn: Any, topic: str) -> bool:
        raise Forbidden("members only")

    house.options = {"allow": allow}
    async with Client(house.app) as client, client.websocket("/ws/ann") as ws:
        assert await out(ws) == ([], 1008)


async def test_who_joins_while_the_first_join_is_judged_is_judged_too(house: House) -> None:
    said: list[str] = []

    @house.app.websocket("/twice/<user>")
    async def twice(request: Request, ws: Websocket, user: str) -> None:
        ws.user = user
        both = [ws.join("room", allow=house.allow_slowly) for _ in range(2)]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        said.extend(type(outcome).__name__ for outcome in outcomes)
        said.append(",".join(ws.groups))
        if ws.groups:
            said.extend([str(await ws.leave("room")) for _ in range(2)])

    async with Client(house.app) as client:
        async with client.websocket("/twice/eve") as ws:
            assert await out(ws) == ([], 1000)
        assert said == ["Forbidden", "Forbidden", ""]
        said.clear()
        async with client.websocket("/twice/ann") as ws:
            assert await out(ws) == ([], 1000)
        assert said == ["Joined", "Joined", "room", "False", "True"]
        await house.is_empty()
