"""A role of PostgreSQL that may open 20 connections: two workers under load; a migration always gets in."""

import asyncio
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import psutil
import psycopg
import pytest

from tests.conftest import Launch, ServerProcess, clean_environment
from tests.services.postgres import Postgres, postgres
from vivace.config.budget import Plan
from vivace.framework import probe
from vivace.framework.probe import Found, ask, can_ask, excess, problem_with
from vivace.supervisor.system.usage import count_open, places_of

__all__ = ["postgres"]

LIMIT, CLIENTS, ROUNDS = 20, 60, 3
PLAN = Plan("postgres", LIMIT, 2, workers=2)
_roles = itertools.count(1)

START = """
import os
from vivace import Vivace

app = Vivace("shop")
URL = os.environ["DATABASE_URL"]
budget = app.budget("postgres", limit=20)
QUERY = "SELECT pg_sleep(0.02)"
"""
ASYNCPG = """
import asyncpg

@app.before_server_start
async def open_pool(app):
    app.ctx.pool = await asyncpg.create_pool(URL, **budget.asyncpg())

@app.after_server_stop
async def close_pool(app):
    await app.ctx.pool.close()

@app.get("/")
async def index(request):
    await app.ctx.pool.fetchval(QUERY)
    return {"pid": os.getpid()}
"""
PSYCOPG = """
from psycopg_pool import AsyncConnectionPool

@app.before_server_start
async def open_pool(app):
    app.ctx.pool = AsyncConnectionPool(URL, open=False, **budget.psycopg())
    await app.ctx.pool.open()

@app.after_server_stop
async def close_pool(app):
    await app.ctx.pool.close()

@app.get("/")
async def index(request):
    async with app.ctx.pool.connection() as connection:
        await connection.execute(QUERY)
    return {"pid": os.getpid()}
"""
THREADS = """
from psycopg_pool import ConnectionPool

pool = ConnectionPool(URL, open=False, **budget.psycopg(min_size=0))

@app.before_server_start
def open_pool(app):
    pool.open()

@app.after_server_stop
def close_pool(app):
    pool.close()

@app.get("/")
def index(request):
    with pool.connection() as connection:
        connection.execute(QUERY)
    return {"pid": os.getpid()}
"""
SQLALCHEMY = """
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"), **budget.sqlalchemy())

@app.after_server_stop
async def dispose(app):
    await engine.dispose()

@app.get("/")
async def index(request):
    async with engine.connect() as connection:
        await connection.execute(text(QUERY))
    return {"pid": os.getpid()}
"""
NO_POOL = """
import asyncpg

@app.get("/")
async def index(request):
    async with budget.lease():
        connection = await asyncpg.connect(URL)
        try:
            await connection.fetchval(QUERY)
        finally:
            await connection.close()
    return {"pid": os.getpid()}
"""
DJANGO = {
    "settings.py": """
import os
from urllib.parse import parse_qs, urlsplit
from vivace.contrib.django import budget

place = parse_qs(urlsplit(os.environ["DATABASE_URL"]).query)
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": place["host"][0],
        "USER": place["user"][0],
        "OPTIONS": {"pool": budget("postgres", limit=20).django()},
    }
}
""",
    "urls.py": """
import os
from django.db import connection
from django.http import JsonResponse
from django.urls import path

def index(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.02)")
    return JsonResponse({"pid": os.getpid()})

urlpatterns = [path("", index)]
""",
    "wsgi_app.py": "from django.core.wsgi import get_wsgi_application as get\napplication = get()\n",
    "asgi_app.py": "from django.core.asgi import get_asgi_application as get\napplication = get()\n",
    "bounded_app.py": "from vivace.contrib.django import get_asgi_application as get\napplication = get()\n",
}


