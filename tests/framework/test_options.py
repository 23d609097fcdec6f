"""Options of decorators that are misspelt are refused where they stand."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.framework.streams import make_app
from vivace import Blueprint
from vivace.errors import DeclarationError


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda app: app.task(retry=3), "@app.task has no option retry; did you mean retries?"),
        (lambda app: app.task(every=3), "@app.task has no option every; expected some of name, queue, "),
        (lambda app: app.cron("* * * * *", timezone="UTC"), "@app.cron has no option timezone; "),
        (
            lambda app: app.cron("* * * * *", overlaps=1),
            "@app.cron has no option overlaps; did you mean overlap?",
        ),
        (lambda app: app.every("30s", jiter=1), "@app.every has no option jiter; did you mean jitter?"),
        (lambda app: app.watch("*.yml", bounce=1), "@app.watch has no option bounce; did you mean debounce?"),
        (lambda app: app.service(instance=1), "@app.service has no option instance; did you mean instances?"),
        (lambda app: app.pool(sizes=1), "@app.pool has no option sizes; did you mean size?"),
    ],
)
def test_an_option_that_is_misspelt_is_named(declare: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said.replace("?", r"\?")):
        declare(make_app())


def test_a_blueprint_says_the_same() -> None:
    with pytest.raises(DeclarationError, match="no option retry; did you mean retries"):
        Blueprint("mail").task(retry=3)  # type: ignore[call-overload]  # what it is about


def test_options_that_are_known_are_taken() -> None:
    app = make_app()
    task: Any = {
        "queue": "q",
        "retries": 1,
        "backoff": "fixed:1s",
        "timeout": 3,
        "unique": True,
        "priority": 1,
        "keep": 1,
    }
    declared: list[Callable[[Any], Any]] = [
        app.task(name="a", **task),
        app.every("30s", name="b", jitter="10%", overlap="queue", catch_up="all", **task),
        app.watch("*", name="c", debounce=1.0, **task),
        app.service(name="d", instances=2, restart="never", grace=1.0, max_queue=1, timeout=1.0, kind=str),
        app.pool(name="e", size=2, init=list, max_queue=1, timeout=1.0, concurrency=1, grace=1.0),
    ]
    for decorate in declared:
        assert decorate(wait)


async def wait() -> None:
    """Do nothing."""
