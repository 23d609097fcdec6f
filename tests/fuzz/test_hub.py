"""Whatever a process says, its hub lives, says so once, and goes on with the others.

VIVACE_FUZZ_SECONDS (3) and VIVACE_FUZZ_SEED (1) make it longer or other.
"""

import asyncio
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.hub import HELLO, SEEDS, connect, make_stream
from tests.hub.processes import HubProcess
from vivace.hub import Hub, Message
from vivace.hub.exchange import Exchange
from vivace.hub.limits import Limits
from vivace.hub.link import Link
from vivace.hub.local import Local
from vivace.hub.process import STRANGER, Session
from vivace.hub.rules import Rules
from vivace.hub.wire import FRAME_MAX, Frames, Op, encode_frame

SECONDS = float(os.environ.get("VIVACE_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("VIVACE_FUZZ_SEED", "1"))


@pytest.fixture
def make_process(tmp_path: Path) -> Iterator[Callable[[], HubProcess]]:
    """Makes the process of a hub."""
    made = HubProcess(tmp_path)

    def make() -> HubProcess:
        made.start()
        return made

    yield make
    made.close()


async def speak(exchange: Exchange, data: bytes, pieces: list[int]) -> None:
    """Be one process that says something, cut at some places, and ends."""
    sessions: set[Session] = set()
    session, wire = connect(exchange, sessions)
    for start, end in zip([0, *pieces], [*pieces, len(data)], strict=True):
        if not wire.closed:
            session.data_received(data[start:end])
    await asyncio.sleep(0)
    session.connection_lost(None)
    assert not sessions


async def says_what_it_hears(exchange: Exchange) -> None:
    """A process that means well is served."""
    session, wire = connect(exchange, set())
    session.data_received(HELLO + encode_frame(Op.RULES, [["own", "resume", 5, 0.0, 0]]))
    session.data_received(encode_frame(Op.SUBSCRIBE, "own", None))
    session.data_received(encode_frame(Op.PUBLISH, 1, "own", b"\xa2hi", os.urandom(4).hex(), None))
    await asyncio.sleep(0)
    said = [frame[0] for frame in Frames().feed(bytes(wire.written))]
    session.connection_lost(None)
    assert {Op.FOLLOWED, Op.MESSAGE, Op.ANSWER} <= set(said)


@pytest.mark.timeout(SECONDS * 2 + 60)
async def test_nearly_right_streams(caplog: pytest.LogCaptureFixture) -> None:
    end, count = time.monotonic() + SECONDS, 0
    exchange = Exchange()
    while time.monotonic() < end or count < 200:
        seed = SEED * 1_000_000 + count
        count += 1
        source = random.Random(seed)
        data = make_stream(source)
        caplog.clear()
        try:
            cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(4)))
            await speak(exchange, data, cuts)
            told = [record for record in caplog.records if record.name == "vivace.hub"]
            assert len(told) <= 1, [record.getMessage() for record in told]
            assert not any(record.exc_info for record in caplog.records)
            assert not exchange.clients
            assert not exchange.presence.count
            assert not any(topic.peers for topic in exchange.broker.topics.values())
            if count % 50 == 0:
                await says_what_it_hears(exchange)
                exchange = Exchange()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {data!r}") from error
    assert count >= 200


async def test_every_beginning_of_each_frame(caplog: pytest.LogCaptureFixture) -> None:
    exchange = Exchange()
    for fields in SEEDS:
        frame = encode_frame(*fields)
        for size in range(len(frame) + 1):
            caplog.clear()
            await speak(exchange, HELLO + frame[:size], [])
            whole = size in (0, len(frame))
            assert [record.getMessage() for record in caplog.records] == (
                []
                if whole
                else [f"a process ended in the middle of what it said: {size} octets of it are left out"]
            )
    await says_what_it_hears(exchange)


@pytest.mark.parametrize("greeted", [True, False])
async def test_lengths(greeted: bool, caplog: pytest.LogCaptureFixture) -> None:
    most = FRAME_MAX if greeted else STRANGER
    for length, fits in ((most, True), (most + 1, False), (2**32 - 1, False)):
        session, wire = connect(Exchange(), set())
        if greeted:
            session.data_received(HELLO)
        session.data_received(length.to_bytes(4, "big") + b"xx")
        assert wire.closed is not fits
        assert caplog.text.count(f"a frame of {length} octets") == (not fits)
        session.connection_lost(None)


