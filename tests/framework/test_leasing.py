"""A budget that machines lease: nothing is opened before it is known, and all together never have more."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Launch, ServerProcess, find_free_port
from tests.services.redis import RedisServer, StartRedis, redis_server, start_redis
from vivace import Vivace
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.framework import leasing
from vivace.framework.budget import Budget, forget
from vivace.framework.leasing import Tenant

__all__ = ["redis_server", "start_redis"]

APP = """
import os
from vivace import Vivace, json
from vivace.framework import leasing

leasing.HEARTBEAT = leasing.LOOK = 0.2
app = Vivace("shop")
database = app.budget("pg", limit=10, reserve=2, coordinate=True, wait=float(os.environ.get("WAIT", "30")))

@app.get("/")
async def index(request):
    return json({"share": database.share, "machine": database.machine, "slot": database.slot,
                 "told": os.environ["BUDGET_PG_SHARE"]})
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("VIVACE_SLOT", "VIVACE_WORKERS", "VIVACE_OVERLAP", "VIVACE_RUN", "BUDGET_PG_SHARE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(leasing, "LOOK", 0.02)
    monkeypatch.setattr(leasing, "HEARTBEAT", 0.05)
    forget()
    yield
    forget()


def machine(url: str, wait: float = 5.0, **values: Any) -> tuple[Vivace, Budget, Tenant]:
    """A server of one process, of an app with a budget."""
    app = Vivace(f"shop{time.monotonic_ns()}", Config(HUB_URL=url, WORKERS=1, HUB_TIMEOUT=1))
    budget = app.budget("pg", **{"limit": 10, "reserve": 2, "probe": False, **values})
    return app, budget, Tenant(app, budget, wait)


def wait_until(condition: Callable[[], bool], server: ServerProcess) -> None:
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline, server.output
        time.sleep(0.05)


async def test_a_process_takes_its_part_and_gives_it_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.ask("FLUSHALL")
    app, budget, tenant = machine(redis_server.url, instances=2)
    await tenant.start(app)
    assert (budget.machine, budget.share) == (4, 2)
    monkeypatch.setenv("VIVACE_RUN", "")
    ((_, held),) = [redis_server.ask("HGETALL", "vivace:leases:pg")]
    assert held.startswith("4:")
    await app.cancel_task("vivace-lease-pg")
    await tenant.stop()
    assert redis_server.ask("EXISTS", "vivace:leases:pg") == 0


async def test_a_machine_that_gets_nothing_says_so(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    redis_server.ask("HSET", "vivace:leases:pg", "other/run-1", "7:9999999999999")
    app, _, tenant = machine(redis_server.url, wait=0.1)
    with pytest.raises(ConfigError, match="could lease 1 of the 8 connections that all machines share"):
        await tenant.start(app)
    await tenant.stop()


async def test_a_newcomer_waits_for_one_that_leaves(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    redis_server.ask("HSET", "vivace:leases:pg", "other/run-1", "8:9999999999999")
    app, budget, tenant = machine(redis_server.url)
    starting = asyncio.ensure_future(tenant.start(app))
    await asyncio.sleep(0.1)
    assert not starting.done()
    redis_server.ask("HDEL", "vivace:leases:pg", "other/run-1")
    await starting
    assert budget.machine == 8
    await app.cancel_task("vivace-lease-pg")
    await tenant.stop()


async def test_the_next_keeper_asks_for_the_workers_that_the_one_before_made_room_for(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    redis_server.ask("FLUSHALL")
    monkeypatch.setattr(leasing, "HEARTBEAT", 1.0)
    elsewhere, _, holder = machine(redis_server.url, instances=2)
    await holder.start(elsewhere)
    asked: list[int] = []

    async def worker(slot: int) -> tuple[Vivace, Budget, asyncio.Future[None], Tenant]:
        monkeypatch.setenv("VIVACE_RUN", str(tmp_path))
        monkeypatch.setenv("VIVACE_WORKERS", "7")
        monkeypatch.setenv("VIVACE_SLOT", str(slot))
        app, budget, tenant = machine(redis_server.url, instances=1)
        app.scaler = asked.append
        return app, budget, asyncio.ensure_future(tenant.start(app)), tenant

    keeper, _, waiting, first = await worker(5)
    while asked != [3]:
        await asyncio.sleep(0.01)
    heir, known, started, second = await worker(0)
    await started
    await elsewhere.cancel_task("vivace-lease-pg")
    await holder.stop()
    await waiting
    await keeper.cancel_task("vivace-lease-pg")
    while known.machine != 8:
        await asyncio.sleep(0.01)
    await first.stop()
    while asked != [3, 7]:
        await asyncio.sleep(0.01)
    await heir.cancel_task("vivace-lease-pg")
    await second.stop()


async def test_a_lease_that_cannot_be_renewed_goes_on(
    start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    app, budget, tenant = machine(server.url)
    await tenant.start(app)
    with caplog.at_level(logging.INFO, "vivace"):
        await asyncio.to_thread(server.stop)
        while "goes on with 8 connections: redis at" not in caplog.text:
            await asyncio.sleep(0.02)
        assert budget.machine == 8
        await asyncio.to_thread(server.start)
        while "its lease of 8 connections is renewed again" not in caplog.text:
            await asyncio.sleep(0.02)
    assert caplog.text.count("cannot be renewed") == 1
    await app.cancel_task("vivace-lease-pg")
    await tenant.stop()


async def test_without_a_place_for_leases_there_is_no_start() -> None:
    app, _, tenant = machine("")
    with pytest.raises(ConfigError, match="coordinate=True needs HUB_URL"):
        await tenant.start(app)
    app, _, tenant = machine("redis://127.0.0.1:1", wait=0.1)
    with pytest.raises(ConfigError, match=r"nothing can be leased: redis at .*: nothing listens there"):
        await tenant.start(app)


@pytest.mark.once
@pytest.mark.timeout(180)
def test_two_servers_share_out_and_one_grows_when_the_other_leaves(
    redis_server: RedisServer, launch: Launch, tmp_path: Path
) -> None:
    redis_server.ask("FLUSHALL")
    (tmp_path / "shop.py").write_text(APP)

    def serve(workers: int, instances: str) -> ServerProcess:
        port = find_free_port()
        argv = [sys.executable, "-m", "vivace", "run", "shop", "--workers", str(workers), "--port", str(port)]
        return launch(
            [*argv, "--budget", f"pg=instances={instances}"],
            port,
            cwd=tmp_path,
            HUB_URL=redis_server.url,
            VIVACE_HUB_URL=redis_server.url,
        )

    def held() -> list[int]:
        answer = redis_server.ask("HGETALL", "vivace:leases:pg")
        return sorted(int(one.partition(":")[0]) for one in answer[1::2])

    one = serve(2, "2")
    assert json.loads(one.get()[2])["machine"] == 4
    two = serve(7, "1")  # it would like 8, for 7 workers and one more
    wait_until(lambda: held() == [4, 4], two)
    answer = json.loads(two.get()[2])
    assert (answer["machine"], answer["share"], answer["told"]) == (4, 1, "1")
    wait_until(lambda: "enough for 3 of 7 workers" in two.output, two)
    assert one.stop() == 0
    wait_until(lambda: held() == [8], two)
    wait_until(lambda: "there are connections for 7 workers now" in two.output, two)
    wait_until(lambda: {json.loads(two.get()[2])["slot"] for _ in range(30)} >= {3, 4}, two)
    assert two.stop() == 0
    assert held() == []
