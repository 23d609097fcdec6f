"""The servers that all tests of engines share."""

from tests.hub.engines.lab import lab
from tests.services.nats import nats_server
from tests.services.postgres import postgres
from tests.services.redis import redis_server, start_redis

__all__ = ["lab", "nats_server", "postgres", "redis_server", "start_redis"]
