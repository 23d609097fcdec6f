"""HEAD, OPTIONS and TRACE as settings want them."""

import pytest

from tests.framework.streams import make_app
from vivace import Blueprint, Request, Vivace
from vivace.ext import Extend
from vivace.ext.errors import InitError
from vivace.framework.response import HTTPResponse, text
from vivace.testing import SyncClient


def extended(**settings: object) -> Vivace:
    app = make_app()
    Extend(app, config={"cors": False, "oas": False, **settings})
    blueprint = Blueprint("part", url_prefix="/part")

    @blueprint.on_response
    async def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["x-part"] = "1"

    @app.get("/")
    @blueprint.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text("hello", headers={"x-own": "1"})

    @app.post("/<name:str>")
    async def named(request: Request, name: str) -> HTTPResponse:
        return text(name)

    app.blueprint(blueprint)
    return app


def test_head_is_answered_by_get_with_its_middleware() -> None:
    with SyncClient(extended()) as client:
        response = client.head("/")
        assert (response.status, response.body, response.headers["x-own"]) == (200, b"", "1")
        assert response.headers["content-length"] == "5"
        assert client.head("/part/").headers["x-part"] == "1"
        assert client.head("/thing").status == 405


def test_options_names_what_the_path_has() -> None:
    with SyncClient(extended()) as client:
        response = client.options("/")
        assert (response.status, response.headers["allow"], response.body) == (204, "GET,HEAD,OPTIONS", b"")
        assert client.options("/thing").headers["allow"] == "POST,OPTIONS"
        assert client.options("/part/other").status == 404


def test_each_can_be_switched_off() -> None:
    with SyncClient(extended(http_auto_head=False, http_auto_options=False)) as client:
        assert client.head("/").status == 405
        refused = client.options("/")
        assert (refused.status, refused.headers["allow"]) == (405, "GET")


def test_trace_is_off_unless_asked_for() -> None:
    with SyncClient(extended()) as client:
        assert client.request("TRACE", "/").status == 405


def test_trace_gives_the_head_back_without_secrets() -> None:
    app = extended(http_auto_trace=True, trace_excluded_headers=["authorization", "X-Secret"])
    with SyncClient(app) as client:
        fields = {"x-shown": "1", "x-secret": "2", "authorization": "Basic eA=="}
        response = client.request("TRACE", "/?a=1", headers=fields)
        assert (response.status, response.headers["content-type"]) == (200, "message/http")
        lines = response.text.split("\r\n")
        assert lines[0] == "TRACE /?a=1 HTTP/1.1"
        assert "x-shown: 1" in [line.lower() for line in lines]
        assert "secret" not in response.text
        assert "authorization" not in response.text.lower()
        assert response.text.endswith("\r\n\r\n")
        assert "TRACE" in client.options("/").headers["allow"]


def test_trace_needs_all_methods() -> None:
    with pytest.raises(InitError, match="TRACE is not an allowed HTTP method"):
        extended(http_auto_trace=True, http_all_methods=False)
