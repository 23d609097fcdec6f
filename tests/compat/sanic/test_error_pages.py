"""Error pages through the alias: their octets, their choice, own renderers and handlers."""

from typing import Any

import pytest

from vivace import Request, Vivace
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.errorpages import (
    BaseRenderer,
    HTMLRenderer,
    JSONRenderer,
    TextRenderer,
    check_error_format,
    exception_response,
    guess_mime,
)
from vivace.compat.sanic.handlers import ErrorHandler
from vivace.errors import NotFound, SanicException, ServerError
from vivace.framework.response import HTTPResponse, json, text


def make_app(error: Exception, **options: Any) -> Sanic:
    app = Sanic("pages", **options)

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        raise error

    return app


def ask(app: Vivace[Any, Any], path: str = "/", accept: str = "*/*", **options: Any) -> Any:
    return app.test_client.get(path, headers={"accept": accept}, **options)[1]


def test_a_text_page_ends_with_two_newlines() -> None:
    page = ask(make_app(NotFound("nope"))).text
    assert page == "⚠️ 404 — Not Found\n==================\nnope\n\n"


def test_context_is_written_as_json_under_a_heading_of_its_own() -> None:
    error = SanicException("hello", context={"a": 1, "b": {"c": [1]}, "d": "<x>"}, extra={"z": 1})
    page = ask(make_app(error)).text
    bar = "=" * len("⚠️ 500 — Internal Server Error")
    assert page == (
        f"⚠️ 500 — Internal Server Error\n{bar}\nhello\n\n\n"
        'Context\n    a: 1\n    b: {"c":[1]}\n    d: "<x>"'
    )


def test_nothing_of_an_unknown_exception_is_shown() -> None:
    page = ask(make_app(ValueError("secret")), accept="application/json").json
    assert page == {
        "description": "Internal Server Error",
        "status": 500,
        "message": "The application encountered an unexpected error and could not continue.",
    }


def test_non_ascii_text_is_escaped_in_json() -> None:
    body = ask(make_app(NotFound("ünï")), accept="application/json").text
    assert body == '{"description":"Not Found","status":404,"message":"\\u00fcn\\u00ef"}'


def test_debug_json_has_path_arguments_and_exceptions() -> None:
    page = ask(make_app(ValueError("seen")), "/?q=1&q=2", "application/json", debug=True).json
    assert page["message"] == "seen"
    assert page["path"] == "/"
    assert page["args"] == {"q": ["1", "2"]}
    assert [(one["type"], one["exception"]) for one in page["exceptions"]] == [("ValueError", "seen")]
    assert page["exceptions"][0]["frames"][-1]["src"] == "raise error"


def test_debug_text_has_the_traceback_context_and_extra() -> None:
    error = SanicException("hello", context={"a": 1}, extra={"z": 2})
    page = ask(make_app(error), accept="text/plain", debug=True).text
    assert "SanicException: hello while handling path /\nTraceback of pages (most recent call last):" in page
    assert page.endswith("\n\nContext\n    a: 1\n\nExtra\n    z: 2")


def test_quiet_exceptions_have_the_short_page_in_debug_mode_too() -> None:
    page = ask(make_app(ServerError("s", quiet=True, extra={"z": 1})), accept="application/json", debug=True)
    assert page.json == {"description": "Internal Server Error", "status": 500, "message": "s"}


def test_html_is_escaped() -> None:
    app = make_app(SanicException("<b>msg</b>", context={"k": "<v>"}))
    page = ask(app, accept="text/html").text
    assert "&lt;b&gt;msg&lt;/b&gt;" in page
    assert "&lt;v&gt;" in page
    assert "<b>msg" not in page
    assert "<title>Application Pages cannot handle your request</title>" in page
    shown = ask(app, accept="text/html", debug=True).text
    assert "SanicException: &lt;b&gt;msg&lt;/b&gt; while handling path /" in shown


@pytest.mark.parametrize(
    ("fallback", "accept", "mime"),
    [
        ("auto", "*/*", "text/plain"),
        ("auto", "text/html", "text/html"),
        ("auto", "text/html, application/json", "application/json"),
        ("auto", "application/json;q=0.5, text/html", "text/html"),
        ("auto", "text/*", "text/plain"),
        ("auto", "image/png", "text/plain"),
        ("html", "application/json", "text/plain"),
        ("html", "*/*", "text/html"),
        ("json", "text/html,*/*;q=0.8", "application/json"),
    ],
)
def test_the_fallback_is_the_only_format_offered_unless_it_is_auto(
    fallback: str, accept: str, mime: str
) -> None:
    app = make_app(NotFound())
    app.config.FALLBACK_ERROR_FORMAT = fallback
    assert ask(app, accept=accept).content_type.partition(";")[0] == mime


