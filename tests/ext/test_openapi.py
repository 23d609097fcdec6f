"""The document of an app's API."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from openapi_spec_validator import validate as validate_document

from tests.framework.streams import ask, make_app
from vivace import Blueprint, HTTPMethodView, Request, Vivace
from vivace.ext import Extend, openapi
from vivace.ext.errors import InitError
from vivace.ext.injection import InjectionExtension
from vivace.ext.openapi import definitions as parts
from vivace.ext.openapi.decorators import COMPONENTS
from vivace.ext.openapi.extension import OpenAPIExtension
from vivace.ext.openapi.types import Array, Integer, Object, String
from vivace.ext.validation import validate


@dataclass
class Person:
    name: str
    age: int = 3


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Name"},
        "age": {"type": "integer", "format": "int32", "title": "Age", "default": 3},
    },
    "required": ["name"],
}
INT = {"type": "integer", "format": "int32"}
STR = {"type": "string"}


@pytest.fixture
def app() -> Iterator[Vivace]:
    app = make_app()
    Extend(app, built_in_extensions=False, extensions=[InjectionExtension, OpenAPIExtension])
    yield app
    COMPONENTS.clear()


async def document(app: Vivace) -> Any:
    found = json.loads((await ask(app, target="/docs/openapi.json")).body)
    validate_document(found)
    return found


async def operation(app: Vivace, *decorators: Callable[[Any], Any]) -> Any:
    async def handler(request: Request) -> Any: ...

    decorated: Any = handler
    for decorate in reversed(decorators):
        decorated = decorate(decorated)
    app.add_route(decorated, "/x", methods=["POST"])
    return (await document(app))["paths"]["/x"]["post"]


async def test_an_empty_app(app: Vivace) -> None:
    assert await document(app) == {
        "openapi": "3.0.3",
        "info": {"title": "API", "version": "1.0.0", "contact": {}},
        "paths": {},
        "tags": [],
        "servers": [],
        "security": [],
    }


async def test_what_routes_say_themselves(app: Vivace) -> None:
    @app.get("/people/<number:int>/<key:uuid>/<name>")
    async def show_person(request: Request, number: int, key: UUID, name: str) -> Any:
        """Show one.

        All that is known
        of it.
        """

    @app.get("/text/<value:str>/<day>")
    async def text_only(request: Request, value: float, day: dt.date) -> Any: ...

    @app.route("/many", methods=["GET", "PUT", "HEAD", "OPTIONS"])
    async def many(request: Request) -> Any: ...

    @app.get("/strict/", strict_slashes=True, host="example.com")
    async def strict(request: Request) -> Any: ...

    paths = (await document(app))["paths"]
    assert paths["/people/{number}/{key}/{name}"]["get"] == {
        "operationId": "get~show_person",
        "summary": "Show one.",
        "description": "All that is known<br>of it.",
        "parameters": [
            {"name": "number", "schema": INT, "in": "path", "required": True},
            {"name": "key", "schema": {"type": "string", "format": "uuid"}, "in": "path", "required": True},
            {"name": "name", "schema": STR, "in": "path", "required": True},
        ],
        "responses": {"default": {"description": "OK"}},
    }
    texts = paths["/text/{value}/{day}"]["get"]["parameters"]
    assert [p["schema"] for p in texts] == [STR, {"type": "string", "format": "date"}]
    assert {method: o["operationId"] for method, o in paths["/many"].items()} == {
        "get": "get~many",
        "put": "put~many",
    }
    assert paths["/strict/"]["get"]["servers"] == [{"url": "//example.com"}]
    assert paths["/strict/"]["get"]["summary"] == "Strict"


async def test_views_and_blueprints(app: Vivace) -> None:
    shop = Blueprint("shop", url_prefix="/shop", version=2)

    class Items(HTTPMethodView):
        @openapi.tag("mine")
        async def get(self, request: Request) -> Any:
            """All of them."""

        async def post(self, request: Request) -> Any: ...

    shop.add_route(Items.as_view(), "/items")
    hidden = Blueprint("hidden")

    @hidden.get("/hidden")
    async def secret(request: Request) -> Any: ...

    openapi.exclude(bp=hidden)
    app.blueprint([shop, hidden])
    found = await document(app)
    assert list(found["paths"]) == ["/v2/shop/items"]
    item = found["paths"]["/v2/shop/items"]
    assert (item["get"]["operationId"], item["get"]["summary"]) == ("get~shop.Items", "All of them.")
    assert (item["get"]["tags"], item["post"]["tags"]) == (["mine"], ["shop"])
    assert found["tags"] == [{"name": "mine"}, {"name": "shop"}]


async def test_yaml_in_docstrings(app: Vivace) -> None:
    @app.get("/x")
    async def handler(request: Request) -> Any:
        """Title

        Words

        openapi:
        ---
        operationId: mine
        tags: [one]
        parameters:
          - {name: limit, in: query, schema: {type: integer}}
        responses:
          200: {description: fine}
        """

    assert (await document(app))["paths"]["/x"]["get"] == {
        "operationId": "mine",
        "summary": "Title",
        "description": "Words",
        "tags": ["one"],
        "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
        "responses": {"200": {"description": "fine"}},
    }


async def test_yaml_that_is_wrong_is_left_out_with_a_warning(app: Vivace) -> None:
    @app.get("/x")
    async def handler(request: Request) -> Any:
        """Title

        openapi:
        ---
        tags: [
        """

    with pytest.warns(UserWarning, match="error parsing openAPI yaml, ignoring it"):
        found = await document(app)
    assert found["paths"]["/x"]["get"]["summary"] == "Title"


@pytest.mark.parametrize(
    ("decorate", "field", "value"),
    [
        (openapi.summary("S"), "summary", "S"),
        (openapi.description("D"), "description", "D"),
        (openapi.operation("mine"), "operationId", "mine"),
        (openapi.tag("a", parts.Tag("b")), "tags", ["a", "b"]),
        (openapi.deprecated, "deprecated", True),
        (openapi.deprecated(), "deprecated", True),
        (openapi.document("http://x", "d"), "externalDocs", {"url": "http://x", "description": "d"}),
        (openapi.document(parts.ExternalDocumentation("http://x")), "externalDocs", {"url": "http://x"}),
        (openapi.parameter("q"), "parameters", [{"name": "q", "schema": STR, "in": "query"}]),
        (
            openapi.parameter("q", Integer(minimum=1), "header", required=True),
            "parameters",
            [{"name": "q", "schema": INT | {"minimum": 1}, "in": "header", "required": True}],
        ),
        (
            openapi.parameter(parameter=parts.Parameter("q", int, "cookie")),
            "parameters",
            [{"name": "q", "schema": INT, "in": "cookie"}],
        ),
        (openapi.body(Person), "requestBody", {"content": {"*/*": {"schema": PERSON}}}),
        (
            openapi.body({"application/json": {"name": str}}, required=True, description="d"),
            "requestBody",
            {
                "content": {"application/json": {"schema": {"type": "object", "properties": {"name": STR}}}},
                "required": True,
                "description": "d",
            },
        ),
        (
            openapi.body(parts.RequestBody({"text/plain": String(enum=["a"])})),
            "requestBody",
            {"content": {"text/plain": {"schema": STR | {"enum": ["a"]}}}},
        ),
        (
            openapi.body({"application/json": Object({"a": Array(Person)}, description="d")}),
            "requestBody",
            {
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {"a": {"type": "array", "items": PERSON}},
                            "description": "d",
                        }
                    }
                }
            },
        ),
        (
            openapi.response(200, Person, "fine"),
            "responses",
            {"200": {"content": {"*/*": {"schema": PERSON}}, "description": "fine"}},
        ),
        (
            openapi.response(response=parts.Response({"text/plain": str}, status=201)),
            "responses",
            {"201": {"content": {"text/plain": {"schema": STR}}, "description": "Default Response"}},
        ),
        (openapi.secured("token"), "security", [{"token": []}]),
        (openapi.secured({"token": ["a"]}), "security", [{"token": ["a"]}]),
        (openapi.secured("a", b=["w"]), "security", [{"a": [], "b": ["w"]}]),
        (openapi.secured(), "security", [{}]),
    ],
)
async def test_what_decorators_say(
    app: Vivace, decorate: Callable[[Any], Any], field: str, value: Any
) -> None:
    assert (await operation(app, decorate))[field] == value


async def test_everything_at_once(app: Vivace) -> None:
    found = await operation(
        app,
        openapi.definition(
            operation="mine",
            summary="s",
            description="d",
            document="http://x",
            tag=["a", parts.Tag("b")],
            deprecated=True,
            body={"application/json": Person},
            parameter=["p", {"name": "q", "schema": int}, parts.Parameter("r", str, "header")],
            response=[{"status": 200, "content": str}, parts.Response(int, status=404)],
            secured={"token": []},
        ),
    )
    assert set(found) == {
        "operationId",
        "summary",
        "description",
        "externalDocs",
        "tags",
        "deprecated",
        "requestBody",
        "parameters",
        "responses",
        "security",
    }
    assert [p["name"] for p in found["parameters"]] == ["p", "q", "r"]
    assert list(found["responses"]) == ["200", "404"]


async def test_operations_and_docstrings_can_be_left_out(app: Vivace) -> None:
    @app.get("/a")
    @openapi.exclude()
    async def a(request: Request) -> Any: ...

    @app.get("/b")
    @openapi.no_autodoc
    async def b(request: Request) -> Any:
        """Not for strangers."""

    paths = (await document(app))["paths"]
    assert list(paths) == ["/b"]
    assert paths["/b"]["get"]["summary"] == "B"


async def test_components_and_references(app: Vivace) -> None:
    @openapi.component
    class Listed:
        size: int

    @openapi.component(name="Other", field="schemas")
    class Named:
        listed: Listed

    class Referred:
        size: int

    found = await operation(app, openapi.body(openapi.Component(Referred)), openapi.response(200, Named))
    assert found["requestBody"]["content"]["*/*"]["schema"] == {"$ref": "#/components/schemas/Referred"}
    schemas = (await document(app))["components"]["schemas"]
    assert set(schemas) == {"Listed", "Other", "Referred"}
    assert schemas["Other"]["properties"]["listed"] == schemas["Listed"]


async def test_validation_is_shown(app: Vivace) -> None:
    @app.post("/json")
    @validate(json=Person, query=Person)
    async def handler(request: Request, body: Person, query: Person) -> Any: ...

    @app.post("/form")
    @validate(form=Person)
    async def other(request: Request, body: Person) -> Any: ...

    paths = (await document(app))["paths"]
    assert paths["/json"]["post"]["requestBody"] == {
        "content": {"application/json": {"schema": PERSON}},
        "required": True,
    }
    assert [(p["name"], p["in"], p.get("required")) for p in paths["/json"]["post"]["parameters"]] == [
        ("name", "query", True),
        ("age", "query", None),
    ]
    assert set(paths["/form"]["post"]["requestBody"]["content"]) == {
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    }


async def test_a_described_body_can_be_validated(app: Vivace) -> None:
    @app.post("/")
    @openapi.body({"application/json": Person}, validate=True, body_argument="person")
    async def handler(request: Request, person: Person) -> Any:
        return [person.name]

    fields = [("content-type", "application/json")]
    assert (await ask(app, "POST", "/", fields, b'{"name":"x"}')).body == b'["x"]'
    assert (await ask(app, "POST", "/", fields, b"{}")).status == 400
    with pytest.raises(InitError, match="has no model that could be validated"):
        openapi.definition(body=str, validate=True)(handler)


async def test_what_is_injected_is_no_parameter_of_the_client(app: Vivace) -> None:
    app.ext.dependency(Person("x"))

    @app.get("/<number:int>")
    async def handler(request: Request, number: int, person: Person) -> Any: ...

    found = (await document(app))["paths"]["/{number}"]["get"]
    assert [p["name"] for p in found["parameters"]] == ["number"]


async def test_what_the_program_says_of_its_api(app: Vivace) -> None:
    builder = app.ext.openapi
    builder.describe("T", "2", "D", "http://terms")
    builder.contact("n", "http://c", "e@example.com")
    builder.license("MIT", "http://l")
    builder.tag("a", "about", externalDocs={"url": "http://x"})
    builder.external("http://more", "m")
    builder.url("http://server")
    builder.secured("token", "read")
    builder.secured()
    builder.add_component("schemas", "Person", Person)
    builder.add_security_scheme("token", "http", bearer_format="JWT")
    builder.add_security_scheme("key", "apiKey", name="X-Key", location="query")
    builder.add_security_scheme(
        "oauth", "oauth2", flows={"implicit": {"authorizationUrl": "http://a", "scopes": {"r": "read"}}}
    )
    builder.add_security_scheme("oidc", "openIdConnect", openid_connect_url="http://o", description="d")
    assert builder.has_component("schemas", "Person")
    found = await document(app)
    assert found["info"] == {
        "title": "T",
        "version": "2",
        "description": "D",
        "termsOfService": "http://terms",
        "contact": {"name": "n", "url": "http://c", "email": "e@example.com"},
        "license": {"name": "MIT", "url": "http://l"},
    }
    assert found["tags"] == [{"name": "a", "description": "about", "externalDocs": {"url": "http://x"}}]
    assert found["externalDocs"] == {"url": "http://more", "description": "m"}
    assert found["servers"] == [{"url": "http://server", "variables": {}}]
    assert found["security"] == [{"token": ["read"]}, {}]
    assert found["components"]["schemas"] == {"Person": PERSON}
    assert found["components"]["securitySchemes"] == {
        "token": {"type": "http", "scheme": "Bearer", "bearerFormat": "JWT"},
        "key": {"type": "apiKey", "name": "X-Key", "in": "query"},
        "oauth": {
            "type": "oauth2",
            "flows": {"implicit": {"authorizationUrl": "http://a", "scopes": {"r": "read"}}},
        },
        "oidc": {"type": "openIdConnect", "description": "d", "openIdConnectUrl": "http://o"},
    }
    with pytest.raises(ValueError, match="'bad' is not a valid"):
        builder.add_security_scheme("x", "bad")


async def test_raw_parts_are_added(app: Vivace) -> None:
    app.ext.openapi.raw(
        {
            "info": {"title": "Raw"},
            "servers": [{"url": "http://raw"}],
            "tags": [{"name": "t"}],
            "security": [{"k": []}],
            "paths": {"/raw": {"get": {"responses": {"200": {"description": "ok"}}}}},
            "components": {"schemas": {"A": {"type": "string"}}},
            "externalDocs": {"url": "http://docs"},
        }
    )
    found = await document(app)
    assert (found["info"]["title"], found["info"]["version"]) == ("Raw", "1.0.0")
    assert list(found["paths"]) == ["/raw"]
    assert found["components"]["schemas"]["A"] == STR


async def test_settings_describe_the_api() -> None:
    app = make_app()
    settings = {
        "API_TITLE": "T",
        "API_VERSION": "3",
        "API_DESCRIPTION": "D",
        "API_LICENSE_NAME": "MIT",
        "API_CONTACT_EMAIL": "e@example.com",
        "API_HOST": "host:1",
        "API_BASEPATH": "/base",
        "API_SCHEMES": ["http", "https"],
    }
    app.config.update(settings)
    Extend(app, built_in_extensions=False, extensions=[OpenAPIExtension])
    found = await document(app)
    assert found["info"] == {
        "title": "T",
        "version": "3",
        "description": "D",
        "license": {"name": "MIT"},
        "contact": {"email": "e@example.com"},
    }
    assert [server["url"] for server in found["servers"]] == ["http://host:1/base", "https://host:1/base"]


async def test_late_words_and_late_routes_are_in_the_document(app: Vivace) -> None:
    assert (await document(app))["paths"] == {}
    app.ext.openapi.describe("Late", "1")

    @app.get("/late")
    async def late(request: Request) -> Any: ...

    found = await document(app)
    assert (found["info"]["title"], list(found["paths"])) == ("Late", ["/late"])


@pytest.mark.parametrize(
    ("part", "plain"),
    [
        (parts.ExternalDocumentation.make("http://x"), {"url": "http://x"}),
        (parts.Example.make(5, summary="s"), {"value": 5, "summary": "s"}),
        (parts.Example.external("http://x"), {"externalValue": "http://x"}),
        (parts.MediaType.make(int), {"schema": INT}),
        (parts.RequestBody.make(str, required=True), {"content": {"*/*": {"schema": STR}}, "required": True}),
        (parts.Response.make(str, "d"), {"content": {"*/*": {"schema": STR}}, "description": "d"}),
        (parts.Parameter.make("q", int, "query"), {"name": "q", "schema": INT, "in": "query"}),
        (parts.Parameter("q", location="path"), {"name": "q", "schema": STR, "in": "path", "required": True}),
        (parts.Components(schemas={"A": String()}), {"schemas": {"A": STR}}),
        (parts.Reference("#/components/schemas/A"), {"$ref": "#/components/schemas/A"}),
        (parts.Tag("t", description=None, unknown=1), {"name": "t"}),
        (Object(), {"type": "object"}),
        (String(required=True, minLength=1), STR | {"minLength": 1}),
    ],
)
def test_parts_by_themselves(part: Any, plain: Any) -> None:
    assert part.serialize() == plain