class Role(NamedTuple):
    """A role with a limit.

    Attributes:
        name: Of the role.
        url: To connect with.
        server: Where it is.
    """

    name: str
    url: str
    server: Postgres

    def used(self) -> int:
        """The connections that it holds now."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{self.name}'"
        return int(self.server.ask(query)[0][0])


@pytest.fixture
def role(postgres: Postgres) -> Role:
    """A role of its own that may open 20 connections."""
    name = f"budget{next(_roles)}"
    postgres.ask(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT {LIMIT}")
    return Role(name, f"postgresql:///postgres?host={postgres.folder}&user={name}", postgres)


class Migration:
    """Connects as the role, again and again, as a migration may at any moment; counts what is open meanwhile.

    Attributes:
        came: How often it got in.
        refused: What it was told when it did not.
        most: The most connections of the role at a time, without its own.
    """

    def __init__(self, role: Role) -> None:
        self.came, self.most, self.refused = 0, 0, list[str]()
        self._role = role
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="migration")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.005):
            try:
                with psycopg.connect(self._role.url):
                    self.came += 1
                    self.most = max(self.most, self._role.used() - 1)
            except psycopg.OperationalError as error:
                self.refused.append(str(error))


async def crowd(port: int) -> list[str]:
    """The first lines of what many clients are answered, who all come at once, several times."""

    async def visit() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()

    found: list[str] = []
    for _ in range(ROUNDS):
        found += await asyncio.gather(*(visit() for _ in range(CLIENTS)))
    return found


def check(server: ServerProcess, role: Role) -> None:
    """Under load: every client is answered, the migration always gets in, nobody exceeds the share."""
    with Migration(role) as migration:
        answers = asyncio.run(crowd(server.port))
        workers = [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]
        held = count_open(workers, places_of(role.url))
    assert answers == ["HTTP/1.1 200 OK"] * CLIENTS * ROUNDS, server.output
    assert migration.refused == []
    assert migration.came > 0
    assert 0 < migration.most <= LIMIT - PLAN.reserve
    assert held
    assert max(held.values()) <= PLAN.least, held
    assert server.stop() == 0, server.output
    assert "too many" not in server.output


def serve(launch: Launch, role: Role, folder: Path, port: int, target: str, *more: str) -> ServerProcess:
    argv = [sys.executable, "-m", "vivace", "run", target, "--port", str(port), "--workers", "2", *more]
    django = {"DJANGO_SETTINGS_MODULE": "settings"}
    return launch(argv, port, cwd=folder, DATABASE_URL=role.url, PYTHONPATH=str(folder), **django)


@pytest.mark.parametrize(
    "code",
    [ASYNCPG, PSYCOPG, THREADS, SQLALCHEMY, NO_POOL],
    ids=["asyncpg", "psycopg", "threads", "sqlalchemy", "lease"],
)
def test_an_app_keeps_to_its_budget(
    launch: Launch, free_port: int, tmp_path: Path, role: Role, code: str
) -> None:
    if code == SQLALCHEMY:
        pytest.importorskip("sqlalchemy")
    (tmp_path / "shop.py").write_text(START + code)
    check(serve(launch, role, tmp_path, free_port, "shop"), role)


@pytest.mark.parametrize("target", ["wsgi_app", "asgi_app", "bounded_app"])
def test_django_keeps_to_its_budget(
    launch: Launch, free_port: int, tmp_path: Path, role: Role, target: str
) -> None:
    pytest.importorskip("psycopg_pool")
    for name, text in DJANGO.items():
        (tmp_path / name).write_text(text)
    check(serve(launch, role, tmp_path, free_port, target), role)


FULL = """
import asyncio, os
import asyncpg
from vivace import Vivace

async def main():
    budget = Vivace("full").budget("postgres", limit=20)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], **budget.asyncpg(min_size=budget.share))
    print("full", flush=True)
    await asyncio.to_thread(input)
    await pool.close()

asyncio.run(main())
"""


def test_in_a_restart_there_is_one_worker_more_and_still_room(role: Role, tmp_path: Path) -> None:
    def start(slot: int) -> "subprocess.Popen[str]":
        place = {"VIVACE_SLOT": str(slot), "VIVACE_WORKERS": "3", "VIVACE_OVERLAP": "1"}
        environ = clean_environment(DATABASE_URL=role.url, **place)
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", FULL], cwd=tmp_path, env=environ, stdin=pipe, stdout=pipe, text=True
        )

    with ExitStack() as stack:
        workers = [stack.enter_context(start(slot)) for slot in range(4)]
        assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["full\n"] * 4
        place = places_of(role.url)
        assert list(count_open([worker.pid for worker in workers], place).values()) == [5, 5, 4, 4]
        with psycopg.connect(role.url), psycopg.connect(role.url):
            assert role.used() == LIMIT
        assert [worker.communicate("\n")[0] for worker in workers] == [""] * 4


def test_without_a_budget_the_same_app_locks_the_migration_out(
    launch: Launch, free_port: int, tmp_path: Path, role: Role
) -> None:
    code = ASYNCPG.replace("**budget.asyncpg()", "min_size=10, max_size=10")
    (tmp_path / "shop.py").write_text(START + code)
    server = serve(launch, role, tmp_path, free_port, "shop")
    until(lambda: role.used() == LIMIT)
    with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
        psycopg.connect(role.url)
    assert server.stop() == 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 20 s."""
    waiting = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not come true")


