"""The hub as a process of its own: what its users see when it dies, freezes and comes back."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hub.processes import HubProcess
from vivace.errors import HubUnavailable
from vivace.hub import Gap, Hub, Message, Position, Subscription
from vivace.hub.hub import Control
from vivace.hub.limits import Limits
from vivace.hub.wire import VERSION, Frames, Op, encode_frame

MakeHub = Callable[..., Hub]
MakeProcess = Callable[..., HubProcess]


async def take(messages: Subscription, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        got = [await anext(messages) for _ in range(count)]
    return [item.data if isinstance(item, Message) else item for item in got]


@asynccontextmanager
async def patience(seconds: float = 10.0) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def test_messages_cross_processes_and_interest_is_counted(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process()
    one, two = make_hub(process.url), make_hub(process.url, limits=Limits(linger=0.0))
    one.topic("room:*", delivery="resume", history=10)
    position = await one.publish("room:1", "before")
    async with two.subscribe("fast") as fast, two.subscribe("room:1", since=position) as ordered:
        assert two.rules.of("room:1").history == 10  # declared by the other process
        await one.publish("fast", {"x": [b"y"]})
        assert await take(fast, 1) == [{"x": [b"y"]}]
        await one.publish("room:1", "after")
        assert await take(ordered, 1) == ["after"]
        assert ordered.recovered is True
        assert (await one.ask_stats())["topics"] == 2
    async with patience():
        while (await one.ask_stats())["topics"] > 1:  # the history of room:1 stays
            await asyncio.sleep(0.01)
    assert process.stop() == 0


async def test_presence_and_control_cross_processes(make_process: MakeProcess, make_hub: MakeHub) -> None:
    process = make_process()
    one, two = make_hub(process.url), make_hub(process.url)
    await one.track("room", 7, {"name": "Ann"})
    heard: asyncio.Queue[Control] = asyncio.Queue()
    two.on_control(heard.put_nowait)
    await two.start()
    assert await two.presence("room") == {"7": [{"name": "Ann"}]}
    begin = time.monotonic()
    await one.revoke(user=7)
    async with patience():
        assert await heard.get() == Control("revoke", "7", None)
    assert time.monotonic() - begin < 0.5
    await one.stop()
    async with patience():
        while await two.presence("room"):
            await asyncio.sleep(0.01)


async def test_the_death_of_the_hub_loses_nothing_of_an_ordered_topic(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process()
    one, two = make_hub(process.url), make_hub(process.url)
    one.topic("room:*", delivery="resume", history=1000)
    async with two.subscribe("room:1", max_queue=1000) as ordered, two.subscribe("fast") as fast:
        await one.track("room:1", "Ann")
        publishing = asyncio.create_task(_publish(one, "room:1", 300))
        got = await take(ordered, 20)
        process.kill()
        await asyncio.sleep(0.1)
        process.start()
        positions = await publishing
        got += await take(ordered, 280)
        assert got == list(range(300))
        assert len({position.epoch for position in positions}) == 1
        assert [position.offset for position in positions] == list(range(1, 301))
        (gap,) = await take(fast, 1)
        assert isinstance(gap, Gap)
        assert gap.reason.startswith("hub: it was away for ")
        assert await two.presence("room:1") == {"Ann": [None]}
    async with two.subscribe("room:1", since=positions[9], max_queue=1000) as late:
        assert late.recovered is True
        assert await take(late, 290) == list(range(10, 300))


async def _publish(hub: Hub, topic: str, count: int) -> list[Position]:
    positions = []
    for number in range(count):
        position = await hub.publish(topic, number)
        assert position is not None
        positions.append(position)
        await asyncio.sleep(0.001)
    return positions


async def test_a_new_epoch_is_a_visible_gap(make_process: MakeProcess, make_hub: MakeHub) -> None:
    process = make_process(HUB_JOURNAL="/dev/null/none")
    one = make_hub(process.url)
    one.topic("a", delivery="resume")
    async with one.subscribe("a") as ordered:
        before = await one.publish("a", 1)
        assert await take(ordered, 1) == [1]
        process.kill()
        process.start()
        (gap,) = await take(ordered, 1)
        assert isinstance(gap, Gap)
        assert gap.reason.startswith("history: ")
        after = await one.publish("a", 2)
        assert await take(ordered, 1) == [2]
    assert before is not None
    assert after is not None
    assert before.epoch != after.epoch


async def test_the_death_of_a_process_that_publishes_loses_nothing_it_was_told_of(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process()
    code = (
        "import asyncio, sys\nfrom vivace.hub import Hub\n"
        "async def main():\n"
        "    hub = Hub(sys.argv[1])\n"
        "    hub.topic('a', delivery='resume', history=100000)\n"
        "    while True:\n"
        "        position = await hub.publish('a', 'x')\n"
        "        print(position.offset, flush=True)\n"
        "asyncio.run(main())\n"
    )
    hub = make_hub(process.url)
    async with hub.subscribe("a", max_queue=100_000) as ordered:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, process.url, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(20):
            await child.stdout.readline()
        child.kill()
        told = (await child.stdout.read()).split()
        await child.wait()
        last = int(told[-1]) if told else 20
        seen = 0
        async with patience():
            while seen < last:
                item = await anext(ordered)
                assert isinstance(item, Message)
                assert item.pos is not None
                assert item.pos.offset == seen + 1
                seen = item.pos.offset


async def test_a_frozen_hub_loses_nothing(make_process: MakeProcess, make_hub: MakeHub) -> None:
    process = make_process()
    one, two = make_hub(process.url), make_hub(process.url)
    one.topic("a", delivery="resume", history=1000)
    async with two.subscribe("a", max_queue=1000) as ordered:
        publishing = asyncio.create_task(_publish(one, "a", 50))
        assert await take(ordered, 10) == list(range(10))
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(1.0)
        process.signal(signal.SIGCONT)
        await publishing
        assert await take(ordered, 40) == list(range(10, 50))


async def test_a_process_that_reads_too_slowly_gets_what_is_kept_and_word_of_the_rest(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process(HUB_BUFFER=65536)
    one = make_hub(process.url)
    one.topic("kept", delivery="resume", history=1000)
    code = (
        "import asyncio, signal, sys\nfrom vivace.hub import Gap, Hub\n"
        "async def main():\n"
        "    hub, counts, gaps = Hub(sys.argv[1]), {'kept': 0, 'fast': 0}, []\n"
        "    def take(item):\n"
        "        if isinstance(item, Gap): gaps.append((item.topic, item.reason))\n"
        "        else: counts[item.topic] += 1\n"
        "    followings = [hub.follow(topic, take) for topic in counts]\n"
        "    for following in followings: await following.ready()\n"
        "    print('ready', flush=True)\n"
        "    while counts['kept'] < 500 or not gaps: await asyncio.sleep(0.01)\n"
        "    print(counts['kept'], counts['fast'] < 500, set(gaps), flush=True)\n"
        "asyncio.run(main())\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, process.url, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    async with patience(20):
        assert await child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGSTOP)
        for _ in range(500):
            await one.publish("kept", "x" * 2000)
            await one.publish("fast", "x" * 2000)
        child.send_signal(signal.SIGCONT)
        said = (await child.stdout.readline()).decode()
        await child.wait()
    assert said == "500 True {('fast', 'hub: this process read too slowly')}\n"


async def test_a_burst_above_a_small_buffer_is_made_up_for_at_once(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process(HUB_BUFFER=20_000)
    one, two = make_hub(process.url), make_hub(process.url)
    one.topic("kept", delivery="resume", history=1000)
    async with two.subscribe("kept", max_queue=1000) as kept, two.subscribe("fast") as fast:
        await asyncio.gather(*(one.publish("kept", str(n) + "x" * 1000) for n in range(100)))
        got = [int(text.rstrip("x")) for text in await take(kept, 100)]
        assert got == list(range(100))
        await one.publish("fast", "y")
        assert await take(fast, 1) == ["y"]


async def test_what_cannot_be_asked_leaves_no_receiver_behind(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    hub = make_hub(make_process().url, limits=Limits(linger=0.0))
    await hub.start()
    for _ in range(2):
        with pytest.raises(OverflowError):
            hub.follow("a", lambda _: None, history=2**64)
    assert hub.stats()["receivers"] == 0
    async with patience():
        while hub.stats()["topics"]:
            await asyncio.sleep(0.01)


def test_an_engine_that_cannot_be_is_said_in_a_line(
    make_process: MakeProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    process = make_process(HUB_URL="foo://me:secret@h").process
    assert process is not None
    assert process.wait(10) == 2
    said = capfd.readouterr().err
    assert said.startswith("the hub cannot start: HUB_URL foo://me:***@h: there is no engine for foo://")
    assert "Traceback" not in said


async def test_who_may_stay_is_asked_again_when_the_hub_was_lost(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process()
    hub = make_hub(process.url)
    await hub.start()
    heard: asyncio.Queue[Control] = asyncio.Queue()
    hub.on_control(heard.put_nowait)
    process.kill()
    process.start()
    async with patience():
        assert await heard.get() == Control("recheck", None, None)


async def test_a_word_said_while_the_hub_is_away_reaches_everybody_once(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    process = make_process()
    one, two = make_hub(process.url), make_hub(process.url)
    heard: list[Control] = []
    two.on_control(lambda said: heard.append(said) if said.kind == "revoke" else None)
    await one.start()
    await two.start()
    await one.revoke(user=1)
    process.kill()
    async with patience(30):
        while one.up or two.up:
            await asyncio.sleep(0.01)
        await one.revoke(user=2)
        process.start()
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        late = make_hub(process.url)
        await late.start()
        heard.append(Control("revoke", "mark", None))
        await late.revoke(user=3)
        while len(heard) < 4:
            await asyncio.sleep(0.01)
    assert [said.user for said in heard] == ["1", "2", "mark", "3"]


async def test_words_that_wait_for_a_hub_are_bounded(tmp_path: Path, make_hub: MakeHub) -> None:
    hub = make_hub(f"unix://{tmp_path}/none", limits=Limits(outbox=3, timeout=0.05))
    for number in range(3):
        await hub.revoke(user=number)
    with pytest.raises(HubUnavailable, match="3 messages wait for it already"):
        await hub.revoke(user=3)


async def test_what_waits_for_a_hub_is_bounded_in_number_and_in_time(
    tmp_path: Path, make_hub: MakeHub
) -> None:
    hub = make_hub(f"unix://{tmp_path}/none", limits=Limits(outbox=3, timeout=0.2))
    hub.topic("a", delivery="resume")
    got: list[Any] = []
    hub.follow("fast", got.append)
    for number in range(3):
        await hub.publish("fast", number)
    with pytest.raises(HubUnavailable, match="3 messages wait for it already"):
        await hub.publish("fast", 3)
    assert [item.data for item in got] == [0, 1, 2, 3]  # this process is served all the same
    with pytest.raises(HubUnavailable, match="3 messages wait"):
        await hub.publish("a", 1)
    assert not hub.up
    await asyncio.sleep(0.25)
    await hub.publish("fast", 4)  # the three have waited for too long
    assert hub.stats()["dropped"] == 3


async def test_a_question_that_nobody_answers_ends(make_process: MakeProcess, make_hub: MakeHub) -> None:
    process = make_process()
    hub = make_hub(process.url, limits=Limits(timeout=0.3))
    async with patience():
        while not hub.up or not hub.started:
            await hub.start()
            await asyncio.sleep(0.01)
    process.signal(signal.SIGSTOP)
    with pytest.raises(HubUnavailable, match=r"did not answer within 0\.3 s; it may still take effect"):
        await hub.ask_stats()
    process.signal(signal.SIGCONT)


async def test_what_was_said_before_the_hub_came_is_published(tmp_path: Path, make_hub: MakeHub) -> None:
    process = HubProcess(tmp_path)
    try:
        one, two = make_hub(process.url), make_hub(process.url)
        one.topic("a", delivery="resume")
        got: list[Any] = []
        two.follow("fast", got.append)
        publishing = asyncio.create_task(one.publish("a", 1))
        await one.publish("fast", 1)
        await asyncio.sleep(0.05)
        process.start()
        assert isinstance(await publishing, Position)
        async with patience():
            while not got:
                await asyncio.sleep(0.01)
        await one.stop()
        await two.stop()
    finally:
        process.close()


async def test_a_stranger_is_disconnected_and_the_hub_lives(
    make_process: MakeProcess, make_hub: MakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    process = make_process()
    hub = make_hub(process.url)
    await hub.ask_stats()
    for data in (b"GET / HTTP/1.1\r\n\r\n", encode_frame(Op.STATS, 1), encode_frame(99)):
        reader, writer = await asyncio.open_unix_connection(process.path)
        writer.write(data)
        async with patience():
            assert await reader.read() == b""
        writer.close()
    reader, writer = await asyncio.open_unix_connection(process.path)
    writer.write(encode_frame(Op.HELLO, VERSION + 1))
    async with patience():
        assert Frames().feed(await reader.read()) == [[Op.HELLO, VERSION]]
    writer.close()
    assert (await hub.ask_stats())["processes"] == 1


def test_publish_sync_without_a_loop_uses_one_connection(make_process: MakeProcess) -> None:
    """As Celery does: many threads, also after a fork."""
    process = make_process()
    code = (
        "import os, sys, threading\nfrom vivace.hub import Hub\n"
        "hub = Hub(sys.argv[1])\n"
        "hub.topic('a', delivery='resume', history=100)\n"
        "threads = [threading.Thread(target=hub.publish_sync, args=('a', n)) for n in range(20)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "assert Hub(sys.argv[1]).publish_sync('a', 20).offset == 21\n"
        "links = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]\n"
        "sockets = [os.readlink(link) for link in links if os.path.islink(link)]\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    assert hub.publish_sync('a', 21).offset == 22\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "print(hub.publish_sync('a', 22).offset, len([s for s in sockets if 'socket' in s]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, process.url], capture_output=True, text=True, check=True, timeout=20
    )
    # the connection, and the two ends with which a loop wakes itself
    assert done.stdout.split() == ["23", "3"]


async def test_the_environment_says_where_the_hub_is(
    make_process: MakeProcess, make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = make_process()
    monkeypatch.setenv("VIVACE_HUB", process.path)
    hub = make_hub()
    assert process.process is not None
    assert (await hub.ask_stats())["pid"] == process.process.pid
    assert hub.up


async def test_publish_sync_says_when_there_is_no_hub(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("VIVACE_HUB", raising=False)
    hub = Hub(limits=Limits(queue=7))  # one that no other test has used
    await asyncio.to_thread(hub.publish_sync, "a", 1)
    await asyncio.to_thread(hub.publish_sync, "a", 1)
    assert caplog.text.count("this process has no hub") == 1


def test_the_socket_outlives_the_hub(make_process: MakeProcess) -> None:
    process = make_process()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(process.path)
        client.sendall(encode_frame(Op.HELLO, VERSION))
        assert client.recv(100)
    assert process.stop() == 0
    assert os.path.exists(process.path)


def test_the_process_is_small(make_process: MakeProcess) -> None:
    """It imports neither the framework nor the server."""
    code = "import sys, vivace.hub.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("vivace.")}
    assert not [name for name in loaded if name.split(".")[1] not in {"hub", "errors", "_build"}]


async def test_a_script_that_ends_at_once_has_been_heard(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    """And it obeys the rules of the workers, which it does not know."""
    process = make_process()
    hub = make_hub(process.url)
    hub.topic("room:*", delivery="resume")
    code = (
        "import asyncio\nfrom vivace.hub import Hub\n"
        "Hub().publish_sync('fast', 'sync')\n"
        "async def main():\n"
        "    async with Hub() as hub:\n"
        "        await hub.publish('fast', 'async')\n"
        "        print(await hub.publish('room:1', 1))\n"
        "asyncio.run(main())\n"
    )
    async with hub.subscribe("fast") as fast:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code],
            env={**os.environ, "VIVACE_HUB_SOCKET": process.path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert await take(fast, 2) == ["sync", "async"]
    assert Position.parse(done.stdout.strip()) is not None


async def test_a_hub_that_is_told_to_end_lets_those_that_use_it_go_first(
    make_process: MakeProcess, make_hub: MakeHub
) -> None:
    """As when a service manager tells all processes at once."""
    process = make_process()
    hub = make_hub(process.url)
    hub.topic("a", delivery="resume")
    await hub.publish("a", 1)
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGINT)
    assert isinstance(await hub.publish("a", 2), Position)
    await hub.stop()
    assert process.process is not None
    assert await asyncio.to_thread(process.process.wait, 5) == 0
