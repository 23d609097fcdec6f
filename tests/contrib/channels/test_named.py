"""Channels that any process may read: one of the readers gets a message, and what waits is handed out."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from channels.exceptions import ChannelFull  # type: ignore[import-untyped]

from tests.contrib.channels.conftest import Make
from vivace.contrib.django.channels import HubLayer

SECONDS = 10


def number(value: int) -> dict[str, Any]:
    return {"type": "n", "number": value}


async def read(layer: HubLayer, into: list[int]) -> None:
    while True:
        into.append((await layer.receive("thumbnails"))["number"])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def test_one_of_the_readers_gets_a_message(make: Make) -> None:
    sender, readers = make(), [make(), make()]
    taken: list[list[int]] = [[], []]
    tasks = [asyncio.create_task(read(layer, into)) for layer, into in zip(readers, taken, strict=True)]
    await asyncio.sleep(0.05)
    for value in range(20):
        await sender.send("thumbnails", number(value))
    await until(lambda: sum(map(len, taken)) == 20)
    assert sorted(taken[0] + taken[1]) == list(range(20))
    assert all(taken)
    for task in tasks:
        task.cancel()


async def test_what_was_sent_before_there_was_a_reader_waits_for_it(make: Make) -> None:
    sender, reader = make(capacity=3), make()
    for value in range(3):
        await sender.send("thumbnails", number(value))
    with pytest.raises(ChannelFull):
        await sender.send("thumbnails", number(3))
    async with asyncio.timeout(SECONDS):
        assert [(await reader.receive("thumbnails"))["number"] for _ in range(3)] == [0, 1, 2]


async def test_a_sender_may_be_the_reader(make: Make) -> None:
    layer = make()
    taken: list[int] = []
    task = asyncio.create_task(read(layer, taken))
    for value in range(3):
        await layer.send("thumbnails", number(value))
    await until(lambda: taken == [0, 1, 2])
    task.cancel()


async def test_a_named_channel_may_be_a_member_of_a_group(make: Make) -> None:
    sender, reader = make(), make()
    taken: list[int] = []
    task = asyncio.create_task(read(reader, taken))
    await sender.group_add("pictures", "thumbnails")
    await reader.group_send("pictures", number(7))
    await until(lambda: taken == [7])
    await sender.group_discard("pictures", "thumbnails")
    await reader.group_send("pictures", number(8))
    await sender.send("thumbnails", number(9))
    await until(lambda: taken == [7, 9])
    task.cancel()


async def test_names_to_which_nobody_sends_any_more_are_forgotten(make: Make) -> None:
    layer = make(expiry=0.01)
    for value in range(3):
        await layer.send(f"job-{value}", number(value))
    _, post = await layer._here()
    post.sweep()
    assert len(post._named._channels) == 3  # what waits is not
    async with asyncio.timeout(SECONDS):
        while post._named._channels:
            await asyncio.sleep(0.01)
            post.sweep()
