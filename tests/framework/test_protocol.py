"""Protocol classes: the hook sees every request and every answer, and each connection has its own object."""

import asyncio
from typing import Any

import pytest

from vivace import ConfigError, Request, Vivace
from vivace.framework.protocol import HttpProtocol, WebSocketProtocol, use_protocol
from vivace.framework.response import text
from vivace.testing import Client, live


class Counting(HttpProtocol):
    """As in the documents: counts, and adds fields to what the app answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request_count = 0

    async def http_request_handler(self, request: Request) -> Any:
        self.request_count += 1
        request.ctx.number = self.request_count
        response = await super().http_request_handler(request)
        if response:
            response.headers["X-Number"] = str(self.request_count)
            response.headers["X-Status"] = str(response.status)
        return response


@pytest.fixture
def app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("protocols")
    app.config.ACCESS_LOG = False

    @app.get("/")
    async def index(request: Request) -> Any:
        return text(f"number {request.ctx.number}")

    @app.get("/broken")
    async def broken(request: Request) -> Any:
        raise ValueError("out of cheese")

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("one")
        await response.send("two")

    return app


def test_the_hook_is_run_around_each_request_of_a_connection(app: Vivace[Any, Any]) -> None:
    use_protocol(app, Counting)
    with live(app) as server:
        with server.client() as client:
            answers = [client.get("/") for _ in range(3)]
        assert [answer.text for answer in answers] == ["number 1", "number 2", "number 3"]
        assert [answer.headers["x-number"] for answer in answers] == ["1", "2", "3"]
        with server.client() as client:
            assert client.get("/").headers["x-number"] == "1"


@pytest.mark.parametrize(("path", "status"), [("/broken", "500"), ("/none", "404"), ("/stream", "200")])
async def test_the_hook_sees_every_answer(app: Vivace[Any, Any], path: str, status: str) -> None:
    use_protocol(app, Counting)
    async with Client(app, raise_exceptions=False) as client:
        answer = await client.get(path)
    assert answer.headers["x-status"] == status == str(answer.status)


async def test_the_hook_may_answer_itself(app: Vivace[Any, Any]) -> None:
    class Closed(HttpProtocol):
        async def http_request_handler(self, request: Request) -> Any:
            return text("closed", status=503)

    use_protocol(app, Closed)
    async with Client(app) as client:
        answer = await client.get("/")
    assert (answer.status, answer.text) == (503, "closed")


async def test_the_hook_may_answer_something_else(app: Vivace[Any, Any]) -> None:
    class Shouting(HttpProtocol):
        async def http_request_handler(self, request: Request) -> Any:
            request.ctx.number = 0
            response = await super().http_request_handler(request)
            return text(response.body.decode().upper())

    use_protocol(app, Shouting)
    async with Client(app) as client:
        assert (await client.get("/")).text == "NUMBER 0"


async def test_a_hook_that_fails_is_an_error_of_the_request(app: Vivace[Any, Any]) -> None:
    class Failing(HttpProtocol):
        async def http_request_handler(self, request: Request) -> Any:
            raise OSError("meter")

    use_protocol(app, Failing)
    async with Client(app, raise_exceptions=False) as client:
        assert (await client.get("/")).status == 500


async def test_a_hook_without_an_answer_is_an_error(app: Vivace[Any, Any]) -> None:
    class Forgetful(HttpProtocol):
        async def http_request_handler(self, request: Request) -> Any:
            pass

    use_protocol(app, Forgetful)
    async with Client(app, raise_exceptions=False) as client:
        assert (await client.get("/")).status == 500


async def test_a_client_that_leaves_ends_the_hook_too(app: Vivace[Any, Any]) -> None:
    ended = asyncio.Event()

    class Waiting(HttpProtocol):
        async def http_request_handler(self, request: Request) -> Any:
            try:
                return await super().http_request_handler(request)
            except asyncio.CancelledError:
                ended.set()
                raise

    @app.get("/never")
    async def never(request: Request) -> None:
        await asyncio.Event().wait()

    use_protocol(app, Waiting)
    async with Client(app, timeout=0.2) as client:
        with pytest.raises(TimeoutError):
            await client.get("/never")
        await asyncio.wait_for(ended.wait(), 30)


def test_a_class_that_overrides_nothing_costs_nothing(app: Vivace[Any, Any]) -> None:
    use_protocol(app, HttpProtocol)
    use_protocol(app, WebSocketProtocol)
    assert app.middleware_specs == []


def test_another_class_is_refused(app: Vivace[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="expected a subclass of HttpProtocol"):
        use_protocol(app, asyncio.Protocol)


async def test_what_a_protocol_knows(app: Vivace[Any, Any]) -> None:
    loop = asyncio.get_running_loop()
    protocol = WebSocketProtocol(loop=loop, app=app, state={"a": 1}, websocket_max_size=1, something=2)
    assert (protocol.app, protocol.loop, protocol.state) == (app, loop, {"a": 1})
    assert protocol.logger is app.logger
    assert protocol.websocket_max_size == 1
