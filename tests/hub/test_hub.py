"""Groups in one process: what programs write, with the hub as an object."""

import asyncio
import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from vivace.errors import DeclarationError, InvalidTopic, MessageTooLarge
from vivace.hub import Gap, Hub, Message, Position
from vivace.hub.hub import Control
from vivace.hub.limits import Limits

MakeHub = Callable[..., Hub]


async def test_a_message_reaches_who_subscribed(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("room:1") as messages:
        assert await hub.publish("room:1", {"text": "hi", "n": [1, 2.5, None, b"x"]}) is None
        await hub.publish("room:2", "not for me")
        await hub.publish("room:1", 2)
        first, second = await anext(messages), await anext(messages)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert (first.topic, first.data, first.pos) == ("room:1", {"text": "hi", "n": [1, 2.5, None, b"x"]}, None)
    assert second.data == 2


async def test_a_fast_message_is_there_before_publish_waits_for_anything(make_hub: MakeHub) -> None:
    hub = make_hub()
    got: list[Any] = []
    hub.follow("a", got.append)
    publishing = hub.publish("a", 1)
    with pytest.raises(StopIteration):
        publishing.send(None)
    assert [item.data for item in got if isinstance(item, Message)] == [1]


async def test_who_sent_it_may_be_left_out(make_hub: MakeHub) -> None:
    hub = make_hub()
    mine: list[Any] = []
    others: list[Any] = []
    hub.follow("a", mine.append, id="me")
    hub.follow("a", others.append, id="you")
    await hub.publish("a", 1, exclude="me")
    assert (len(mine), len(others)) == (0, 1)


async def test_who_comes_back_gets_what_was_missed(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("room:*", delivery="resume", history=3)
    position = await hub.publish("room:1", 0)
    for number in range(1, 4):
        await hub.publish("room:1", number)
    async with hub.subscribe("room:1", since=position) as messages:
        assert messages.recovered is True
        await hub.publish("room:1", 4)
        assert [(await anext(messages)).data for _ in range(4)] == [1, 2, 3, 4]  # type: ignore[union-attr]
        assert str(messages.position).endswith(":5")
    async with hub.subscribe("room:1", since=str(position)) as messages:
        gap = await anext(messages)
        assert isinstance(gap, Gap)
        assert gap.reason.startswith("history: ")
        assert messages.recovered is False


async def test_a_position_that_is_none_is_not_complete(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("a", delivery="resume")
    async with hub.subscribe("a", since="what a client sent") as messages:
        assert messages.recovered is False


async def test_the_newest_can_be_had_first(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("a", history=5)
    for number in range(9):
        await hub.publish("a", number)
    async with hub.subscribe("a", history=2) as messages:
        await hub.publish("a", 9)
        assert [(await anext(messages)).data for _ in range(3)] == [7, 8, 9]  # type: ignore[union-attr]
        assert messages.recovered is None


async def test_a_latest_topic_gives_its_value_to_who_comes(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("price:*", delivery="latest")
    for price in (10, 11, 12):
        await hub.publish("price:x", price)
    async with hub.subscribe("price:x") as messages:
        await hub.publish("price:x", 13)
        assert [(await anext(messages)).data for _ in range(2)] == [12, 13]  # type: ignore[union-attr]


async def test_a_receiver_that_fails_keeps_nothing_from_the_others(
    make_hub: MakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub()
    got: list[Any] = []

    def fail(_: object) -> None:
        raise ValueError("broken")

    hub.follow("a", fail)
    hub.follow("a", got.append)
    await hub.publish("a", 1)
    assert len(got) == 1
    assert "a receiver of topic 'a' failed" in caplog.text


async def test_interest_is_counted_and_lingers(make_hub: MakeHub) -> None:
    hub = make_hub(limits=Limits(linger=0.05))
    one, two = hub.follow("a", lambda _: None), hub.follow("a", lambda _: None)
    assert hub.has_subscribers("a")
    one.close()
    one.close()
    assert hub.has_subscribers("a")
    two.close()
    assert not hub.has_subscribers("a")
    assert (await hub.ask_stats())["topics"] == 1
    three = hub.follow("a", lambda _: None)
    await asyncio.sleep(0.1)
    assert (await hub.ask_stats())["topics"] == 1
    three.close()
    while (await hub.ask_stats())["topics"]:
        await asyncio.sleep(0.01)
    assert hub.stats()["topics"] == 0


async def test_a_cancelled_subscription_leaves_nothing_behind(make_hub: MakeHub) -> None:
    """Wherever it is cancelled: the number of turns before it is all there is to vary."""
    hub = make_hub(limits=Limits(linger=0.0))
    await hub.start()
    for turns in range(6):

        async def subscribe() -> None:
            async with hub.subscribe("a", history=1):
                await asyncio.sleep(60)

        task = asyncio.create_task(subscribe())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert hub.stats()["receivers"] == 0
    await asyncio.sleep(0.01)
    assert (await hub.ask_stats())["topics"] == 0


async def test_who_is_present(make_hub: MakeHub) -> None:
    hub = make_hub()
    one = await hub.track("room", 7, {"tab": 1})
    await hub.track("room", 7, {"tab": 2})
    await hub.track("room", "x")
    assert await hub.presence("room") == {"7": [{"tab": 1}, {"tab": 2}], "x": [None]}
    one.close()
    await hub.untrack("room", "x")
    assert await hub.presence("room") == {"7": [{"tab": 2}]}
    await hub.untrack(one)
    await hub.untrack("room", 7)
    assert await hub.presence("room") == {}


async def test_who_comes_and_goes(make_hub: MakeHub) -> None:
    hub, told = make_hub(), list[Any]()
    following = hub.follow_presence("room", told.append)
    await following.ready()
    one, two = await hub.track("room", 7, "tab"), await hub.track("room", 7, "phone")
    one.close()
    two.close()
    assert told == [("room", "7", True, "tab"), ("room", "7", False, "phone")]
    following.close()
    await hub.track("room", 8)
    assert len(told) == 2


async def test_who_may_stay_is_said_to_every_process(make_hub: MakeHub) -> None:
    one, two = make_hub(), make_hub()
    heard: list[tuple[str, Control]] = []
    end = one.on_control(lambda control: heard.append(("one", control)))
    two.on_control(lambda control: heard.append(("two", control)))
    await one.revoke(user=7, topic="room")
    assert heard == [("one", ("revoke", "7", "room")), ("two", ("revoke", "7", "room"))]
    end()
    await two.recheck()
    assert heard[2:] == [("two", ("recheck", None, None))]


async def test_all_hubs_without_a_place_are_one(make_hub: MakeHub) -> None:
    one, two = make_hub(), make_hub()
    two.topic("b", delivery="resume")
    async with two.subscribe("a") as fast, two.subscribe("b") as ordered:
        await one.publish("a", 1)
        assert (await anext(fast)).data == 1  # type: ignore[union-attr]
        assert isinstance(await one.publish("b", 2), Position)
        assert (await anext(ordered)).data == 2  # type: ignore[union-attr]


async def test_publish_sync_works_on_and_beside_the_loop(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("b", delivery="resume")
    async with hub.subscribe("a") as fast:
        assert hub.publish_sync("a", 1) is None
        assert await asyncio.to_thread(hub.publish_sync, "a", 2) is None
        assert [(await anext(fast)).data for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    first = hub.publish_sync("b", 1)
    second = await asyncio.to_thread(hub.publish_sync, "b", 1)
    assert isinstance(first, Position)
    assert second == Position(first.epoch, first.offset + 1)


@pytest.mark.parametrize("topic", ["", "x" * 201, "é" * 101, "$control", "a\nb", "a\x7f", "a\ud800"])
async def test_a_name_that_no_topic_can_have_is_refused(make_hub: MakeHub, topic: str) -> None:
    hub = make_hub()
    with pytest.raises(InvalidTopic, match="no group has such a name") as caught:
        await hub.publish(topic, 1)
    with pytest.raises(InvalidTopic, match="no group has such a name") as caught:
        hub.follow(topic, lambda _: None)
    assert caught.value.status_code == 400
    assert isinstance(caught.value, DeclarationError)
    assert len(str(caught.value)) < 200


async def test_the_longest_name_is_taken(make_hub: MakeHub) -> None:
    hub = make_hub()
    got: list[Any] = []
    hub.follow("é" * 100, got.append)
    await hub.publish("é" * 100, 1)
    assert len(got) == 1


async def test_a_message_may_have_its_size_and_no_more(make_hub: MakeHub) -> None:
    hub = make_hub(limits=Limits(max_message=100))
    hub.topic("small", max_message=10)
    await hub.publish("a", b"x" * 98)
    with pytest.raises(MessageTooLarge, match="101 octets is too large for topic 'a', which takes 100"):
        await hub.publish("a", b"x" * 99)
    await hub.publish("small", b"x" * 8)
    with pytest.raises(MessageTooLarge, match="which takes 10"):
        await hub.publish("small", b"x" * 9)


async def test_what_cannot_be_encoded_is_refused(make_hub: MakeHub) -> None:
    with pytest.raises(TypeError):
        await make_hub().publish("a", object())


async def test_data_is_decoded_once(make_hub: MakeHub) -> None:
    hub = make_hub()
    got: list[Any] = []
    hub.follow("a", got.append)
    hub.follow("a", got.append)
    await hub.publish("a", {"x": 1})
    assert got[0] is got[1]
    assert isinstance(got[0], Message)
    assert got[0].data is got[0].data
    assert repr(got[0]) == "<Message 'a': 4 octets>"


async def test_it_ends_and_begins_again() -> None:
    hub = Hub()
    hub.topic("a", delivery="resume")
    await hub.publish("a", 1)
    await hub.stop()
    await hub.stop()
    assert not hub.started
    assert isinstance(await hub.publish("a", 2), Position)
    await hub.stop()


def test_another_loop_is_another_beginning() -> None:
    hub = Hub()
    for _ in range(2):
        asyncio.run(_use(hub))
    gc.collect()


async def _use(hub: Hub) -> None:
    async with hub.subscribe("a") as messages:
        await hub.publish("a", 1)
        assert (await anext(messages)).data == 1  # type: ignore[union-attr]


async def test_two_loops_at_once_are_refused(make_hub: MakeHub) -> None:
    hub = make_hub()
    await hub.publish("a", 1)
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, hub.publish("a", 1))


def test_what_was_declared_travels() -> None:
    hub = Hub("unix:///x", name="me")
    hub.topic("a", delivery="resume", history=5)
    again = pickle.loads(pickle.dumps(hub))
    assert (again.url, again.name, again.rules.of("a").history) == ("unix:///x", "me", 5)
    assert not again.started


def test_positions_can_be_written_down() -> None:
    assert Position.parse(str(Position("a:b", 12))) == Position("a:b", 12)
    for text in ("", "x", ":3", "e:", "e:-1", "e:x", "e:" + "9" * 30):
        assert Position.parse(text) is None
