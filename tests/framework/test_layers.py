"""Middleware, exception handlers and error pages: what lies around handlers."""

import functools
from typing import Any

import msgspec
import pytest

from tests.framework.streams import FakeStream, ask, make_app, make_head
from vivace import (
    BadRequest,
    Blueprint,
    Forbidden,
    HTTPException,
    HTTPResponse,
    NotFound,
    Request,
    ServerError,
    Unauthorized,
    Vivace,
    html,
    json,
    text,
)
from vivace.errors import ConfigError
from vivace.framework import response


@pytest.fixture
def app() -> Vivace:
    return make_app()


def recorder(seen: list[str], app: Vivace | Blueprint, name: str, priority: int = 0) -> None:
    @app.on_request(priority=priority)
    async def before(request: Request) -> None:
        seen.append(f"{name}>")

    @app.on_response(priority=priority)
    def after(request: Request, response: HTTPResponse) -> None:
        seen.append(f"<{name}")


async def test_middleware_lies_around_the_handler_like_an_onion(app: Vivace) -> None:
    seen: list[str] = []
    blueprint = Blueprint("bp", url_prefix="/bp")

    @blueprint.get("/")
    async def inner(request: Request) -> str:
        seen.append("inner")
        return ""

    @app.get("/")
    async def outer(request: Request) -> str:
        seen.append("outer")
        return ""

    recorder(seen, app, "a")
    recorder(seen, app, "b")
    recorder(seen, blueprint, "p")
    recorder(seen, app, "high", priority=9)
    app.blueprint(blueprint)
    await ask(app, target="/bp/")
    assert seen == ["high>", "a>", "b>", "p>", "inner", "<p", "<b", "<a", "<high"]
    seen.clear()
    await ask(app)
    assert seen == ["high>", "a>", "b>", "outer", "<b", "<a", "<high"]


async def test_a_request_middleware_may_answer(app: Vivace) -> None:
    seen: list[str] = []

    @app.middleware("request")
    def stop(request: Request) -> Any:
        return {"stopped": True} if request.args.get("stop") else None

    recorder(seen, app, "late")

    @app.get("/")
    async def handler(request: Request) -> str:
        return "handled"

    assert (await ask(app, target="/?stop=1")).body == b'{"stopped":true}'
    assert seen == ["<late"]
    assert (await ask(app)).body == b"handled"


async def test_a_response_middleware_may_replace_and_change(app: Vivace) -> None:
    @app.middleware("response")
    async def never(request: Request, response: HTTPResponse) -> None:
        raise AssertionError("the chain ended before")

    @app.middleware("response")
    async def replace(request: Request, response: HTTPResponse) -> Any:
        return text(response.body.decode() + "!")

    @app.on_response
    def change(request: Request, response: HTTPResponse) -> None:
        response.headers["X"] = "1"

    @app.get("/")
    async def handler(request: Request) -> str:
        return "hello"

    stream = await ask(app)
    assert (stream.body, "x" in stream.fields) == (b"hello!", False)


async def test_middleware_runs_once_also_for_errors_and_404(app: Vivace) -> None:
    seen: list[str] = []
    recorder(seen, app, "a")

    @app.get("/broken")
    async def broken(request: Request) -> str:
        raise ServerError("no", quiet=True)

    assert (await ask(app, target="/broken")).status == 500
    assert seen == ["a>", "<a"]
    seen.clear()
    assert (await ask(app, target="/none")).status == 404
    assert seen == ["a>", "<a"]
    seen.clear()
    assert (await ask(app, "PUT", target="/broken")).status == 405
    assert seen == ["a>", "<a"]
    seen.clear()
    assert (await ask(app, "OPTIONS", target="/broken")).status == 204
    assert seen == ["a>", "<a"]


