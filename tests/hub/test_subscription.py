"""Subscribers that are too slow, and the ways to deal with them."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vivace.errors import ClosedResourceError, DeclarationError, SubscriberTooSlow
from vivace.hub import Gap, Hub, Message, Subscription
from vivace.hub.limits import Limits
from vivace.hub.records import Past, Stored, encode_payload
from vivace.hub.wire import VERSION, Op, encode_frame

MakeHub = Callable[..., Hub]


async def take(messages: Subscription, count: int) -> list[object]:
    got = [await anext(messages) for _ in range(count)]
    return [item.data if isinstance(item, Message) else item.reason for item in got]


async def test_the_queue_takes_as_much_as_it_says(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a", max_queue=3) as messages:
        for number in range(3):
            await hub.publish("a", number)
        assert await take(messages, 3) == [0, 1, 2]


async def test_who_is_too_slow_is_disconnected(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a", max_queue=3) as messages:
        for number in range(4):
            await hub.publish("a", number)
        assert not hub.has_subscribers("a")
        with pytest.raises(SubscriberTooSlow, match="3 messages of topic 'a'"):
            await anext(messages)


async def test_the_oldest_are_dropped_and_a_gap_stands_in_their_place(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a", max_queue=3, on_slow="drop_oldest") as messages:
        for number in range(7):
            await hub.publish("a", number)
        slow = "slow: the queue of this subscriber was full"
        assert await take(messages, 4) == [slow, 4, 5, 6]
        assert messages.dropped == 4
        await hub.publish("a", 7)
        assert await take(messages, 1) == [7]


async def test_only_the_newest_of_each_key_is_kept(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a", max_queue=2, on_slow="conflate", key=lambda m: m.data["k"]) as messages:
        for key, value in (("x", 1), ("y", 1), ("x", 2), ("x", 3)):
            await hub.publish("a", {"k": key, "v": value})
        assert await take(messages, 2) == [{"k": "x", "v": 3}, {"k": "y", "v": 1}]
        for key in "xyz":
            await hub.publish("a", {"k": key})
        assert isinstance(await anext(messages), Gap)
        assert await take(messages, 2) == [{"k": "y"}, {"k": "z"}]


async def test_without_a_key_one_message_waits(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a", max_queue=1, on_slow="conflate") as messages:
        for number in range(5):
            await hub.publish("a", number)
        assert await take(messages, 1) == [4]


async def test_what_is_kept_may_be_more_than_the_queue(make_hub: MakeHub) -> None:
    hub = make_hub()
    hub.topic("a", history=10)
    for number in range(10):
        await hub.publish("a", number)
    async with hub.subscribe("a", history=10, max_queue=2) as messages:
        assert await take(messages, 10) == list(range(10))


async def test_it_ends_when_it_is_closed(make_hub: MakeHub) -> None:
    hub = make_hub()
    async with hub.subscribe("a") as messages:
        await hub.publish("a", 1)
        asyncio.get_running_loop().call_soon(messages.close)
        assert [item.data async for item in messages if isinstance(item, Message)] == [1]
    with pytest.raises(StopAsyncIteration):
        await anext(messages)


async def test_it_is_used_once_and_inside_async_with(make_hub: MakeHub) -> None:
    messages = make_hub().subscribe("a")
    with pytest.raises(ClosedResourceError, match="async with"):
        await anext(messages)
    async with messages:
        pass
    with pytest.raises(ClosedResourceError, match="make another one"):
        async with messages:
            pass


async def test_what_is_no_policy_is_refused(make_hub: MakeHub) -> None:
    with pytest.raises(DeclarationError, match="not one of disconnect"):
        make_hub().subscribe("a", on_slow="wait")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="less than 1"):
        make_hub().subscribe("a", max_queue=0)


async def test_a_hub_that_is_away_keeps_nobody_waiting_and_a_gap_comes_with_it(
    make_hub: MakeHub, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:  # nobody accepts
        listener.bind(str(tmp_path / "hub"))
        listener.listen()
        hub = make_hub(f"unix://{tmp_path}/hub", limits=Limits(timeout=0.05))
        async with asyncio.timeout(30), hub.subscribe("a", max_queue=2) as messages:
            listener.setblocking(False)
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(listener)
            with connection:
                connection.setblocking(False)
                await loop.sock_sendall(connection, encode_frame(Op.HELLO, VERSION))
                await loop.sock_sendall(connection, encode_frame(Op.FOLLOWED, "a", Past([], True, None)))
                stored = Stored("a", encode_payload(1), None)
                await loop.sock_sendall(connection, encode_frame(Op.MESSAGE, stored))
                late = "hub: it was away, and did not know at first that this topic is followed"
                assert await take(messages, 2) == [late, 1]


async def test_what_waits_while_it_begins_is_bounded(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = make_hub(f"unix://{tmp_path}/none", limits=Limits(timeout=0.3))
    messages = hub.subscribe("a", max_queue=2)
    entering = asyncio.create_task(messages.__aenter__())
    async with asyncio.timeout(30):
        while not hub.has_subscribers("a"):
            await asyncio.sleep(0)
        for number in range(3):
            await hub.publish("a", number)
        await entering
        with pytest.raises(SubscriberTooSlow):
            await anext(messages)
