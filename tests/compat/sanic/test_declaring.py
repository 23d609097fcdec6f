"""What the alias takes when something is declared, and what it refuses in Sanic's words."""

import threading
from functools import partial
from typing import Any, ClassVar

import pytest

from vivace import Request
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.declaring import SanicTypes
from vivace.compat.sanic.views import HTTPMethodView
from vivace.errors import (
    BadMethod,
    InvalidRoute,
    ParameterNameConflicts,
    RouteExists,
    SanicException,
    ServerError,
    URLBuildError,
)
from vivace.framework.response import HTTPResponse, text


async def handler(request: Request, **values: Any) -> HTTPResponse:
    return text(f"{request.name} {values}")


@pytest.fixture
def app() -> Sanic:
    return Sanic("app")


def status(app: Sanic, path: str, **options: Any) -> int:
    return int(app.test_client.get(path, **options)[1].status)


# Names


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.b", "é"])
@pytest.mark.parametrize("kind", [Sanic, Blueprint])
def test_a_malformed_name_is_refused(kind: type, name: str) -> None:
    with pytest.raises(SanicException) as caught:
        kind(name)
    assert str(caught.value) == (
        f"{kind.__name__} instance named '{name}' uses an invalid format. Names must begin with a character "
        "and may only contain alphanumeric characters, _, or -."
    )


def test_a_missing_name_is_refused() -> None:
    with pytest.raises(SanicException, match=r"cannot be unnamed. Please use Sanic\(name='your_appl"):
        Sanic(None)  # type: ignore[arg-type]


def test_apps_that_are_not_there_are_named() -> None:
    with pytest.raises(SanicException, match=r"Sanic app name 'no-such' not found\.\nApp instantiation must"):
        Sanic.get_app("no-such")
    with pytest.raises(SanicException, match="Registered app must be an instance of Sanic"):
        Sanic.register_app("x")  # type: ignore[arg-type]


def test_unknown_attributes_are_refused_with_the_way_out(app: Sanic) -> None:
    with pytest.raises(AttributeError) as caught:
        app.foo = 1  # type: ignore[attr-defined]
    assert str(caught.value) == (
        "Setting variables on Sanic instances is not allowed. You should change your Sanic instance to use "
        "instance.ctx.foo instead."
    )


def test_a_subclass_names_its_attributes_itself() -> None:
    class Named(Sanic):
        __slots__ = ("extra",)

    class Plain(Blueprint):
        """Names none."""

    Named("named").extra = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="Setting variables on Plain instances is not allowed"):
        Plain("plain").extra = 1  # type: ignore[attr-defined]


def test_the_loop_is_there_once_the_app_runs(app: Sanic) -> None:
    with pytest.raises(SanicException, match="Loop can only be retrieved after the app has started running"):
        _ = app.loop


@pytest.mark.parametrize(
    ("found", "name", "expected"),
    [
        (handler, None, "app.handler"),
        (handler, "app.named", "app.named"),
        (handler, "a.b", "app.a.b"),
        (lambda request: None, None, "app.<lambda>"),
        (partial(handler, x=1), "given", "app.given"),
        (type("Callable", (), {"name": "own", "__call__": handler})(), None, "app.own"),
    ],
)
def test_routes_get_their_names(app: Sanic, found: Any, name: str | None, expected: str) -> None:
    app.add_route(found, "/x", name=name)
    assert [route.name for route in app.router.routes] == [expected]


def test_a_handler_without_a_name_needs_one(app: Sanic) -> None:
    with pytest.raises(ValueError, match="Could not generate a name for handler"):
        app.add_route(partial(handler), "/x")


def test_two_routes_of_one_name_end_the_start(app: Sanic) -> None:
    app.add_route(handler, "/a")
    app.add_route(handler, "/b")
    app.finalize()
    with pytest.raises(ServerError, match=r"Duplicate route names detected: app\.handler\. You should"):
        app.test_client.get("/a")


# Handlers


def test_a_handler_needs_a_parameter_for_the_request(app: Sanic) -> None:
    def nothing() -> None: ...

    with pytest.raises(ValueError) as caught:
        app.get("/x")(nothing)
    assert str(caught.value) == "Required parameter `request` missing in the nothing() route?"


def test_a_handler_may_lack_the_parameters_of_its_path(app: Sanic) -> None:
    @app.get("/<x>")
    async def short(request: Request) -> HTTPResponse:
        return text("short")

    app.add_route(lambda **given: text("any"), "/any", name="any")
    assert app.url_for("short", x=1) == "/1"
    assert status(app, "/1") == 500