async def test_a_failing_response_middleware_is_logged_and_the_response_sent(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.on_response
    async def ill(request: Request, response: HTTPResponse) -> None:
        raise RuntimeError("ill")

    @app.get("/")
    async def handler(request: Request) -> str:
        return "well"

    assert (await ask(app)).body == b"well"
    assert "ill" in caplog.text


async def test_a_failing_request_middleware_is_an_error_like_any_other(app: Vivace) -> None:
    @app.on_request
    async def refuse(request: Request) -> None:
        raise Forbidden("not you")

    @app.get("/")
    async def handler(request: Request) -> str:
        return "never"

    assert (await ask(app)).status == 403


async def test_a_partial_of_a_coroutine_function_is_awaited(app: Vivace) -> None:
    async def add(name: str, request: Request, response: HTTPResponse) -> None:
        response.headers[name] = "1"

    app.register_middleware(functools.partial(add, "X-P"), "response")
    app.add_route(lambda request: "x", "/", inline=True, name="x")
    assert (await ask(app)).fields["x-p"] == "1"


@pytest.mark.parametrize(
    "register",
    [
        lambda app: app.middleware("sideways"),
        lambda app: app.on_request(lambda: None),
        lambda app: app.on_response(lambda request: None),
        lambda app: app.exception(NotFound)(lambda request: None),
        lambda app: app.exception(),
        lambda app: app.listener("someday"),
        lambda app: app.before_server_start(lambda: None),
    ],
)
def test_what_does_not_fit_is_refused_at_registration(app: Vivace, register: Any) -> None:
    with pytest.raises(ConfigError):
        decorated = register(app)
        decorated(lambda request: None)


# Exceptions


class Own(Exception):
    pass


class OwnChild(Own):
    pass


async def test_the_nearest_handler_answers(app: Vivace) -> None:
    @app.exception(Own)
    async def own(request: Request, exception: Own) -> HTTPResponse:
        return text("own", 555)

    @app.exception([NotFound, Forbidden])
    def several(request: Request, exception: HTTPException) -> str:
        return f"several {exception.status_code}"

    @app.all_exceptions
    async def every(request: Request, exception: Exception) -> Any:
        return {"every": type(exception).__name__}

    @app.get("/<which>")
    async def handler(request: Request, which: str) -> str:
        kinds: dict[str, type[Exception]] = {"own": OwnChild, "forbidden": Forbidden, "other": KeyError}
        raise kinds[which]

    assert (await ask(app, target="/own")).status == 555
    assert (await ask(app, target="/forbidden")).body == b"several 403"
    assert (await ask(app, target="/a/b")).body == b"several 404"
    assert (await ask(app, target="/other")).body == b'{"every":"KeyError"}'


async def test_a_blueprint_goes_before_the_app(app: Vivace) -> None:
    blueprint = Blueprint("bp", url_prefix="/bp")

    @app.exception(OwnChild)
    async def of_app(request: Request, exception: Own) -> str:
        return "app"

    @blueprint.exception(Own)
    async def of_blueprint(request: Request, exception: Own) -> str:
        return "blueprint"

    async def handler(request: Request) -> str:
        raise OwnChild

    app.add_route(handler, "/")
    blueprint.add_route(handler, "/")
    app.blueprint(blueprint)
    assert (await ask(app)).body == b"app"
    assert (await ask(app, target="/bp")).body == b"blueprint"


def test_two_handlers_for_one_exception_are_refused(app: Vivace) -> None:
    app.exception(Own)(lambda request, exception: None)
    with pytest.raises(ConfigError, match=r"Duplicate exception handler definition on: .*Own") as caught:
        app.exception(Own)(lambda request, exception: None)
    assert isinstance(caught.value, ServerError)


# Pages


async def page(app: Vivace, accept: str | None, error: Exception, **options: Any) -> FakeStream:
    @app.get("/", **options)
    async def handler(request: Request) -> str:
        raise error

    return await ask(app, headers={} if accept is None else {"Accept": accept})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json;q=0.1, text/html;q=0.2", "text/html; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        ("&&&", "text/plain; charset=utf-8"),
    ],
)
async def test_the_page_is_what_the_client_accepts(app: Vivace, accept: str | None, kind: str) -> None:
    stream = await page(app, accept, NotFound("<gone>"))
    assert (stream.status, stream.fields["content-type"]) == (404, kind)
    assert b"gone" in stream.body
    if "html" in kind:
        assert b"<gone>" not in stream.body
        assert b"&lt;gone&gt;" in stream.body
        assert b"<script" not in stream.body


