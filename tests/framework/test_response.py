"""Responses, whole and in pieces."""

import dataclasses
import datetime as dt
from collections import UserDict
from typing import Any

import pytest

from tests.framework.streams import FakeStream, ask, make_app, make_head
from vivace import (
    HTTPResponse,
    JSONResponse,
    Request,
    ResponseStream,
    Vivace,
    empty,
    html,
    json,
    raw,
    redirect,
    text,
)
from vivace.errors import ClientDisconnected, SanicException, ServerError
from vivace.framework.response import coerce


@pytest.fixture
def app() -> Vivace:
    return make_app()


def test_the_helpers() -> None:
    assert text("a", 201, {"X": "1"}).status == 201
    assert html("<p>").content_type == "text/html; charset=utf-8"
    assert raw(b"a").body == b"a"
    assert (empty().status, empty().body, empty().content_type) == (204, b"", None)
    assert json({"a": "\xe9"}).body == b'{"a":"\xc3\xa9"}'
    assert json({"a": 1}, dumps=lambda value, indent: f"{value}{indent}", indent=2).body == b"{'a': 1}2"


def test_a_redirect_quotes_what_a_url_must_not_hold() -> None:
    response = redirect("/a b\\c/\xe9?x=1#y")
    assert (response.status, response.headers["location"]) == (302, "/a%20b%5Cc/%C3%A9?x=1#y")
    assert redirect("https://example.com/", status=308).headers["location"] == "https://example.com/"


class Page:
    def __html__(self) -> str:
        return "<p>own</p>"


class Notebook:
    def _repr_html_(self) -> str:
        return "<p>notebook</p>"


def test_html_takes_objects_that_know_how() -> None:
    assert html(Page()).body == b"<p>own</p>"
    assert html(Notebook()).body == b"<p>notebook</p>"


@pytest.mark.parametrize("wrong", [b"octets", 5, None, {}])
def test_text_takes_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes text"):
        text(wrong)


def test_json_takes_what_programs_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.framework.response._other_encoders", False)  # an app of another test may be

    @dataclasses.dataclass
    class Point:
        x: int

    class Name(str):
        __slots__ = ()

    class Number(int):
        pass

    value = {
        Name("n"): Name("v"),
        "p": Point(1),
        "m": UserDict(a=Number(2)),
        "d": dt.date(2026, 11, 21),
    }
    assert json(value).body == b'{"n":"v","p":{"x":1},"m":{"a":2},"d":"2026-11-21"}'
    with pytest.raises(TypeError, match="object"):
        json(object())


def test_a_json_response_can_be_changed() -> None:
    response = json([1])
    response.append(2)
    response.extend([3])
    assert (response.body, response.pop(0), response.raw_body) == (b"[1,2,3]", 1, [2, 3])
    table = JSONResponse({"a": 1})
    table.update(b=2)
    assert table.body == b'{"a":1,"b":2}'
    assert table.pop("a") == 1
    table.raw_body = []
    assert table.body == b"[]"
    with pytest.raises(SanicException, match="Cannot update a non-dict object"):
        table.update(a=1)


def test_a_plain_response_shares_its_fields() -> None:
    assert text("a").wire_fields() is text("b").wire_fields()
    assert HTTPResponse().wire_fields() == ()


def test_a_content_type_among_the_headers_wins() -> None:
    response = text("a", headers={"Content-Type": "text/csv"})
    assert response.wire_fields() == [(b"content-type", b"text/csv")]


def test_a_body_is_text_or_octets() -> None:
    assert HTTPResponse("\xe9").body == b"\xc3\xa9"
    assert raw(bytearray(b"a")).body == b"a"  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text or octets"):
        HTTPResponse(5)  # type: ignore[arg-type]
    assert coerce(response := text("")) is response


# In pieces


async def test_a_response_in_pieces(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(status=201, headers={"X": "1"}, content_type="text/csv")
        await response.send("a,")
        await response.send(b"b")
        await response.eof()
        await response.eof()

    stream = await ask(app)
    assert (stream.status, stream.pieces, stream.complete) == (201, [b"a,", b"b"], True)
    assert (stream.fields["x"], stream.fields["content-type"]) == ("1", "text/csv")


async def test_a_response_is_completed_when_the_handler_returns(app: Vivace) -> None:
    @app.get("/none")
    async def none(request: Request) -> None:
        await (await request.respond()).send("x")

    @app.get("/itself")
    async def itself(request: Request) -> HTTPResponse:
        return await request.respond(text("whole"))

    @app.get("/with")
    async def managed(request: Request) -> None:
        async with await request.respond() as response:
            await response.send("x")

    @app.get("/nothing")
    async def nothing(request: Request) -> None:
        await request.respond(status=202)

    for target, body in (("/none", b"x"), ("/itself", b"whole"), ("/with", b"x"), ("/nothing", b"")):
        stream = await ask(app, target=target)
        assert (stream.body, stream.complete) == (body, True), target


async def test_respond_twice_is_refused(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        await request.respond()
        await request.respond()

    assert (await ask(app)).status == 500


async def test_response_middleware_sees_an_opened_response_once(app: Vivace) -> None:
    seen: list[int] = []

    @app.on_response
    async def mark(request: Request, response: HTTPResponse) -> None:
        seen.append(response.status)
        response.headers["X-Mark"] = "yes"

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(status=202)
        await response.send("x")

    stream = await ask(app)
    assert (stream.fields["x-mark"], seen) == ("yes", [202])


@pytest.mark.parametrize(("length", "complete"), [("3", False), ("1", False), ("2", True)])
async def test_over_and_under_the_announced_length_drop_the_connection(
    app: Vivace, length: str, complete: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(headers={"Content-Length": length})
        await response.send("a")
        await response.send("b")

    stream = await ask(app)
    assert (stream.complete, stream.aborted) == (complete, not complete)
    assert ("LocalProtocolError" in caplog.text) is not complete


async def test_sending_after_the_end_is_refused(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.send("a", True)
        await response.send("b")

    stream = await ask(app)
    assert (stream.body, stream.complete) == (b"a", True)
    assert "Response stream was ended" in caplog.text
    with pytest.raises(ServerError, match="No stream is connected"):
        await text("").send("x")


async def test_a_function_may_write_the_body(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> ResponseStream:
        async def write(response: ResponseStream) -> None:
            await response.write("a")
            await response.write(b"b")

        return ResponseStream(write, status=203, headers={"X": "1"}, content_type="text/csv")

    stream = await ask(app)
    assert (stream.status, stream.pieces, stream.complete) == (203, [b"a", b"b"], True)


async def test_a_client_that_leaves_ends_a_stream_quietly(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned: list[bool] = []

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.send("a")
        request.transport.disconnected = True
        try:
            await response.send("b")
        except ClientDisconnected:
            cleaned.append(True)
            raise

    app.finalize()
    stream = FakeStream(make_head())
    await app.handle_stream(stream)
    assert (stream.body, stream.complete, cleaned, caplog.text) == (b"a", False, [True], "")
