"""What a request tells about itself."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.framework.streams import FakeStream, ask, make_app, make_head, make_request
from vivace import Request, Vivace
from vivace.errors import BadRequest, InvalidHeader, RequestHeaderFieldsTooLarge, ServerError
from vivace.http.multipart import FieldData, FieldStart


@pytest.fixture
def app() -> Vivace:
    return make_app()


def test_the_request_line() -> None:
    request = make_request(method="PUT", target="/a%20b/?x=1&y", host="Example.com:8080")
    assert (request.method, request.path, request.query_string) == ("PUT", "/a%20b/", "x=1&y")
    assert request.raw_url == b"/a%20b/?x=1&y"
    assert request.url == "http://Example.com:8080/a%20b/?x=1&y"
    assert (request.host, request.server_name, request.server_port) == (
        "Example.com:8080",
        "example.com",
        8080,
    )
    assert (request.scheme, request.version) == ("http", "1.1")
    assert (request.is_safe, request.is_idempotent, request.is_cacheable) == (False, True, False)
    assert (request.name, request.endpoint, request.uri_template, request.route) == ("", "", "", None)


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("h", "h", 80), ("h:1", "h", 1), ("[::1]", "[::1]", 80), ("[::1]:8000", "[::1]", 8000), ("", "", 80)],
)
def test_the_host(host: str, name: str, port: int) -> None:
    request = make_request(host=host)
    assert (request.server_name, request.server_port) == (name, port)


def test_the_peer_is_that_of_the_socket_whatever_the_client_says() -> None:
    request = make_request(headers=[("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")])
    assert (request.ip, request.port, request.client_ip, request.remote_addr) == (
        "127.0.0.1",
        50000,
        "127.0.0.1",
        "",
    )
    assert request.forwarded == {}
    assert (request.socket, request.network_paths) == (("127.0.0.1", 50000), ("127.0.0.1", 8000))
    assert request.conn_info.client_ip == "127.0.0.1"
    assert request.conn_info.server_port == 8000
    stream = request.transport
    assert isinstance(stream, FakeStream)
    stream.client = None
    assert (request.ip, request.port) == ("", 0)


def test_the_query() -> None:
    request = make_request(target="/?a=1&a=2&b=&c=x%20y+z&d")
    assert request.args.get("a") == "1"
    assert request.args.getlist("a") == ["1", "2"]
    assert request.args.get("c") == "x y z"
    assert request.args.get("b", "none") == "none"
    assert request.args is request.args
    assert request.query_args == [("a", "1"), ("a", "2"), ("c", "x y z")]
    assert request.get_args(keep_blank_values=True)["b"] == [""]


async def test_too_many_query_fields_are_400(app: Vivace) -> None:
    @app.get("/")
    async def handler(request: Request) -> Any:
        return len(request.args["a"])

    @app.get("/ok")
    async def ok(request: Request) -> Any:
        return [len(request.args["a"])]

    limit = app.config.QUERY_MAX_FIELDS
    assert (await ask(app, target="/ok?" + "&".join(["a=1"] * limit))).body == b"[%d]" % limit
    assert (await ask(app, target="/?" + "&".join(["a=1"] * (limit + 1)))).status == 400


def test_headers_and_what_hangs_on_them() -> None:
    request = make_request(
        headers=[
            ("Accept", "text/html;q=0.5, application/json"),
            ("Content-Type", "text/plain"),
            ("X-Two", "1"),
            ("X-Two", "2"),
            ("X-Request-ID", "abc"),
        ]
    )
    assert request.headers["x-two"] == "1"
    assert request.headers.getall("X-TWO") == ["1", "2"]
    assert request.headers.x_two == "1, 2"
    assert request.content_type == "text/plain"
    assert [str(item) for item in request.accept] == ["application/json", "text/html"]
    assert request.id == "abc"
    assert b"x-two: 2\r\n" in request.raw_headers
    with pytest.raises(InvalidHeader):
        make_request(headers=[("Accept", "???")]).accept  # noqa: B018


def test_cookies() -> None:
    request = make_request(headers=[("Cookie", "a=1; a=2; __Host-id=x; =nameless")])
    assert request.cookies.get("a") == "1"
    assert request.cookies.getlist("a") == ["1", "2"]
    assert request.cookies.get("id") == "x"
    limit = request.app.config.COOKIE_MAX_COUNT
    with pytest.raises(RequestHeaderFieldsTooLarge):
        make_request(headers=[("Cookie", "a=1;" * (limit + 1))]).cookies  # noqa: B018


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer abc", ("Bearer", "abc", None, None)),
        ("Token abc", ("Token", "abc", None, None)),
        ("bare", ("", "bare", None, None)),
        ("Basic dXNlcjpwYTpzcw==", ("Basic", "dXNlcjpwYTpzcw==", "user", "pa:ss")),
        ("Basic !!!", ("Basic", "!!!", None, None)),
        ("Basic dXNlcg==", ("Basic", "dXNlcg==", None, None)),
    ],
)
def test_credentials(value: str, expected: tuple[Any, ...]) -> None:
    request = make_request(headers=[("Authorization", value)])
    assert request.credentials == expected
    assert request.token == (value if value.startswith("Basic") else expected[1])
    assert make_request().credentials is None
    assert make_request().token is None


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100000, b"{}x", b"{'a': 1}"])
async def test_bad_json_is_400(app: Vivace, body: bytes) -> None:
    @app.post("/")
    async def handler(request: Request) -> Any:
        return [request.json]

    stream = await ask(app, "POST", body=body)
    assert stream.status == 400
    assert b"Failed when parsing body as json" in stream.body


async def test_json_of_no_body_is_none_and_loads_may_be_chosen(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> Any:
        return [request.json, request.load_json(loads=lambda octets: octets.decode())]

    assert (await ask(app, "POST")).body == b"[null,null]"
    assert (await ask(app, "POST", body=b"1")).body == b'[1,"1"]'


async def test_a_urlencoded_form(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> Any:
        return [request.form, request.files, request.get_form(keep_blank_values=True), request.body.decode()]

    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    stream = await ask(app, "POST", headers=kind, body=b"a=1&a=2&b=")
    assert stream.body == b'[{"a":["1","2"]},{},{"a":["1","2"],"b":[""]},"a=1&a=2&b="]'
    assert (await ask(app, "POST", body=b"a=1")).body == b'[{},{},{},"a=1"]'
    many = b"&".join([b"a=1"] * (app.config.FORM_MAX_PARTS + 1))
    assert (await ask(app, "POST", headers=kind, body=many)).status == 413


MULTIPART = {"Content-Type": "multipart/form-data; boundary=xyz"}


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    given = f'; filename="{filename}"' if filename is not None else ""
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'
    return head.encode() + content + b"\r\n"


async def test_a_multipart_form_is_taken_apart_before_the_handler(app: Vivace) -> None:
    app.config.FORM_SPOOL_SIZE = 1000

    @app.post("/")
    async def handler(request: Request) -> Any:
        small, big = request.files["f"]
        return [request.form, small.body.decode(), small.name, big.size, big.in_memory, len(big.body)]

    whole = (
        part("a", b"1") + part("f", b"small", "../../s.txt") + part("f", b"x" * 5000, "b") + b"--xyz--\r\n"
    )
    pieces = [whole[i : i + 100] for i in range(0, len(whole), 100)]
    stream = await ask(app, "POST", headers=MULTIPART, body=pieces)
    assert stream.body == b'[{"a":["1"]},"small","s.txt",5000,false,5000]'


async def test_the_raw_body_of_a_multipart_form_is_not_there_and_says_so(app: Vivace) -> None:
    seen: list[str] = []

    @app.post("/")
    async def handler(request: Request) -> Any:
        with pytest.raises(ServerError) as caught:
            request.body  # noqa: B018
        seen.append(caught.value.message)
        return ""

    assert (await ask(app, "POST", headers=MULTIPART, body=part("a", b"1") + b"--xyz--\r\n")).status == 200
    assert "request.form" in seen[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no boundary at all", 400),
        (part("a", b"1"), 400),
        (b"".join(part(str(i), b"") for i in range(1001)) + b"--xyz--\r\n", 413),
        (part("a", b"x" * 1048577) + b"--xyz--\r\n", 413),
        (part("a" * 17000, b"") + b"--xyz--\r\n", 413),
    ],
)
async def test_a_bad_multipart_form_never_reaches_the_handler(app: Vivace, body: bytes, status: int) -> None:
    called: list[Request] = []
    app.post("/")(called.append)
    assert (await ask(app, "POST", headers=MULTIPART, body=body)).status == status
    assert not called


async def test_a_thousand_parts_are_within_the_limit(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> Any:
        return [len(request.form)]

    body = b"".join(part(str(i), b"v") for i in range(1000)) + b"--xyz--\r\n"
    assert (await ask(app, "POST", headers=MULTIPART, body=body)).body == b"[1000]"


async def test_a_stream_route_gets_the_parts_as_they_arrive(app: Vivace) -> None:
    @app.post("/", stream=True)
    async def handler(request: Request) -> Any:
        found: list[str] = []
        async for event in request.multipart():
            if isinstance(event, FieldStart):
                found.append(event.name)
            elif isinstance(event, FieldData):
                found.append(event.data.decode())
        return found

    body = part("a", b"1") + part("f", b"22", "n") + b"--xyz--\r\n"
    assert (await ask(app, "POST", headers=MULTIPART, body=body)).body == b'["a","1","f","22"]'
    assert (await ask(app, "POST", body=body)).status == 400


async def test_the_spool_is_closed_with_the_request(app: Vivace) -> None:
    app.config.FORM_SPOOL_SIZE = 10
    kept: list[Any] = []

    @app.post("/")
    async def handler(request: Request) -> Any:
        kept.append(request.files["f"][0])
        raise BadRequest("no")

    assert (
        await ask(app, "POST", headers=MULTIPART, body=part("f", b"x" * 50, "n") + b"--xyz--\r\n")
    ).status == 400
    with pytest.raises(ValueError, match="closed"):
        kept[0].body  # noqa: B018


async def test_ctx_belongs_to_one_request(app: Vivace) -> None:
    @app.on_request
    async def mark(request: Request) -> None:
        assert not hasattr(request.ctx, "mark")
        request.ctx.mark = request.args.get("m")

    @app.get("/")
    async def handler(request: Request) -> str:
        await asyncio.sleep(0)
        return str(request.ctx.mark)

    app.finalize()
    streams = [FakeStream(make_head(target=f"/?m={i}")) for i in range(20)]
    await asyncio.gather(*map(app.handle_stream, streams))
    assert [stream.body for stream in streams] == [str(i).encode() for i in range(20)]


async def test_a_custom_request_class_is_used() -> None:
    class Own(Request):
        @property
        def shout(self) -> str:
            return self.path.upper()

    app = make_app(request_class=Own)

    @app.get("/a")
    async def handler(request: Own) -> str:
        return request.shout

    assert (await ask(app, target="/a")).body == b"/A"
    assert (await ask(app, target="/b")).status == 404


def test_a_body_of_no_type_is_octets() -> None:
    assert make_request().content_type == "application/octet-stream"


# What marks a request


@pytest.mark.parametrize(
    ("given", "found"),
    [("abc", "abc"), ("17", 17), (str(UUID(int=5)), UUID(int=5)), ("x" * 200, "x" * 128)],
)
def test_the_id_that_a_client_gives(given: str, found: object) -> None:
    assert make_request(headers=[("X-Request-ID", given)]).id == found


def test_an_id_is_made_up_once_and_may_be_ones_own() -> None:
    request = make_request()
    assert isinstance(request.id, UUID)
    assert request.id == request.id

    class Mine(Request):
        __slots__ = ()

        @classmethod
        def generate_id(cls, _request: Any) -> int:
            return 5

        @staticmethod
        def make_context() -> Any:
            return {"own": True}

    mine = Mine(make_app(), FakeStream(make_head()), None, {})
    assert (mine.id, mine.ctx) == (5, {"own": True})


async def test_a_request_class_of_its_own_is_used() -> None:
    class Mine(Request):
        __slots__ = ()

        @property
        def shouted(self) -> str:
            return self.path.upper()

    app = make_app(request_class=Mine)

    @app.get("/a")
    async def handler(request: Mine) -> str:
        return request.shouted

    assert (await ask(app, target="/a")).body == b"/A"


async def test_the_current_request_is_found_where_the_app_keeps_track() -> None:
    class Tracking(Vivace[Any, Any]):
        tracks_requests = True

    app = Tracking("tracking")

    @app.get("/")
    async def handler(request: Request) -> str:
        return str(await asyncio.create_task(look(request)))

    async def look(request: Request) -> bool:
        return Request.get_current() is request

    assert (await asyncio.create_task(ask(app))).body == b"True"
    with pytest.raises(ServerError, match="tracks_requests"):
        Request.get_current()


def test_what_belongs_to_the_connection_outlives_the_request() -> None:
    app, stream = make_app(), FakeStream(make_head())
    first, second = Request(app, stream, None, {}), Request(app, stream, None, {})
    first.conn_info.ctx.count = 1
    assert second.conn_info.ctx.count == 1
    assert first.conn_info is first.conn_info
    info = first.conn_info
    assert (info.client, info.client_port, info.server_port, info.ssl) == ("127.0.0.1", 50000, 8000, False)
    assert (info.peername, info.sockname) == (stream.client, stream.server)
    assert (info.lost, info.cert, info.server_name) == (False, {}, "")
    stream.disconnected = True
    assert info.lost


def test_the_request_line_as_octets() -> None:
    assert make_request(target="/a?b").request_line == b"GET /a?b HTTP/1.1"


async def test_an_opened_response_is_taken_back_before_it_is_sent() -> None:
    app = make_app()

    @app.get("/")
    async def handler(request: Request) -> None:
        await request.respond(status=201)
        request.reset_response()
        assert not request.responded
        response = await request.respond(status=202)
        await response.send("x")
        with pytest.raises(ServerError, match="Cannot reset"):
            request.reset_response()

    assert (await ask(app)).status == 202