async def test_the_route_and_the_setting_choose_the_format(app: Vivace) -> None:
    app.config.FALLBACK_ERROR_FORMAT = "html"
    assert (await page(app, None, NotFound("x"))).fields["content-type"].startswith("text/html")
    other = make_app()
    other.config.FALLBACK_ERROR_FORMAT = "html"
    stream = await page(other, "*/*", NotFound("x"), error_format="json")
    assert msgspec.json.decode(stream.body) == {"description": "Not Found", "status": 404, "message": "x"}
    with pytest.raises(ConfigError, match="Unknown format: xml"):
        app.get("/bad", error_format="xml")(lambda request: None)


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/text", None, "text/plain; charset=utf-8"),
        ("/json", None, "application/json"),
        ("/module", "*/*", "application/json"),
        ("/html", "*/*", "text/html; charset=utf-8"),
        ("/both", None, "text/plain; charset=utf-8"),
        ("/chosen", None, "text/html; charset=utf-8"),
        ("/json", "text/html", "text/html; charset=utf-8"),
        ("/chosen", "application/json, text/html;q=0.5", "application/json"),
        ("/chosen", "image/png", "text/plain; charset=utf-8"),
    ],
)
async def test_the_format_follows_the_handler_where_the_client_takes_anything(
    app: Vivace, path: str, accept: str | None, kind: str
) -> None:
    def refuse(request: Request) -> None:
        raise NotFound("x")

    app.on_request(refuse)
    app.get("/text")(answer_text)
    app.get("/json")(functools.partial(answer_json))
    app.get("/module", name="module")(answer_by_module)
    app.get("/html")(answer_html)
    app.get("/both")(answer_both)
    app.get("/chosen", error_format="html", name="chosen")(answer_json)
    stream = await ask(app, target=path, headers={"Accept": accept} if accept else {})
    assert (stream.status, stream.fields["content-type"]) == (404, kind)


async def answer_text(request: Request) -> HTTPResponse:
    return text("x")


async def answer_json(request: Request) -> HTTPResponse:
    return json("x")


async def answer_by_module(request: Request) -> HTTPResponse:
    return response.json("x")


async def answer_html(request: Request) -> HTTPResponse:
    return html("x")


async def answer_both(request: Request) -> HTTPResponse:
    return text("x") if request.args else json("x")


async def test_a_json_client_that_takes_anything_gets_json(app: Vivace) -> None:
    @app.post("/")
    async def handler(request: Request) -> str:
        raise BadRequest("x")

    stream = await ask(app, "POST", headers={"Content-Type": "application/json"}, body=b"{}")
    assert stream.fields["content-type"] == "application/json"


async def test_context_is_shown_and_extra_is_not(app: Vivace) -> None:
    error = BadRequest("x", context={"field": "a"}, extra={"secret": "b"})
    stream = await page(app, "application/json", error)
    assert msgspec.json.decode(stream.body)["context"] == {"field": "a"}
    assert b"secret" not in stream.body


async def test_the_text_page_line_by_line(app: Vivace) -> None:
    stream = await page(app, None, BadRequest("x", context={"field": "a"}))
    heading = "⚠️ 400 — Bad Request"
    assert stream.body.decode() == f"{heading}\n{'=' * len(heading)}\nx\n\n\nContext\n    field: a"
    plain = await page(make_app(), None, BadRequest("x"))
    assert plain.body.decode().endswith("===\nx\n\n")


async def test_a_challenge_becomes_a_field(app: Vivace) -> None:
    stream = await page(app, None, Unauthorized("who?", scheme="Basic", realm='a"b'))
    assert (stream.status, stream.fields["www-authenticate"]) == (401, 'Basic realm="a\\"b"')


@pytest.mark.parametrize("accept", ["text/plain", "application/json", "text/html"])
@pytest.mark.parametrize(
    ("debug", "client", "host", "shown"),
    [
        (True, ("127.0.0.1", 1), "localhost:8000", True),
        (True, None, "127.0.0.1", True),
        (False, ("127.0.0.1", 1), "localhost", False),
        (True, ("10.0.0.1", 1), "localhost", False),
        (True, ("127.0.0.1", 1), "evil.example", False),
    ],
)
async def test_a_traceback_is_shown_in_debug_mode_on_this_machine_only(
    app: Vivace, accept: str, debug: bool, client: Any, host: str, shown: bool
) -> None:
    app.config.DEBUG = debug

    @app.get("/")
    async def handler(request: Request) -> str:
        raise RuntimeError("<inside>")

    app.finalize()
    stream = FakeStream(make_head(headers=[("Accept", accept)], host=host))
    stream.client = client
    await app.handle_stream(stream)
    assert (b"RuntimeError" in stream.body) is shown
    assert (b"inside" in stream.body) is shown
    assert b"<inside>" not in stream.body or accept != "text/html"


async def test_what_the_client_sent_is_escaped_in_the_page(app: Vivace) -> None:
    stream = await ask(app, target="/<script>", headers={"Accept": "text/html"})
    assert b"<script>" not in stream.body
    assert b"&lt;script&gt;" in stream.body


async def test_an_error_handler_of_its_own_is_used() -> None:
    from vivace.framework.error_handler import ErrorHandler

    class Mine(ErrorHandler):
        def default(self, request: Request, exception: Exception) -> HTTPResponse:
            return text(f"mine: {type(exception).__name__}", 418)

    stream = await ask(make_app(error_handler=Mine()), target="/none")
    assert (stream.status, stream.body) == (418, b"mine: NotFound")
