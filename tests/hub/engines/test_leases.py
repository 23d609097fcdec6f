"""Machines share one number of tokens, whatever happens to them or to the server."""

import asyncio

import pytest

from tests.hub.engines.lab import QUICK
from tests.services.postgres import Postgres
from tests.services.redis import RedisServer
from vivace.errors import ConfigError
from vivace.hub.engines import leases
from vivace.hub.engines.leases import LeaseBook, open_book


@pytest.fixture(params=["redis_server", "postgres"])
def book(request: pytest.FixtureRequest) -> LeaseBook:
    """An empty one of each kind."""
    server = request.getfixturevalue(request.param)
    if isinstance(server, RedisServer):
        server.ask("FLUSHALL")
    elif isinstance(server, Postgres):
        server.ask("DROP TABLE IF EXISTS vivace_leases")
    return open_book(server.url, name="shop@a/lease")


async def test_all_together_never_get_more_than_there_is(book: LeaseBook) -> None:
    granted = await asyncio.gather(
        *(book.renew("pg", f"machine {number}", held=0, want=5, total=18) for number in range(6))
    )
    assert sorted(granted) == [0, 0, 3, 5, 5, 5]
    assert await book.renew("other", "machine 1", held=0, want=5, total=5) == 5


async def test_what_one_gives_back_another_gets(book: LeaseBook) -> None:
    assert await book.renew("pg", "a", held=0, want=9, total=10) == 9
    assert await book.renew("pg", "b", held=0, want=9, total=10) == 1
    assert await book.renew("pg", "a", held=9, want=9, total=10) == 9
    await book.release("pg", "a")
    assert await book.renew("pg", "b", held=1, want=9, total=10) == 9


async def test_a_machine_that_is_not_heard_loses_its_lease(
    book: LeaseBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await book.renew("pg", "b", held=0, want=1, total=10) == 1
    with monkeypatch.context() as patched:
        patched.setattr(leases, "TTL", 0.05)
        assert await book.renew("pg", "a", held=0, want=9, total=10) == 9
        while await book.renew("pg", "b", held=1, want=9, total=10) != 9:
            await asyncio.sleep(0.02)


async def test_what_is_in_use_counts_even_if_the_lease_was_lost(book: LeaseBook) -> None:
    assert await book.renew("pg", "b", held=0, want=8, total=10) == 8
    assert await book.renew("pg", "a", held=9, want=9, total=10) == 9  # it was not heard, and is back
    await book.release("pg", "b")
    assert await book.renew("pg", "b", held=0, want=8, total=10) == 1


async def test_a_server_that_is_away_is_an_error_in_words() -> None:
    for url, words in (
        ("redis://127.0.0.1:1", "redis at redis://127.0.0.1:1: nothing listens there"),
        ("postgres://me@127.0.0.1:1/x", "postgres at postgres://me@127.0.0.1:1/x: "),
    ):
        with pytest.raises(OSError, match=words):
            await open_book(url, timing=QUICK).renew("pg", "a", held=0, want=1, total=1)
    with pytest.raises(ConfigError, match="leases need a Redis or a PostgreSQL"):
        open_book("nats://host")
