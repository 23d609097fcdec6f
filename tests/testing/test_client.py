"""The client in this process: what is sent, what comes back, what is raised, and how the app lives."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from vivace import NotFound, Request, StartupError, Vivace
from vivace.framework.response import json, redirect, text
from vivace.testing import Client, HTTPStatusError, SyncClient


def make_app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("testing")

    @app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def echo(request: Request) -> Any:
        return json(
            {
                "method": request.method,
                "url": request.url,
                "path": request.path,
                "args": dict(request.args),
                "headers": dict(request.headers),
                "body": request.body.decode(),
                "ip": request.ip,
            }
        )

    @app.post("/form")
    async def form(request: Request) -> Any:
        files = {
            name: [(one.name, one.type, one.body.decode()) for one in found]
            for name, found in request.files.items()
        }
        return json({"form": dict(request.form), "files": files})

    @app.get("/login")
    async def login(request: Request) -> Any:
        response = redirect("/me")
        response.add_cookie("user", "ann")
        return response

    @app.get("/me")
    async def me(request: Request) -> Any:
        return text(str(request.cookies.get("user")))

    @app.get("/broken")
    async def broken(request: Request) -> Any:
        raise ValueError("out of cheese")

    @app.get("/missing")
    async def missing(request: Request) -> Any:
        raise NotFound("no such thing")

    @app.get("/loop")
    async def loop(request: Request) -> Any:
        return redirect("/loop")

    return app


async def test_query_headers_and_address_arrive() -> None:
    async with Client(make_app(), headers={"X-Every": "1"}) as client:
        answer = await client.get("/echo?a=0", params={"b": ["1", "2"], "c": "ä"}, headers={"X-One": "2"})
    seen = answer.json
    assert seen["args"] == {"a": ["0"], "b": ["1", "2"], "c": ["ä"]}
    assert (seen["headers"]["x-every"], seen["headers"]["x-one"]) == ("1", "2")
    assert seen["headers"]["host"] == "testserver"
    assert seen["ip"] == "127.0.0.1"
    assert seen["url"] == "http://testserver/echo?a=0&b=1&b=2&c=%C3%A4"


async def test_absolute_url_names_the_host() -> None:
    async with Client(make_app()) as client:
        answer = await client.get("https://example.org:8443/echo")
    assert answer.json["headers"]["host"] == "example.org:8443"
    assert answer.json["url"] == "https://example.org:8443/echo"


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        ({"json": {"a": "ü"}}, '{"a":"ü"}', "application/json"),
        ({"data": {"a": [1, True]}}, "a=1&a=true", "application/x-www-form-urlencoded"),
        ({"data": "text"}, "text", None),
        ({"content": b"octets"}, "octets", None),
        ({"json": 1, "headers": {"Content-Type": "application/vnd.x+json"}}, "1", "application/vnd.x+json"),
        ({}, "", None),
    ],
)
async def test_bodies(options: Any, body: str, content_type: str | None) -> None:
    async with Client(make_app()) as client:
        seen = (await client.post("/echo", **options)).json
    assert seen["body"] == body
    assert seen["headers"].get("content-type") == content_type
    assert seen["headers"]["content-length"] == str(len(body.encode()))


async def test_body_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b""
        yield b"two"

    async with Client(make_app()) as client:
        seen = (await client.post("/echo", content=pieces())).json
        assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("one two", "chunked")
        assert (await client.put("/echo", content=["a", b"b"])).json["body"] == "ab"


async def test_files_make_a_multipart_form() -> None:
    files = {"doc": ("a.txt", "content", "text/plain"), "raw": b"octets"}
    async with Client(make_app()) as client:
        seen = (await client.post("/form", data={"field": 'q"'}, files=files)).json
    assert seen["form"] == {"field": ['q"']}
    assert seen["files"] == {
        "doc": [["a.txt", "text/plain", "content"]],
        "raw": [["upload", "application/octet-stream", "octets"]],
    }


async def test_user_and_password() -> None:
    async with Client(make_app()) as client:
        seen = (await client.get("/echo", auth=("ann", "secret"))).json
    assert seen["headers"]["authorization"] == "Basic YW5uOnNlY3JldA=="


async def test_cookies_are_kept_and_sent() -> None:
    async with Client(make_app()) as client:
        answer = await client.get("/login")
        assert answer.status == 302
        assert answer.cookies["user"] == "ann"
        assert answer.raw_cookies["user"].path == "/"
        assert (await client.get("/me")).text == "ann"
        assert (await client.get("/me", cookies={"user": "bob"})).text == "bob"
        del client.cookies["user"]
        assert (await client.get("/me")).text == "None"


async def test_redirects_are_followed_on_demand() -> None:
    async with Client(make_app()) as client:
        answer = await client.get("/login", follow_redirects=True)
        assert (answer.status, answer.text, answer.url) == (200, "ann", "http://testserver/me")
        assert [one.status for one in answer.history] == [302]
        with pytest.raises(RuntimeError, match="more than 20 times"):
            await client.get("/loop", follow_redirects=True)


async def test_what_no_handler_takes_is_raised() -> None:
    async with Client(make_app()) as client:
        with pytest.raises(ValueError, match="out of cheese"):
            await client.get("/broken")
        assert (await client.get("/missing")).status == 404


async def test_the_answer_instead_of_the_exception() -> None:
    async with Client(make_app(), raise_exceptions=False) as client:
        assert (await client.get("/broken")).status == 500


async def test_handled_exceptions_are_not_raised() -> None:
    app = make_app()

    @app.exception(ValueError)
    async def handle(request: Request, error: ValueError) -> Any:
        return text(str(error), status=418)

    async with Client(app) as client:
        assert (await client.get("/broken")).text == "out of cheese"


async def test_a_bad_status_can_be_raised() -> None:
    async with Client(make_app()) as client:
        answer = await client.get("/missing")
    with pytest.raises(HTTPStatusError, match=r"GET http://testserver/missing: 404 Not Found"):
        answer.raise_for_status()


async def test_listeners_run_around_the_block() -> None:
    app = make_app()
    seen: list[str] = []

    def note(stage: str, app: Any) -> None:
        seen.append(stage)

    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.register_listener(partial(note, stage), stage)
    async with Client(app):
        assert seen == ["before_server_start", "after_server_start"]
    assert seen[2:] == ["before_server_stop", "after_server_stop"]


async def test_a_failing_start_is_raised() -> None:
    app = make_app()

    @app.before_server_start
    async def fail(app: Any) -> None:
        raise OSError("no database")

    with pytest.raises(StartupError, match="no database"):
        async with Client(app):
            pass


async def test_no_request_before_the_app_lives() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client(make_app()).get("/echo")


async def test_time_out() -> None:
    app = make_app()

    @app.get("/never")
    async def never(request: Request) -> None:
        await asyncio.Event().wait()

    async with Client(app, timeout=0.05) as client:
        with pytest.raises(TimeoutError):
            await client.get("/never")


async def test_a_stream_is_seen_piece_by_piece() -> None:
    app = make_app()
    go_on = asyncio.Event()

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("one")
        await go_on.wait()
        await response.send("two")

    async with Client(app) as client, client.stream("GET", "/stream") as response:
        assert response.status == 200
        assert await response.receive() == b"one"
        go_on.set()
        assert await response.read() == b"two"


async def test_leaving_a_stream_cancels_its_handler() -> None:
    app = make_app()
    ended = asyncio.Event()

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond()
        try:
            await response.send("one")
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Client(app) as client:
        async with client.stream("GET", "/stream") as response:
            assert await response.receive() == b"one"
        assert ended.is_set()


async def test_requests_at_the_same_time() -> None:
    app = make_app()
    meeting = asyncio.Barrier(3)

    @app.get("/meet")
    async def meet(request: Request) -> Any:
        await meeting.wait()
        return text("met")

    async with Client(app) as client:
        answers = await asyncio.gather(*(client.get("/meet") for _ in range(3)))
    assert [answer.text for answer in answers] == ["met"] * 3


async def test_another_asgi_app() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Case", b"1")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if scope["path"] == "/broken":
            raise OSError("disk")
        await send({"type": "http.response.body", "body": b"two"})

    async with Client(app) as client:
        answer = await client.get("/")
        assert (answer.body, answer.headers["x-case"]) == (b"onetwo", "1")
        with pytest.raises(OSError, match="disk"):
            await client.get("/broken")


def test_plain_functions_have_a_client_too() -> None:
    with SyncClient(make_app()) as client:
        assert client.post("/echo", json=[1]).json["body"] == "[1]"
        assert client.get("/login", follow_redirects=True).text == "ann"
        assert client.cookies["user"] == "ann"
        assert client.head("/me").status in (200, 405)


def test_streams_in_plain_functions() -> None:
    app = make_app()

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond()
        await response.send("one")
        await response.send("two")

    with SyncClient(app) as client, client.stream("GET", "/stream") as response:
        assert b"".join(response) == b"onetwo"


def test_plain_client_needs_its_block() -> None:
    with pytest.raises(RuntimeError, match="with SyncClient"):
        SyncClient(make_app()).get("/")