# What the database really allows


@pytest.fixture(params=["asyncpg", "psycopg"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One driver after the other."""
    pytest.importorskip(request.param)
    monkeypatch.setattr(probe, "_driver", lambda: request.param)
    chosen: str = request.param
    return chosen


async def test_the_database_says_what_it_allows(role: Role, driver: str) -> None:
    with psycopg.connect(role.url):
        found = await ask(role.url)
    assert (found.role, found.database, found.role_limit, found.used) == (role.name, "postgres", LIMIT, 1)
    assert found.limit == (LIMIT, f"the role {role.name}")
    assert found.server_limit == 97
    assert (await ask(role.url.replace("postgresql:", "postgresql+psycopg:"))).role == role.name


async def test_a_database_that_cannot_be_asked_says_why(role: Role, driver: str) -> None:
    with pytest.raises(OSError, match="nobody"):
        await ask(role.url.replace(role.name, "nobody"))


def test_only_postgresql_is_asked() -> None:
    assert can_ask("postgres://x")
    assert can_ask("postgresql+asyncpg://x")
    assert not any(map(can_ask, (None, "", "redis://x", "mysql://x", "sqlite:///x")))


FOUND = Found("web", "shop", False, 20, -1, 97, 5432, 0)


def test_the_smallest_limit_counts() -> None:
    assert FOUND.limit == (20, "the role web")
    assert FOUND._replace(role_limit=-1).limit == (97, "the server")
    assert FOUND._replace(database_limit=5).limit == (5, "the database shop")
    assert FOUND._replace(superuser=True).limit == (97, "the server")


def test_a_budget_above_the_limit_is_a_problem() -> None:
    assert problem_with(PLAN, FOUND) == ""
    assert problem_with(PLAN._replace(limit=30), FOUND) == (
        "budget postgres shares out 30 connections, but the role web allows 20: use --budget postgres=20"
    )


def test_connections_of_others_are_noticed() -> None:
    assert excess(PLAN, FOUND._replace(used=18)) == ""
    assert "the role web holds 19 connections, of which 18 are shared out" in excess(
        PLAN, FOUND._replace(used=19)
    )


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("postgres://db/shop", True),
        ("postgres://db:5432/shop", True),
        ("postgres://db:6432/shop", False),
        ("postgres://a:1,b:2/shop", True),
    ],
)
def test_a_pooler_in_between_has_limits_of_its_own(url: str, direct: bool) -> None:
    assert probe._is_direct(url, FOUND) is direct


def run(role: Role, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = clean_environment(DATABASE_URL=role.url)
    return subprocess.run(
        [sys.executable, "-m", "vivace", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_budget_above_the_limit_does_not_start(role: Role, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(START.replace("limit=20", "limit=30"))
    done = run(role, tmp_path, "run", "shop", "--port", "0")
    assert done.returncode in {2, 3}
    assert f"shares out 30 connections, but the role {role.name} allows 20" in done.stderr


def test_the_command_line_explains_and_asks(role: Role, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(START)
    done = run(role, tmp_path, "budget", "explain", "shop", "--workers", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"the role {role.name} allows 20, 0 of them in use by {role.name}"
    assert "slots 0 to 1, each" in done.stdout
    done = run(role, tmp_path, "budget", "explain", "shop", "--budget", "postgres=30")
    assert (done.returncode, "allows 20: use --budget postgres=20" in done.stderr) == (2, True)
    done = run(role, tmp_path, "check", "shop")
    assert (done.returncode, "postgres: 20 connections" in done.stdout) == (0, True), os.linesep + done.stderr
