"""The groups of an app."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vivace import Message, Position, Request, Vivace
from vivace.ext.health import Health


def test_an_app_without_groups_loads_nothing_of_them() -> None:
    code = (
        "import sys\nfrom vivace import Vivace\n"
        "app = Vivace('app')\n"
        "@app.get('/')\nasync def index(request): return {}\n"
        "app.test_client.get('/')\n"
        "print([name for name in sys.modules if name.startswith('vivace.hub.hub')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


async def test_its_hub_is_made_of_its_settings(tmp_path: Path) -> None:
    app = Vivace("groups")
    app.config.HUB_QUEUE = 7
    app.config.HUB_SOCKET = str(tmp_path / "hub")
    assert app.hub is app.hub
    assert app.hub.limits.queue == 7
    assert app.hub.url == f"unix://{tmp_path}/hub"
    assert app.hub.name.startswith("groups@")
    assert not app.hub.started


async def test_handlers_and_threads_share_it_and_it_ends_with_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("VIVACE_HUB", "VIVACE_HUB_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    app = Vivace("groups")

    @app.get("/thread")
    async def thread(request: Request) -> dict[str, str]:
        first = await asyncio.to_thread(lambda: app.hub.publish_sync("a", 1))
        return {"first": str(first)}

    @app.get("/handler")
    async def handler(request: Request) -> dict[str, object]:
        app.hub.topic("a", delivery="resume")
        position = await app.hub.publish("a", 2)
        assert isinstance(position, Position)
        async with app.hub.subscribe("a", history=1) as messages:
            message = await anext(messages)
            assert isinstance(message, Message)
            return {"data": message.data, "offset": position.offset}

    await app.run_listeners("before_server_start")
    assert not app._hub
    _, answer = await app.asgi_client.get("/thread")
    assert answer.json == {"first": "None"}
    assert app.hub.home is not None
    _, answer = await app.asgi_client.get("/handler")
    assert answer.json == {"data": 2, "offset": 1}
    await app.run_listeners("after_server_stop")
    assert not app.hub.started


async def test_an_engine_that_is_away_is_told_and_is_no_reason_to_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Vivace("groups")
    Health(app)
    _, answer = await app.asgi_client.get("/__health__")
    assert "groups" not in answer.json["Vivace-Server-0-0"]
    monkeypatch.setattr(
        app, "_hub", SimpleNamespace(started=True, up=False, stop=_stop, home=None, rules_declared=[])
    )
    _, answer = await app.asgi_client.get("/__health__")
    assert answer.json["Vivace-Server-0-0"]["groups"] == "degraded"
    assert answer.status == 200


async def _stop() -> None: ...
