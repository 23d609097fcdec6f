"""Whatever is cut, and whenever: an ordered topic loses nothing, keeps its order, and gives nothing twice.

The two halves of the wire talk through a pipe that the test cuts in the middle of what it carries; hubs die
and are followed by others that have nothing but the journal.
"""

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub import Gap, Hub, Message
from vivace.hub import hub as module
from vivace.hub.exchange import Exchange
from vivace.hub.journal import Journal
from vivace.hub.limits import Limits
from vivace.hub.link import Link
from vivace.hub.local import Local
from vivace.hub.process import Session

TOPIC = "room:1"
LIMITS = Limits(timeout=30.0, linger=0.0)


class End:
    """One end of a pipe; what is written waits until the pipe carries it."""

    def __init__(self, pipe: "Pipe") -> None:
        self.pipe = pipe
        self.waiting = bytearray()

    def write(self, data: bytes) -> None:
        if not self.pipe.cut:
            self.waiting += data

    def is_closing(self) -> bool:
        return self.pipe.cut

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def close(self) -> None:
        self.pipe.end()

    abort = close


class Pipe:
    """A connection between a process and a hub."""

    def __init__(self, link: Any, session: Any) -> None:
        self.sides = ((link, End(self)), (session, End(self)))
        self.cut = False
        for protocol, end in self.sides:
            protocol.connection_made(end)

    def carry(self, part: float = 1.0) -> bool:
        """Carry this part of what was written on each side; give whether there was anything."""
        moved = False
        for (_, source), (target, _) in (self.sides, self.sides[::-1]):
            size = int(len(source.waiting) * part)
            data, source.waiting = bytes(source.waiting[:size]), source.waiting[size:]
            if data and not self.cut:
                target.data_received(data)
                moved = True
        return moved

    def end(self) -> None:
        """Nothing is carried any more, not even what waits."""
        if not self.cut:
            self.cut = True
            for protocol, _ in self.sides:
                protocol.connection_lost(None)


class World:
    """A hub, which may be followed by another one, and processes that use it."""

    def __init__(self, journal: Path) -> None:
        self.path = str(journal)
        self.pipes: dict[Link, Pipe] = {}
        self.links: list[Link] = []
        self.exchange: Exchange | None = None

    async def begin(self) -> None:
        self.exchange = Exchange(keeper=Journal(self.path))
        await self.exchange.start()

    async def replace_hub(self) -> None:
        """Kill it; the processes see that their connections are lost."""
        old, self.exchange = self.exchange, None
        assert old is not None
        for pipe in list(self.pipes.values()):
            pipe.end()
        await old.stop()
        await self.begin()

    def connect(self) -> None:
        """Every process that has no connection gets one."""
        for link in self.links:
            if self.exchange is not None and (link not in self.pipes or self.pipes[link].cut):
                self.pipes[link] = Pipe(link, Session(self.exchange, LIMITS, set()))

    async def settle(self) -> None:
        """Let everything arrive."""
        quiet = 0
        while quiet < 3:
            self.connect()
            await asyncio.sleep(0)
            moved = [pipe.carry() for pipe in list(self.pipes.values())]
            quiet = 0 if any(moved) else quiet + 1


class PipedLink(Link):
    """A link that the world connects."""

    world: World

    def _connect(self) -> None: ...

    async def start(self) -> None:
        self.world.links.append(self)

    async def stop(self) -> None:
        if self in self.world.pipes:
            self.world.pipes[self].end()
        self.world.links.remove(self)
        await super().stop()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 1), st.just(0.0)),
        st.tuples(st.just("carry"), st.integers(0, 1), st.floats(0.1, 1.0)),
        st.tuples(st.just("cut"), st.integers(0, 1), st.just(0.0)),
        st.tuples(st.just("kill"), st.just(0), st.just(0.0)),
        st.tuples(st.just("wait"), st.just(0), st.just(0.0)),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[tuple[str, int, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(steps, Path(folder) / "journal"))


async def _play(steps: list[tuple[str, int, float]], journal: Path) -> None:
    world = World(journal)
    await world.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "make_station", partial(_make_link, world))
        await _talk(world, steps)
    assert world.exchange is not None
    await world.exchange.stop()


def _make_link(world: World, url: object, engine: object, local: Local, *_: object) -> PipedLink:
    link = PipedLink("", local, LIMITS)
    link.world = world
    return link


def _make_hub() -> Hub:
    hub = Hub()
    hub.topic("room:*", delivery="resume", history=1000)
    return hub


async def _talk(world: World, steps: list[tuple[str, int, float]]) -> None:
    hubs = [_make_hub(), _make_hub()]
    got: list[list[Any]] = [[], []]
    said: list[str] = []
    answers: list[asyncio.Task[Any]] = []
    for hub, items in zip(hubs, got, strict=True):
        await hub.start()
        hub.follow(TOPIC, items.append)
    await world.settle()
    actions: dict[str, Callable[[int, float], Any]] = {
        "carry": lambda who, part: world.pipes[_link(hubs[who])].carry(part),
        "cut": lambda who, _: world.pipes[_link(hubs[who])].end(),
        "wait": lambda *_: world.connect(),
    }
    for step, who, part in steps:
        if step == "say":
            said.append(f"{who}:{len(said)}")
            answers.append(asyncio.create_task(hubs[who].publish(TOPIC, said[-1])))
        elif step == "kill":
            await world.replace_hub()
        else:
            actions[step](who, part)
        await asyncio.sleep(0)
    await world.settle()
    positions = await asyncio.gather(*answers)
    for items in got:
        assert not [item for item in items if isinstance(item, Gap)]
        texts = [item.data for item in items if isinstance(item, Message)]
        assert sorted(texts) == sorted(said)
        assert texts == [item.data for item in got[0]]
        for publisher in "01":  # the order of each of them is kept
            assert [t for t in texts if t[0] == publisher] == [t for t in said if t[0] == publisher]
    assert sorted(position.offset for position in positions) == list(range(1, len(said) + 1))
    for hub in hubs:
        await hub.stop()


def _link(hub: Hub) -> Link:
    assert isinstance(hub._station, Link)
    return hub._station
