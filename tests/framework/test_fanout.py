"""The fan-out of a group without sockets: one write for each turn, one check for each user."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub.processes import HubProcess
from tests.server.support import until
from vivace import Vivace
from vivace.errors import Forbidden
from vivace.framework.groups.encoding import Form, envelope, plain
from vivace.framework.groups.fanout import Fanout, JoinOptions, fanout_of
from vivace.framework.groups.outlet import Outlet
from vivace.framework.groups.room import REST
from vivace.hub import Hub
from vivace.hub.limits import Limits
from vivace.protocols.broadcast import Broadcast


class Fake:
    """A client that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[list[Any]] = []
        self.broadcasts: list[Broadcast] = []

    def push(self, broadcast: Broadcast) -> bool:
        self.got.append([message.message for message in broadcast.messages])
        self.broadcasts.append(broadcast)
        return True

    def end(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


@pytest.fixture
async def fanout() -> Fanout:
    app = Vivace("app", configure_logging=False)
    app.config.HUB_LINGER = 0.0
    found = fanout_of(app.hub)
    vars(found)["app"] = app  # a fan-out does not keep its hub
    return found


async def enter(fanout: Fanout, number: int, **options: Any) -> tuple[Fake, Outlet]:
    client = Fake()
    outlet = Outlet(client, client, f"id{number}")
    await join(fanout, outlet, **options)
    return client, outlet


async def join(fanout: Fanout, outlet: Outlet, form: Form = plain, **options: Any) -> None:
    usual: dict[str, Any] = {
        "allow": None,
        "recheck": 0.0,
        "grace": 60.0,
        "user": None,
        "history": 0,
        "since": None,
        "on_slow": "disconnect",
        "key": None,
        "max_queue": 10,
        "max_bytes": 1_000,
        "on_revoke": "close",
    }
    await fanout.join(outlet, "room", JoinOptions(form, **(usual | options)))


async def test_what_comes_within_a_turn_is_made_once_and_leaves_together(fanout: Fanout) -> None:
    clients = [(await enter(fanout, number))[0] for number in range(3)]
    for number in range(5):
        fanout.hub.publish_sync("room", str(number))
    await until(lambda: len(clients[-1].got) > 0)
    assert [client.got for client in clients] == [[["0", "1", "2", "3", "4"]]] * 3
    assert len({id(client.broadcasts[0]) for client in clients}) == 1


async def test_what_is_gathered_within_a_turn_is_bounded(fanout: Fanout) -> None:
    client, _ = await enter(fanout, 1)
    for _ in range(5):
        fanout.hub.publish_sync("room", "x" * 30_000)
    await until(lambda: sum(map(len, client.got)) == 5)
    assert [len(messages) for messages in client.got] == [3, 2]


def write_takes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Let every write to a client take so long; when each began and ended."""
    push = Fake.push
    writes: list[tuple[float, float]] = []

    def slow(self: Fake, broadcast: Broadcast) -> bool:
        began = time.monotonic()
        time.sleep(seconds)
        writes.append((began, time.monotonic()))
        return push(self, broadcast)

    monkeypatch.setattr(Fake, "push", slow)
    return writes


async def test_messages_behind_a_long_fan_out_wait_as_long_and_leave_together(
    fanout: Fanout, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = write_takes(REST, monkeypatch)
    client, _ = await enter(fanout, 1)
    fanout.hub.publish_sync("room", "first")
    await until(lambda: len(client.got) == 1)
    for message in ("a", "b", "c"):
        fanout.hub.publish_sync("room", message)
        await asyncio.sleep(0)
    await until(lambda: len(client.got) == 2)
    assert client.got == [["first"], ["a", "b", "c"]]
    assert writes[1][0] - writes[0][1] >= REST * 0.9


async def test_behind_a_short_fan_out_and_after_a_rest_nothing_waits(
    fanout: Fanout, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = await enter(fanout, 1)
    room = fanout.rooms["room"]
    monkeypatch.setattr("vivace.framework.groups.room.LONG", 1.0)
    for message in ("a", "b"):
        fanout.hub.publish_sync("room", message)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert client.got == [["a"], ["b"]]
    monkeypatch.setattr("vivace.framework.groups.room.LONG", 0.0)
    fanout.hub.publish_sync("room", "c")
    room.flush()
    await asyncio.sleep(2 * REST)
    fanout.hub.publish_sync("room", "d")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.got[2:] == [["c"], ["d"]]


async def test_a_rest_has_a_bound(fanout: Fanout, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = write_takes(10 * REST, monkeypatch)
    client, _ = await enter(fanout, 1)
    fanout.hub.publish_sync("room", "first")
    await until(lambda: len(client.got) == 1)
    fanout.hub.publish_sync("room", "second")
    await until(lambda: len(client.got) == 2)
    assert REST * 0.9 <= writes[1][0] - writes[0][1] < 8 * REST


async def test_who_sent_a_message_gets_the_others_of_the_turn(fanout: Fanout) -> None:
    (one, _), (two, _) = await enter(fanout, 1), await enter(fanout, 2)
    fanout.hub.publish_sync("room", "a")
    fanout.hub.publish_sync("room", "b", exclude="id1")
    fanout.hub.publish_sync("room", "c")
    await until(lambda: len(one.got) > 0)
    assert one.got == [["a", "c"]]
    assert two.got == [["a", "b", "c"]]


async def test_many_connections_of_few_users_cost_few_checks(fanout: Fanout) -> None:
    asked: list[str] = []

    async def allow(conn: Any, topic: str) -> bool:
        asked.append(topic)
        await asyncio.sleep(0)
        return True

    await asyncio.gather(*(enter(fanout, n, allow=allow, user=n % 100) for n in range(2_000)))
    assert len(asked) == 100
    asked.clear()
    await fanout.hub.recheck()
    await until(lambda: not fanout.admission.tasks)
    assert len(asked) == 100


async def test_who_joins_again_with_another_check_has_to_pass_both(fanout: Fanout) -> None:
    asked: list[str] = []
    verdicts = {"one": True, "two": True, "three": False}

    def check(name: str) -> Callable[[Any, str], bool]:
        def allow(conn: Any, topic: str) -> bool:
            asked.append(name)
            return verdicts[name]

        return allow

    one, two, three = check("one"), check("two"), check("three")
    _, outlet = await enter(fanout, 1, allow=one, on_revoke="leave")
    for allow in (one, two, two):
        await join(fanout, outlet, allow=allow, on_revoke="leave")
    assert asked == ["one", "two"]
    with pytest.raises(Forbidden):
        await join(fanout, outlet, allow=three)
    assert asked == ["one", "two", "three"]
    assert outlet.members["room"].count == 4
    verdicts["two"] = False
    await fanout.hub.recheck()
    await until(lambda: not outlet.members)
    assert not fanout.admission.verdicts


@pytest.mark.parametrize("history", [0, 5])
async def test_who_joined_while_the_hub_was_away_is_told_of_a_gap_when_it_is_back(
    tmp_path: Path, history: int
) -> None:
    """What others published meanwhile did not come: nobody may take what comes next for all there was."""
    process = HubProcess(tmp_path)
    hub = Hub(process.url, limits=Limits(timeout=0.1))
    fanout = fanout_of(hub)
    try:
        client, outlet = await enter(fanout, 1, form=envelope, history=history)
        assert "room" in outlet.members
        assert client.got == []
        process.start()
        await until(lambda: hub.up)
        other = Hub(process.url)
        await other.start()
        await fanout.rooms["room"].following.ready()
        await other.publish("room", "later")
        await until(lambda: "later" in str(client.got))
        await other.stop()
        gap = {
            "topic": "room",
            "gap": "hub: it was away, and did not know at first that this topic is followed",
        }
        got = [json.loads(text) for texts in client.got for text in texts]
        assert got == [gap, {"topic": "room", "data": "later"}]
    finally:
        await hub.stop()
        process.close()
