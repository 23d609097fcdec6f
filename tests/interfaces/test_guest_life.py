"""The life of an app under another server: with and without a lifespan, on several loops, in other apps."""

import asyncio
import logging
from typing import Any

import pytest

from tests.interfaces.guest_support import GuestServer, call, make_scope
from vivace import HTTPResponse, Request, Vivace, text

STAGES = ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop")


def app_of(seen: list[str], name: str = "life") -> Vivace[Any, Any]:
    """An app that notes what happens to it."""
    app = Vivace(name)
    for stage in STAGES:
        app.listener(stage)(lambda _app, _loop, stage=stage: seen.append(stage))

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        seen.append("request")
        return text(name)

    return app


class Lifespan(GuestServer):
    """The server's side of a lifespan."""

    def __init__(self) -> None:
        super().__init__({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, None)
        self.running: asyncio.Task[None] | None = None

    async def start(self, app: Any) -> dict[str, Any]:
        """Tell the app to start; what it answers."""
        self.running = asyncio.create_task(self.run(app))
        self.events.put_nowait({"type": "lifespan.startup"})
        await self.until(lambda: self.sent)
        return self.sent[-1]

    async def stop(self) -> dict[str, Any]:
        """Tell the app to stop; what it answers."""
        self.events.put_nowait({"type": "lifespan.shutdown"})
        assert self.running is not None
        await self.running
        return self.sent[-1]


# With a lifespan


async def test_listeners_run_around_the_requests_in_order(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    app = app_of(seen)
    lifespan = Lifespan()
    assert await lifespan.start(app) == {"type": "lifespan.startup.complete"}
    assert (await call(app)).body == b"life"
    assert await lifespan.stop() == {"type": "lifespan.shutdown.complete"}
    assert seen == [*STAGES[:2], "request", *STAGES[2:]]
    assert caplog.text == ""


async def test_background_tasks_live_as_long_as_the_app() -> None:
    app = app_of([])
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    app.add_task(background, name="background")
    lifespan = Lifespan()
    await lifespan.start(app)
    await asyncio.sleep(0)
    assert app.get_task("background") is not None
    await lifespan.stop()
    assert ended == ["ended"]


async def test_a_start_that_fails_is_told_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    app = app_of(seen)

    @app.before_server_start
    async def fails(app: Vivace) -> None:
        raise RuntimeError("no database")

    lifespan = Lifespan()
    answer = await lifespan.start(app)
    assert answer["type"] == "lifespan.startup.failed"
    assert "no database" in answer["message"]
    assert "fails" in answer["message"], "the listener is named"
    assert lifespan.running is not None
    await lifespan.running
    assert seen == ["before_server_start"]
    assert "Traceback" in caplog.text


async def test_a_start_that_fails_late_is_stopped() -> None:
    seen: list[str] = []
    app = app_of(seen)

    @app.after_server_start
    async def fails(app: Vivace) -> None:
        raise RuntimeError("no queue")

    lifespan = Lifespan()
    assert (await lifespan.start(app))["type"] == "lifespan.startup.failed"
    assert lifespan.running is not None
    await lifespan.running
    assert seen == list(STAGES)


async def test_an_app_can_start_again_after_its_stop() -> None:
    seen: list[str] = []
    app = app_of(seen)
    for _ in range(2):
        lifespan = Lifespan()
        await lifespan.start(app)
        await call(app)
        await lifespan.stop()
    assert seen == [*STAGES[:2], "request", *STAGES[2:]] * 2


async def test_a_request_after_the_stop_starts_the_app_again() -> None:
    seen: list[str] = []
    app = app_of(seen)
    lifespan = Lifespan()
    await lifespan.start(app)
    await lifespan.stop()
    await call(app)
    assert seen == [*STAGES, *STAGES[:2], "request"]


# Without one


async def test_the_first_request_starts_an_app_that_was_not(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    app = app_of(seen)
    caplog.set_level(logging.WARNING)
    await asyncio.gather(*(call(app) for _ in range(3)))
    await call(app)
    assert seen == [*STAGES[:2], *["request"] * 4]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "announces no start" in caplog.text


async def test_a_client_that_leaves_does_not_end_the_start_for_others() -> None:
    seen: list[str] = []
    app = app_of(seen)
    go_on = asyncio.Event()

    @app.before_server_start
    async def waits(app: Vivace) -> None:
        await go_on.wait()

    first = asyncio.create_task(app(make_scope(), GuestServer({}).receive, GuestServer({}).send))
    second = asyncio.create_task(call(app))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert (await second).body == b"life"
    assert seen.count("before_server_start") == 1


async def test_a_first_request_whose_start_fails_is_an_error_and_the_next_tries_again() -> None:
    seen: list[str] = []
    app = app_of(seen)
    broken = True

    @app.before_server_start
    async def fails(app: Vivace) -> None:
        if broken:
            raise RuntimeError("no database")

    for _ in range(2):
        with pytest.raises(Exception, match="no database"):
            await call(app)
    broken = False
    assert (await call(app)).body == b"life"
    assert seen == ["before_server_start"] * 3 + ["after_server_start", "request"]


async def test_a_request_during_the_start_waits_for_it() -> None:
    seen: list[str] = []
    app = app_of(seen)
    go_on = asyncio.Event()

    @app.before_server_start
    async def waits(app: Vivace) -> None:
        await go_on.wait()

    lifespan = Lifespan()
    starting = asyncio.create_task(lifespan.start(app))
    await lifespan.until(lambda: lifespan.asked)
    asking = asyncio.create_task(call(app))
    await asyncio.sleep(0)
    go_on.set()
    assert (await starting)["type"] == "lifespan.startup.complete"
    assert (await asking).body == b"life"
    assert seen.count("before_server_start") == 1
    await lifespan.stop()


# Several


def test_an_app_starts_anew_on_each_loop() -> None:
    seen: list[str] = []
    app = app_of(seen)

    async def serve() -> None:
        lifespan = Lifespan()
        await lifespan.start(app)
        assert (await call(app)).body == b"life"
        await lifespan.stop()

    async def serve_without() -> None:
        assert (await call(app)).body == b"life"

    for main in (serve, serve_without, serve_without, serve):
        asyncio.run(main())
    assert seen.count("before_server_start") == 4
    assert seen.count("after_server_stop") == 2


async def test_apps_do_not_know_of_each_other() -> None:
    seen: list[str] = []
    first, second = app_of(seen, "first"), app_of([], "second")
    lifespans = Lifespan(), Lifespan()
    for lifespan, app in zip(lifespans, (first, second), strict=True):
        await lifespan.start(app)
    assert (await call(first)).body == b"first"
    assert (await call(second)).body == b"second"
    await lifespans[0].stop()
    assert (await call(second)).body == b"second"
    await lifespans[1].stop()
    assert seen == [*STAGES[:2], "request", *STAGES[2:]]


# Within other apps, and others within it


async def test_an_app_within_another_framework_is_routed_below_its_place() -> None:
    routing = pytest.importorskip("starlette.routing")
    applications = pytest.importorskip("starlette.applications")
    inner = Vivace("inner")

    @inner.get("/<name>")
    async def hello(request: Request, name: str) -> HTTPResponse:
        return text(f"{name} at {request.path}")

    outer = applications.Starlette(routes=[routing.Mount("/in ner", app=inner)])
    assert (await call(outer, make_scope(path="/in ner/x"))).body == b"x at /x"
    raw = make_scope(path="/in ner/x y", raw_path=b"/in%20ner/x%20y")
    assert (await call(outer, raw)).body == b"x%20y at /x%20y"
    assert (await call(outer, make_scope(path="/x"))).status == 404


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    data, more = b"", True
    while more:
        message = await receive()
        data += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    path = f"{scope['root_path']} {scope['path']} ".encode()
    await send({"type": "http.response.body", "body": path + data})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("201 Created", [("Content-Type", "text/plain")])
    data = environ["wsgi.input"].read()
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} ".encode(), data]


async def test_apps_that_are_mounted_in_it_are_served_too() -> None:
    seen: list[str] = []
    app = app_of([], "outer")
    app.mount("/asgi", asgi_app)
    app.mount("/wsgi", wsgi_app)
    app.mount("/native", app_of(seen, "native"))
    lifespan = Lifespan()
    assert await lifespan.start(app) == {"type": "lifespan.startup.complete"}
    body = [(b"content-length", b"6")]
    assert (await call(app, make_scope(path="/asgi/x"))).body == b"/asgi /asgi/x "
    upload = await call(app, make_scope("POST", "/asgi/x", body), [b"abc", b"def"])
    assert upload.body == b"/asgi /asgi/x abcdef"
    plain = await call(app, make_scope(path="/wsgi/x"))
    assert (plain.status, plain.body) == (201, b"/wsgi /x ")
    assert (await call(app, make_scope("POST", "/wsgi/x", body), [b"abc", b"def"])).body == b"/wsgi /x abcdef"
    assert (await call(app, make_scope(path="/native/"))).body == b"native"
    assert (await call(app, make_scope(path="/nowhere"))).status == 404
    await lifespan.stop()
    assert seen == [*STAGES[:2], "request", *STAGES[2:]]
