"""What tests of tasks share: a book with a spool of its own, and a clock that moves when it is told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres, postgres
from tests.services.redis import RedisServer, redis_server, start_redis
from vivace.config import Config
from vivace.tasks.book import Book

__all__ = ["START", "Clock", "book", "clock", "postgres", "redis_server", "spool_url", "start_redis"]

START = 1_800_000_000.0


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


def spool_url(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty spool of the engine that a test is for."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        server.ask("DROP TABLE IF EXISTS vivace_tasks, vivace_slots, vivace_tallies")
        return server.url
    if request.param == "redis":
        shared: RedisServer = request.getfixturevalue("redis_server")
        shared.ask("FLUSHALL")
        return shared.url
    return f"sqlite:///{folder}/tasks.sqlite3"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[Book]:
    config = Config({"TASKS_URL": f"sqlite:///{tmp_path}/tasks.sqlite3"})
    made = Book("app", lambda: config, clock, chance=lambda: 0.0)
    yield made
    made.close()
