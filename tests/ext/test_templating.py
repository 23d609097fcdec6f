"""Pages from templates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateNotFound, TemplateSyntaxError

from tests.framework.streams import make_app
from vivace import Blueprint, HTTPMethodView, Request, Vivace
from vivace.errors import DeclarationError
from vivace.ext import Extend, templating
from vivace.ext.templating import LazyResponse, TemplateResponse, render
from vivace.framework.response import HTTPResponse, text
from vivace.testing import Response, SyncClient

PAGE = "Hello {{ name }} at {{ request.path }}, see {{ url_for('plain') }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = tmp_path / "templates"
    pages.mkdir()
    (pages / "page.html").write_text(PAGE)
    (pages / "note.txt").write_text("{{ x }}")
    (pages / "wrong.html").write_text("{% if %}")
    (pages / "call.html").write_text("{{ call() }}")
    return pages


@pytest.fixture
def app(folder: Path) -> Vivace:
    return extended(folder)


def extended(places: Any, **settings: Any) -> Vivace:
    app = make_app()
    Extend(app, config={"templating_path_to_templates": places, **settings})

    @app.get("/plain")
    async def plain(request: Request) -> HTTPResponse:
        return text("")

    return app


def answer(app: Vivace, template: Any, result: Any) -> Response:
    async def give(request: Request) -> Any:
        return result

    app.add_route(template(result if callable(result) else give), "/page", name="page")
    with SyncClient(app, raise_exceptions=False) as client:
        return client.get("/page")


def test_a_handler_returns_the_values_of_its_template(app: Vivace) -> None:
    response = answer(app, app.ext.template("page.html"), {"name": "Ann"})
    assert (response.status, response.text) == (200, "Hello Ann at /page, see /plain")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_the_decorator_says_status_fields_and_type(app: Vivace) -> None:
    template = app.ext.template("note.txt", status=418, headers={"x-a": "1"}, content_type="text/plain")
    response = answer(app, template, {"x": 1})
    assert (response.status, response.headers["x-a"], response.headers["content-type"], response.text) == (
        418,
        "1",
        "text/plain",
        "1",
    )


def test_a_lazy_answer_goes_before_the_decorator(app: Vivace) -> None:
    async def handler(request: Request) -> HTTPResponse:
        return await render(context={"name": "Bob"}, status=201, headers={"x-b": "2"}, content_type="text/b")

    response = answer(app, app.ext.template("page.html", status=202), handler)
    assert (response.status, response.headers["x-b"], response.headers["content-type"]) == (
        201,
        "2",
        "text/b",
    )
    assert response.text.startswith("Hello Bob at /page")


def test_another_response_is_sent_as_it_is(app: Vivace) -> None:
    assert answer(app, app.ext.template("page.html"), text("own", status=203)).status == 203


@pytest.mark.parametrize("result", [None, "text", [("name", "Ann")], ({"name": "Ann"}, 201)])
def test_anything_else_is_an_error_that_names_the_handler(app: Vivace, result: Any) -> None:
    async def handler(request: Request) -> Any:
        return result

    app.add_route(app.ext.template("page.html")(handler), "/page")
    with (
        SyncClient(app) as client,
        pytest.raises(TypeError, match=r"HTTPResponse\. handler returned"),
    ):
        client.get("/page")


def test_functions_views_and_blueprints_can_have_templates(app: Vivace) -> None:
    template: Callable[[Any], Any] = app.ext.template("page.html")
    blueprint = Blueprint("part", url_prefix="/part")

    @app.get("/sync")
    @template
    def plain_function(request: Request) -> dict[str, str]:
        return {"name": "sync"}

    @blueprint.get("/<name>")
    @template
    async def with_value(request: Request, name: str) -> dict[str, str]:
        return {"name": name}

    class View(HTTPMethodView):
        @template
        async def get(self, request: Request) -> dict[str, str]:
            return {"name": "view"}

    app.add_route(View.as_view(), "/view")
    app.blueprint(blueprint)
    with SyncClient(app) as client:
        found = [client.get(path).text for path in ("/sync", "/part/zoe", "/view")]
    assert found == [
        f"Hello {n} at {p}, see /plain"
        for n, p in (("sync", "/sync"), ("zoe", "/part/zoe"), ("view", "/view"))
    ]


def test_a_page_can_be_made_within_a_handler(app: Vivace) -> None:
    async def handler(request: Request) -> HTTPResponse:
        return await render(
            "page.html", 203, {"x-c": "3"}, "text/c", app, None, {"name": "C", "request": request}
        )

    response = answer(app, lambda f: f, handler)
    assert (response.status, response.headers["x-c"], response.text) == (
        203,
        "3",
        "Hello C at /page, see /plain",
    )


async def test_what_is_made_is_a_response(app: Vivace) -> None:
    made = await render(template_source="{{ x }}", app=app, context={"x": "<b>"})
    assert isinstance(made, TemplateResponse)
    assert (made.body, made.status) == (b"&lt;b&gt;", 200)
    lazy = await render(context={"x": 1})
    assert isinstance(lazy, LazyResponse)
    assert lazy.context == {"x": 1}


async def test_name_and_source_exclude_each_other(app: Vivace) -> None:
    with pytest.raises(Exception, match="template_name OR template_source"):
        await render("page.html", template_source="x", app=app)


async def test_without_an_app_it_has_to_be_the_only_one(app: Vivace, folder: Path) -> None:
    other = make_app("other")
    with pytest.raises(Exception, match="ambiguous"):
        await render("note.txt", context={"x": 1})
    del other


async def test_awaitable_functions_can_be_called_in_templates(app: Vivace) -> None:
    async def call() -> str:
        return "awaited"

    made = await render("call.html", app=app, context={"call": call})
    assert made.body == b"awaited"


async def test_templates_can_be_synchronous(folder: Path) -> None:
    app = extended(folder, templating_enable_async=False)
    assert not app.ext.environment.is_async
    made = await render("note.txt", app=app, context={"x": "plain"})
    assert made.body == b"plain"


@pytest.mark.parametrize(
    "places", [str, Path, lambda path: [path], lambda path: (str(path),), lambda path: ["nowhere", str(path)]]
)
async def test_templates_are_found_below_one_or_several_folders(
    folder: Path, places: Callable[[Path], Any]
) -> None:
    made = await render("note.txt", app=extended(places(folder)), context={"x": 1})
    assert made.body == b"1"


def test_a_missing_or_malformed_template_is_an_error_at_the_start(app: Vivace) -> None:
    with pytest.raises(TemplateNotFound, match=r"nothing\.html"):
        app.ext.template("nothing.html")
    with pytest.raises(TemplateSyntaxError):
        app.ext.template("wrong.html")


async def test_filters_and_globals_can_be_added(app: Vivace) -> None:
    app.ext.environment.filters["loud"] = str.upper
    made = await render(template_source="{{ 'a'|loud }}", app=app)
    assert made.body == b"A"


def test_without_jinja_a_sentence_says_what_to_install(app: Vivace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(DeclarationError, match=r"pip install 'vivace\[templates\]'"):
        app.ext.template("page.html")


def test_without_jinja_the_extension_is_not_listed(monkeypatch: pytest.MonkeyPatch, app: Vivace) -> None:
    extension = next(e for e in app.ext.extensions if e.name == "templating")
    assert extension.included()
    assert extension.label().startswith("jinja2==")
    monkeypatch.setattr(templating, "find_spec", lambda name: None)
    assert not extension.included()
