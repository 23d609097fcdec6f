"""The layer from code without a loop, from other loops, and after a fork: one connection for each process."""

import asyncio
import multiprocessing
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from vivace.contrib.django.channels import HubLayer, home
from vivace.contrib.django.channels.home import find_home

SECONDS = 10
HI = {"type": "chat.message", "text": "hi"}


async def in_thread(function: Any, *args: Any) -> Any:
    """What a function gives that is called in a thread without a loop."""
    async with asyncio.timeout(SECONDS):
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)


async def take(layer: HubLayer, channel: str) -> dict[str, Any]:
    """The next message; fails if there is none soon."""
    async with asyncio.timeout(SECONDS):
        return await layer.receive(channel)


async def test_code_without_a_loop_sends(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await in_thread(layer.send_sync, channel, HI)
    await in_thread(layer.group_send_sync, "room", HI)
    assert [await take(layer, channel) for _ in range(2)] == [HI, HI]


async def test_what_is_wrong_is_raised_there(layer: HubLayer) -> None:
    with pytest.raises(TypeError, match="is a dict"):
        await in_thread(layer.send_sync, "channel", 7)


async def test_the_loop_that_would_have_to_do_it_is_not_waited_for(layer: HubLayer) -> None:
    place = find_home(None)

    async def call() -> None:
        layer.send_sync("channel", HI)

    with pytest.raises(RuntimeError, match="await the method without _sync"):
        await place.run(call())


async def test_a_hub_that_does_not_answer_is_waited_for_in_bounds() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    place = find_home(None)
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        await in_thread(lambda: place.wait(never, 0.05))


async def test_loops_that_come_and_go_share_one_connection(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    before = threading.active_count()

    def send_many() -> None:
        for number in range(20):
            async_to_sync(layer.send)(channel, {"type": "n", "number": number})
            asyncio.run(layer.send(channel, {"type": "n", "number": number}))

    await in_thread(send_many)
    assert [(await take(layer, channel))["number"] for _ in range(40)] == [n for n in range(20) for _ in "ab"]
    assert threading.active_count() <= before + 2
    assert len(home._homes) == 1


async def test_a_reader_may_be_on_another_loop(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    reading = asyncio.ensure_future(in_thread(asyncio.run, take(layer, channel)))
    await asyncio.sleep(0.05)
    await layer.send(channel, HI)
    assert await reading == HI


async def test_a_reader_whose_loop_is_gone_takes_nothing_with_it(layer: HubLayer) -> None:
    channel = await layer.new_channel()

    async def leave() -> None:
        await asyncio.wait([asyncio.ensure_future(layer.receive(channel))], timeout=0.01)

    await in_thread(asyncio.run, leave())
    await layer.send(channel, HI)
    assert await take(layer, channel) == HI


def _in_child(layer: HubLayer, channel: str, answers: Any) -> None:
    async def talk() -> None:
        own = await layer.new_channel()
        await layer.send(own, HI)
        answers.put((own, await layer.receive(own), len(home._homes)))

    asyncio.run(talk())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
async def test_a_process_that_was_forked_has_its_own(layer: HubLayer) -> None:
    channel = await layer.new_channel()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(layer, channel, answers))
    child.start()
    own, message, homes = await in_thread(answers.get, True, SECONDS)
    child.join(SECONDS)
    assert message == HI
    assert homes == 1
    assert own.partition("!")[0] != channel.partition("!")[0]
    assert child.exitcode == 0


@pytest.mark.parametrize(
    ("url", "environ", "place", "engine"),
    [
        (None, {}, None, None),
        (None, {"VIVACE_HUB_URL": "redis://one/0"}, None, "redis://one/0"),
        ("redis://two/0", {"VIVACE_HUB_URL": "redis://one/0"}, "redis://two/0", "redis://one/0"),
        (None, {"VIVACE_HUB_SOCKET": "/run/hub"}, "unix:///run/hub", None),
        (None, {"VIVACE_HUB_SOCKET": "/run/hub", "VIVACE_HUB": "/run/own"}, None, None),
    ],
)
def test_where_the_hub_is(
    url: str | None,
    environ: dict[str, str],
    place: str | None,
    engine: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("VIVACE_HUB", "VIVACE_HUB_SOCKET", "VIVACE_HUB_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    hub = home.make_hub(url)
    assert (hub.url, hub.engine) == (place, engine)


def test_a_process_without_a_hub_says_that_nobody_hears_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("VIVACE_HUB", "VIVACE_HUB_SOCKET", "VIVACE_HUB_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(home, "_homes", {})
    find_home(None).end()
    assert "this process has no hub: what it publishes reaches nobody else" in caplog.text
    caplog.clear()
    find_home("unix:///run/hub").end()
    assert not caplog.text