def test_unknown_options_and_formats_are_refused(app: Sanic) -> None:
    with pytest.raises(TypeError) as caught:
        app.get("/a", foo=1, bar=2)(handler)
    assert str(caught.value) == "Unexpected keyword arguments: foo, bar"
    with pytest.raises(SanicException, match=r"^Unknown format: nope$"):
        app.get("/a", error_format="nope")(handler)


# Paths and methods


@pytest.mark.parametrize("methods", [["FOO"], ["GET", "TRACE"]])
def test_a_method_that_is_none_is_refused(app: Sanic, methods: list[str]) -> None:
    with pytest.raises(BadMethod, match=r"Bad method: \['(FOO|TRACE)'\]. Must be one of: \(<HTTPMethod.GET"):
        app.add_route(handler, "/x", methods=methods)
    blueprint = Blueprint("bp")
    blueprint.add_route(handler, "/x", methods=methods)
    with pytest.raises(BadMethod):
        app.blueprint(blueprint)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/<x", "Invalid declaration: <x"),
        ("/<x:int>y", "Invalid declaration: <x:int>y"),
        ("/<:int>", "Invalid declaration: <:int>"),
        ("/<x:(a)(b)>", "Invalid matching pattern (a)(b)"),
        ("/<x:(?P<y>a)>", "Named group (y) must match your named parameter (x)"),
        ("/<x:ext=a/b>", "Invalid extension parameter definition: <x:ext=a/b>"),
        ("/<x:ext=>", "Invalid extension parameter definition: <x:ext=>"),
        ("/<x:int:ext>", "Invalid parameter declaration: <x:int:ext>"),
        ("/<x=path:ext>", "Extension parameter matching does not support the `path` type."),
        (
            "/<x:ext=js|min.js>",
            "All allowed extensions within a single route definition must",
        ),
        (
            r"/<x:file(?:\.)(txt)>",
            r"Could not compile pattern file(?:\.)(txt). Try using a named group instead: '(?P<x>your_",
        ),
    ],
)
def test_a_malformed_path_is_refused(app: Sanic, path: str, says: str) -> None:
    with pytest.raises(InvalidRoute) as caught:
        app.add_route(handler, path)
    assert str(caught.value).startswith(says)


def test_two_parameters_of_one_name_are_refused_when_routes_are_compiled(app: Sanic) -> None:
    app.add_route(handler, "/a/<x:int>/<x:int>")
    with pytest.raises(ParameterNameConflicts, match="Duplicate named parameters in: a/<x:int>/<x:int>"):
        app.router.finalize()


@pytest.mark.parametrize(
    ("declared", "value"),
    [(r"file\.(txt)", "txt"), (r"file\.(?P<x>txt)", "txt"), (r"file\.txt", "file.txt")],
)
def test_the_group_of_a_regular_expression_is_the_value(app: Sanic, declared: str, value: str) -> None:
    app.add_route(handler, f"/<x:{declared}>", name="route")
    assert app.test_client.get("/file.txt")[1].text == f"app.route {{'x': '{value}'}}"


def test_a_word_that_is_no_type_is_a_regular_expression(app: Sanic) -> None:
    app.add_route(handler, "/<x:foo>")
    assert [status(app, "/foo"), status(app, "/bar")] == [200, 404]


def test_types_that_went_out_of_use_warn(app: Sanic) -> None:
    with pytest.warns(DeprecationWarning, match=r"'number' as a path parameter .* use <x:float>") as caught:
        app.add_route(handler, "/<x:number>")
    assert len(caught) == 1
    assert [status(app, "/1.5"), status(app, "/x")] == [200, 404]
    assert SanicTypes().get("string") is not None


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("/a", "/a", "a [GET]"),
        ("/a", "/a/", "a [GET]"),
        ("/a/<x>", "/a/<y>", "a/<y> [GET]"),
        ("/a/<x:path>", "/a/<y:path>", "a/<y:path> [GET]"),
    ],
)
def test_a_second_route_is_refused_where_it_is_declared(
    app: Sanic, first: str, second: str, says: str
) -> None:
    app.add_route(handler, first, name="one")
    with pytest.raises(RouteExists) as caught:
        app.add_route(handler, second, name="two")
    assert str(caught.value).startswith(f"Route already registered: {says}")
    app.add_route(handler, second, name="three", methods=["POST"])
    assert len(app.router.routes) == 2


