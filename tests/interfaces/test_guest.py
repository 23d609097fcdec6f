"""An app as an ASGI callable, message by message: what it asks of its server, and what it tells it."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.guest_support import GuestServer, call, make_scope
from vivace import HTTPResponse, Request, Vivace, empty, raw, text
from vivace.config import Config
from vivace.errors import BrokenResourceError, ClientDisconnected
from vivace.framework.files import file
from vivace.interfaces import guest_stream


def app_of(handler: Any, path: str = "/<path:path>", **settings: object) -> Vivace[Any, Any]:
    """An app with one route for all paths and methods."""
    config = Config()
    config.update(settings)
    app = Vivace("guest", config=config)

    async def handle(request: Request, **values: str) -> Any:
        return await handler(request)

    app.add_route(handle, path, methods=["GET", "POST", "HEAD"], stream=settings.get("STREAM") is True)
    app.add_route(
        handle, "/", name="root", methods=["GET", "POST", "HEAD"], stream=settings.get("STREAM") is True
    )
    return app


@pytest.fixture(autouse=True)
def _without_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    """These apps are called without a lifespan, which is worth a warning elsewhere."""
    caplog.set_level(logging.ERROR, "vivace.error")


async def tell_path(request: Request) -> HTTPResponse:
    return text(f"{request.path} {request.query_string}")


# The head


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"path": "/a b/é"}, b"/a%20b/%C3%A9 "),
        ({"path": "/a/b", "raw_path": b"/a%2Fb"}, b"/a%2Fb "),
        ({"path": "/a", "raw_path": b"/a?x", "query_string": b"x=%20"}, b"/a x=%20"),
        ({"path": "/root/a", "root_path": "/root"}, b"/a "),
        ({"path": "/root", "root_path": "/root/"}, b"/ "),
        ({"path": "/root/a", "raw_path": b"/root/%61", "root_path": "/root"}, b"/%61 "),
        ({"path": "/root/a b", "raw_path": b"/%72oot/a%20b", "root_path": "/root"}, b"/a%20b "),
        ({"path": "/rooted", "root_path": "/root"}, b"/rooted "),
        ({"path": "/a", "root_path": "/root"}, b"/a "),
        ({"path": "/\u00e9", "raw_path": b"/\xc3\xa9 \n"}, b"/%C3%A9%20%0A "),
        ({"path": "/\udcff"}, b"/%FF "),
    ],
)
async def test_the_app_is_routed_on_the_encoded_path_below_the_root(
    scope: dict[str, Any], expected: bytes
) -> None:
    assert (await call(app_of(tell_path), make_scope(**scope))).body == expected


async def test_fields_and_addresses_are_the_servers() -> None:
    async def about(request: Request) -> Any:
        info = request.conn_info
        return {
            "host": request.host,
            "fields": [[name.decode(), value.decode()] for name, value in request.head.fields()],
            "client": [info.client_ip, info.client_port],
            "server": [info.server, info.server_port],
            "scheme": request.scheme,
            "version": request.version,
        }

    scope = make_scope(fields=[(b"X-One", b"1"), (b"x-one", b"2")], scheme="https", http_version="2")
    scope["headers"].append((b"content-length", b"0"))
    told = (await call(app_of(about), scope)).body
    assert b'"host":"guest.test"' in told
    assert b'["x-one","1"],["x-one","2"]' in told
    assert (
        b'"client":["192.0.2.1",50000],"server":["192.0.2.2:8000",8000],"scheme":"https","version":"2"'
        in told
    )
    unix = make_scope(client=None, server=("/run/socket", None))
    assert b'"client":["",0],"server":["",0]' in (await call(app_of(about), unix)).body


# The body of a request


async def tell_body(request: Request) -> HTTPResponse:
    return raw(request.body)


@pytest.mark.parametrize(
    ("version", "fields"),
    [("1.1", [(b"content-length", b"6")]), ("1.1", [(b"transfer-encoding", b"chunked")]), ("2", [])],
)
async def test_a_body_is_read_whole(version: str, fields: list[tuple[bytes, bytes]]) -> None:
    scope = make_scope("POST", fields=fields, http_version=version)
    assert (await call(app_of(tell_body), scope, [b"abc", b"def"])).body == b"abcdef"


async def test_a_request_without_a_body_asks_the_server_for_nothing() -> None:
    server = await call(app_of(tell_path))
    assert server.asked == 0


async def test_pieces_are_asked_for_one_at_a_time() -> None:
    async def first_only(request: Request) -> HTTPResponse:
        return raw(await request.stream.read() or b"")

    scope = make_scope("POST", fields=[(b"content-length", b"6")])
    server = await call(app_of(first_only, STREAM=True), scope, [b"abc", b"def"])
    assert (server.body, server.asked) == (b"abc", 1)


async def test_a_body_over_the_limit_is_413_before_it_is_read() -> None:
    scope = make_scope("POST", fields=[(b"content-length", b"6")])
    server = await call(app_of(tell_body, REQUEST_MAX_SIZE=5), scope, [b"abc", b"def"])
    assert (server.status, server.asked) == (413, 0)
    scope = make_scope("POST", fields=[(b"transfer-encoding", b"chunked")])
    assert (await call(app_of(tell_body, REQUEST_MAX_SIZE=5), scope, [b"abc", b"def"])).status == 413
    assert (await call(app_of(tell_body, REQUEST_MAX_SIZE=6), scope, [b"abc", b"def"])).status == 200


async def test_a_body_that_does_not_come_in_time_is_408() -> None:
    scope = make_scope("POST", fields=[(b"content-length", b"6")])
    server = GuestServer(scope, None)
    await server.run(app_of(tell_body, REQUEST_TIMEOUT=0.1))
    assert server.status == 408


async def test_a_client_that_leaves_within_its_body_ends_the_handler() -> None:
    raised: list[BaseException] = []

    async def read(request: Request) -> HTTPResponse:
        try:
            while await request.stream.read():
                pass
        except BaseException as error:
            raised.append(error)
            raise
        return text("never")

    scope = make_scope("POST", fields=[(b"content-length", b"6")])
    server = GuestServer(scope, None)
    server.leave()
    await server.run(app_of(read, STREAM=True))
    assert isinstance(raised[0], ClientDisconnected)
    assert server.sent == []


async def test_a_body_that_the_client_holds_back_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_stream, "WATCH_AFTER", 0.0)
    go_on = asyncio.Event()

    async def later(request: Request) -> HTTPResponse:
        await go_on.wait()
        return raw(await request.receive_body())

    fields = [(b"content-length", b"3"), (b"expect", b"100-continue")]
    server = GuestServer(make_scope("POST", fields=fields), [b"abc"])
    running = asyncio.create_task(server.run(app_of(later, STREAM=True)))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert server.asked == 0
    go_on.set()
    await running
    assert server.body == b"abc"


async def test_a_piece_that_was_read_ahead_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_stream, "WATCH_AFTER", 0.0)
    server = GuestServer(make_scope("POST", fields=[(b"content-length", b"6")]), None)

    async def read(request: Request) -> HTTPResponse:
        await server.until(lambda: server.asked == 1)
        server.give(b"abc", b"def")
        await asyncio.sleep(0.01)
        assert server.asked == 1, "one message ahead and no more"
        return raw(await request.receive_body())

    await server.run(app_of(read, STREAM=True))
    assert server.body == b"abcdef"


async def test_an_error_of_the_servers_receive_reaches_the_handler() -> None:
    server = GuestServer(make_scope("POST", fields=[(b"content-length", b"6")]), None)
    server.events.put_nowait({"type": "http.strange"})
    await server.run(app_of(tell_body))
    assert server.status == 500


# The response


async def test_a_whole_response_is_two_messages_with_its_length() -> None:
    async def answer(request: Request) -> HTTPResponse:
        return text("abc", headers={"X-One": "1"})

    server = await call(app_of(answer))
    assert server.sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"x-one", b"1"),
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"3"),
            ],
        },
        {"type": "http.response.body", "body": b"abc"},
    ]


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", 200, b"3"), ("GET", 204, None), ("GET", 304, None), ("GET", 205, b"0")],
)
async def test_a_response_without_content_sends_none(method: str, status: int, length: bytes | None) -> None:
    async def answer(request: Request) -> HTTPResponse:
        return HTTPResponse(b"abc" if status == 200 else b"", status)

    server = await call(app_of(answer), make_scope(method))
    assert (server.status, server.body, server.ended) == (status, b"", True)
    assert server.fields.get(b"content-length") == length


async def test_a_streamed_response_goes_piece_by_piece() -> None:
    async def answer(request: Request) -> None:
        response = await request.respond()
        await response.send("a")
        await response.send("b")

    server = await call(app_of(answer))
    assert [(m.get("body"), m.get("more_body")) for m in server.sent[1:]] == [
        (b"a", True),
        (b"b", True),
        (b"", False),
    ]
    assert b"content-length" not in server.fields


async def test_a_streamed_answer_to_head_ends_with_its_first_piece() -> None:
    went_on: list[str] = []

    async def answer(request: Request) -> None:
        response = await request.respond(headers={"Content-Length": "2"})
        await response.send("a")
        await response.send("b")
        went_on.append("after the second piece")

    server = await call(app_of(answer), make_scope("HEAD"))
    assert (server.fields[b"content-length"], server.body, server.ended) == (b"2", b"", True)
    assert went_on == []


async def test_what_belongs_to_the_connection_is_the_servers_to_say() -> None:
    async def answer(request: Request) -> HTTPResponse:
        fields = {"Connection": "close", "Keep-Alive": "5", "Upgrade": "x", "Transfer-Encoding": "chunked"}
        return text("abc", headers={**fields, "Date": "then"})

    server = await call(app_of(answer))
    assert sorted(server.fields) == [b"content-length", b"content-type", b"date"]


@pytest.mark.parametrize(
    "fields",
    [{"Content-Length": "4"}, {"Content-Length": "x"}, {"Transfer-Encoding": "gzip"}],
)
async def test_framing_that_does_not_fit_is_a_500(
    fields: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> HTTPResponse:
        return text("abc", headers=fields)

    server = await call(app_of(answer))
    assert server.status == 500
    assert next(iter(fields)).lower() in caplog.text.lower()


@pytest.mark.parametrize("pieces", [["abc"], ["abcd", "e"]])
async def test_more_or_less_than_announced_breaks_the_response_off(
    pieces: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: Request) -> None:
        response = await request.respond(headers={"Content-Length": "4"})
        for piece in pieces:
            await response.send(piece)

    server = GuestServer(make_scope())
    with pytest.raises(BrokenResourceError):
        await server.run(app_of(answer))
    assert not server.ended
    assert server.body == pieces[0].encode()
    assert "Content-Length, by 1" in caplog.text


async def test_a_handler_that_fails_in_the_middle_breaks_the_response_off() -> None:
    async def answer(request: Request) -> None:
        response = await request.respond()
        await response.send("a")
        raise RuntimeError

    server = GuestServer(make_scope())
    with pytest.raises(BrokenResourceError):
        await server.run(app_of(answer))
    assert not server.ended


async def test_a_response_is_sent_while_its_handler_goes_on() -> None:
    server = GuestServer(make_scope())

    async def answer(request: Request) -> None:
        response = await request.respond()
        await response.send("abc", True)
        await server.until(lambda: server.ended)

    await server.run(app_of(answer))
    assert server.body == b"abc"


async def test_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_stream, "FILE_PIECE", 4)
    (tmp_path / "a").write_bytes(b"0123456789")

    async def answer(request: Request) -> HTTPResponse:
        return await file(tmp_path / "a")

    server = await call(app_of(answer))
    assert [m["body"] for m in server.sent[1:]] == [b"0123", b"4567", b"89", b""]
    part = await call(app_of(answer), make_scope(fields=[(b"range", b"bytes=2-4")]))
    assert (part.status, part.body, part.ended) == (206, b"234", True)


async def test_a_file_that_becomes_shorter_breaks_the_response_off(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")

    async def answer(request: Request) -> HTTPResponse:
        response = await file(tmp_path / "a")
        os.truncate(tmp_path / "a", 3)
        return response

    server = GuestServer(make_scope())
    with pytest.raises(BrokenResourceError):
        await server.run(app_of(answer))
    assert not server.ended


# Extensions


async def test_files_are_sent_by_a_server_that_can(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")

    async def answer(request: Request) -> HTTPResponse:
        return await file(tmp_path / "a")

    scope = make_scope(fields=[(b"range", b"bytes=2-4")], extensions={"http.response.zerocopysend": {}})
    server = await call(app_of(answer), scope)
    message = server.sent[1]
    assert message["type"] == "http.response.zerocopysend"
    assert (message["offset"], message["count"], message["more_body"]) == (2, 3, True)
    assert server.ended


@pytest.mark.parametrize(
    ("offered", "wanted", "named"),
    [(True, True, True), (True, False, True), (False, True, True), (True, True, False)],
)
async def test_trailers_that_are_named_go_where_server_and_client_take_them(
    offered: bool, wanted: bool, named: bool
) -> None:
    async def answer(request: Request) -> None:
        stream = request.transport
        stream.start(200, [(b"Trailer", b"X-Sum")] if named else [])
        await stream.send(b"a")
        await stream.end([(b"X-Sum", b"1")])

    fields = [(b"te", b"gzip, Trailers")] if wanted else []
    extensions: dict[str, Any] = {"http.response.trailers": {}} if offered else {}
    server = await call(app_of(answer), make_scope(fields=fields, extensions=extensions))
    trailers = [m for m in server.sent if m["type"] == "http.response.trailers"]
    if offered and wanted and named:
        assert trailers == [{"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}]
    else:
        assert trailers == []
    assert server.sent[0].get("trailers", False) is (offered and wanted and named)


@pytest.mark.parametrize("offered", [True, False])
async def test_early_hints_go_out_at_once_where_the_server_can(offered: bool) -> None:
    extensions: dict[str, Any] = {"http.response.early_hint": {}} if offered else {}
    server = GuestServer(make_scope(extensions=extensions))

    async def answer(request: Request) -> HTTPResponse:
        request.transport.inform(103, [(b"Link", b"</a>; rel=preload"), (b"x", b"y")])
        if offered:
            await server.until(lambda: len(server.sent) == 1)
        return text("abc")

    await server.run(app_of(answer))
    hints = [m for m in server.sent if m["type"] == "http.response.early_hint"]
    assert hints == (
        [{"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}] if offered else []
    )
    assert server.body == b"abc"


# A client that leaves, and time


async def test_a_client_that_leaves_cancels_the_handler_and_nothing_else() -> None:
    server = GuestServer(make_scope())
    seen: list[str] = []

    async def hang(request: Request) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"cancelled {request.transport.disconnected}")
            raise

    async def host() -> None:
        await server.run(app_of(hang))
        task = asyncio.current_task()
        assert task is not None
        seen.append(f"cancellations left: {task.cancelling()}")
        await asyncio.sleep(0)

    server.leave()
    await host()
    assert seen == ["cancelled True", "cancellations left: 0"]
    assert server.sent == []


async def test_a_cancellation_by_the_server_goes_through() -> None:
    server = GuestServer(make_scope())
    app = app_of(lambda request: asyncio.Event().wait())
    running = asyncio.create_task(app(server.scope, server.receive, server.send))
    await server.until(lambda: server.asked > 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_handler_that_survives_its_cancellation_leaves_no_trace_of_it() -> None:
    async def stubborn(request: Request) -> HTTPResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return text("too late")
        return text("never")

    server = GuestServer(make_scope())
    server.leave()
    await server.run(app_of(stubborn))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert server.sent == []


async def test_a_server_that_refuses_to_send_is_a_client_that_left() -> None:
    async def answer(request: Request) -> None:
        response = await request.respond()
        with pytest.raises(ClientDisconnected):
            await response.send("a")
        raise ClientDisconnected("as the framework would")

    for handler in (answer, tell_path):
        server = GuestServer(make_scope())
        server.refuses = OSError("closed")
        await server.run(app_of(handler))


async def test_another_error_of_the_servers_send_is_told() -> None:
    server = GuestServer(make_scope())
    server.refuses = RuntimeError("wrong state")
    with pytest.raises(RuntimeError, match="wrong state"):
        await server.run(app_of(tell_path))


async def test_a_handler_that_takes_too_long_is_503() -> None:
    server = GuestServer(make_scope())
    await server.run(app_of(lambda request: asyncio.Event().wait(), RESPONSE_TIMEOUT=0.05))
    assert server.status == 503
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


# Other scopes


def test_a_server_without_asyncio_is_told_so() -> None:
    running = app_of(tell_path)(make_scope(), GuestServer({}).receive, GuestServer({}).send)
    with pytest.raises(RuntimeError, match="runs on asyncio"):
        running.send(None)


async def test_an_unknown_scope_is_an_error_that_names_it() -> None:
    with pytest.raises(NotImplementedError, match="'telnet'"):
        await GuestServer({"type": "telnet"}).run(app_of(tell_path))


async def test_no_content_needs_no_body_message_with_content() -> None:
    async def nothing(request: Request) -> HTTPResponse:
        return empty()

    server = await call(app_of(nothing))
    assert (server.status, server.fields, server.body) == (204, {}, b"")


async def test_the_end_of_another_server_is_never_told() -> None:
    async def wait(request: Request) -> HTTPResponse:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(request.draining(), 0.01)
        return raw(b"never")

    assert (await call(app_of(wait))).body == b"never"
