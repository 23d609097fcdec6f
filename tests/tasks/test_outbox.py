"""Tasks that go along with a transaction of the program: no task without its commit, one with it."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.conftest import clean_environment
from tests.services.postgres import Postgres
from tests.tasks.conftest import Clock
from tests.tasks.test_runner import drain, running
from vivace.config import Config
from vivace.tasks import TaskError
from vivace.tasks.book import Book
from vivace.tasks.declared import TaskFunction
from vivace.tasks.spool import open_spool

asyncpg: Any = pytest.importorskip("asyncpg")
pytest.importorskip("sqlalchemy")

Send = TaskFunction[[int], None]
TABLES = "vivace_tasks, vivace_slots, vivace_tallies"


@pytest.fixture
def far(postgres: Postgres) -> Iterator[Book]:
    """A book whose tasks are in PostgreSQL, where nobody made the tables yet."""
    postgres.ask(f"DROP TABLE IF EXISTS {TABLES}, orders")
    postgres.ask("CREATE TABLE orders (number INTEGER)")
    config = Config({"TASKS_URL": postgres.url})
    made = Book("far", lambda: config)
    yield made
    made.close()


@pytest.fixture
def seen() -> list[int]:
    return []


@pytest.fixture
def send(far: Book, seen: list[int]) -> Send:
    async def send(number: int) -> None:
        seen.append(number)

    return far.declare(send)


def numbers(postgres: Postgres, what: str = "number", table: str = "orders") -> list[Any]:
    return [row[0] for row in postgres.ask(f"SELECT {what} FROM {table} ORDER BY 1")]


def urls(postgres: Postgres) -> dict[str, str]:
    where = f"/postgres?host={postgres.folder}&user={postgres.user}"
    return {"psycopg": f"postgresql+psycopg://{where}", "asyncpg": f"postgresql+asyncpg://{where}"}


async def test_asyncpg(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    connection = await asyncpg.connect(host=str(postgres.folder), user=postgres.user, database="postgres")
    with pytest.raises(ZeroDivisionError):
        async with connection.transaction():
            await connection.execute("INSERT INTO orders VALUES (1)")
            assert (await send.in_transaction(connection).enqueue(1)).new
            raise ZeroDivisionError
    assert await drain(far) == 0
    async with connection.transaction():
        await connection.execute("INSERT INTO orders VALUES (2)")
        await send.in_transaction(connection).enqueue(2)
        assert await drain(far) == 0  # nobody sees it before the commit
    assert await drain(far) == 1
    assert numbers(postgres) == seen == [2]
    await connection.close()


async def test_connections_of_a_pool(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    async with (
        asyncpg.create_pool(host=str(postgres.folder), user=postgres.user, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await send.delay(0).in_transaction(connection).enqueue(3)
    assert (await drain(far), seen) == (1, [3])


async def test_psycopg_awaited(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    # Rows of another shape are the program's own affair.
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        connection.row_factory = dict_row  # type: ignore[assignment]
        await send.in_transaction(connection).enqueue(1)
        await connection.rollback()
        await send.in_transaction(connection).enqueue(2)
    assert (await drain(far), seen) == (1, [2])


def test_psycopg_that_blocks(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.row_factory = dict_row  # type: ignore[assignment]
        with connection.transaction():
            send.in_transaction(connection).enqueue_sync(1)
            with connection.transaction(force_rollback=True):  # a savepoint
                send.in_transaction(connection).enqueue_sync(2)
        with connection.transaction():
            send.in_transaction(connection).enqueue_sync(3)
    assert asyncio.run(drain(far)) == 2
    assert seen == [1, 3]


def test_sqlalchemy_that_blocks(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    engine = create_engine(urls(postgres)["psycopg"])
    with Session(engine) as session:
        send.in_transaction(session).enqueue_sync(1)
        session.rollback()
        send.in_transaction(session).enqueue_sync(2)
        session.commit()
    with engine.begin() as connection:
        send.in_transaction(connection).enqueue_sync(3)
    scoped = scoped_session(sessionmaker(engine))
    with scoped.begin():
        send.in_transaction(scoped).enqueue_sync(4)
    scoped.remove()
    engine.dispose()
    assert asyncio.run(drain(far)) == 3
    assert seen == [2, 3, 4]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_sqlalchemy_awaited(
    postgres: Postgres, far: Book, send: Send, seen: list[int], driver: str
) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(urls(postgres)[driver])
    async with AsyncSession(engine) as session:
        await send.in_transaction(session).enqueue(1)
        await session.rollback()
        await send.in_transaction(session).enqueue(2)
        await session.commit()
    async with engine.begin() as connection:
        await send.in_transaction(connection).enqueue(3)
    await engine.dispose()
    assert (await drain(far), seen) == (2, [2, 3])


DJANGO = """
import sys
import django
from django.conf import settings
from vivace.config import Config
from vivace.tasks import TaskError
from vivace.tasks.book import Book

