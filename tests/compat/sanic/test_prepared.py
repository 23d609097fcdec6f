"""What Sanic's programs see of an app that was prepared, and of the server that `create_server` gives."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.async_server import AsyncioServer
from vivace.compat.sanic.config import Config
from vivace.errors import SanicException
from vivace.framework.state import Mode, ServerStage


@pytest.fixture
def app() -> Iterator[Sanic]:
    yield Sanic("prepared")
    Sanic._prepared.clear()


def test_what_was_prepared_is_seen(app: Sanic) -> None:
    app.prepare(port=9999, debug=True, access_log=False, workers=2, verbosity=1, coffee=True)
    assert (app.debug, app.state.mode, app.config.ACCESS_LOG) == (True, Mode.DEBUG, False)
    assert (app.state.host, app.state.port, app.state.workers) == ("127.0.0.1", 9999, 2)
    assert (app.state.verbosity, app.state.coffee, app.state.fast) == (1, True, False)
    (info,) = app.state.server_info
    assert (info.stage, info.server) == (ServerStage.STOPPED, None)
    assert (info.settings["port"], info.settings["app"]) == (9999, app)


def test_development_is_debug_and_reload(app: Sanic) -> None:
    app.prepare(dev=True)
    assert (app.debug, app.auto_reload) == (True, True)


def test_each_preparation_is_kept(app: Sanic) -> None:
    app.prepare(port=9991)
    app.prepare(port=9992)
    assert [info.settings["port"] for info in app.state.server_info] == [9991, 9992]


def test_a_setting_outlives_a_preparation_that_does_not_name_it(app: Sanic) -> None:
    app.config.DEBUG = True
    app.prepare(port=9991)
    assert app.debug


def test_without_an_app_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sanic, "_app_registry", {})
    with pytest.raises(RuntimeError, match=r"Did not find any applications\."):
        Sanic.serve()


def test_an_app_that_was_unregistered_is_not_served(app: Sanic, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(Sanic, "run", lambda self, **given: ran.append(self.name))
    other = Sanic("other")
    app.prepare()
    other.prepare()
    Sanic.unregister_app(app)
    Sanic.serve()
    assert ran == ["other"]


async def test_a_created_server_listens_at_once(app: Sanic) -> None:
    server = await app.create_server(port=0)
    assert isinstance(server, AsyncioServer)
    assert server.is_serving()
    closing = server.close()
    assert closing is not None
    await server.wait_closed()
    assert closing.done()
    assert not server.is_serving()


async def test_a_created_server_may_serve_later(app: Sanic) -> None:
    server = await app.create_server(port=0, asyncio_server_kwargs={"start_serving": False})
    assert not server.is_serving()
    await server.startup()
    await server.start_serving()
    assert server.is_serving()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("moment", ["before_start", "after_start", "before_stop", "after_stop"])
async def test_moments_need_a_startup(app: Sanic, moment: str) -> None:
    server = await app.create_server(port=0)
    with pytest.raises(SanicException, match=r"without first running await server\.startup\(\)"):
        await getattr(server, moment)()
    server.close()
    await server.wait_closed()


def test_a_configuration_excludes_a_prefix() -> None:
    for prefix in (None, "OTHER_"):
        with pytest.raises(SanicException, match="cannot also pass env_prefix"):
            Sanic("twice", config=Config(), env_prefix=prefix)


def test_an_empty_log_config_is_none() -> None:
    assert Sanic("quiet", log_config={}).name == "quiet"


async def test_a_handler_is_cancelled_soon_after_its_client_left(app: Sanic) -> None:
    left = asyncio.Event()

    @app.get("/")
    async def wait(request: Any) -> Any:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            left.set()
            raise

    async with await app.create_server(port=0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0)
        writer.close()
        await asyncio.wait_for(left.wait(), 0.8)
