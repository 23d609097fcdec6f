"""Mounted apps over real sockets: what they are told, their life, and what happens when clients leave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.server.support import until
from vivace import Request, Vivace, text
from vivace.config import Config
from vivace.errors import StartupError
from vivace.framework.mount import Mount
from vivace.interfaces.choose import make_interface
from vivace.interfaces.mounts import MountedInterface, Mounts, describe_mounts
from vivace.interfaces.native import NativeInterface
from vivace.server import Interface, Server, bind_tcp

Seen = list[str]


@contextlib.asynccontextmanager
async def serving(interface: Interface, **settings: object) -> AsyncIterator[tuple[Server, int]]:
    config = Config()
    config.update({"ACCESS_LOG": False, **settings})
    (listener,) = bind_tcp("127.0.0.1", 0, 16)
    with listener:
        server = Server(interface, config, [listener])
        await server.start()
        try:
            yield server, listener.getsockname()[1]
        finally:
            await server.stop()


async def get(port: int, target: str, method: str = "GET") -> str:
    """The body of an answer, or its status if that is not 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    reply = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = reply.decode().partition("\r\n\r\n")
    status = head.split()[1]
    return body if status == "200" else status


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"wsgi {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]


class Asgi:
    """An app that notes the moments of its life and tells its paths."""

    def __init__(self, seen: Seen, name: str = "asgi", fails: bool = False) -> None:
        self.seen = seen
        self.name = name
        self.fails = fails
        self.waiting = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        if scope["path"].endswith("/wait"):
            await self.wait(receive)
            return
        body = f"{self.name} {scope['root_path']}|{scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def live(self, receive: Any, send: Any) -> None:
        await receive()
        if self.fails:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        self.seen.append(f"{self.name} starts")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.seen.append(f"{self.name} stops")
        await send({"type": "lifespan.shutdown.complete"})

    async def wait(self, receive: Any) -> None:
        try:
            await receive()
            self.waiting.set()
            message = await receive()
            await asyncio.sleep(0.01)
            self.seen.append(f"{self.name} was told {message['type']}")
        except asyncio.CancelledError:
            self.seen.append(f"{self.name} was cancelled")
            raise


def make_native(name: str, seen: Seen) -> Vivace:
    app = Vivace(name)
    app.ctx.waiting = asyncio.Event()
    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.listener(stage)(lambda _app, _loop, stage=stage: seen.append(f"{name} {stage}"))

    @app.get("/")
    async def home(request: Request) -> object:
        return text(f"{name} {request.path} {request.app.url_for('home')}")

    @app.get("/wait")
    async def wait(request: Request) -> object:
        try:
            app.ctx.waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"{name} was cancelled")
            raise
        return text("never")

    return app


@pytest.fixture(params=["native", "asgi", "wsgi"])
def main(request: pytest.FixtureRequest) -> Callable[[list[Mount]], Interface]:
    """Makes the interface of a main app of each kind with mounts."""

    def make(mounts: list[Mount]) -> Interface:
        if request.param == "native":
            app = make_native("main", [])
            for mount in mounts:
                app.mount(mount.prefix or "/", mount.app, kind=mount.kind)
            return NativeInterface(app)
        config = Config()
        asgi = make_interface(Asgi([], "main"), "asgi", config)
        outer = asgi if request.param == "asgi" else make_interface(wsgi, "wsgi", config)
        return MountedInterface(outer, Mounts(mounts, config))

    return make


async def test_apps_of_every_kind_answer_below_their_prefix(main: Any) -> None:
    inner = make_native("inner", [])
    mounts = [Mount("/wsgi", wsgi, None), Mount("/asgi", Asgi([]), None), Mount("/native", inner, None)]
    async with serving(main(mounts)) as (_, port):
        assert await get(port, "/wsgi") == "wsgi /wsgi|"
        assert await get(port, "/wsgi/a%20b") == "wsgi /wsgi|/a b"
        assert await get(port, "/%77sgi/x") == "wsgi /wsgi|/x"
        assert await get(port, "/asgi") == "asgi /asgi|/asgi"
        assert await get(port, "/asgi/x") == "asgi /asgi|/asgi/x"
        assert await get(port, "/native") == "inner /native /native"
        assert await get(port, "/native/x") == "404"
        assert await get(port, "/native/", "POST") == "405"
        assert not (await get(port, "/wsgiX")).startswith("wsgi /wsgi")


async def test_wsgi_apps_answer_without_threads_and_several_requests_on_a_connection(main: Any) -> None:
    config = Config(THREADS=0)
    app = Vivace("plain", config=config)
    app.mount("/", wsgi)
    async with serving(NativeInterface(app)) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for target in ("/a", "/b"):
            writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len("wsgi |/a")) == f"wsgi |{target}".encode()
        writer.close()


async def test_mounts_within_mounts() -> None:
    outer, middle = make_native("outer", []), make_native("middle", [])
    outer.mount("/a", middle)
    middle.mount("/b", wsgi)
    middle.mount("/c", Asgi([]))
    async with serving(NativeInterface(outer)) as (_, port):
        assert await get(port, "/a") == "middle /a /a"
        assert await get(port, "/a/b/x") == "wsgi /a/b|/x"
        assert await get(port, "/a/c/x") == "asgi /a/c|/a/c/x"
        assert await get(port, "/b/x") == "404"


