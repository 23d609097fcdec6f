"""The Procfile, the program and the connection pool of the document on Heroku, with a real PostgreSQL."""

import json
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.conftest import Launch, ServerProcess
from tests.documents.programs import code
from tests.services.postgres import Postgres, postgres

pytest.importorskip("asyncpg")

__all__ = ["postgres"]

PROJECT = """
import os

import asyncpg
from sanic import Sanic, json

app = Sanic("project")


@app.listener("before_server_start")
async def open_pool(app, loop):
{pool}
    app.ctx.pool = pool


@app.listener("after_server_stop")
async def close_pool(app, loop):
    await app.ctx.pool.close()
    print("POOL CLOSED", flush=True)


@app.get("/")
async def index(request):
    value = await app.ctx.pool.fetchval("SELECT 6 * 7")
    return json({{"answer": value, "worker": os.getpid(), "debug": app.debug}})
"""


def test_the_program_of_the_procfile(
    launch: Launch, free_port: int, tmp_path: Path, postgres: Postgres
) -> None:
    (tmp_path / "web.py").write_text(code("heroku_web"))
    (tmp_path / "project.py").write_text(PROJECT.format(pool=textwrap.indent(code("heroku_pool"), "    ")))
    url = f"postgresql:///postgres?host={postgres.folder}&user={postgres.user}&application_name=heroku"
    server = launch(
        [sys.executable, "-m", "vivace.compat.sanic", "web.py"],
        free_port,
        cwd=tmp_path,
        PORT=str(free_port),
        WEB_CONCURRENCY="2",
        DATABASE_URL=url,
    )
    workers = ask_until_both(server)
    assert len(workers) == 2
    # What the document warns of: each worker opens ten.
    assert postgres.connections("heroku") == 20
    assert server.stop() == 0
    assert server.output.count("POOL CLOSED") == 2
    assert postgres.connections("heroku") == 0


def test_a_budget_leaves_room_for_the_migration(
    launch: Launch, free_port: int, tmp_path: Path, postgres: Postgres
) -> None:
    (tmp_path / "web.py").write_text(code("heroku_web"))
    pool = code("heroku_pool").replace("loop=loop", '**app.budget("postgres", limit=20).asyncpg(), loop=loop')
    (tmp_path / "project.py").write_text(PROJECT.format(pool=textwrap.indent(pool, "    ")))
    url = f"postgresql:///postgres?host={postgres.folder}&user={postgres.user}&application_name=heroku2"
    server = launch(
        [sys.executable, "-m", "vivace.compat.sanic", "web.py"],
        free_port,
        cwd=tmp_path,
        PORT=str(free_port),
        WEB_CONCURRENCY="2",
        DATABASE_URL=url,
    )
    assert len(ask_until_both(server)) == 2
    assert 2 <= postgres.connections("heroku2") <= 12
    assert server.stop() == 0
    assert postgres.connections("heroku2") == 0


def ask_until_both(server: ServerProcess) -> set[int]:
    """The workers that answer, asked until two are known or 10 s are over."""
    seen: set[int] = set()
    deadline = time.monotonic() + 40
    while len(seen) < 2 and time.monotonic() < deadline:
        answer = json.loads(server.get("/")[2])
        assert (answer["answer"], answer["debug"]) == (42, False)
        seen.add(answer["worker"])
    return seen
