"""The way of a request through the framework, with everything that may go wrong on it."""

import asyncio
import contextvars
import functools
import logging
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from tests.framework.streams import FakeStream, ask, make_app, make_head
from vivace import (
    BadRequest,
    HTTPResponse,
    NotFound,
    Request,
    ServiceUnavailable,
    Vivace,
    empty,
    json,
    raw,
    text,
)
from vivace.errors import ClientDisconnected, ConfigError, RemoteProtocolError, RequestTimeout


@pytest.fixture
def app() -> Vivace:
    return make_app()


class Point(msgspec.Struct):
    x: int
    y: int


@pytest.mark.parametrize(
    ("returned", "content_type", "body"),
    [
        ({"a": 1}, "application/json", b'{"a":1}'),
        ([1, 2], "application/json", b"[1,2]"),
        (Point(1, 2), "application/json", b'{"x":1,"y":2}'),
        ("caf\xe9", "text/plain; charset=utf-8", b"caf\xc3\xa9"),
        (b"\x00\x01", "application/octet-stream", b"\x00\x01"),
        (text("t"), "text/plain; charset=utf-8", b"t"),
        (json([]), "application/json", b"[]"),
        (raw(b"r"), "application/octet-stream", b"r"),
    ],
)
@pytest.mark.parametrize("layered", [False, True])
async def test_what_a_handler_returns_becomes_a_response(
    app: Vivace, returned: Any, content_type: str, body: bytes, layered: bool
) -> None:
    @app.get("/")
    async def handler(request: Request) -> Any:
        return returned

    if layered:
        app.on_request(lambda request: None)
    stream = await ask(app)
    assert (stream.status, stream.fields["content-type"], stream.body) == (200, content_type, body)


