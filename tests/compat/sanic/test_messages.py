"""Requests and responses of the alias: what Sanic's programs and tests see of them."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from vivace.compat.sanic import response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.cookies import Cookie, CookieJar
from vivace.compat.sanic.form import File, parse_multipart_form
from vivace.compat.sanic.header import Header
from vivace.compat.sanic.request import Credentials, Request
from vivace.errors import BadRequest, LocalProtocolError, PayloadTooLarge, SanicException, ServerError
from vivace.framework.response import HTTPResponse as Ours
from vivace.http.forms import FormLimits

Make: Any = Request
"""`Request` as programs call it."""


def make(**options: Any) -> Sanic:
    return Sanic("messages", **options)


def ask(app: Sanic, look: Any, url: str = "/", method: str = "get", **options: Any) -> Any:
    """What `look` makes of the request, in a handler of `app`."""
    found: list[Any] = []

    @app.route("/", methods=["GET", "POST"], name="look")
    async def handler(request: Request) -> Any:
        found.append(look(request))
        return response.text("seen")

    answer = getattr(app.test_client, method)(url, **options)[1]
    assert answer.status == 200, answer.text
    return found[0]


# Header


def header() -> Header:
    return Header([("Content-Type", "a"), ("X-A", "1"), ("x-a", 2)])


def test_fields_are_as_they_were_written() -> None:
    fields = header()
    assert list(fields) == ["Content-Type", "X-A", "x-a"]
    assert repr(fields) == "<Header('Content-Type': 'a', 'X-A': '1', 'x-a': 2)>"
    assert (fields["x-A"], fields.getall("X-a"), fields.x_a, fields.none) == ("1", ["1", 2], "1,2", "")
    assert fields.get("none", default=3) == 3
    with pytest.raises(KeyError):
        fields.getall("none")
    with pytest.raises(AttributeError, match="'Header' object has no attribute '_no'"):
        _ = fields._no


def test_fields_are_changed_as_those_of_a_multidict() -> None:
    fields = header()
    fields["X-a"] = "9"
    assert fields.items() == [("Content-Type", "a"), ("X-a", "9")]
    fields.merge({"x-a": "0", "b": "1"}, c="2")
    fields.extend([("b", "3")])
    assert (fields.popall("b"), fields.popone("c"), fields.pop("d", 5)) == (["1", "3"], "2", 5)
    assert fields.popitem() == ("X-a", "9")
    for take in (fields.popone, fields.popall):
        with pytest.raises(KeyError):
            take("none")
    fields.update({"A": "1"}, B="2")
    assert fields == Header({"content-type": "a", "a": "1", "b": "2"})
    assert fields.copy() == {"Content-Type": "a", "A": "1", "B": "2"}
    with pytest.raises(TypeError):
        fields.get(5)  # type: ignore[arg-type]


def test_nothing_ends_a_field_early() -> None:
    fields = Header({"X": "a\r\nSet-Cookie: b", "Y\r\nZ": "é\x00\x01"})
    assert fields.to_pairs() == [(b"x", b"aSet-Cookie: b"), (b"yz", "é".encode())]
    with pytest.raises(LocalProtocolError, match="not a token"):
        Header({"a b": "1"}).to_pairs()


# Responses


def test_responses_of_the_framework_are_instances() -> None:
    assert isinstance(Ours(b""), response.HTTPResponse)
    assert not isinstance(Ours(b""), response.JSONResponse)
    assert isinstance(response.json({}), response.HTTPResponse)
    assert repr(response.text("x")) == "<HTTPResponse: 200 text/plain; charset=utf-8>"
    assert next(response.text("x", headers={"A": "b"}).processed_headers) == (b"a", b"b")


def test_json_is_the_text_that_sanic_writes() -> None:
    value = {"b": "ä/\U0001f600", "a": [1.5, None]}
    assert response.json(value).body == b'{"b":"\\u00e4/\\ud83d\\ude00","a":[1.5,null]}'
    assert response.json({"b": 1, "a": 2}, sort_keys=True, indent=1).body == b'{\n "a": 2,\n "b": 1\n}'
    assert response.BaseHTTPResponse._dumps({}) == "{}"
    with pytest.raises(TypeError):
        response.json(object())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.append(1), "Cannot append to a non-list object."),
        (lambda made: made.extend([1]), "Cannot extend a non-list object."),
        (lambda made: made.update(a=1), "Cannot update a non-dict object."),
        (lambda made: made.pop(0), "Cannot pop from a non-list and non-dict object."),
    ],
)
def test_a_value_of_another_kind_cannot_be_changed(change: Any, message: str) -> None:
    with pytest.raises(SanicException) as caught:
        change(response.json("text"))
    assert str(caught.value) == message


def test_a_value_is_gone_when_the_body_was_set() -> None:
    made = response.json([1], dumps=str)
    made.append(2)
    assert made.body == b"[1, 2]"
    with pytest.raises(TypeError, match="doesn't accept a default argument for lists"):
        made.pop(0, default=3)
    assert response.json({}).pop("a", default=3) == 3
    made.body = b"own"
    with pytest.raises(SanicException, match="Cannot use raw_body after body has been manually set"):
        _ = made.raw_body


def test_text_takes_text() -> None:
    with pytest.raises(TypeError, match=r"^Bad body type. Expected str, got int\)$"):
        response.text(5)  # type: ignore[arg-type]


def test_a_redirect_quotes_what_could_end_the_field() -> None:
    assert response.redirect("/a\r\nX: y").headers["location"] == "/a%0D%0AX:%20y"


@pytest.mark.parametrize("result", [None, "text", {"a": 1}, b"b"])
def test_a_handler_returns_a_response(result: Any) -> None:
    app = make()
    app.add_route(lambda _: result, "/")
    answer = app.test_client.get("/")[1]
    assert answer.status == 500
    assert f"Invalid response type {result!r} (need HTTPResponse)" in answer.text


def test_a_body_that_must_not_be_there_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    app = make()
    app.add_route(lambda _: response.text("x", 204), "/")
    assert app.test_client.get("/")[1].status == 204
    assert "Message body set in response on /. A 204 response may only have headers, no body." in caplog.text


async def test_a_response_that_was_not_opened_has_no_stream() -> None:
    for use in (response.text("x").send(), response.text("x").eof()):
        with pytest.raises(ServerError, match="No stream is connected"):
            await use


# Streaming


def stream(handler: Any) -> tuple[Any, str]:
    app = make()
    app.add_route(handler, "/")
    return app.test_client.get("/")[1], ""


def test_what_responds_twice_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> None:
        opened = await request.respond()
        await opened.send("first")
        await request.respond()

    assert stream(handler)[0].text == "first"
    assert "Second respond call is not allowed." in caplog.text
    assert (
        'The error response will not be sent to the client for the following exception:"Second respond call '
        'is not allowed.". A previous response has at least partially been sent.'
    ) in caplog.text


def test_a_custom_handler_cannot_answer_any_more(caplog: pytest.LogCaptureFixture) -> None:
    app = make()

    @app.exception(ValueError)
    async def late_handler(request: Request, error: Exception) -> Any:
        raise AssertionError

    @app.get("/")
    async def handler(request: Request) -> None:
        await (await request.respond()).send("x")
        raise ValueError("broken")

    assert app.test_client.get("/")[1].text == "x"
    assert "your custom exception handler late_handler will not be sent" in caplog.text


def test_a_piece_stands_in_the_place_of_the_body() -> None:
    async def handler(request: Request) -> None:
        opened = await request.respond(response.text("given"))
        await opened.send("piece")
        await opened.eof()
        await opened.eof()

    assert stream(handler)[0].text == "piece"


def test_what_opens_a_response_by_with_gets_what_sends() -> None:
    async def handler(request: Request) -> None:
        opened: Any = await request.respond()
        async with opened as send:
            await send("a")
            await send.send("b")

    assert stream(handler)[0].text == "ab"


# Cookies


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "k=v; Path=/; SameSite=Lax; Secure"),
        (
            {"expires": datetime(2030, 1, 2, tzinfo=UTC)},
            "k=v; Path=/; expires=Wed, 02-Jan-2030 00:00:00 GMT; SameSite=Lax; Secure",
        ),
        ({"path": None, "secure": False, "samesite": None, "max_age": 0}, "k=v; Max-Age=0"),
        (
            {
                "host_prefix": True,
                "partitioned": True,
                "httponly": True,
                "comment": "c",
                "samesite": "strict",
            },
            "__Host-k=v; Path=/; Comment=c; SameSite=Strict; Secure; HttpOnly; Partitioned",
        ),
        (
            {"secure_prefix": True, "domain": "d.com"},
            "__Secure-k=v; Path=/; Domain=d.com; SameSite=Lax; Secure",
        ),
    ],
)
def test_a_cookie_is_written(options: dict[str, Any], line: str) -> None:
    assert str(Cookie("k", "v", **options)) == line


def test_a_moment_elsewhere_is_told_in_gmt() -> None:
    moment = datetime(2030, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert "expires=Wed, 02-Jan-2030 01:00:00 GMT" in str(Cookie("k", "v", expires=moment))
    assert "01:00:00" in str(Cookie("k", "v", expires=moment.astimezone(UTC)))


@pytest.mark.parametrize(
    ("value", "written"),
    [("a b", '"a b"'), ("", '""'), ('"\\;\r', '"\\042\\134\\073\\015"'), ("ä", '"ä"'), ("a:b", "a:b")],
)
def test_a_value_is_quoted(value: str, written: str) -> None:
    assert str(Cookie("k", value, path=None, secure=False, samesite=None)) == f"k={written}"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"key": "a b"}, KeyError, "Cookie key contains illegal characters"),
        ({"key": "max-age"}, KeyError, "Cookie name is a reserved word"),
        ({"max_age": "x"}, ValueError, "Cookie max-age must be an integer"),
        ({"expires": "x"}, TypeError, "Cookie 'expires' property must be a datetime"),
        ({"samesite": "x"}, TypeError, "Cookie 'samesite' property must be one of: strict,lax,none"),
        ({"host_prefix": True, "secure": False}, ServerError, "Cannot set host_prefix on a cookie without"),
        (
            {"host_prefix": True, "path": "/a"},
            ServerError,
            "Cannot set host_prefix on a cookie unless path='/'",
        ),
        ({"host_prefix": True, "domain": "a"}, ServerError, "on a cookie with a defined domain"),
        ({"secure_prefix": True, "secure": False}, ServerError, "Cannot set secure_prefix on a cookie"),
        ({"partitioned": True}, ServerError, "without also setting host_prefix=True"),
        ({"host_prefix": True, "secure_prefix": True}, ServerError, "Both host_prefix and secure_prefix"),
    ],
)
def test_a_cookie_that_breaks_a_rule_is_refused(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        Cookie(**{"key": "k", "value": "v", **options})


@pytest.mark.parametrize("attribute", ["path", "domain", "comment"])
def test_an_attribute_that_ends_early_is_refused(attribute: str) -> None:
    with pytest.raises(LocalProtocolError, match="holds a character that ends it"):
        given: Any = {attribute: "a; Domain=evil"}
        str(Cookie("k", "v", **given))


def test_a_jar_keeps_its_cookies_in_the_header() -> None:
    made = response.text("x")
    made.add_cookie("a", "1", httponly=True)
    made.add_cookie("b", "2")
    assert len(made.cookies) == 2
    assert [str(value) for value in made.headers.getall("set-cookie")][1].startswith("b=2;")
    assert (made.cookies.has_cookie("a"), made.cookies.get_cookie("a", path="/x")) == (True, None)
    assert made.delete_cookie("a") is None  # type: ignore[func-returns-value]
    assert str(made.cookies.cookies[-1]) == 'a=""; Path=/; Max-Age=0; SameSite=Lax; Secure; HttpOnly'
    jar = CookieJar(Header())
    jar.delete_cookie("none", domain="d.com")
    assert str(jar.cookies[0]) == 'none=""; Path=/; Domain=d.com; Max-Age=0; Secure'
    with pytest.raises(ServerError, match="without path='/', domain=None, and secure=True"):
        jar.delete_cookie("a", host_prefix=True, path="/x")


# Requests


def test_a_program_makes_a_request() -> None:
    made = Make(b"/a?b=1", Header({"host": "h", "x-request-id": "5"}), "1.1", "GET", None, make())
    assert (made.path, made.query_string, made.args, made.url) == (
        "/a",
        "b=1",
        {"b": ["1"]},
        "http://h/a?b=1",
    )
    assert (made.id, made.name, made.json, made.form, made.match_info) == (5, None, None, {}, {})
    assert (repr(made), made.headers.x_request_id) == ("<Request: GET /a>", "5")
    made.body = b"[1]"
    assert made.json == [1]
    with pytest.raises(BadRequest, match=r"Bad URL: //a\\xff"):
        Make(b"//a\xff", {}, "1.1", "GET", None, make())


@pytest.mark.parametrize(
    ("value", "token", "found"),
    [
        ("xyz", "xyz", Credentials(None, "xyz")),
        ("Bearer  tok", "tok", Credentials("Bearer", "tok")),
        ("Digest a=b", "Digest a=b", Credentials(None, "Digest a=b")),
        ("Token", "", None),
        ("Basic Zm9vOmJhcg==", "Basic Zm9vOmJhcg==", Credentials("Basic", "Zm9vOmJhcg==", "foo", "bar")),
        ("Basic foo:bar", "Basic foo:bar", None),
    ],
)
def test_credentials(value: str, token: str, found: Credentials | None) -> None:
    seen = ask(make(), lambda request: (request.token, request.credentials), headers={"authorization": value})
    assert seen == (token, found)


def test_only_basic_has_a_user() -> None:
    assert Credentials("Basic", "x", "u", "p").username == "u"
    for name in ("username", "password"):
        with pytest.raises(AttributeError, match=f"{name.title()} is available for Basic Auth only"):
            getattr(Credentials("Bearer", "x"), name)


def test_what_is_known_of_the_connection() -> None:
    def look(request: Request) -> Any:
        info = request.conn_info
        assert info.server == f"127.0.0.1:{info.server_port}"
        assert request.transport.get_extra_info("sockname")[1] == info.server_port
        with pytest.raises(NotImplementedError, match="App isn't running in ASGI mode"):
            _ = request.scope
        with pytest.raises(ServerError, match="Stream ID is only a property of a HTTP/3 request"):
            _ = request.stream_id
        return request.protocol is not None, request.network_paths, info.network_paths

    assert ask(make(), look) == (True, None, None)


def test_a_request_without_a_route_has_no_names() -> None:
    app, seen = make(), []

    @app.on_request
    async def note(request: Request) -> None:
        seen.append((request.name, request.endpoint, request.uri_template, request.route))

    assert app.test_client.get("/none")[1].status == 404
    assert seen == [(None, None, None, None)]


def test_the_configured_name_goes_before_that_of_the_client() -> None:
    app = make()
    app.config.SERVER_NAME = "https://shop.example:8443"
    seen = ask(app, lambda request: (request.url, request.server_port, request.url_for("look")))
    assert seen == ("https://shop.example:8443/", 8443, "https://shop.example:8443/")


def test_a_url_has_the_port_that_the_proxy_tells() -> None:
    app = make()
    app.config.PROXIES_COUNT = 1
    told = {"x-forwarded-for": "1.1.1.1", "x-forwarded-host": "ex.com", "x-forwarded-port": "444"}
    assert ask(app, lambda request: request.url_for("look"), headers=told) == "http://ex.com:444/"


@pytest.mark.parametrize(
    ("body", "value"), [(b'{"a":1}', {"a": 1}), (b"", None), (b"NaN", "nan"), (b'"\\ud800"', "'\\ud800'")]
)
def test_json_is_read(body: bytes, value: Any) -> None:
    seen = ask(make(), lambda request: (request.json, request.parsed_json), method="post", content=body)
    assert str(seen[0]) == str(value) or repr(seen[0]) == value
    assert repr(seen[1]) == repr(seen[0])


def test_a_malformed_body_is_a_bad_request() -> None:
    def look(request: Request) -> str:
        with pytest.raises(BadRequest) as caught:
            _ = request.json
        return str(caught.value)

    assert ask(make(), look, method="post", content=b"{") == "Failed when parsing body as json"


def test_there_may_be_no_current_request() -> None:
    async def outside() -> None:
        with pytest.raises(ServerError, match=r"^No current request$"):
            Request.get_current()

    asyncio.run(outside())


# Forms


def part(head: str, content: str) -> bytes:
    return f"--B\r\n{head}\r\n\r\n{content}\r\n".encode()


DISPOSITION = "Content-Disposition: form-data; "


def test_a_form_leaves_its_body_readable() -> None:
    body = part(DISPOSITION + 'name="a"', "1") + b"--B--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=B"}
    seen = ask(
        make(),
        lambda request: (request.form, request.get_form(), request.files, request.body),
        method="post",
        content=body,
        headers=kind,
    )
    assert seen == ({"a": ["1"]}, {"a": ["1"]}, {}, body)


def test_a_big_form_is_taken_apart_while_it_arrives() -> None:
    app = make()
    app.config.FORM_MAX_MEMORY = 100
    body = part(DISPOSITION + 'name="f"; filename="x"', "y" * 200) + b"--B--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=B"}
    seen = ask(app, lambda request: request.files.get("f").body, method="post", content=body, headers=kind)
    assert seen == b"y" * 200


@pytest.mark.parametrize(
    ("head", "fields", "files"),
    [
        (DISPOSITION + 'name="a"', {"a": ["1"]}, {}),
        (DISPOSITION + "name=a", {"a": ["1"]}, {}),
        ("content-disposition:attachment;name=a", {"a": ["1"]}, {}),
        (DISPOSITION + 'name="f"; filename="x.txt"', {}, {"f": [File("text/plain", b"1", "x.txt")]}),
        (DISPOSITION + 'name="f"; filename="../x"', {}, {"f": [File("text/plain", b"1", "x")]}),
        (DISPOSITION + "name=f; filename*=UTF-8''n%C3%A4", {}, {"f": [File("text/plain", b"1", "nä")]}),
        (DISPOSITION + "name=f; filename*=x", {}, {"f": [File("text/plain", b"1", "x")]}),
        (DISPOSITION + 'name="f"; filename=""\r\nContent-Type: a/B', {}, {"f": [File("a/b", b"1", "")]}),
        (DISPOSITION + 'filename="x"', {}, {}),
        ("Content-Type: text/plain", {}, {}),
        (DISPOSITION + "name=a\r\nContent-Type: text/plain; charset=idna", {}, {}),
        (DISPOSITION + "name=a\r\nno header", {}, {}),
    ],
)
def test_parts_are_read(head: str, fields: Any, files: Any) -> None:
    assert parse_multipart_form(part(head, "1") + b"--B--", b"B") == (fields, files)


def test_what_is_no_part_is_left_out() -> None:
    assert parse_multipart_form(b"x" + part(DISPOSITION + "name=a", "1"), b"B") == ({}, {})
    assert parse_multipart_form(part(DISPOSITION + "name=a", "1") + b"--B--", b"") == ({}, {})
    assert parse_multipart_form(b"\xff", b"B") == ({}, {})
    bad = part(DISPOSITION + "name=a", "1").replace(b"1", b"\xff")
    assert parse_multipart_form(bad + b"--B--", b"B") == ({}, {})


def test_a_form_of_too_many_parts_is_refused() -> None:
    body = part(DISPOSITION + "name=a", "1") * 3 + b"--B--"
    assert len(parse_multipart_form(body, b"B", FormLimits(max_parts=3))[0]["a"]) == 3
    with pytest.raises(PayloadTooLarge, match="more than 2 parts"):
        parse_multipart_form(body, b"B", FormLimits(max_parts=2))


@pytest.mark.parametrize("target", [b"my.redacted-domain.com:443", b"", b"/a b", b"\xff", b"\x00"])
def test_a_made_request_needs_a_target(target: bytes) -> None:
    with pytest.raises(BadRequest, match="Bad URL: "):
        Make(target, {}, "1.1", "GET", None, make())
