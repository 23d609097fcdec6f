"""Background tasks: named and nameless, before and during the server's life."""

import asyncio
from typing import Any

import pytest

from tests.framework.streams import make_app
from vivace import Vivace
from vivace.errors import HTTPException


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_named_task_is_found_until_it_is_purged(app: Vivace) -> None:
    async def quick() -> int:
        return 5

    task = app.add_task(quick, name="quick")
    assert task is not None
    assert (task.get_name(), app.tasks) == ("quick", [task])
    assert await task == 5
    assert app.get_task("quick") is task
    app.purge_tasks()
    assert (app.tasks, app.get_task("quick", raise_exception=False)) == ([], None)


async def test_an_unknown_name_is_an_error_unless_told(app: Vivace) -> None:
    with pytest.raises(HTTPException, match='task named "none" not found'):
        app.get_task("none")
    with pytest.raises(HTTPException, match="none"):
        await app.cancel_task("none")
    await app.cancel_task("none", raise_exception=False)


async def test_a_task_is_cancelled_by_name_and_told_why(app: Vivace) -> None:
    said: list[Any] = []

    async def patient() -> None:
        try:
            await forever()
        except asyncio.CancelledError as error:
            said.extend(error.args)
            raise

    task = app.add_task(patient, name="patient")
    await asyncio.sleep(0)
    await app.cancel_task("patient", "enough")
    assert task is not None
    assert (task.cancelled(), said, app.tasks) == (True, ["enough"], [task])
    app.purge_tasks()
    assert app.tasks == []


async def test_an_unregistered_task_is_the_programs_own(app: Vivace) -> None:
    task = app.add_task(forever(), register=False)
    assert task is not None
    assert app.tasks == []
    app.shutdown_tasks()
    assert not task.cancelling()
    task.cancel()


async def test_all_tasks_are_cancelled_at_once(app: Vivace) -> None:
    tasks = [app.add_task(forever), app.add_task(forever(), name="named")]
    app.shutdown_tasks()
    found = await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
    assert [type(error) for error in found] == [asyncio.CancelledError] * 2
    app.purge_tasks()
    assert app.tasks == []


def test_where_the_loop_stands_still_their_end_is_awaited(app: Vivace) -> None:
    async def start() -> None:
        app.add_task(forever, name="a")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    app.shutdown_tasks(timeout=5)
    task = app.get_task("a")
    assert task is not None
    assert task.cancelled()
    app.shutdown_tasks()
    loop.close()


async def test_a_failing_task_is_logged_and_reported(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    reported = asyncio.get_running_loop().create_future()

    @app.report_exception
    async def report(where: Vivace, exception: Exception) -> None:
        reported.set_result((where, repr(exception)))
        raise RuntimeError("the reporter is ill too")

    async def ill() -> None:
        raise ValueError("ill")

    app.add_task(ill())
    assert await reported == (app, "ValueError('ill')")
    while "the reporter is ill too" not in caplog.text:
        await asyncio.sleep(0)
    assert "background task" in caplog.text


async def test_an_awaitable_and_a_function_of_the_app_are_taken(app: Vivace) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result(7)

    async def of_app(given: Vivace) -> bool:
        return given is app

    one, two = app.add_task(future), app.add_task(of_app)
    assert one is not None
    assert two is not None
    assert (await one, await two) == (7, True)
    with pytest.raises(TypeError, match="coroutine"):
        app.add_task(5)


async def test_a_name_that_is_given_again_names_the_new_task(app: Vivace) -> None:
    one, two = app.add_task(forever, name="n"), app.add_task(forever, name="n")
    assert one is not two
    assert app.get_task("n") is two
    assert set(app.tasks) == {one, two}
    app.shutdown_tasks()


async def test_a_plain_function_does_its_work_at_once(app: Vivace) -> None:
    seen: list[str] = []
    task = app.add_task(lambda: seen.append("done"))
    assert task is not None
    await task
    assert seen == ["done"]


async def test_declared_tasks_have_begun_when_the_server_has(app: Vivace) -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append("work")

    app.add_task(work)
    app.after_server_start(lambda app: seen.append("started"))
    await app.run_listeners("before_server_start")
    await app.run_listeners("after_server_start")
    assert seen == ["work", "started"]