def test_a_second_route_is_refused_where_its_blueprint_is_registered(app: Sanic) -> None:
    app.add_route(handler, "/p/x")
    blueprint = Blueprint("bp", url_prefix="/p")
    blueprint.add_route(handler, "/x")
    with pytest.raises(RouteExists, match=r"Route already registered: p/x \[GET\]"):
        app.blueprint(blueprint)
    assert (app.blueprints, blueprint.registered) == ({}, False)


def test_a_late_route_of_a_blueprint_is_refused_too(app: Sanic) -> None:
    blueprint = Blueprint("bp")
    app.blueprint(blueprint)
    app.add_route(handler, "/x", name="x")
    with pytest.raises(RouteExists):
        blueprint.add_route(handler, "/x")
    blueprint.add_route(handler, "/y")
    assert [route.path for route in app.router.routes] == ["x", "y"]


def test_routes_with_and_without_a_host_exclude_each_other(app: Sanic) -> None:
    app.add_route(handler, "/x", name="any")
    with pytest.raises(RouteExists):
        app.add_route(handler, "/x", host="a.com", name="one")
    app.add_route(handler, "/y", host="a.com", name="a")
    app.add_route(handler, "/y", host="b.com", name="b")
    with pytest.raises(RouteExists):
        app.add_route(handler, "/y", host=["b.com", "c.com"], name="c")


# URLs


@pytest.mark.parametrize(
    ("declared", "value", "says"),
    [
        ("int", "x", "match pattern for type `int`: ^-?\\d+$"),
        ("float", "x", "match pattern for type `float`: ^-?(?:\\d+(?:\\.\\d*)?|\\.\\d+)$"),
        ("str", "", "match pattern for type `nonemptystr`: ^[^/]+$"),
        ("str", "a/b", "match pattern for type `nonemptystr`: ^[^/]+$"),
        ("alpha", "1", "match pattern for type `alpha`: ^[A-Za-z]+$"),
        ("[a-z]{2}", "abc", "satisfy pattern ^[a-z]{2}$"),
    ],
)
def test_a_value_of_another_type_is_refused(app: Sanic, declared: str, value: str, says: str) -> None:
    app.add_route(handler, f"/<foo:{declared}>", name="route")
    with pytest.raises(URLBuildError) as caught:
        app.url_for("route", foo=value)
    assert str(caught.value) == f'Value "{value}" for parameter `foo` does not {says}'


def test_what_cannot_be_found_is_named(app: Sanic) -> None:
    app.add_route(handler, "/<foo>", name="route")
    with pytest.raises(URLBuildError, match=r"^Endpoint with name `app\.nope` was not found$"):
        app.url_for("nope")
    with pytest.raises(URLBuildError, match=r"^Required parameter `foo` was not passed to url_for$"):
        app.url_for("route")


def test_a_host_must_be_one_of_the_route(app: Sanic) -> None:
    app.add_route(handler, "/x", host=["a.com", "b.com"], name="x")
    app.add_route(handler, "/y", name="y")
    assert app.url_for("x", _host="b.com") == "http://b.com/x"
    with pytest.raises(ValueError, match=r"Requested host \(c.com\) is not available for this route"):
        app.url_for("x", _host="c.com")
    with pytest.raises(
        ValueError, match=r"Requested host \(c.com\) is not available for this route: \[None\]"
    ):
        app.url_for("y", _host="c.com", _external=True)


def test_a_last_slash_is_written_where_it_counts(app: Sanic) -> None:
    app.add_route(handler, "/loose/", name="loose")
    app.add_route(handler, "/strict/", name="strict", strict_slashes=True)
    app.add_route(handler, "/file/<name:ext>", name="file")
    assert (app.url_for("loose"), app.url_for("strict")) == ("/loose", "/strict/")
    assert app.url_for("file", name="a.jpg") == app.url_for("file", name="a", ext="jpg") == "/file/a.jpg"


def test_decorators_of_a_plain_view_get_its_responses() -> None:
    app = Sanic("views")

    def tagged(handler: Any) -> Any:
        def tag(*args: Any, **values: Any) -> Any:
            answer = handler(*args, **values)
            answer.headers["x-tag"] = "yes"
            return answer

        return tag

    class View(HTTPMethodView):
        decorators: ClassVar[list[Any]] = [tagged]

        def get(self, request: Any) -> Any:
            return text(str(threading.current_thread() is threading.main_thread()))

        @staticmethod
        @tagged
        def post(request: Any) -> Any:
            return text("post")

    app.add_route(View.as_view(), "/")
    answer = app.test_client.get("/")[1]
    assert (answer.text, answer.headers["x-tag"]) == ("False", "yes")
    assert app.test_client.post("/")[1].text == "post"
    assert View.as_view().__module__ == __name__
