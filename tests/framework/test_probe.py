"""What an app does with what its database says: refuse, warn once, or go on."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from vivace import Vivace
from vivace.config import Config
from vivace.errors import StartupError
from vivace.framework import probe
from vivace.framework.budget import forget
from vivace.framework.probe import Found
from vivace.testing import Client

FOUND = Found("web", "shop", False, 20, -1, 97, 5432, 0)
DIRECT, POOLER = "postgres://db/shop", "postgres://db:6432/shop"


class Database:
    """Answers in place of a database.

    Attributes:
        found: What it says, or why it does not.
        asked: How often it was asked.
    """

    def __init__(self) -> None:
        self.found: Found | OSError = FOUND
        self.asked = 0
        self.again = asyncio.Event()

    async def ask(self, url: str) -> Found:
        self.asked += 1
        self.again.set()
        if isinstance(self.found, OSError):
            raise self.found
        return self.found

    async def wait(self, times: int) -> None:
        """Until it was asked so often more."""
        until = self.asked + times
        while self.asked < until:
            self.again.clear()
            await asyncio.wait_for(self.again.wait(), 30)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.delenv("VIVACE_SLOT", raising=False)
    database = Database()
    monkeypatch.setattr(probe, "ask", database.ask)
    monkeypatch.setattr(probe, "_driver", lambda: "asyncpg")
    yield database
    forget()


def app_of(url: str, *, limit: int = 20, ask: bool = True) -> Vivace:
    app = Vivace("probing", Config(WORKERS=2))
    app.budget("pg", url=url, limit=limit, probe=ask)
    return app


async def test_more_than_the_database_allows_does_not_start(database: Database) -> None:
    with pytest.raises(StartupError, match="budget pg shares out 30 connections, but the role web allows 20"):
        async with Client(app_of(DIRECT, limit=30)):
            pass


async def test_behind_a_pooler_it_is_a_warning(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async with Client(app_of(POOLER, limit=30)):
        assert "allows 20: use --budget pg=20, unless a pooler in between has a limit" in caplog.text


async def test_a_database_that_does_not_answer_stops_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.found = OSError("it is gone")
    async with Client(app_of(DIRECT)):
        assert "budget pg: the database cannot be asked what it allows: it is gone" in caplog.text


async def test_who_wants_no_question_gets_none(database: Database) -> None:
    async with Client(app_of(DIRECT, limit=30, ask=False)):
        assert database.asked == 0


async def test_only_the_first_worker_asks_at_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVACE_SLOT", "1")
    async with Client(app_of(DIRECT, limit=20)):
        assert database.asked == 0


async def test_connections_of_others_are_said_once_as_long_as_they_stay(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe, "EVERY", 0.001)
    monkeypatch.setattr(probe, "LINGERING", 0.001)
    caplog.set_level(logging.WARNING, "vivace")
    async with Client(app_of(DIRECT)):
        await database.wait(3)
        assert caplog.text == ""
        database.found = FOUND._replace(used=19)
        await database.wait(6)
        assert caplog.text.count("holds 19 connections, of which 18 are shared out") == 1
        database.found = FOUND
        await database.wait(3)
        database.found = FOUND._replace(used=20)
        await database.wait(4)
        assert caplog.text.count("holds 20 connections") == 1
        database.found = OSError("it is gone")
        await database.wait(2)
        assert "it is gone" not in caplog.text


async def test_a_migration_that_comes_and_goes_is_not_said(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe, "LINGERING", 0.0)
    budget = app_of(DIRECT).budget("pg", url=DIRECT, limit=20, probe=False)
    answers = iter([FOUND._replace(used=20), FOUND])

    async def ask(url: str) -> Found:
        return next(answers)

    monkeypatch.setattr(probe, "ask", ask)
    assert await probe._excess_that_stays(budget, DIRECT) == ""
