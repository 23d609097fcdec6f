"""The same decorator on Celery: what it carries, what it is refused, and what stays on the spool."""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from vivace.errors import DeclarationError
from vivace.tasks import Retry, SpoolUnavailable, TaskFailed
from vivace.tasks.book import Book
from vivace.tasks.celery import CeleryCarrier
from vivace.tasks.errors import BadArguments
from vivace.tasks.schedule import Every

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    Celery = pytest.importorskip("celery").Celery
    start_worker: Any = pytest.importorskip("celery.contrib.testing.worker").start_worker


@pytest.fixture
def celery() -> Any:
    return Celery("shop", broker="memory://", backend="cache+memory://", set_as_current=False)


@pytest.fixture
def served(celery: Any, book: Book) -> Iterator[Book]:
    """A book whose tasks run in a worker of Celery, in a thread."""
    seen: list[int] = []

    async def add(a: int, b: int = 2) -> int:
        return a + b

    def again(n: int) -> int:
        seen.append(n)
        if len(seen) < 3:
            raise Retry(0.01)
        return len(seen)

    def fail() -> None:
        raise ValueError("no luck")

    book.declare(add, keep="1h")
    book.hand_to(CeleryCarrier(celery))
    book.declare(again, keep="1h", retries=2)
    book.declare(fail, keep="1h", retries=1, backoff="fixed:0.01s")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with start_worker(celery, perform_ping_check=False, pool="solo"):
            yield book


@pytest.mark.once
@pytest.mark.filterwarnings("ignore")
async def test_celery_runs_retries_and_buries(served: Book) -> None:
    functions = served.functions
    added = await functions["app.add"].enqueue(3)
    again = await asyncio.to_thread(functions["app.again"].enqueue_sync, 1)
    failed = await functions["app.fail"].enqueue()
    assert await added.result(10) == 5
    assert await again.result(10) == 3
    with pytest.raises(TaskFailed, match="no luck"):
        await failed.result(10)
    with pytest.raises(BadArguments, match="Expected `int`"):
        await functions["app.add"].enqueue("x")
    assert not served.needs_runners
    assert served.names("") == ()


def test_unique_tasks_are_refused(celery: Any, book: Book) -> None:
    book.declare(lambda: None, name="once", unique=True)
    with pytest.raises(DeclarationError, match="Celery has no unique tasks"):
        book.hand_to(CeleryCarrier(celery))


def test_schedules_stay_on_the_spool(celery: Any, book: Book) -> None:
    book.hand_to(CeleryCarrier(celery))
    book.declare_schedule(lambda: None, Every("1h"), name="hourly")
    assert book.names("") == ("app.hourly",)
    assert book.needs_runners
    assert "app.hourly" not in celery.tasks


@pytest.mark.filterwarnings("ignore")
async def test_a_broker_that_is_not_there_is_named(book: Book) -> None:
    celery = Celery("shop", broker="nowhere://", set_as_current=False)
    task = book.declare(lambda: None, name="note")
    book.hand_to(CeleryCarrier(celery))
    with pytest.raises(SpoolUnavailable, match="broker cannot be used"):
        await task.enqueue()
