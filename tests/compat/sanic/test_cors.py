"""Cross-origin resource sharing through the alias."""

from vivace import Request
from vivace.compat.sanic.app import Sanic
from vivace.ext.cors import cors
from vivace.framework.response import HTTPResponse, text
from vivace.testing import SyncClient

FOO, BAR = "http://foo.com", "http://bar.com"


def test_settings_of_the_app_and_of_a_handler() -> None:
    app = Sanic("shared")
    app.config.update({"OAS": False, "CORS_ORIGINS": FOO})
    app.extend()

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text("hello")

    @app.post("/<name>")
    @cors(origin=BAR)
    async def named(request: Request, name: str) -> HTTPResponse:
        return text(name)

    asked = {"origin": BAR, "access-control-request-method": "POST"}
    with SyncClient(app) as client:
        assert client.get("/", headers={"origin": FOO}).headers["access-control-allow-origin"] == FOO
        assert client.get("/nothing", headers={"origin": FOO}).headers["vary"] == "origin"
        answer = client.options("/ann", headers=asked)
        assert answer.headers["access-control-allow-methods"] == "OPTIONS,POST"
        assert answer.headers["access-control-allow-origin"] == BAR
        assert "access-control-allow-origin" not in client.options("/", headers=asked).headers