def test_json_is_answered_as_json() -> None:
    app = make_app(NotFound())
    _, response = app.test_client.get("/", headers={"content-type": "application/json"})
    assert response.content_type == "application/json"


def test_own_renderers() -> None:
    class Own(BaseRenderer):
        def full(self) -> HTTPResponse:
            return text(f"full {self.text}")

        def minimal(self) -> HTTPResponse:
            return text(f"minimal {self.title}")

    app = Sanic("own")

    @app.get("/<debug:int>")
    async def index(request: Request, debug: int) -> HTTPResponse:
        error = ServerError("s", headers={"x-a": "b"})
        return exception_response(request, error, bool(debug), "text", base=Own, renderer=Own)

    plain, full = ask(app, "/0"), ask(app, "/1")
    assert (plain.status, plain.text) == (500, "minimal 500 — Internal Server Error")
    assert (full.status, full.text, full.headers["x-a"]) == (500, "full s", "b")


def test_the_base_renderer_answers_where_nothing_offered_is_taken() -> None:
    app = make_app(NotFound(), error_handler=ErrorHandler(base=HTMLRenderer))
    assert ask(app).content_type == "text/plain; charset=utf-8"
    assert ask(app, accept="image/png").content_type == "text/html; charset=utf-8"


def test_parts_of_renderers_can_be_overridden() -> None:
    class Short(TextRenderer):
        OUTPUT_TEXT = "{title}: {text}"

    class Wrapped(JSONRenderer):
        def minimal(self) -> HTTPResponse:
            return json({"error": self._generate_output(full=False)})

    short = ask(make_app(NotFound("n"), error_handler=ErrorHandler(Short)), accept="image/png")
    assert short.text == "⚠️ 404 — Not Found: n"
    wrapped = ask(make_app(NotFound("n"), error_handler=ErrorHandler(Wrapped)), accept="image/png")
    assert wrapped.json == {"error": {"description": "Not Found", "status": 404, "message": "n"}}


def test_the_base_class_makes_no_page() -> None:
    renderer = BaseRenderer(None, NotFound(), False)  # type: ignore[arg-type]  # not looked at
    with pytest.raises(NotImplementedError):
        renderer.render()
    with pytest.raises(NotImplementedError):
        renderer.full()


def test_formats_are_checked() -> None:
    check_error_format("json")
    with pytest.raises(SanicException, match="Unknown format: yaml"):
        check_error_format("yaml")


def test_the_type_is_guessed_of_what_is_taken() -> None:
    app = Sanic("guess")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text(guess_mime(request, "auto") + "|" + guess_mime(request, "html"))

    assert ask(app, accept="text/html").text == "text/html|"
    assert ask(app, accept="nonsense").text == "|"


def test_every_method_of_the_handler_can_be_overridden() -> None:
    seen: list[str] = []

    class Handler(ErrorHandler):
        def response(self, request: Request, exception: Any) -> Any:
            seen.append("response")
            return super().response(request, exception)

        def lookup(self, exception: BaseException, route_name: str | None = None) -> Any:
            seen.append(f"lookup {route_name}")
            return super().lookup(exception, route_name)

        def default(self, request: Request, exception: Exception) -> HTTPResponse:
            seen.append("default")
            return super().default(request, exception)

        @staticmethod
        def log(request: Request, exception: Exception) -> None:
            seen.append("log")

    assert ask(make_app(ValueError(), error_handler=Handler())).status == 500
    assert seen == ["response", "lookup pages.index", "default", "log"]


def test_responses_of_a_handler_may_be_coroutines() -> None:
    class Handler(ErrorHandler):
        async def response(self, request: Request, exception: Any) -> Any:
            return text("awaited", status=501)

    answer = ask(make_app(ValueError(), error_handler=Handler()))
    assert (answer.status, answer.text) == (501, "awaited")


def test_a_default_that_fails_is_a_plain_500() -> None:
    class Handler(ErrorHandler):
        def default(self, request: Request, exception: Exception) -> HTTPResponse:
            raise RuntimeError("in default")

    answer = ask(make_app(NotFound(), error_handler=Handler()))
    assert (answer.status, answer.text) == (500, "An error occurred while handling an error")


def test_a_default_without_a_result_is_a_plain_500() -> None:
    class Handler(ErrorHandler):
        def default(self, request: Request, exception: Exception) -> Any:
            return None

    answer = ask(make_app(NotFound(), error_handler=Handler()))
    assert (answer.status, answer.text) == (500, "An error occurred while handling an error")


def test_an_exception_handler_gives_a_response_or_nothing() -> None:
    app = make_app(ValueError("v"))
    app.exception(ValueError)(lambda request, error: "text")
    answer = ask(app)
    assert answer.status == 500
    assert "Invalid response type 'text' (need HTTPResponse)" in answer.text
