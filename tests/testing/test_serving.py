"""`live`: an app on real sockets for the time of a block, and the client that speaks to it."""

import http.client
from pathlib import Path
from typing import Any

import pytest

from vivace import Request, StartupError, Vivace
from vivace.framework.response import empty, json, redirect, text
from vivace.testing import live


def make_app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("live")
    app.config.ACCESS_LOG = False

    @app.post("/echo")
    async def echo(request: Request) -> Any:
        return json({"body": request.body.decode(), "peer": request.conn_info.client_port})

    @app.get("/")
    async def index(request: Request) -> Any:
        return text("here")

    @app.get("/empty")
    async def nothing(request: Request) -> Any:
        return empty()

    @app.get("/go")
    async def go(request: Request) -> Any:
        return redirect("/")

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("one")
        await response.send("two")

    @app.get("/broken")
    async def broken(request: Request) -> None:
        response = await request.respond()
        await response.send("one")
        raise OSError("disk")

    return app


def test_any_client_can_speak_to_it() -> None:
    with live(make_app()) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"here"
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/")


def test_its_own_client_keeps_its_connection() -> None:
    with live(make_app()) as server, server.client() as client:
        first = client.post("/echo", content="a").json
        second = client.post("/echo", content=["b", "c"]).json
        assert (first["body"], second["body"]) == ("a", "bc")
        assert first["peer"] == second["peer"]
        assert client.get("/empty").status == 204
        assert client.get("/go", follow_redirects=True).text == "here"
        assert client.head("/").status in (200, 405)
        assert client.get("/stream").body == b"onetwo"
        assert client.get("/", headers={"Connection": "close"}).headers["connection"] == "close"
        assert client.get("/").http_version == "HTTP/1.1"


def test_a_broken_response_is_raised() -> None:
    from vivace.errors import BrokenResourceError

    with live(make_app()) as server, server.client() as client, pytest.raises(BrokenResourceError):
        client.get("/broken")


async def test_coroutine_functions_have_a_client_too() -> None:
    with live(make_app()) as server:
        async with server.async_client() as client:
            assert (await client.get("/")).text == "here"


def test_a_unix_socket(tmp_path: Path) -> None:
    with live(make_app(), unix=str(tmp_path / "s")) as server, server.client() as client:
        assert client.get("/").text == "here"


def test_a_wsgi_app() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    with live(app) as server, server.client() as client:
        assert client.get("/x").text == "/x"


def test_a_failing_start_is_raised() -> None:
    app = make_app()

    @app.before_server_start
    async def fail(app: Any) -> None:
        raise OSError("no database")

    with pytest.raises(StartupError, match="no database"), live(app):
        pass
