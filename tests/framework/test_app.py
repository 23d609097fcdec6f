"""The app as a whole: names, listeners, tasks, URLs, running and stopping."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from tests.framework.streams import ask, make_app, make_head, make_request
from vivace import Blueprint, Config, Request, Vivace
from vivace.errors import ConfigError, StartupError, URLBuildError


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def handler(request: Request, **values: Any) -> str:
    return "ok"


# Names


@pytest.mark.parametrize("name", ["__main__", "a", "_b-1", "package.module"])
def test_a_name_is_that_of_a_module(name: str) -> None:
    app = Vivace(name)
    assert Vivace.get_app(name) is app


@pytest.mark.parametrize("name", ["", "1a", "a b", None, 5])
def test_a_bad_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match="Vivace instance"):
        Vivace(name)


def test_apps_are_found_by_name_while_they_live() -> None:
    gc.collect()
    one = Vivace("one-of-a-kind")
    assert Vivace.get_app("one-of-a-kind") is one
    two = Vivace("one-of-a-kind")
    assert Vivace.get_app("one-of-a-kind") is two
    del one, two
    gc.collect()
    with pytest.raises(ConfigError, match="Vivace app name 'one-of-a-kind' not found"):
        Vivace.get_app("one-of-a-kind")
    assert Vivace.get_app("made", force_create=True).name == "made"


def test_the_main_module_is_found_again_in_a_worker() -> None:
    gc.collect()
    app = Vivace("__mp_main__")
    assert Vivace.get_app("__main__") is app


def test_the_configuration_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVACE_REQUEST_MAX_SIZE", "7")
    assert Vivace("a").config.REQUEST_MAX_SIZE == 7
    assert Vivace("a", config=Config(REQUEST_MAX_SIZE=8)).config.REQUEST_MAX_SIZE == 8


# Listeners


async def test_start_stages_run_in_order_and_stop_stages_in_reverse(app: Vivace) -> None:
    seen: list[str] = []
    blueprint = Blueprint("bp")

    def note(where: Vivace | Blueprint, stage: str, word: str, priority: int = 0) -> None:
        @where.listener(stage, priority=priority)
        async def listener(app: Vivace, loop: asyncio.AbstractEventLoop) -> None:
            assert loop is asyncio.get_running_loop()
            seen.append(word)

    for stage in ("before_server_start", "after_server_stop"):
        note(app, stage, "1")
        note(app, stage, "2")
        note(blueprint, stage, "3")
        note(app, stage, "first", priority=1)
    app.blueprint(blueprint)
    app.blueprint(blueprint, url_prefix="/x", name_prefix="again")
    await app.run_listeners("before_server_start")
    assert seen == ["first", "1", "2", "3"]
    seen.clear()
    await app.run_listeners("after_server_stop")
    assert seen == ["3", "2", "1", "first"]


async def test_listeners_take_the_app_or_the_loop_too_and_may_be_plain(app: Vivace) -> None:
    seen: list[Any] = []

    @app.before_server_start
    def plain(app: Vivace) -> None:
        seen.append(app)

    @app.after_server_start(priority=1)
    async def with_loop(app: Vivace, loop: Any) -> None:
        seen.append(loop)

    @app.main_process_start
    async def anything(*args: Any) -> None:
        seen.append(len(args))

    for stage in ("before_server_start", "after_server_start", "main_process_start"):
        await app.run_listeners(stage)
    assert seen == [app, asyncio.get_running_loop(), 1]


async def test_a_failing_start_listener_names_itself(app: Vivace) -> None:
    @app.before_server_start
    async def connect(app: Vivace) -> None:
        raise OSError("no database")

    with pytest.raises(
        StartupError, match=r"connect \(.*test_app.py:\d+\) failed in before_server_start.*no database"
    ) as e:
        await app.run_listeners("before_server_start")
    assert (e.value.stage, e.value.exit_code) == ("before_server_start", 3)


async def test_a_failing_stop_listener_does_not_stop_the_others(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    @app.before_server_stop
    async def first(app: Vivace) -> None:
        seen.append("ran")

    @app.before_server_stop
    async def second(app: Vivace) -> None:
        raise OSError("stuck")

    await app.run_listeners("before_server_stop")
    assert seen == ["ran"]
    assert "stuck" in caplog.text


async def test_routes_may_be_added_by_listeners(app: Vivace) -> None:
    @app.before_server_start
    async def more(app: Vivace) -> None:
        app.add_route(handler, "/late")

    await app.run_listeners("before_server_start")
    assert app.url_for("handler") == "/late"


async def test_a_lifespan_lies_around_the_server(app: Vivace) -> None:
    seen: list[str] = []

    @app.lifespan
    async def outer(app: Vivace) -> AsyncIterator[None]:
        seen.append("open")
        yield
        seen.append("close")

    @app.lifespan
    async def inner(app: Vivace) -> AsyncIterator[None]:
        seen.append("open inner")
        try:
            yield
        finally:
            seen.append("close inner")

    await app.run_listeners("before_server_start")
    await app.run_listeners("after_server_stop")
    assert seen == ["open", "open inner", "close inner", "close"]
    with pytest.raises(ConfigError, match="yield"):
        app.lifespan(handler)  # type: ignore[type-var]


# Tasks


async def test_tasks_start_with_the_server_and_end_with_it(app: Vivace) -> None:
    seen: list[str] = []

    async def work(app: Vivace) -> None:
        try:
            seen.append("started")
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    def add() -> None:
        assert app.add_task(work, name="early") is None

    await asyncio.to_thread(add)
    await app.run_listeners("before_server_start")
    task = app.add_task(work(app), name="late")
    await asyncio.sleep(0)
    assert seen == ["started", "started"]
    assert app.get_task("late") is task
    assert len(app.tasks) == 2
    await app.run_listeners("after_server_stop")
    assert seen == ["started", "started", "ended", "ended"]
    assert app.tasks == []


async def test_a_failing_task_is_logged(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise OSError("task trouble")

    task = app.add_task(work, name="t")
    assert task is not None
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "task trouble" in caplog.text
    with pytest.raises(TypeError, match="add_task"):
        app.add_task(5)


# URLs


def test_urls_are_built_from_names(app: Vivace) -> None:
    blueprint = Blueprint("bp", url_prefix="/bp", version=1)
    blueprint.add_route(handler, "/<id:int>", name="item")
    app.blueprint(blueprint)
    app.add_route(handler, "/", name="index")
    app.add_route(handler, "/<day:ymd>/<id:uuid>/<f:ext>/<p:path>", name="all")
    assert app.url_for("index") == "/"
    assert app.url_for("app.index", a=1, b=["x", "y z"], c=None) == "/?a=1&b=x&b=y+z"
    assert app.url_for("bp.item", id=7, _anchor="a b") == "/v1/bp/7#a%20b"
    uid = UUID("123e4567-e89b-12d3-a456-426614174000")
    url = app.url_for("all", day=date(2026, 11, 21), id=uid, f="a b", ext="txt", p="x/y?z")
    assert url == f"/2026-11-21/{uid}/a%20b.txt/x/y%3Fz"
    assert (
        app.url_for("index", _external=True, _server="example.com", _scheme="https") == "https://example.com/"
    )
    app.config.SERVER_NAME = "https://example.org"
    assert app.url_for("index", _external=True) == "https://example.org/"


def test_a_url_that_would_not_lead_back_is_refused(app: Vivace) -> None:
    app.add_route(handler, "/<id:int>", name="item")
    app.add_route(handler, "/w/<word:[a-z]{3}>", name="word")
    app.add_route(handler, "/a")
    app.add_route(handler, "/b")
    for name, values, says in (
        ("none", {}, "`app.none` was not found"),
        ("item", {}, "`id` was not passed"),
        ("item", {"id": "x"}, "does not match pattern for type `int`"),
        ("word", {"word": "abcd"}, "does not satisfy pattern"),
        ("handler", {}, "names the routes /a, /b"),
        ("item", {"id": 1, "_external": True}, "SERVER_NAME"),
    ):
        with pytest.raises(URLBuildError, match=says):
            app.url_for(name, **values)


def test_a_request_builds_absolute_urls(app: Vivace) -> None:
    app.add_route(handler, "/a")
    assert make_request(app, host="h:1").url_for("handler") == "http://h:1/a"


# Running


def test_stop_asks_the_server_or_signals_the_process(app: Vivace, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
    app.stop()
    assert sent == [(os.getpid(), signal.SIGTERM)]
    app.stopper = lambda: sent.append("stopper")
    app.stop()
    assert sent[1] == "stopper"


# The surface


def test_decorators_give_back_the_function() -> None:
    app = make_app()

    async def view(request: Request) -> str:
        return ""

    def middleware(request: Request) -> None: ...
    def after(request: Request, response: Any) -> None: ...
    def listener(app: Vivace) -> None: ...

    decorators: list[tuple[Callable[[Any], Any], Any]] = [
        (app.get("/1"), view),
        (app.post("/2", stream=True), view),
        (app.put("/3"), view),
        (app.patch("/4"), view),
        (app.delete("/5"), view),
        (app.head("/6"), view),
        (app.options("/7"), view),
        (app.route("/8", methods=["GET", "POST"], ctx_role="admin"), view),
        (app.middleware, middleware),
        (app.middleware("response"), after),
        (app.on_request, middleware),
        (app.on_response(priority=1), after),
        (app.exception(KeyError), after),
        (app.listener("before_server_start"), listener),
        (app.before_server_stop, listener),
    ]
    for decorator, function in decorators:
        assert decorator(function) is function
    app.finalize()
    assert app.routes[7].ctx.role == "admin"
    assert app.routes[7].methods == {"GET", "POST"}


@pytest.mark.parametrize("methods", [[], ["GE T"], "GET", ["CONNECT"]])
def test_bad_methods_are_refused(app: Vivace, methods: Any) -> None:
    with pytest.raises(ConfigError, match="methods="):
        app.route("/", methods=methods)(handler)


def test_an_unknown_option_of_a_route_is_refused(app: Vivace) -> None:
    with pytest.raises(TypeError, match="Unexpected keyword arguments: colour"):
        app.get("/", colour="blue")(handler)


async def test_a_custom_type_of_path_parameter(app: Vivace) -> None:
    app.register_pattern("even", int, r"[0-9]*[02468]")

    @app.get("/<n:even>")
    async def even(request: Request, n: int) -> Any:
        return [n]

    assert (await ask(app, target="/42")).body == b"[42]"
    assert (await ask(app, target="/43")).status == 404


def test_the_framework_is_loaded_only_when_asked_for() -> None:
    code = (
        "import sys, vivace; print(any(m.startswith('vivace.framework') for m in sys.modules)); vivace.Vivace"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_the_server_is_not_loaded_by_the_framework() -> None:
    wanted = "[m for m in sys.modules if m.startswith(('vivace.server', 'vivace.cli'))]"
    code = f"import sys, vivace; vivace.Vivace('a'); print({wanted})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_heads_are_made_as_the_protocol_makes_them() -> None:
    head = make_head(target="/a?b", headers=[("X", "1")])
    assert (head.path, head.query, head.fields()) == (b"/a", b"b", [(b"x", b"1")])


async def test_a_blueprints_listeners_run_where_it_became_part_of_the_app(app: Vivace) -> None:
    seen: list[str] = []
    blueprint = Blueprint("bp")
    blueprint.before_server_start(lambda app: seen.append("blueprint"))
    app.before_server_start(lambda app: seen.append("before"))
    app.blueprint(blueprint)
    app.before_server_start(lambda app: seen.append("after"))
    await app.run_listeners("before_server_start")
    assert seen == ["before", "blueprint", "after"]


async def test_a_second_argument_with_a_default_is_left_alone(app: Vivace) -> None:
    seen: list[Any] = []

    @app.before_server_start
    def listener(app: Vivace, word: str = "own") -> None:
        seen.append(word)

    await app.run_listeners("before_server_start")
    assert seen == ["own"]
