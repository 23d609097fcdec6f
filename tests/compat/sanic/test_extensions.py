"""sanic-ext through the alias: when an app is extended, and what differs from an app of Vivace's own."""

import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic import ext
from vivace.compat.sanic.app import Sanic
from vivace.ext import Extend, Extension
from vivace.framework.response import HTTPResponse, text
from vivace.testing import SyncClient


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Sanic:
    monkeypatch.setattr(ext, "_is_installed", lambda: False)
    monkeypatch.delitem(sys.modules, "sanic_ext", raising=False)
    app = Sanic("extended")
    app.config.OAS = False

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text("hello")

    return app


@pytest.fixture
def names() -> Iterator[None]:
    before = dict(Extension._name_registry)
    yield
    Extension._name_registry.clear()
    Extension._name_registry.update(before)


def statuses(app: Sanic) -> tuple[int, int]:
    with SyncClient(app) as client:
        return client.head("/").status, client.options("/").status


def test_without_extensions_head_and_options_are_not_answered(app: Sanic) -> None:
    assert statuses(app) == (405, 405)
    assert app._ext is None


def test_an_extended_app_answers_them(app: Sanic) -> None:
    app.extend()
    assert statuses(app) == (200, 204)


def test_an_app_extends_itself_where_sanic_ext_is_installed(
    app: Sanic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ext, "_is_installed", lambda: True)
    assert statuses(app) == (200, 204)
    assert isinstance(app.ext, Extend)


def test_an_app_extends_itself_if_the_program_imported_sanic_ext(
    app: Sanic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sanic_ext", SimpleNamespace(Extend=Extend))
    assert statuses(app) == (200, 204)


def test_auto_extend_can_be_switched_off(app: Sanic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ext, "_is_installed", lambda: True)
    app.config.AUTO_EXTEND = False
    assert statuses(app) == (405, 405)
    with pytest.raises(RuntimeError, match="AUTO_EXTEND is off"):
        _ = app.ext
    app.extend()
    assert isinstance(app.ext, Extend)


def test_asking_for_ext_extends_the_app(app: Sanic) -> None:
    assert app.ext is app.ext
    with pytest.raises(RuntimeError, match="Cannot extend Sanic after"):
        app.extend()


def test_what_stands_in_the_place_of_sanic_ext_is_used(app: Sanic, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []

    def fake(target: Any, **options: Any) -> str:
        calls.append((target, options))
        return "made"

    monkeypatch.setitem(sys.modules, "sanic_ext", SimpleNamespace(Extend=fake))
    assert app.ext == "made"
    assert statuses(app) == (405, 405)
    assert calls == [(app, {})]


def test_extend_passes_its_arguments_on(app: Sanic, names: None) -> None:
    class Greeter(Extension):
        name = "greeter"

        def startup(self, bootstrap: Extend) -> None:
            self.app.ctx.greeting = self.config.CORS_MAX_AGE

    made = app.extend(extensions=[Greeter], built_in_extensions=False, config={"cors_max_age": 12})
    assert [extension.name for extension in made.extensions] == ["greeter"]
    assert app.ctx.greeting == 12


def test_extensions_are_listed_at_the_start(app: Sanic, caplog: pytest.LogCaptureFixture) -> None:
    app.extend()
    with caplog.at_level(logging.INFO, "sanic.root"):
        statuses(app)
    found = [record.getMessage() for record in caplog.records if record.name == "sanic.root"]
    assert found[:2] == ["Sanic Extensions:", "  > injection [0 dependencies; 0 constants]"]
    assert "  > http " in found


def test_routes_may_have_trace_once_the_app_is_extended(app: Sanic) -> None:
    async def handler(request: Request) -> HTTPResponse:
        return text("traced")

    with pytest.raises(Exception, match="Bad method"):
        app.add_route(handler, "/trace", methods=["TRACE"], name="early")
    app.extend()
    app.add_route(handler, "/trace", methods=["TRACE"], name="late")
    with SyncClient(app) as client:
        assert client.request("TRACE", "/trace").text == "traced"