@pytest.mark.parametrize("returned", [None, 5, ("a", 200), object])
async def test_anything_else_is_a_logged_500_that_shows_it(
    app: Vivace, returned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> Any:
        return returned

    stream = await ask(app)
    assert stream.status == 500
    assert f"Invalid response type {returned!r} (need HTTPResponse)".encode() in stream.body
    assert "Invalid response type" in caplog.text


async def test_path_values_are_given_by_name(app: Vivace) -> None:
    @app.get("/<a:int>/<b>")
    async def handler(request: Request, b: str, a: int) -> Any:
        return [a, b, request.match_info]

    assert (await ask(app, target="/1/x")).body == b'[1,"x",{"a":1,"b":"x"}]'


async def test_unknown_path_and_method(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> str:
        return ""

    assert (await ask(app, target="/nothing", method="POST")).status == 404
    stream = await ask(app)
    assert (stream.status, stream.fields["allow"]) == (405, "OPTIONS, POST")
    stream = await ask(app, "OPTIONS")
    assert (stream.status, stream.fields["allow"], stream.body) == (204, "OPTIONS, POST", b"")


async def test_an_app_without_routes_answers_404() -> None:
    assert (await ask(make_app())).status == 404


async def test_an_exception_is_logged_and_not_shown(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/")
    async def handler(request: Request) -> str:
        raise RuntimeError("the secret word")

    stream = await ask(app)
    assert stream.status == 500
    assert b"secret" not in stream.body
    assert b"RuntimeError" not in stream.body
    assert "the secret word" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("inline", [True, False])
async def test_a_handler_cannot_end_the_server(app: Vivace, inline: bool) -> None:
    app.add_route(lambda request: sys.exit(1), "/", inline=inline, name="exit")
    assert (await ask(app)).status == 500
    await app.run_listeners("after_server_stop")


@pytest.mark.parametrize("path", ["/fails", "/none"])
async def test_an_exception_handler_cannot_end_the_server_either(
    app: Vivace, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/fails")
    async def handler(request: Request) -> str:
        raise KeyError("first")

    @app.exception(Exception)
    async def leave(request: Request, exception: Exception) -> str:
        sys.exit(1)

    assert (await ask(app, target=path)).status == 500
    assert "SystemExit: 1" in caplog.text


@pytest.mark.parametrize("kind", ["request", "response"])
async def test_a_middleware_that_meets_an_error_cannot_end_it(app: Vivace, kind: str) -> None:
    @app.middleware(kind)
    async def leave(*_: object) -> None:
        sys.exit(1)

    assert (await ask(app, target="/none")).status == 500


async def test_a_client_error_is_shown_and_not_logged(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/")
    async def handler(request: Request) -> str:
        raise BadRequest("your fault", headers={"X-Why": "because"})

    stream = await ask(app)
    assert (stream.status, stream.fields["x-why"]) == (400, "because")
    assert b"your fault" in stream.body
    assert not caplog.records
    app.config.NOISY_EXCEPTIONS = True
    await ask(app)
    assert "your fault" in caplog.text


async def test_without_threads_a_plain_function_runs_on_the_loop(app: Vivace) -> None:
    app.config.THREADS = 0

    @app.get("/<n:int>")
    def plain(request: Request, n: int) -> object:
        return text(f"{n} {threading.current_thread() is threading.main_thread()}")

    assert (await ask(app, target="/3")).body == b"3 True"


@pytest.mark.parametrize("threads", [0, 1])
async def test_stop_iteration_of_a_plain_function_is_an_error_like_others(app: Vivace, threads: int) -> None:
    app.config.THREADS = threads

    @app.get("/")
    def handler(request: Request) -> HTTPResponse:
        raise StopIteration("no more")

    assert (await asyncio.wait_for(ask(app), 30)).status == 500


async def test_stop_iteration_from_a_thread_finds_its_handler(app: Vivace) -> None:
    @app.get("/")
    def handler(request: Request) -> HTTPResponse:
        raise StopIteration("no more")

    @app.exception(StopIteration)
    async def answer(request: Request, error: StopIteration) -> HTTPResponse:
        return text(f"nothing left: {error}", 410)

    response = await asyncio.wait_for(ask(app), 30)
    assert (response.status, response.body) == (410, b"nothing left: no more")


async def test_a_plain_function_runs_in_a_thread_with_its_context(app: Vivace) -> None:
    word = contextvars.ContextVar("word", default="none")
    seen: list[object] = []

    @app.on_request
    async def set_word(request: Request) -> None:
        word.set("given")

    @app.get("/<n:int>")
    def handler(request: Request, n: int) -> str:
        seen.append(threading.current_thread() is threading.main_thread())
        return f"{word.get()} {n}"

    assert (await ask(app, target="/3")).body == b"given 3"
    assert seen == [False]
    await app.run_listeners("after_server_stop")


async def test_blocking_handlers_do_not_stop_the_loop_and_are_bounded(app: Vivace) -> None:
    app.config.THREADS = 2
    running, most = 0, 0
    lock = threading.Lock()
    release = threading.Event()

    @app.get("/")
    def handler(request: Request) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(5)
        with lock:
            running -= 1
        return ""

    app.finalize()
    streams = [FakeStream(make_head()) for _ in range(5)]
    tasks = [asyncio.create_task(app.handle_stream(stream)) for stream in streams]
    while most < 2:
        await asyncio.sleep(0.001)
    release.set()
    await asyncio.gather(*tasks)
    assert most == 2
    assert [stream.status for stream in streams] == [200] * 5
    await app.run_listeners("after_server_stop")


async def test_an_inline_function_runs_on_the_loop(app: Vivace) -> None:
    @app.get("/", inline=True)
    def handler(request: Request) -> str:
        asyncio.get_running_loop()
        return threading.current_thread().name

    assert (await ask(app)).body.decode() == threading.main_thread().name


async def test_wrapped_coroutine_functions_are_awaited_on_the_loop(app: Vivace) -> None:
    def decorator(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(request: Request, *args: Any, **kwargs: Any) -> Any:
            return function(request, "user", *args, **kwargs)

        return wrapper

    @app.get("/<n:int>")
    @decorator
    async def handler(request: Request, user: str, n: int) -> str:
        asyncio.get_running_loop()
        return f"{user} {n}"

    async def partial_handler(prefix: str, request: Request) -> str:
        return prefix

    app.add_route(functools.partial(partial_handler, "p"), "/partial")

    class Callable:
        async def __call__(self, request: Request) -> str:
            return "called"

    app.add_route(Callable(), "/object", name="object")
    assert (await ask(app, target="/7")).body == b"user 7"
    assert (await ask(app, target="/partial")).body == b"p"
    assert (await ask(app, target="/object")).body == b"called"


async def no_request() -> None: ...
async def too_few(request: Request) -> None: ...
async def too_many(request: Request, id: int, other: int) -> None: ...  # noqa: A002


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (no_request, "needs a first parameter for the request"),
        (too_few, "does not accept the path parameter 'id'"),
        (too_many, "'other'"),
        ("text", "expected a function"),
    ],
)
def test_a_handler_that_does_not_fit_is_refused_at_registration(handler: Any, says: str) -> None:
    app = make_app()
    with pytest.raises(ConfigError, match=says) as caught:
        app.add_route(handler, "/<id:int>")
    if callable(handler):
        assert f"{__file__}:{handler.__code__.co_firstlineno}" in str(caught.value)
    assert not app.route_specs


# Bodies


async def test_the_body_is_read_before_the_handler(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> Any:
        return [request.body.decode(), request.json]

    stream = await ask(app, "POST", body=[b'{"a":', b"1}"])
    assert stream.body == b'["{\\"a\\":1}",{"a":1}]'
    assert stream.limit == (app.config.REQUEST_MAX_SIZE, app.config.REQUEST_TIMEOUT)


async def test_a_body_over_the_limit_is_413_and_the_handler_is_not_called(app: Vivace) -> None:
    app.config.REQUEST_MAX_SIZE = 3
    called = False

    @app.post("/")
    async def handler(request: Request) -> str:
        nonlocal called
        called = True
        return ""

    assert (await ask(app, "POST", body=b"abcd")).status == 413
    assert not called
    assert (await ask(app, "POST", body=b"abc")).status == 200


async def test_get_ignores_a_body_and_post_can(app: Vivace) -> None:
    @app.get("/")
    async def get(request: Request) -> Any:
        return request.body

    @app.post("/", ignore_body=True)
    async def post(request: Request) -> Any:
        return request.body

    for method in ("GET", "POST"):
        stream = await ask(app, method, body=b"abc")
        assert (stream.status, stream.body, len(stream.incoming)) == (200, b"", 1)


async def test_a_stream_route_reads_piece_by_piece(app: Vivace) -> None:
    app.config.REQUEST_MAX_SIZE = 2

    @app.post("/read", stream=True)
    async def read(request: Request) -> Any:
        pieces = []
        while (piece := await request.stream.read()) is not None:
            pieces.append(piece.decode())
        return pieces

    @app.post("/iterate", stream=True)
    async def iterate(request: Request) -> Any:
        return [piece.decode() async for piece in request.stream]

    @app.post("/whole", stream=True)
    async def whole(request: Request) -> Any:
        return await request.receive_body()

    @app.post("/early", stream=True)
    async def early(request: Request) -> Any:
        return request.body

    assert (await ask(app, "POST", "/read", body=[b"abc", b"d"])).body == b'["abc","d"]'
    assert (await ask(app, "POST", "/iterate", body=[b"abc", b"d"])).body == b'["abc","d"]'
    assert (await ask(app, "POST", "/whole", body=[b"abc", b"d"])).status == 413
    assert (await ask(app, "POST", "/whole", body=[b"a", b"d"])).body == b"ad"
    assert (await ask(app, "POST", "/early", body=[b"a"])).status == 500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestTimeout("slow"), 408),
        (RemoteProtocolError("bad chunk"), 400),
        (RemoteProtocolError("too long", 413), 413),
    ],
)
async def test_what_is_wrong_with_the_body_is_answered(app: Vivace, error: Exception, status: int) -> None:
    @app.post("/")
    async def handler(request: Request) -> str:
        return "never"

    app.finalize()
    stream = FakeStream(make_head("POST", length=-1), [])
    stream.incoming = [b"abc", error]
    await app.handle_stream(stream)
    assert stream.status == status


# The client leaves, time runs out


async def test_a_client_that_left_is_no_error(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.post("/")
    async def handler(request: Request) -> str:
        return "never"

    app.finalize()
    stream = FakeStream(make_head("POST", length=-1), [])
    stream.incoming = [b"abc", ClientDisconnected("gone")]
    await app.handle_stream(stream)
    assert (stream.status, caplog.text) == (0, "")


async def test_cancellation_by_the_server_goes_through_silently(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> str:
        await asyncio.Event().wait()
        return "never"

    app.finalize()
    stream = FakeStream(make_head())
    task = asyncio.create_task(app.handle_stream(stream))
    await asyncio.sleep(0)
    stream.disconnected = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stream.status, caplog.text) == (0, "")


async def test_a_handler_that_ran_out_of_time_is_503(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> str:
        await asyncio.Event().wait()
        return "never"

    @app.exception(ServiceUnavailable)
    async def late(request: Request, exception: ServiceUnavailable) -> HTTPResponse:
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
        return text(f"late: {exception.message}", 503)

    app.finalize()
    stream = FakeStream(make_head())
    task = asyncio.create_task(app.handle_stream(stream))
    await asyncio.sleep(0)
    stream.timed_out = True
    task.cancel()
    await task
    assert (stream.status, stream.body) == (503, b"late: Response Timeout")


async def test_an_error_after_the_first_octet_drops_the_connection(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.send("begun")
        raise RuntimeError("half way")

    @app.exception(RuntimeError)
    async def never(request: Request, exception: RuntimeError) -> HTTPResponse:
        return text("too late")

    stream = await ask(app)
    assert (stream.status, stream.body, stream.aborted) == (200, b"begun", True)
    assert "half way" in caplog.text


async def test_an_error_after_the_last_octet_keeps_the_response(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.send("all", True)
        raise RuntimeError("afterwards")

    stream = await ask(app)
    assert (stream.body, stream.complete, stream.aborted) == (b"all", True, False)
    assert "afterwards" in caplog.text


async def test_a_second_response_is_logged_and_the_first_stands(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        response = await request.respond()
        await response.send("first")
        return text("second")

    stream = await ask(app)
    assert (stream.body, stream.complete) == (b"first", True)
    assert "The request has already been responded to." in caplog.text


# What the app may not send


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=c", "a\nb", "a\x00b", "a\rb"])
@pytest.mark.parametrize("how", ["argument", "set", "add", "cookie", "redirect", "name", "content_type"])
async def test_a_header_injection_is_refused_with_a_logged_500(
    app: Vivace, how: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    from vivace import redirect

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        if how == "argument":
            return text("", headers={"X": value})
        if how == "redirect":
            return redirect(f"/{value}")
        if how == "name":
            return text("", headers={f"X{value}": "v"})
        if how == "content_type":
            return raw(b"", content_type=value)
        response = text("")
        if how == "set":
            response.headers["X"] = value
        elif how == "add":
            response.headers.add("X", value)
        else:
            response.add_cookie("k", value)
        return response

    stream = await ask(app)
    assert stream.status == 500
    assert b"Set-Cookie" not in stream.body
    assert all(
        b"\n" not in octets and b"\r" not in octets for pair in stream.fields.to_pairs() for octets in pair
    )
    assert "LocalProtocolError" in caplog.text


@pytest.mark.parametrize("status", [204, 304])
async def test_no_content_means_no_content(app: Vivace, status: int) -> None:
    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return text("given", status)

    stream = await ask(app)
    assert (stream.status, stream.body) == (status, b"")


@pytest.mark.parametrize("status", [100, 199, 0, 1000, "200", None])
async def test_a_status_that_is_none_is_a_500(app: Vivace, status: Any) -> None:
    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return text("", status)

    assert (await ask(app)).status == 500


async def test_cookies_and_headers_reach_the_wire(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        response = empty(headers={"X-A": "1"})
        response.headers.add("X-A", "2")
        response.add_cookie("k", "v")
        response.delete_cookie("old")
        return response

    stream = await ask(app)
    assert stream.fields.getall("x-a") == ["1", "2"]
    cookies = stream.fields.getall("set-cookie")
    assert cookies[0].startswith("k=v; ")
    assert "Max-Age=0" in cookies[1]


async def test_exceptions_during_error_handling_still_end_in_a_response(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.exception(NotFound)
    def broken(request: Request, exception: NotFound) -> HTTPResponse:
        raise RuntimeError("worse")

    @app.on_response
    async def ill(request: Request, response: HTTPResponse) -> None:
        response.status = 7

    stream = await ask(app, target="/none")
    assert (stream.status, stream.body) == (500, b"Internal Server Error")
    assert "worse" in caplog.text


async def test_the_short_way_is_quick(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return text("Hello, World!")

    app.finalize()
    head = make_head()
    best = 1.0
    for _ in range(5):
        streams = [FakeStream(head) for _ in range(200)]
        start = time.perf_counter()
        for stream in streams:
            await app.handle_stream(stream)
        best = min(best, (time.perf_counter() - start) / 200)
    assert best < 50e-6  # some 3 us where nothing else runs; a guard against something silly


async def test_routes_added_while_serving_are_found(app: Vivace) -> None:
    await app.run_listeners("before_server_start")

    @app.get("/late")
    async def handler(request: Request) -> str:
        return "found"

    stream = FakeStream(make_head(target="/late"))
    await app.handle_stream(stream)
    assert stream.body == b"found"
    with pytest.raises(ConfigError, match="Route already registered"):
        app.add_route(handler, "/late")
    app.finalize()


def test_the_logger_is_named_after_the_app(app: Vivace) -> None:
    assert app.logger is logging.getLogger("vivace.app")


async def test_a_failing_request_middleware_on_404_is_the_error_that_is_told(app: Vivace) -> None:
    @app.on_request
    async def refuse(request: Request) -> None:
        raise BadRequest("refused")

    assert (await ask(app, target="/none")).status == 400


async def test_a_request_middleware_may_answer_for_a_path_that_is_not_there(app: Vivace) -> None:
    app.on_request(lambda request: text("maintenance", 503))
    stream = await ask(app, target="/none")
    assert (stream.status, stream.body) == (503, b"maintenance")


async def test_a_handler_may_use_the_stream_below(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        request.transport.start(200, [(b"x", b"1")])
        await request.transport.send(b"raw")

    stream = await ask(app)
    assert (stream.body, stream.complete, stream.fields["x"]) == (b"raw", True, "1")


async def test_an_error_of_a_handler_whose_client_left_is_logged_only(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        request.transport.disconnected = True
        raise RuntimeError("unseen")

    stream = await ask(app)
    assert (stream.status, stream.aborted) == (0, False)
    assert "unseen" in caplog.text
