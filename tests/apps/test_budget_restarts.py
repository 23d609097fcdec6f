"""Two workers on a role that may open 20 connections, replaced under load: nobody is refused."""

import os
import re
import signal
from pathlib import Path

import pytest

from bench.crowd import Crowd
from tests.apps.test_budget import (
    ASYNCPG,
    DJANGO,
    LIMIT,
    PLAN,
    PSYCOPG,
    START,
    Migration,
    Role,
    role,
    serve,
    until,
)
from tests.conftest import Launch, ServerProcess
from tests.services.postgres import Postgres, postgres

pytestmark = pytest.mark.once

__all__ = ["postgres", "role"]

CLIENTS, PAUSE = 32, 0.02
OPTIONS = ("--no-access-log", "--keep-alive-timeout", "0.5")
CODES = {"asyncpg": ASYNCPG, "psycopg": PSYCOPG}


def prove(server: ServerProcess, role: Role, restarts: int = 1) -> None:
    """Rolling restarts under clients that keep their connections, while a migration comes at any moment."""
    until(lambda: "Listening on" in server.output)
    with Migration(role) as migration, Crowd(server.port, CLIENTS, PAUSE) as crowd:
        for generation in range(2, restarts + 2):
            os.kill(server.process.pid, signal.SIGHUP)
            until(lambda told=f"restarted: generation {generation} serves": told in server.output)  # type: ignore[misc]
        until(lambda: server.output.count("serves as pid") == 2 * restarts)
        os.kill(int(re.findall(r"serves as pid (\d+)", server.output)[-1]), signal.SIGKILL)
        until(lambda: server.output.count("serves as pid") > 2 * restarts)
        crowd.wait(crowd.answered + 200)
    # Only what the killed process had in its hands is lost; the clients of one of two workers, at most.
    assert crowd.failures <= CLIENTS, crowd.failed
    assert crowd.answered > 300
    assert migration.refused == []
    assert migration.came > 20
    assert 0 < migration.most <= LIMIT - PLAN.reserve
    assert server.stop() == 0, server.output
    assert "too many" not in server.output
    until(lambda: role.used() == 0)


@pytest.mark.parametrize("name", CODES)
def test_restarts_keep_to_the_budget(
    launch: Launch, free_port: int, tmp_path: Path, role: Role, name: str
) -> None:
    (tmp_path / "shop.py").write_text(START + CODES[name])
    prove(serve(launch, role, tmp_path, free_port, "shop", *OPTIONS), role, 2 if name == "asyncpg" else 1)


@pytest.mark.parametrize("target", ["wsgi_app", "bounded_app"])
def test_restarts_of_django_keep_to_the_budget(
    launch: Launch, free_port: int, tmp_path: Path, role: Role, target: str
) -> None:
    pytest.importorskip("psycopg_pool")
    for name, text in DJANGO.items():
        (tmp_path / name).write_text(text)
    prove(serve(launch, role, tmp_path, free_port, target, *OPTIONS), role)


def test_recycling_keeps_to_the_budget(
    launch: Launch, free_port: int, tmp_path: Path, role: Role, postgres: Postgres
) -> None:
    (tmp_path / "shop.py").write_text(START + ASYNCPG)
    server = serve(launch, role, tmp_path, free_port, "shop", *OPTIONS, "--max-requests", "50")
    with Migration(role) as migration, Crowd(server.port, CLIENTS, PAUSE) as crowd:
        until(lambda: server.output.count("is recycled: enough requests") >= 4)
    assert not crowd.failed
    assert migration.refused == []
    assert 0 < migration.most <= LIMIT - PLAN.reserve
    assert server.stop() == 0, server.output
