"""Small habits of Sanic's that programs and their tests look at."""

import logging
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic.access import is_configured as not_default
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.formatter import ProdAccessFormatter
from vivace.compat.sanic.helpers import Default, default
from vivace.compat.sanic.log import configure
from vivace.errors import MethodNotAllowed
from vivace.framework.response import HTTPResponse, text
from vivace.testing import live


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Sanic:
    """An app with a route for GET."""
    monkeypatch.setattr(Sanic, "test_mode", False)
    app = Sanic("leftovers")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text(repr(Sanic.test_mode))

    return app


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_405_of_a_method_that_changes_things_is_empty(app: Sanic, method: str) -> None:
    """Whatever Accept says; the other fields are there."""
    response: Any = getattr(app.test_client, method)("/", headers={"accept": "application/json"})[1]
    assert (response.status, response.text) == (405, "")
    assert response.headers["content-length"] == "0"
    assert response.headers["allow"] == "GET"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_405_of_post_has_its_page(app: Sanic) -> None:
    """So has what a program's own handler answers to the others."""
    assert "not allowed for URL /" in app.test_client.post("/")[1].text

    @app.exception(MethodNotAllowed)
    async def own(request: Request, error: MethodNotAllowed) -> HTTPResponse:
        return text("own", 405)

    assert app.test_client.put("/")[1].text == "own"


def test_the_value_that_was_not_given_is_true() -> None:
    """It is an object like any other."""
    assert bool(default)
    assert repr(default) == "<Default>"
    assert isinstance(default, Default)


def test_test_mode_is_on_once_there_is_a_test_client(app: Sanic) -> None:
    """Not before."""
    assert Sanic.test_mode is False
    assert app.test_client.get("/")[1].text == "True"
    assert Sanic.test_mode is True


def test_field_names_of_the_test_client_are_written_in_capitals(app: Sanic) -> None:
    """In the octets of the request; those that a test gives stay as they are."""
    given = {"FOO": "bar", "Host": "example.com", "user-agent": "x"}
    request: Any = app.test_client.get("/", headers=given)[0]
    assert request.raw_headers == (
        b"Host: example.com\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
        b"FOO: bar\r\nuser-agent: x"
    )


@pytest.fixture
def access_logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The logger, put back afterwards."""
    logger = logging.getLogger("sanic.access")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    monkeypatch.setattr(logger, "filters", list(logger.filters))
    return logger


def test_requests_of_a_real_server_are_records_if_the_program_looks_at_them(
    access_logger: logging.Logger,
) -> None:
    """With the extras that Sanic's formatters take."""
    seen: list[logging.LogRecord] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    app = Sanic("recorded", configure_logging=False)
    access_logger.setLevel(logging.INFO)
    access_logger.addHandler(Collecting())
    with live(app) as server, server.client() as client:
        client.get("/nowhere?a=b")
        host = f"{server.host}:{server.port}"
    (record,) = seen
    assert (record.name, record.levelname) == ("sanic.access", "INFO")
    extra = vars(record)
    assert (extra["status"], extra["request"]) == (404, f"GET http://{host}/nowhere?a=b")
    assert extra["byte"] > 50
    assert extra["host"].startswith("127.0.0.1:")


def test_an_untouched_logger_leaves_requests_to_the_fast_log(
    access_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything that a program makes of it counts."""
    monkeypatch.setattr(logging.root, "handlers", [])  # those of pytest
    assert not_default() is True
    configure(None)
    assert not_default() is False
    access_logger.setLevel(logging.ERROR)
    assert not_default() is True
    configure(None)
    access_logger.addFilter(lambda record: True)
    assert not_default() is True
    configure(None)
    logging.root.addHandler(logging.NullHandler())
    assert not_default() is True


def test_a_record_of_a_real_server_is_one_line(access_logger: logging.Logger) -> None:
    """In the handlers that an app makes; a formatter of the program is left alone."""
    own = logging.Formatter("%(message)s")
    configure(None)
    access_logger.addHandler(logging.NullHandler())
    access_logger.handlers[1].setFormatter(own)
    assert Sanic("lines", configure_logging=False).access_log() is not None
    assert type(access_logger.handlers[0].formatter) is ProdAccessFormatter
    assert access_logger.handlers[1].formatter is own


def test_an_untouched_app_needs_no_records(
    access_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own log is the fast one."""
    monkeypatch.setattr(logging.root, "handlers", [])
    assert Sanic("fast").access_log() is None
