"""The channel layer by its specification: channels, groups, flush, expiry, capacity, names and messages."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from channels.exceptions import ChannelFull, MessageTooLarge  # type: ignore[import-untyped]

from tests.contrib.channels.conftest import Make
from vivace.contrib.django.channels import HubLayer
from vivace.contrib.django.channels.message import MAX_DEPTH

SECONDS = 10
HI = {"type": "chat.message", "text": "hi"}


class Clock:
    """The time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def take(layer: HubLayer, channel: str) -> dict[str, Any]:
    """The next message; fails if there is none soon."""
    async with asyncio.timeout(SECONDS):
        return await layer.receive(channel)


@asynccontextmanager
async def nothing_more(layer: HubLayer, channel: str) -> AsyncIterator[None]:
    """Fails if anything comes before a last message, which is sent here."""
    yield
    await layer.send(channel, {"type": "last"})
    assert await take(layer, channel) == {"type": "last"}


# -- channels -------------------------------------------------------------------------------------------


async def test_a_message_reaches_its_reader_and_is_a_copy(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    sent = {"type": "x", "list": [1, 2.5, True, None, "ü", b"\xff"], "deep": {"a": {"b": (1,)}}}
    await layer.send(channel, sent)
    assert await take(layer, channel) == {**sent, "deep": {"a": {"b": [1]}}}


async def test_messages_of_a_channel_keep_their_order(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    for number in range(100):
        await layer.send(channel, {"type": "n", "number": number})
    assert [(await take(layer, channel))["number"] for _ in range(100)] == list(range(100))


async def test_a_reader_that_waits_gets_what_comes(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    reader = asyncio.create_task(take(layer, channel))
    await asyncio.sleep(0)
    await layer.send(channel, HI)
    assert await reader == HI


async def test_a_reader_that_is_cancelled_loses_nothing(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    reader = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0.01)
    await layer.send(channel, HI)  # the reader was woken, and has not looked yet
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert await take(layer, channel) == HI


async def test_of_two_readers_each_message_is_for_one(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    readers = [asyncio.create_task(take(layer, channel)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for number in range(2):
        await layer.send(channel, {"type": "n", "number": number})
    assert sorted(message["number"] for message in await asyncio.gather(*readers)) == [0, 1]


async def test_names_are_new_and_say_whose_they_are(layer: HubLayer) -> None:
    first, second = await layer.new_channel(), await layer.new_channel("http.response.")
    assert first.startswith("specific.")
    assert second.startswith("http.response.")
    assert first.partition("!")[0].rpartition(".")[2] == second.partition("!")[0].rpartition(".")[2]
    assert len({await layer.new_channel() for _ in range(100)}) == 100
    assert all(layer.require_valid_channel_name(name) for name in (first, second))


async def test_the_channel_of_another_process_cannot_be_read(layer: HubLayer) -> None:
    with pytest.raises(TypeError, match="is read in the process 0123"):
        await layer.receive("specific.0123!abc")


async def test_a_channel_of_another_layer_gets_its_message(make: Make) -> None:
    here, there = make(), make()
    channel = await there.new_channel()
    await here.send(channel, HI)
    assert await take(there, channel) == HI


@pytest.mark.parametrize("name", ["", "a b", "ü", "a" * 100, "a!b!c", "a/b", 7])
async def test_names_that_cannot_be(layer: HubLayer, name: Any) -> None:
    with pytest.raises(TypeError, match="name must be"):
        await layer.send(name, HI)
    with pytest.raises(TypeError, match="name must be"):
        await layer.receive(name)
    with pytest.raises(TypeError, match="name must be"):
        await layer.group_add("group", name)
    with pytest.raises(TypeError, match="name must be"):
        await layer.group_send(name, HI)


async def test_the_longest_name(layer: HubLayer) -> None:
    channel = await layer.new_channel("a" * (99 - len("." + "0" * 12 + "!" + "0" * 16)))
    assert len(channel) == 99
    await layer.group_add("g" * 99, channel)
    await layer.group_send("g" * 99, HI)
    assert await take(layer, channel) == HI
    with pytest.raises(TypeError):
        await layer.new_channel("a" * 71)


# -- messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), r"message\['x'\] is a object"),
        ({1: 2}, r"message\['x'\] has the key 1"),
        ([0, {"y": {3}}], r"message\['x'\]\[1\]\['y'\] is a set"),
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
    ],
)
async def test_what_cannot_travel_is_named(layer: HubLayer, value: Any, told: str) -> None:
    for sending in (layer.send("channel", {"x": value}), layer.group_send("group", {"x": value})):
        with pytest.raises(TypeError, match=told):
            await sending


async def test_a_message_is_a_dict(layer: HubLayer) -> None:
    with pytest.raises(TypeError, match="is a dict, not list"):
        await layer.send("channel", [1])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0.1, "", b"", [], {}])
async def test_the_edges_of_what_can(layer: HubLayer, value: Any) -> None:
    channel = await layer.new_channel()
    await layer.send(channel, {"x": value})
    assert (await take(layer, channel))["x"] == value


async def test_types_that_are_made_from_plain_ones_travel_as_these(layer: HubLayer) -> None:
    from django.utils.safestring import mark_safe

    class Number(int):
        pass

    channel = await layer.new_channel()
    safe: Any = mark_safe
    await layer.send(channel, {safe("k"): [safe("<b>"), Number(3), bytearray(b"x")]})
    assert await take(layer, channel) == {"k": ["<b>", 3, b"x"]}


async def test_a_message_that_is_nested_too_deep(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    for levels, right in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        message: dict[str, Any] = {}
        for _ in range(levels - 1):
            message = {"x": message}
        if right:
            await layer.send(channel, message)
        else:
            with pytest.raises(TypeError, match="nested too deep"):
                await layer.send(channel, message)


async def test_a_message_of_a_megabyte_passes_and_a_larger_one_is_refused(make: Make) -> None:
    layer = make(max_size=2**20)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    room = 2**20 - len(b"\x82\xa4type\xa1x\xa4body\xc6\0\0\0\0")
    await layer.group_send("group", {"type": "x", "body": b"x" * room})
    assert len((await take(layer, channel))["body"]) == room
    with pytest.raises(layer.MessageTooLarge, match="1048577 octets, and 1048576 are allowed"):
        await layer.group_send("group", {"type": "x", "body": b"x" * (room + 1)})
    assert layer.MessageTooLarge is MessageTooLarge


# -- expiry and capacity --------------------------------------------------------------------------------


async def test_what_nobody_reads_expires(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("vivace.contrib.django.channels.layer.monotonic", clock)
    layer = make(expiry=60)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "old"})
    clock.now += 59.9
    await layer.send(channel, {"type": "new"})
    clock.now += 0.1
    assert await take(layer, channel) == {"type": "new"}


async def test_a_full_channel_is_said_to_who_sends(make: Make) -> None:
    layer = make(capacity=3)
    channel = await layer.new_channel()
    for _ in range(3):
        await layer.send(channel, HI)
    with pytest.raises(ChannelFull, match="3 messages unread"):
        await layer.send(channel, HI)
    await take(layer, channel)
    await layer.send(channel, HI)
    assert layer.ChannelFull is ChannelFull


async def test_channels_may_have_capacities_of_their_own(make: Make) -> None:
    layer = make(channel_capacity={"specific.*": 2, "one": 1})
    channel = await layer.new_channel()
    for name, capacity in ((channel, 2), ("one", 1)):
        for _ in range(capacity):
            await layer.send(name, HI)
        with pytest.raises(ChannelFull):
            await layer.send(name, HI)
    assert layer.get_capacity("other") == 100


async def test_a_full_channel_of_another_process_is_known_soon(make: Make) -> None:
    here, there = make(capacity=1), make(capacity=1)
    channel = await there.new_channel()
    await here.send(channel, HI)
    await here.send(channel, HI)  # it was full: this process cannot know yet
    async with asyncio.timeout(SECONDS):
        with pytest.raises(ChannelFull):
            while True:
                await here.send(channel, HI)
                await asyncio.sleep(0.01)


async def test_a_group_drops_for_the_member_that_is_full_and_says_so_once_a_minute(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, told = Clock(), list[tuple[str, str]]()
    monkeypatch.setattr("vivace.contrib.django.channels.layer.monotonic", clock)
    layer = make(capacity=2, expiry=1000, on_drop=lambda group, channel: told.append((group, channel)))
    slow, quick = await layer.new_channel(), await layer.new_channel()
    for channel in (slow, quick):
        await layer.group_add("room", channel)
    with caplog.at_level(logging.WARNING, "vivace.channels"):
        for number in range(12):
            await layer.group_send("room", {"type": "n", "number": number})
            assert (await take(layer, quick))["number"] == number
        assert len(caplog.records) == 1
        assert "the group room lost 1 messages" in caplog.records[0].getMessage()
        clock.now += 60
        await layer.group_send("room", HI)
    assert "the group room lost 10 messages" in caplog.records[1].getMessage()
    assert layer.dropped == {"room": 11}
    assert told == [("room", slow)] * 11
    assert [(await take(layer, slow))["number"] for _ in range(2)] == [0, 1]


async def test_an_on_drop_that_fails_harms_nobody(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    layer = make(capacity=1, on_drop="tests.contrib.channels.test_layer.failing")
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    for _ in range(3):
        await layer.group_send("room", HI)
    assert await take(layer, channel) == HI
    assert "on_drop of the channel layer failed" in caplog.text


def failing(group: str, channel: str) -> None:
    raise RuntimeError("boom")


# -- groups ---------------------------------------------------------------------------------------------


async def test_members_of_all_processes_get_what_is_sent_to_a_group(make: Make) -> None:
    layers = [make(), make(), make()]
    channels = [await layer.new_channel() for layer in layers for _ in range(2)]
    for at, channel in enumerate(channels):
        await layers[at // 2].group_add("room", channel)
    await layers[0].group_send("room", HI)
    assert [await take(layers[at // 2], channel) for at, channel in enumerate(channels)] == [HI] * 6


async def test_who_is_added_twice_gets_it_once(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_add("room", channel)
    await layer.group_send("room", HI)
    assert await take(layer, channel) == HI
    async with nothing_more(layer, channel):
        pass


async def test_who_was_discarded_gets_nothing(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_discard("room", channel)  # of no group
    await layer.group_add("room", channel)
    await layer.group_discard("room", channel)
    async with nothing_more(layer, channel):
        await layer.group_send("room", HI)


async def test_the_channel_of_another_process_is_added_and_discarded(make: Make) -> None:
    here, there = make(), make()
    channel = await there.new_channel()
    await here.group_add("room", channel)
    await here.group_send("room", HI)
    assert await take(there, channel) == HI
    await here.group_discard("room", channel)
    async with nothing_more(there, channel):
        await here.group_send("room", HI)


async def test_a_channel_whose_process_is_gone_is_waited_for_a_moment(
    layer: HubLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.contrib.django.channels.post.ANSWER_SECONDS", 0.05)
    async with asyncio.timeout(SECONDS):
        await layer.group_add("room", "specific.0123!abc")


async def test_a_member_whose_message_expired_leaves(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("vivace.contrib.django.channels.layer.monotonic", clock)
    layer = make(expiry=60)
    gone, here = await layer.new_channel(), await layer.new_channel()
    for channel in (gone, here):
        await layer.group_add("room", channel)
    await layer.group_send("room", HI)
    await take(layer, here)
    clock.now += 61
    (_, post) = await layer._here()
    await layer._on_home(post.sweep)
    await layer.group_send("room", HI)
    assert await take(layer, here) == HI
    async with nothing_more(layer, gone):
        pass


async def test_a_membership_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("vivace.contrib.django.channels.layer.monotonic", clock)
    layer = make(group_expiry=100)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    clock.now += 99
    await layer.group_send("room", HI)
    assert await take(layer, channel) == HI
    clock.now += 1
    async with nothing_more(layer, channel):
        await layer.group_send("room", HI)


async def test_layers_with_other_prefixes_do_not_know_each_other(make: Make) -> None:
    ours, theirs = make(prefix="ours"), make(prefix="theirs")
    channel = await ours.new_channel()
    await ours.group_add("room", channel)
    async with nothing_more(ours, channel):
        await theirs.group_send("room", HI)


async def test_flush_forgets_messages_and_groups_everywhere(make: Make) -> None:
    here, there = make(), make()
    channels = [await here.new_channel(), await there.new_channel()]
    for layer, channel in zip((here, there), channels, strict=True):
        await layer.group_add("room", channel)
        await layer.send(channel, HI)
    await here.flush()
    await here.group_send("room", HI)
    for layer, channel in zip((here, there), channels, strict=True):
        async with nothing_more(layer, channel):
            pass


async def test_a_closed_layer_comes_back(layer: HubLayer) -> None:
    first = await layer.new_channel()
    await layer.close()
    second = await layer.new_channel()
    assert first.partition("!")[0] != second.partition("!")[0]
    await layer.send(second, HI)
    assert await take(layer, second) == HI


async def test_what_comes_and_goes_leaves_nothing_behind(layer: HubLayer) -> None:
    _, post = await layer._here()
    before = sizes(post)
    for _ in range(50):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", HI)
        assert await take(layer, channel) == HI
        reader = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await layer.group_discard("room", channel)
    assert sizes(post) == before


def sizes(post: Any) -> dict[str, int]:
    """How much each table of a post holds."""
    return {name: len(value) for name, value in vars(post).items() if hasattr(value, "__len__")}


def test_it_says_what_it_can() -> None:
    assert HubLayer.extensions == ["groups", "flush"]