async def test_lives_begin_in_order_and_end_in_reverse() -> None:
    seen: Seen = []
    app, inner = make_native("main", seen), make_native("inner", seen)
    app.mount("/one", Asgi(seen, "one"))
    app.mount("/inner", inner)
    async with serving(NativeInterface(app)):
        assert seen == [
            "main before_server_start",
            "one starts",
            "inner before_server_start",
            "main after_server_start",
            "inner after_server_start",
        ]
        seen.clear()
    assert seen == [
        "inner before_server_stop",
        "main before_server_stop",
        "inner after_server_stop",
        "one stops",
        "main after_server_stop",
    ]


async def test_an_app_that_cannot_start_is_named_and_the_others_are_stopped(main: Any) -> None:
    seen: Seen = []
    mounts = [Mount("/one", Asgi(seen, "one"), None), Mount("/two", Asgi(seen, "two", fails=True), None)]
    with pytest.raises(StartupError, match=r"the app mounted at /two: .*no database") as caught:
        async with serving(main(mounts)):
            raise AssertionError("it started")
    assert caught.value.exit_code == 3
    assert seen == ["one starts", "one stops"]


async def test_a_start_that_is_interrupted_stops_what_was_started() -> None:
    seen: Seen = []

    class Hanging:
        cancels = False

        async def before_start(self) -> None:
            await asyncio.Event().wait()

    mounts = Mounts([Mount("/one", Asgi(seen, "one"), None)], Config())
    mounts._interfaces.append(("/hanging", Hanging()))  # type: ignore[arg-type]
    start = asyncio.create_task(mounts.before_start())
    await until(lambda: seen == ["one starts"])
    start.cancel()
    await asyncio.wait([start])
    assert start.cancelled()
    assert seen == ["one starts", "one stops"]


async def test_what_is_no_app_ends_the_start() -> None:
    app = Vivace("main")
    app.mount("/old", lambda request: None)
    with pytest.raises(StartupError, match="the app mounted at /old: the function <lambda> is no app"):
        await NativeInterface(app).before_start()
    with pytest.raises(StartupError, match="the app mounted at / is no app"):
        Mounts([Mount("", 3, None)], Config())


async def test_one_native_app_has_one_place() -> None:
    app, inner = Vivace("main"), Vivace("inner")
    app.mount("/one", inner)
    app.mount("/two", inner)
    with pytest.raises(StartupError, match="inner is served at '/one' already"):
        await NativeInterface(app).before_start()


async def test_an_app_that_failed_to_stop_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    seen: Seen = []

    class Broken:
        cancels = False

        async def after_stop(self) -> None:
            raise RuntimeError("no")

    mounts = Mounts([Mount("/one", Asgi(seen, "one"), None)], Config())
    await mounts.before_start()
    mounts._started.append(("/broken", Broken()))  # type: ignore[arg-type]
    await mounts.after_stop()
    assert seen == ["one starts", "one stops"]
    assert "the app mounted at /broken failed to stop" in caplog.text


async def leave_while_waiting(port: int, target: str, waiting: asyncio.Event) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await asyncio.wait_for(waiting.wait(), 10)
    writer.transport.abort()


async def test_clients_that_leave_cancel_native_handlers_and_asgi_apps_are_told(main: Any) -> None:
    seen: Seen = []
    inner, asgi = make_native("inner", seen), Asgi(seen)
    mounts = [Mount("/asgi", asgi, None), Mount("/native", inner, None)]
    async with serving(main(mounts), HALF_CLOSE_TIMEOUT=0.1) as (server, port):
        await leave_while_waiting(port, "/asgi/wait", asgi.waiting)
        await until(lambda: any("asgi was" in line for line in seen))
        assert "asgi was told http.disconnect" in seen
        await leave_while_waiting(port, "/native/wait", inner.ctx.waiting)
        await until(lambda: "inner was cancelled" in seen)
        await until(lambda: server.active == 0)
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert "vivace-request" not in names


async def test_a_mounted_app_that_does_not_answer_is_timed_out(main: Any) -> None:
    seen: Seen = []
    mounts = [Mount("/asgi", Asgi(seen), None)]
    async with serving(main(mounts), RESPONSE_TIMEOUT=0.2) as (_, port):
        assert await get(port, "/asgi/wait") == "503"
    assert seen[1] == "asgi was cancelled"


async def test_a_forced_stop_cancels_what_is_left_of_a_mounted_app() -> None:
    seen: Seen = []
    app, asgi = make_native("main", []), Asgi(seen)
    app.mount("/asgi", asgi)
    async with serving(NativeInterface(app), GRACEFUL_SHUTDOWN_TIMEOUT=0.1) as (_, port):
        client = asyncio.create_task(get(port, "/asgi/wait"))
        await asyncio.wait_for(asgi.waiting.wait(), 10)
    assert seen == ["asgi starts", "asgi was cancelled", "asgi stops"]
    assert await client == "503"


def test_mounts_are_described_with_what_told_their_kind() -> None:
    found = describe_mounts([Mount("/old", wsgi, None), Mount("", Asgi([]), "asgi2")])
    assert found == [
        "/old (wsgi: the function wsgi called with environ, start_response)",
        "/ (asgi2: as it was declared)",
    ]
