"""Checks of an app that say whether it can do its work."""

import asyncio
import logging
import threading

import pytest

from vivace import Config, Vivace
from vivace.errors import ConfigError
from vivace.framework.ready import LEAST_INTERVAL, ReadyChecks


async def asked(checks: ReadyChecks, app: object = None, patience: float = 5.0) -> dict[str, str]:
    """Why checks fail, after they were asked once."""
    watch = asyncio.create_task(checks.watch(app, 60.0, patience))
    while any("not asked yet" in why for why in checks.failing.values()):
        await asyncio.sleep(0.001)
    failing = checks.failing
    watch.cancel()
    await asyncio.wait({watch})
    return failing


@pytest.fixture
def app() -> Vivace:
    return Vivace("ready", Config())


async def test_what_passes_and_what_fails(app: Vivace) -> None:
    seen: list[object] = []

    @app.ready_check
    async def fine(app: Vivace) -> None:
        seen.append(app)

    @app.ready_check(name="plain")
    def in_a_thread() -> bool:
        seen.append(threading.current_thread() is threading.main_thread())
        return True

    @app.ready_check
    async def says_no() -> bool:
        return False

    @app.ready_check
    def raises() -> None:
        raise OSError("the cache is gone")

    @app.ready_check
    async def leaves() -> None:
        raise SystemExit(3)

    assert not app.ready_checks.passed
    assert await asked(app.ready_checks, app) == {
        "says_no": "it says no",
        "raises": "OSError: the cache is gone",
        "leaves": "SystemExit: 3",
    }
    assert app in seen
    assert False in seen


async def test_who_is_late_has_failed_and_is_not_asked_twice_at_a_time() -> None:
    checks, begun, go = ReadyChecks(), [0], asyncio.Event()

    async def slow() -> None:
        begun[0] += 1
        await go.wait()

    checks.add("slow", slow)
    watch = asyncio.create_task(checks.watch(None, 0.01, 0.02))
    while "still at work" not in checks.failing["slow"]:
        await asyncio.sleep(0.001)
    assert begun == [1]
    go.set()
    while not checks.passed:
        await asyncio.sleep(0.001)
    watch.cancel()
    await asyncio.wait({watch})
    assert not checks.passed, "what is not asked any more is not known"


async def test_the_limit_of_an_answer_is_that_of_the_setting() -> None:
    checks = ReadyChecks()
    checks.add("slow", lambda: asyncio.sleep(0.01))
    checks.add("stuck", asyncio.Event().wait)
    assert await asked(checks, patience=0.1) == {"stuck": "no answer within 0.1 s"}


async def test_no_limit_is_no_limit() -> None:
    checks = ReadyChecks()
    checks.add("slow", lambda: asyncio.sleep(0.05))
    assert await asked(checks, patience=0.0) == {}


async def test_no_interval_is_no_busy_loop() -> None:
    checks, count = ReadyChecks(), [0]

    async def quick() -> None:
        count[0] += 1

    checks.add("quick", quick)
    watch = asyncio.create_task(checks.watch(None, 0.0, 1.0))
    await asyncio.sleep(4 * LEAST_INTERVAL)
    watch.cancel()
    await asyncio.wait({watch})
    assert 1 <= count[0] <= 5


async def test_the_log_says_what_changed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vivace")
    checks, well, count = ReadyChecks(), [True], [0]

    def look() -> bool:
        count[0] += 1
        return well[0]

    checks.add("disk", look)
    watch = asyncio.create_task(checks.watch(None, 0.001, 5.0))
    for state in (True, False, True):
        well[0] = state
        before = count[0]
        while count[0] < before + 3:
            await asyncio.sleep(0.001)
    watch.cancel()
    await asyncio.wait({watch})
    assert [record.getMessage() for record in caplog.records] == [
        "not ready: the check disk fails: it says no",
        "ready again: the check disk passes",
    ]


def test_mistakes_are_told_at_once(app: Vivace) -> None:
    app.ready_check(name="one")(lambda: True)
    with pytest.raises(ConfigError, match="there is a ready check one already: give name="):
        app.ready_check(name="one")(lambda: True)
    with pytest.raises(ConfigError, match="with the app, or with nothing"):
        app.ready_check(name="two")(lambda app, loop: True)
