"""Listeners: what those of a reload are called with, and what their failure ends."""

import logging
from typing import Any

import pytest

from vivace import Vivace
from vivace.errors import StartupError


async def test_a_listener_after_a_reload_is_told_which_files_changed() -> None:
    app = Vivace("told")
    seen: list[Any] = []
    app.register_listener(lambda app, changed: seen.append(changed), "after_reload_trigger")
    app.register_listener(lambda app: seen.append("before"), "before_reload_trigger")
    app.register_listener(lambda app: seen.append("after"), "after_reload_trigger")
    await app.run_listeners("before_reload_trigger")
    await app.run_listeners("after_reload_trigger", ("/srv/app.py",))
    assert seen == ["before", {"/srv/app.py"}, "after"]


def _fail(app: Any) -> None:
    raise OSError("no")


async def test_a_listener_of_a_reload_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = Vivace("fails")
    seen: list[str] = []
    app.register_listener(_fail, "before_reload_trigger")
    app.register_listener(lambda app: seen.append("next"), "before_reload_trigger")
    with caplog.at_level(logging.ERROR):
        await app.run_listeners("before_reload_trigger")
    assert seen == ["next"]
    assert "failed in before_reload_trigger" in caplog.text


async def test_a_listener_of_a_start_that_fails_ends_it() -> None:
    app = Vivace("starts")
    app.register_listener(_fail, "main_process_start")
    with pytest.raises(StartupError, match="failed in main_process_start"):
        await app.run_listeners("main_process_start")
