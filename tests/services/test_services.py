"""The servers of the tests do what the tests of engines rely on."""

import time

import pytest

from tests.services.nats import NatsServer, nats_server
from tests.services.postgres import Postgres, postgres
from tests.services.redis import RedisServer, StartRedis, redis_server, start_redis

__all__ = ["nats_server", "postgres", "redis_server", "start_redis"]


def test_redis_answers(redis_server: RedisServer) -> None:
    assert redis_server.ask("SET", "key", "value") == "OK"
    assert redis_server.ask("GET", "key") == "value"
    assert redis_server.clients() == []


def test_a_redis_of_its_own_takes_settings_and_restarts(start_redis: StartRedis) -> None:
    server = start_redis(requirepass="secret")
    assert server.ask("CONFIG", "GET", "requirepass") == ["requirepass", "secret"]
    server.stop()
    with pytest.raises(OSError):
        server.ask("PING")
    server.start()
    assert server.ask("PING") == "PONG"


def test_nats_answers(nats_server: NatsServer) -> None:
    assert "Server is ready" in nats_server.output


def test_postgres_restarts_with_what_it_had(postgres: Postgres) -> None:
    postgres.ask("CREATE TABLE kept (it int)")
    postgres.ask("INSERT INTO kept VALUES (7)")
    begun = time.monotonic()
    postgres.stop()
    postgres.start()
    assert postgres.ask("SELECT it FROM kept") == [(7,)]
    postgres.ask("DROP TABLE kept")
    assert time.monotonic() - begun < 20
