"""Limits that hosted apps set themselves, and the one number that bounds their threads."""

import asyncio
import threading

import pytest

from vivace.config import Config
from vivace.interfaces.hosted import OWN_LIMITS, bound_threads, threads_of, unlimit


def test_limits_of_the_app_are_off_unless_they_were_set() -> None:
    config = Config()
    config.update({"RESPONSE_TIMEOUT": 7.0})
    unlimit(config)
    assert config.RESPONSE_TIMEOUT == 7.0
    assert [config[name] for name in OWN_LIMITS if name != "RESPONSE_TIMEOUT"] == [0, 0]
    assert config.sources["REQUEST_MAX_SIZE"] == "hosted app"


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASGI_THREADS", raising=False)
    config = Config()
    assert threads_of(config) == 0
    monkeypatch.setenv("ASGI_THREADS", "many")
    assert threads_of(config) == 0
    monkeypatch.setenv("ASGI_THREADS", "3")
    assert threads_of(config) == 3
    config.update({"THREADS": 2})
    assert threads_of(config) == 2
    config.update({"THREADS": 0})
    assert threads_of(config) == 1


async def test_the_threads_of_the_loop_and_of_anyio_are_bounded() -> None:
    from anyio import to_thread

    bound_threads(2)
    gate = threading.Barrier(3)
    both = [asyncio.create_task(asyncio.to_thread(gate.wait, 5)) for _ in range(2)]
    third = asyncio.create_task(asyncio.to_thread(threading.current_thread))
    done, _ = await asyncio.wait([third], timeout=0.05)
    assert not done
    gate.wait(5)
    await asyncio.gather(*both)
    assert (await third).name.startswith("vivace-thread")
    assert to_thread.current_default_thread_limiter().total_tokens == 2
