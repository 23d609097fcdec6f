"""Channels on several machines over a small Redis: few connections, what is wanted, no error for an app."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.apps.channels_client import Chat, hears, serve_site
from tests.services.redis import RedisServer, StartRedis, start_redis

pytest.importorskip("channels")
pytest.importorskip("redis")
pytestmark = pytest.mark.once

__all__ = ["start_redis"]

Machine = Callable[[int], Chat]


@pytest.fixture
def redis(start_redis: StartRedis) -> RedisServer:
    """As small as a free plan: it takes eight connections, and drops those that are silent for a second."""
    return start_redis(maxclients="8", timeout="1")


@pytest.fixture
def machine(redis: RedisServer, tmp_path: Path) -> Iterator[Machine]:
    """Starts servers that know each other by Redis alone."""
    with ExitStack() as stack:
        count = 0

        def start(workers: int) -> Chat:
            nonlocal count
            count += 1
            environ = {"VIVACE_HUB_URL": redis.url, "XDG_RUNTIME_DIR": str(tmp_path)}
            chat = Chat(stack.enter_context(serve_site(tmp_path / f"log{count}", workers, **environ)))
            stack.callback(chat.leave)
            return chat

        yield start


def test_eight_workers_need_two_connections(redis: RedisServer, machine: Machine) -> None:
    here, there = machine(8), machine(1)
    ada, bob = here.enter_twice("hall")
    eve = there.enter("hall")
    hears(eve, ada, "hello")
    hears(bob, eve, "hello from there")
    assert len(redis.clients()) <= 2 * 2


def test_a_machine_gets_what_its_own_clients_want(redis: RedisServer, machine: Machine) -> None:
    machines = [machine(1) for _ in range(3)]
    talkers = [chat.enter(f"room{at}") for at, chat in enumerate(machines)]
    hears(talkers[0], talkers[0], "I am here")
    talkers[1].say("for room 0", room="room0")
    assert talkers[0].hear()["text"] == "for room 0"
    names = [str(name) for name in redis.ask("PUBSUB", "CHANNELS", "*room0*")]
    followers = dict(zip(*[iter(redis.ask("PUBSUB", "NUMSUB", *names))] * 2, strict=True))
    assert list(followers.values()) == [1]


def test_whatever_redis_does_no_error_reaches_a_consumer(redis: RedisServer, machine: Machine) -> None:
    here, there = machine(2), machine(1)
    ada, bob = here.enter("hall"), there.enter("hall")
    hears(bob, ada, "before")
    until_silent = time.monotonic() + 3  # longer than Redis lets a connection be silent
    while time.monotonic() < until_silent:
        time.sleep(0.1)
    hears(bob, ada, "after silence")
    for number in range(10):
        redis.kill_clients()
        ada.say(f"cut {number}")
    hears(bob, ada, "after cuts")
    redis.stop()
    ada.say("nobody is there")
    assert ada.hear_until("nobody is there")  # this machine is served on
    redis.start()
    hears(bob, ada, "after a restart")