async def test_an_answer_that_is_too_long_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.hub.process.FRAME_MAX", 300)
    exchange = Exchange()
    session, wire = connect(exchange, set())
    session.data_received(HELLO + encode_frame(Op.RULES, [["own", "resume", 5, 0.0, 0]]))
    for number in range(3):
        session.data_received(
            encode_frame(Op.PUBLISH, number, "own", b"\xc4\x64" + b"x" * 100, str(number), None)
        )
    session.data_received(encode_frame(Op.SUBSCRIBE, "own", [exchange.broker.epoch, 0]))
    session.data_received(encode_frame(Op.PAST, 7, "own", None, 5))
    await asyncio.sleep(0)
    frames = Frames().feed(bytes(wire.written))
    (followed,) = [frame for frame in frames if frame[0] == Op.FOLLOWED]
    assert followed[2][:2] == [[], False]
    (failed,) = [frame for frame in frames if frame[0] == Op.FAILED]
    assert (failed[1], "ask for fewer messages" in failed[2]) == (7, True)


async def test_a_process_that_is_killed_in_the_middle_of_a_message(
    make_process: Callable[[], HubProcess], capfd: pytest.CaptureFixture[str]
) -> None:
    process = make_process()
    hub = Hub(process.url)
    await hub.start()
    argv = [sys.executable, "-c", HALF, process.path]
    worker = await asyncio.to_thread(subprocess.Popen, argv, stdout=subprocess.PIPE)
    with worker:
        assert worker.stdout is not None
        async with asyncio.timeout(50), hub.subscribe("a") as messages:
            while (await hub.ask_stats())["processes"] < 2:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(worker.stdout.readline) == b"half\n"
            worker.kill()
            while (await hub.ask_stats())["processes"] > 1:
                await asyncio.sleep(0.01)
            await hub.publish("a", "after")
            after = await anext(messages)
            assert isinstance(after, Message)
            assert after.data == "after"
    await hub.stop()
    assert process.stop() == 0
    said = capfd.readouterr().err
    assert said.count("a process ended in the middle of what it said: 500000 octets of it are left out") == 1
    assert "Traceback" not in said


HALF = """
import socket, sys, time
from vivace.hub.wire import VERSION, Op, encode_frame
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(encode_frame(Op.HELLO, VERSION, "half"))
client.recv(1)
client.sendall(encode_frame(Op.SEND, "a", bytes(1_000_000), "id", None)[:500_000])
print("half", flush=True)
time.sleep(60)
"""
"""Says half of a message."""


async def test_what_is_no_hub_is_told_once_and_not_asked_all_the_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" if tried % 2 else encode_frame(Op.MESSAGE, 1))
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, str(tmp_path / "hub"))
    link = Link(str(tmp_path / "hub"), Local(Rules(), 0.0), Limits(timeout=0.5))
    with caplog.at_level(logging.WARNING, "vivace.hub"):
        await link.start()
        async with asyncio.timeout(30):
            while tried < 5:
                await asyncio.sleep(0.01)
    await link.stop()
    server.close()
    assert tried < 20  # the pauses double: 5 take 0.1 s, and 20 would take 13 s
    assert caplog.text.count("is no hub, for it sent what cannot be read") == 1
    assert not link.up


async def test_word_that_cannot_be_read_ends_who_says_it_and_nobody_else(
    make_process: Callable[[], HubProcess],
) -> None:
    process = make_process()
    hub = Hub(process.url)
    heard: list[object] = []
    hub.on_control(heard.append)
    await hub.start()
    for payload in (b"", b"\xc1", b"\x90", b"\x91\xa1x", b"\x94\x01\x02\x03\x04"):
        reader, writer = await asyncio.open_unix_connection(process.path)
        writer.write(HELLO + encode_frame(Op.CONTROL, payload))
        async with asyncio.timeout(30):
            while await reader.read(65536):
                pass
        writer.close()
    await hub.ask_stats()
    assert hub.up
    assert heard == []
    await hub.stop()
