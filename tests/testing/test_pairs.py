"""The clients of sanic_testing: pairs of request and response, and an app that lives as long as it should."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from vivace import Request, Vivace
from vivace.framework.response import json, redirect, text
from vivace.testing.answers import TestingHeaders
from vivace.testing.manager import TestManager
from vivace.testing.pairs import ReusableClient, SanicASGITestClient, SanicTestClient
from vivace.testing.response import HTTPStatusError

STAGES = ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop")


@pytest.fixture
def app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("pairs")

    @app.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
    async def index(request: Request) -> Any:
        response = json({"method": request.method, "args": request.args, "body": request.body.decode()})
        response.headers.add("x-two", "1")
        response.headers.add("x-two", "2")
        return response

    @app.get("/text")
    async def plain(request: Request) -> Any:
        request.ctx.seen = True
        response = text(f"{request.ip} {request.host} {app.config.DEBUG}")
        response.add_cookie("visited", "yes", httponly=True)
        return response

    @app.get("/again")
    async def again(request: Request) -> Any:
        return text(str(request.cookies.get("visited")))

    @app.get("/go")
    async def go(request: Request) -> Any:
        return redirect("/text")

    @app.get("/broken")
    async def broken(request: Request) -> Any:
        raise ValueError("out of cheese")

    return app


@pytest.fixture
def stages(app: Vivace[Any, Any]) -> list[str]:
    seen: list[str] = []

    def noting(stage: str) -> Any:
        def note(app: Any) -> None:
            seen.append(stage)

        return note

    for stage in STAGES:
        app.register_listener(noting(stage), stage)
    return seen


def test_each_call_gives_the_request_and_the_response(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    request, response = client.get("/text")
    assert (request.method, request.path, request.ctx.seen) == ("GET", "/text", True)
    assert (response.status, response.status_code) == (200, 200)
    assert response.text == f"127.0.0.1 127.0.0.1:{client.port} False"
    assert response.body == response.text.encode()
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.headers["content-length"] == str(len(response.body))
    assert response.json is None


def test_responses_have_the_names_of_httpx(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    _, response = client.get("/text?a=%20b")
    assert (response.url.scheme, response.url.host, response.url.port) == ("http", "127.0.0.1", client.port)
    assert (response.url.path, response.url.query) == ("/text", b"a=%20b")
    assert response.url == f"http://127.0.0.1:{client.port}/text?a=%20b"
    assert (response.reason_phrase, response.is_error, response.read()) == ("OK", False, response.content)
    assert list(response.iter_lines()) == [response.text]
    missing, broken = client.get("/none")[1], client.get("/broken")[1]
    assert (missing.is_client_error, missing.is_server_error) == (True, False)
    assert (broken.is_client_error, broken.is_server_error) == (False, True)


def test_the_app_lives_for_each_call(app: Vivace[Any, Any], stages: list[str]) -> None:
    client = SanicTestClient(app)
    client.get("/")
    client.get("/")
    assert stages == [*STAGES, *STAGES]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", client.port or 0), timeout=1)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_methods(app: Vivace[Any, Any], method: str) -> None:
    assert getattr(SanicTestClient(app), method)("/")[1].json["method"] == method.upper()


def test_head(app: Vivace[Any, Any]) -> None:
    assert SanicTestClient(app).head("/")[1].body == b""


def test_what_a_request_carries(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    request, response = client.post("/", params={"a": "1"}, json={"b": 2}, headers={"X-Own": "1"})
    assert (request.json, request.headers["x-own"]) == ({"b": 2}, "1")
    assert response.json["args"] == {"a": ["1"]}
    assert client.post("/", data={"c": "3"})[0].form == {"c": ["3"]}
    assert client.post("/", files={"f": b"octets"})[0].files.get("f").body == b"octets"
    assert client.post("/", data="plain")[0].body == b"plain"


def test_repeated_fields_read_as_one_value(app: Vivace[Any, Any]) -> None:
    headers = SanicTestClient(app).get("/")[1].headers
    assert headers["X-Two"] == headers.get("x-two") == "1, 2"
    assert headers.get_list("x-two") == ["1", "2"]
    assert headers.get("x-none", "-") == "-"
    assert ("x-two", "2") in headers.multi_items()


def test_cookies_with_their_attributes(app: Vivace[Any, Any]) -> None:
    _, response = SanicTestClient(app).get("/text", raw_cookies=True)
    assert response.cookies["visited"] == "yes"
    assert response.cookies.get("none") is None
    assert response.raw_cookies["visited"].value == "yes"
    assert response.raw_cookies["visited"].has_nonstandard_attr("HttpOnly")


def test_redirects_are_followed_unless_told(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    request, response = client.get("/go")
    assert (request.path, response.status, response.url.endswith("/text")) == ("/go", 200, True)
    assert [one.status for one in response.history] == [302]
    assert client.get("/go", allow_redirects=False)[1].status == 302
    assert client.get("/go", follow_redirects=False)[1].status == 302


def test_errors_are_answers(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    assert client.get("/broken")[1].status == 500
    request, response = client.get("/none")
    assert (request.path, response.status) == ("/none", 404)


def test_without_the_request(app: Vivace[Any, Any]) -> None:
    request, response = SanicTestClient(app).get("/", gather_request=False)
    assert (request, response.status) == (None, 200)


def test_debug_is_for_one_call(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    assert client.get("/text", debug=True)[1].text.endswith("True")
    assert client.get("/text", server_kwargs={"debug": True})[1].text.endswith("True")
    assert client.get("/text")[1].text.endswith("False")


def test_settings_are_for_one_call(app: Vivace[Any, Any]) -> None:
    client = SanicTestClient(app)
    assert client.post("/", content=b"12345", server_kwargs={"request_max_size": 4})[1].status == 413
    assert (
        client.post("/", content=b"12345", server_kwargs={"auto_reload": False, "motd": False})[1].status
        == 200
    )


def test_a_given_port_and_socket(app: Vivace[Any, Any], free_port: int, tmp_path: Path) -> None:
    assert SanicTestClient(app, port=free_port).get("/text")[1].url == f"http://127.0.0.1:{free_port}/text"
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert SanicTestClient(app).get("/", server_kwargs={"sock": sock})[1].status == 200
    assert SanicTestClient(app).get("/", server_kwargs={"unix": str(tmp_path / "s")})[1].status == 200


def test_other_middleware_still_runs_once(app: Vivace[Any, Any]) -> None:
    seen: list[str] = []

    @app.on_request
    async def note(request: Request) -> None:
        seen.append(request.path)

    before = len(app.middleware_specs)
    SanicTestClient(app).get("/")
    assert seen == ["/"]
    assert len(app.middleware_specs) == before


def test_a_request_is_gathered_where_a_middleware_answers(app: Vivace[Any, Any]) -> None:
    @app.on_request
    async def answer(request: Request) -> Any:
        return text("short")

    request, response = SanicTestClient(app).get("/none")
    assert (request.path, response.text) == ("/none", "short")


def test_an_app_that_fails_to_start_says_so(app: Vivace[Any, Any]) -> None:
    @app.before_server_start
    async def fail(app: Any) -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        SanicTestClient(app).get("/")
    assert app.stopper is None


def test_no_answer_is_an_error_unless_allowed(app: Vivace[Any, Any]) -> None:
    @app.get("/cut")
    async def cut(request: Request) -> None:
        response = await request.respond(headers={"content-length": "5"})
        await response.send("x")
        raise OSError

    @app.get("/chunks")
    async def chunks(request: Request) -> None:
        response = await request.respond()
        await response.send("x")
        raise OSError

    client = SanicTestClient(app)
    with pytest.raises(ValueError, match="Request and response object expected"):
        client.get("/cut")
    assert client.get("/cut", allow_none=True)[1] is None
    assert client.get("/chunks")[1].text == "x"


def test_stop_within_a_request_ends_nothing_else(app: Vivace[Any, Any]) -> None:
    @app.get("/stop")
    async def stop(request: Request) -> Any:
        app.stop()
        return text("stopping")

    assert SanicTestClient(app).get("/stop")[1].text == "stopping"


async def test_a_running_loop_is_refused_with_advice(app: Vivace[Any, Any]) -> None:
    with pytest.raises(RuntimeError, match=r"await app\.asgi_client"):
        SanicTestClient(app).get("/")


async def test_calls_in_this_process(app: Vivace[Any, Any], stages: list[str]) -> None:
    request, response = await SanicASGITestClient(app).get("/text")
    assert request.url == "http://mockserver:1234/text"
    assert response.text == "mockserver mockserver:1234 False"
    assert stages == list(STAGES)
    assert (await SanicASGITestClient(app).get("/broken"))[1].status == 500
    assert (await SanicASGITestClient(app).get("/go"))[1].status == 302


def test_a_reusable_client_serves_once(app: Vivace[Any, Any], stages: list[str]) -> None:
    with ReusableClient(app) as client:
        request, response = client.get("/text")
        assert (request.path, response.status) == ("/text", 200)
        assert client.get("/again")[1].text == "yes"
        assert client.get("/none")[1].status == 404
        assert stages == list(STAGES[:2])
    assert stages == list(STAGES)


def test_a_reusable_client_takes_a_loop(app: Vivace[Any, Any]) -> None:
    loop = asyncio.new_event_loop()
    client = ReusableClient(app, loop=loop)
    client.run()
    assert client.get("/")[1].status == 200
    client.stop()
    assert not loop.is_closed()
    loop.close()


def test_a_reusable_client_needs_its_block(app: Vivace[Any, Any]) -> None:
    with pytest.raises(RuntimeError, match="with ReusableClient"):
        ReusableClient(app).get("/")


def test_an_app_has_its_clients(app: Vivace[Any, Any]) -> None:
    assert app.test_client.get("/")[1].status == 200
    assert app.test_client is app.test_client
    assert asyncio.run(app.asgi_client.get("/"))[1].status == 200
    assert app.asgi_client is app.asgi_client


def test_manager_holds_both(app: Vivace[Any, Any]) -> None:
    manager = TestManager(app)
    assert manager.test_client.get("/")[1].status == 200
    assert manager.asgi_client.app is app


def test_responses_say_how_they_came(app: Vivace[Any, Any]) -> None:
    @app.get("/status/<code:int>")
    async def status(request: Request, code: int) -> Any:
        return text("said", status=code)

    client = SanicTestClient(app)
    _, good = client.get("/status/200")
    assert good is not None
    assert good.raise_for_status() is good
    assert (good.num_bytes_downloaded, good.charset_encoding, good.encoding) == (4, "utf-8", "utf-8")
    assert (good.is_closed, good.is_stream_consumed, good.next_request) == (True, True, None)
    assert good.elapsed.total_seconds() > 0
    assert good.extensions["reason_phrase"] == b"OK"
    assert repr(good) == "<Response [200 OK]>"
    assert not any((good.is_informational, good.is_redirect, good.has_redirect_location, good.links))
    for code, word in ((304, "Redirect response"), (404, "Client error"), (500, "Server error")):
        _, bad = client.get(f"/status/{code}")
        assert bad is not None
        assert bad.is_redirect is (code == 304)
        with pytest.raises(HTTPStatusError, match=f"{word} '{code} "):
            bad.raise_for_status()


def test_an_unknown_option_is_refused(app: Vivace[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"Exception during request: .*unexpected keyword argument 'foo'"):
        SanicTestClient(app).get("/", foo=1)


def test_fields_read_as_those_of_httpx() -> None:
    fields = [(b"a", b"1"), (b"b", "\u00fc".encode()), (b"a", b"2")]
    headers = TestingHeaders.from_raw(fields)
    assert dict(headers) == dict(headers.items()) == {"a": "1, 2", "b": "\u00fc"}
    assert (list(headers), list(headers.values())) == (["a", "b"], ["1, 2", "\u00fc"])
    assert headers.multi_items() == [("a", "1"), ("b", "\u00fc"), ("a", "2")]
    assert (headers.get_list("a"), headers["B"]) == (["1", "2"], "\u00fc")
    assert TestingHeaders.from_raw([(b"a", b"\xfc")])["a"] == "\u00fc"