engine = "django.db.backends."
settings.configure(DATABASES={
    "default": {
        "ENGINE": engine + "postgresql", "NAME": "postgres", "HOST": sys.argv[2], "USER": sys.argv[3]
    },
    "file": {"ENGINE": engine + "sqlite3", "NAME": ":memory:"},
})
django.setup()
from django.db import connection, connections, transaction

book = Book("far", lambda: Config({"TASKS_URL": sys.argv[1]}))
send = book.declare(lambda number: None, name="send")
try:
    with transaction.atomic():
        send.in_transaction(connection).enqueue_sync(1)
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
with transaction.atomic():
    send.in_transaction(connection).enqueue_sync(2)
with transaction.atomic():
    transaction.on_commit(lambda: send.enqueue_sync(3))
for wrong in (connection, connections["file"]):
    try:
        send.in_transaction(wrong).enqueue_sync(4)
    except TaskError as error:
        print(error)
book.close()
"""


def test_django(postgres: Postgres, far: Book, send: Send, seen: list[int]) -> None:
    where = [postgres.url, str(postgres.folder), postgres.user]
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, *where],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert asyncio.run(drain(far)) == 2
    assert seen == [2, 3]
    without, other = done.stdout.splitlines()
    assert "write `with transaction.atomic():` around it" in without
    assert "expected a connection to PostgreSQL" in other


async def test_of_one_key_there_is_one(postgres: Postgres, far: Book, seen: list[int]) -> None:
    async def one(number: int) -> None:
        seen.append(number)

    task = far.declare(one, unique=True)
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        first = await task.in_transaction(connection).enqueue(1)
        again = await task.in_transaction(connection).enqueue(1)
        assert (first.new, again.new, again.id) == (True, False, first.id)
    later = await task.enqueue(1)
    assert (later.new, later.id) == (False, first.id)
    assert (await drain(far), seen) == (1, [1])


async def test_a_runner_hears_of_it_with_the_commit(
    postgres: Postgres, far: Book, send: Send, seen: list[int]
) -> None:
    async with (
        running(far) as (runner, _),
        await psycopg.AsyncConnection.connect(postgres.url) as connection,
    ):
        await send.in_transaction(connection).enqueue(1)
        await connection.commit()
        while runner.done < 1:
            await asyncio.sleep(0.005)
    assert seen == [1]


DYING = """
import os, signal, sys
import psycopg
from vivace.config import Config
from vivace.tasks.book import Book

