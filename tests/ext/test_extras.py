"""Serializers, requests that count, and log lines written by a thread."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.framework.streams import make_app
from vivace import Request, Vivace
from vivace.errors import ServerError
from vivace.ext import Extend
from vivace.ext.arguments import extract_request
from vivace.ext.counted import CountedRequest
from vivace.ext.logging import LoggingExtension
from vivace.ext.serializer import serializer
from vivace.framework.response import HTTPResponse, json, text
from vivace.testing import SyncClient


def served(app: Vivace, path: str = "/") -> tuple[int, str]:
    with SyncClient(app) as client:
        response = client.get(path)
        return response.status, response.text


@pytest.mark.parametrize("function", [text, json])
def test_a_function_makes_the_response_of_what_a_handler_returns(app: Vivace, function: Any) -> None:
    @app.get("/")
    @serializer(function, status=203)
    async def handler(request: Request) -> str:
        return "1"

    assert served(app) == (203, "1" if function is text else '"1"')


def test_plain_handlers_and_coroutine_functions_fit(app: Vivace) -> None:
    async def write(value: str, status: int) -> HTTPResponse:
        return text(f"{value}!", status)

    @app.get("/")
    @serializer(write)
    def handler(request: Request) -> str:
        return "plain"

    assert served(app) == (200, "plain!")


def test_a_serializer_gets_what_it_declares(app: Vivace) -> None:
    def write(value: str, request: Request, action: str, status: int) -> HTTPResponse:
        return text(f"{value} {request.path} {action}", status)

    @app.get("/<action:str>")
    @serializer(write, status=202)
    async def handler(request: Request, action: str) -> str:
        return "done"

    assert served(app, "/go") == (202, "done /go go")


def test_a_serializer_need_not_take_a_status(app: Vivace) -> None:
    def write(value: str) -> HTTPResponse:
        return text(value)

    app.add_route(serializer(write)(echo), "/")
    assert served(app) == (200, "echo")


async def echo(request: Request) -> str:
    return "echo"


def test_requests_are_counted() -> None:
    CountedRequest.reset_count()
    app = make_app(request_class=CountedRequest)

    @app.get("/")
    async def handler(request: CountedRequest) -> HTTPResponse:
        return text(str(request.count))

    with SyncClient(app) as client:
        assert [client.get(path).text for path in ("/", "/", "/")] == ["1", "2", "3"]
        CountedRequest.reset_count()
        assert CountedRequest.count == 0
        assert client.get("/").text == "1"
    CountedRequest.reset_count()  # what counts next in this process begins anew


# Log lines


class Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((threading.current_thread().name, record.getMessage()))


@pytest.fixture
def collect() -> Iterator[Collect]:
    handler = Collect()
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def logging_app(**settings: Any) -> Vivace:
    app = make_app()
    Extend(app, config={"logging": True, "loggers": ["shop"], **settings})

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        logging.getLogger("shop").info("sold %s", 1)
        return text("")

    return app


def test_lines_are_written_by_a_thread_while_the_server_runs(collect: Collect) -> None:
    served(logging_app())
    here = threading.current_thread().name
    assert [message for _, message in collect.seen] == ["sold 1"]
    assert collect.seen[0][0] != here
    assert logging.getLogger("shop").handlers == [collect]


def test_a_full_queue_loses_nothing(collect: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    app = logging_app(logging_queue_max_size=1)
    gate = threading.Event()
    emit = collect.emit

    def hold(record: logging.LogRecord) -> None:
        if threading.current_thread() is not threading.main_thread():
            gate.wait(10)
        emit(record)

    collect.emit = hold  # type: ignore[method-assign]
    # One that many may hold: else the thread that waits holds the others up.
    collect.lock = threading.Semaphore(9)  # type: ignore[assignment]
    extension = next(e for e in app.ext.extensions if isinstance(e, LoggingExtension))
    extension._begin(app)
    for number in range(4):
        logging.getLogger("shop").info("line %d", number)
    gate.set()
    extension._end(app)
    assert sorted(message for _, message in collect.seen) == [f"line {number}" for number in range(4)]


def test_it_is_off_unless_asked_for(collect: Collect) -> None:
    app = logging_app(logging=False)
    with SyncClient(app) as client:
        client.get("/")
        assert logging.getLogger("shop").handlers == [collect]


def test_a_serializer_that_wants_the_request_says_if_there_is_none() -> None:
    with pytest.raises(ServerError, match="Request could not be found"):
        extract_request("no", "request")
