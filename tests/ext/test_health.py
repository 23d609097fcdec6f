"""The path that tells whether a process serves."""

import os
import time
from typing import Any

import pytest

from vivace import Vivace
from vivace.ext import Extend
from vivace.ext.health import Health
from vivace.testing import SyncClient


def test_a_serving_process_says_so(app: Vivace) -> None:
    Health(app)
    with SyncClient(app) as client:
        response = client.get("/__health__")
        told = response.json["Vivace-Server-0-0"]
        assert (response.status, told["serving"], told["state"], told["pid"]) == (
            200,
            True,
            "ACKED",
            os.getpid(),
        )


def test_a_stopping_process_sends_clients_elsewhere(app: Vivace) -> None:
    Health(app)
    with SyncClient(app) as client:
        app.state.is_stopping = True
        response = client.get("/__health__")
        assert (response.status, response.json["Vivace-Server-0-0"]["serving"]) == (503, False)


def test_a_process_whose_checks_fail_is_not_ready(app: Vivace) -> None:
    Health(app)
    well = [False]
    app.ready_check(name="cache")(lambda: well[0])
    app.config.READY_CHECK_INTERVAL = 0.1
    with SyncClient(app) as client:
        response = client.get("/__health__")
        assert (response.status, response.json["Vivace-Server-0-0"]["checks"]) == (503, False)
        well[0] = True
        deadline = time.monotonic() + 40
        while client.get("/__health__").status != 200:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/__health__"),
        ({"health_url_prefix": "/up"}, "/up"),
        ({"health_uri_to_info": "/info"}, "/__health__/info"),
    ],
)
def test_settings_say_where_it_is(app: Vivace, settings: dict[str, Any], path: str) -> None:
    Extend(app, config={"health": True, "health_endpoint": True, **settings})
    with SyncClient(app) as client:
        assert client.get(path).status == 200
    assert app.url_for("VivaceHealth.info") == path


@pytest.mark.parametrize("settings", [{}, {"health": True}, {"health_endpoint": True}])
def test_it_is_there_only_if_both_settings_say_so(app: Vivace, settings: dict[str, Any]) -> None:
    Extend(app, config={"oas": False, **settings})
    assert app.routes == []