book = Book("far", lambda: Config({"TASKS_URL": sys.argv[1]}))
send = book.declare(lambda number: None, name="send")
with psycopg.connect(sys.argv[1]) as connection:
    for number in (1, 2):
        connection.execute("INSERT INTO orders VALUES (%s)", (number,))
        send.in_transaction(connection).enqueue_sync(number)
        if number == 1:
            connection.commit()
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_whoever_is_killed_before_the_commit_leaves_nothing(
    postgres: Postgres, far: Book, send: Send, seen: list[int]
) -> None:
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DYING, postgres.url], env=clean_environment(), check=False
    )
    assert died.returncode == -9
    while await asyncio.to_thread(lingering, postgres):
        await asyncio.sleep(0.01)
    assert (await drain(far), seen) == (1, [1])
    assert await asyncio.to_thread(numbers, postgres) == [1]
    assert await asyncio.to_thread(numbers, postgres, "count(*)", "vivace_tasks") == [0]


def lingering(postgres: Postgres) -> bool:
    """Whether the server has not noticed yet that somebody died."""
    return bool(postgres.ask("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"))


# What is refused


async def test_without_a_transaction_it_is_refused(postgres: Postgres, send: Send) -> None:
    connection = await asyncpg.connect(host=str(postgres.folder), user=postgres.user, database="postgres")
    with pytest.raises(TaskError, match=r"no transaction is open .* `async with connection\.tran"):
        await send.in_transaction(connection).enqueue(1)
    await connection.close()
    with (
        psycopg.connect(postgres.url, autocommit=True) as blocking,
        pytest.raises(TaskError, match=r"write `with connection.transaction\(\):` around it"),
    ):
        send.in_transaction(blocking).enqueue_sync(1)


async def test_who_waits_has_to_say_so(postgres: Postgres, send: Send) -> None:
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        with pytest.raises(TaskError, match=r"write await task.in_transaction\(connection\).enqueue\("):
            send.in_transaction(connection).enqueue_sync(1)
    with (
        psycopg.connect(postgres.url) as blocking,
        pytest.raises(TaskError, match=r"this connection blocks: write task.*enqueue_sync\("),
    ):
        await send.in_transaction(blocking).enqueue(1)


def test_what_is_no_connection_is_named(send: Send) -> None:
    with pytest.raises(TaskError, match=r"was given a builtins\.str; expected a connection to PostgreSQL"):
        send.in_transaction("postgres://").enqueue_sync(1)


def test_other_databases_than_postgresql_are_refused(send: Send) -> None:
    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    with (
        engine.connect() as connection,
        pytest.raises(TaskError, match="expected a connection to PostgreSQL"),
    ):
        send.in_transaction(connection).enqueue_sync(1)
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:///tasks.sqlite3", "redis://localhost/0"])
async def test_tasks_that_are_elsewhere_are_refused_with_what_to_do(url: str, clock: Clock) -> None:
    book = Book("app", lambda: Config({"TASKS_URL": url}), clock)
    task = book.declare(lambda number: None, name="send")
    with pytest.raises(TaskError, match=r"kept in (sqlite|redis): .*on_commit.*TASKS_URL"):
        await task.in_transaction(object()).enqueue(1)
    with pytest.raises(TaskError, match="TASKS_URL"):
        task.delay(5).in_transaction(object()).enqueue_sync(1)
    book.close()


def test_another_database_is_named_as_such(postgres: Postgres, send: Send) -> None:
    postgres.ask("DROP DATABASE IF EXISTS other")
    postgres.ask("CREATE DATABASE other")
    with (
        psycopg.connect(postgres.url, dbname="other") as connection,
        pytest.raises(TaskError, match=r"has no table vivace_tasks.*the one that TASKS_URL names"),
    ):
        send.in_transaction(connection).enqueue_sync(1)
    postgres.ask("DROP DATABASE other")


def test_a_task_for_later_waits_behind_its_commit(postgres: Postgres, far: Book, send: Send) -> None:
    with psycopg.connect(postgres.url) as connection:
        handle = send.delay("1h").in_transaction(connection).enqueue_sync(1)
    spool = open_spool(far.url)
    task = spool.get(handle.id)
    assert task is not None
    assert (task.state, task.run_at - task.created > 3500) == ("later", True)
    spool.close()
