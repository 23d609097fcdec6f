"""What tests of engines share: a hub that only writes down what it is told, and traffic that counts itself.

Rules of this file:

- Times are short, so that every time-out is seen to work; a test waits for conditions, never for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self

import pytest

from tests.services.postgres import Postgres
from vivace.errors import HubUnavailable
from vivace.hub.engine import Engine
from vivace.hub.engines import Timing, make_engine
from vivace.hub.records import Outgoing, Position, Rule, Stored

__all__ = [
    "FAST",
    "LATEST",
    "PATIENCE",
    "QUICK",
    "RESUME",
    "Lab",
    "Machine",
    "Traffic",
    "empty",
    "lab",
    "until",
]

FAST = Rule("*")
RESUME = Rule("*", "resume", 1000, 300.0)
LATEST = Rule("*", "latest", 1, 300.0)
QUICK = Timing(
    patience=2.0, ping_after=0.3, ping_timeout=0.5, connect_timeout=2.0, first_delay=0.02, last_delay=0.1
)
PATIENCE = 20.0


def empty(server: Postgres) -> None:
    """Forget all messages and topics, if there have been any."""
    if server.ask("SELECT to_regclass('vivace_hub_messages')")[0][0]:
        server.ask("TRUNCATE vivace_hub_messages, vivace_hub_topics, vivace_hub_hubs CASCADE")


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Return when something is so; AssertionError if it does not become so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


class Machine:
    """One machine: an engine, and what came through it.

    Attributes:
        engine: The engine.
        got: Every message, in order.
        gaps: Every gap: topic and reason.
        states: Every change: up, and why not.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.got: list[Stored] = []
        self.gaps: list[tuple[str, str]] = []
        self.states: list[tuple[bool, str]] = []
        self._sent = 0

    def deliver(self, stored: Stored) -> None:
        self.got.append(stored)

    def gap(self, topic: str, reason: str) -> None:
        self.gaps.append((topic, reason))

    def state(self, up: bool, why: str) -> None:
        self.states.append((up, why))

    async def up(self) -> "Machine":
        """Return when the engine is up."""
        await until(lambda: self.engine.up)
        return self

    async def follow(self, *topics: str, rule: Rule = FAST) -> None:
        """Follow topics, and return when that took effect."""
        self.engine.follow(dict.fromkeys(topics, rule))
        for topic in topics:
            await self.engine.history(topic, rule, None, 1)

    async def send(self, topic: str, payload: bytes, rule: Rule = FAST, **more: str) -> Position | None:
        """Publish a message."""
        self._sent += 1
        return await self.engine.publish(
            Outgoing(topic, payload, rule, f"{self.name}-{self._sent}", self.name, **more)
        )

    def payloads(self, topic: str) -> list[bytes]:
        """What came of a topic, in order."""
        return [one.payload for one in self.got if one.topic == topic]

    @property
    def problems(self) -> list[str]:
        """Why the server was away, each once."""
        return [why for is_up, why in self.states if not is_up]


class Traffic:
    """Messages one after the other from one machine, which say which one they are.

    Attributes:
        sent: Those that were published.
        refused: Those that were not, or perhaps not.
        gaps: Every gap: topic and reason.
    """

    def __init__(self, machine: Machine, topic: str, rule: Rule, pause: float = 0.005) -> None:
        self.sent: list[bytes] = []
        self.refused: list[bytes] = []
        self._machine = machine
        self._topic = topic
        self._rule = rule
        self._pause = pause
        self._on = True
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._on = False
        await self._task

    async def _run(self) -> None:
        number = 0
        while self._on:
            number += 1
            payload = b"%d" % number
            try:
                await self._machine.send(self._topic, payload, self._rule)
            except HubUnavailable:
                self.refused.append(payload)
            else:
                self.sent.append(payload)
            await asyncio.sleep(self._pause)


class Lab(Protocol):
    """Makes machines; see `lab`."""

    def __call__(
        self, url: str, name: str = ..., *, timing: Timing = ..., prefix: str = ...
    ) -> "asyncio.Task[Machine]": ...


@pytest.fixture
async def lab() -> AsyncIterator[Callable[..., "asyncio.Task[Machine]"]]:
    """Start machines that are stopped after the test: `await lab(url, "a")`."""
    machines: list[Machine] = []

    async def start(url: str, name: str, timing: Timing, prefix: str) -> Machine:
        machine = Machine(make_engine(url, prefix=prefix, name=f"shop@{name}/hub", timing=timing), name)
        machines.append(machine)
        await machine.engine.start(machine)
        return machine

    def make(
        url: str, name: str = "a", *, timing: Timing = QUICK, prefix: str = "vivace"
    ) -> "asyncio.Task[Machine]":
        return asyncio.create_task(start(url, name, timing, prefix))

    yield make
    for machine in machines:
        await machine.engine.stop()
        assert machine.engine.connections == 0
