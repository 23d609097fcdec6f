"""Logging through the alias: what arrives at Sanic's loggers, how it looks, how they are configured."""

import copy
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic import formatter, log
from vivace.compat.sanic.app import Sanic
from vivace.errors import NotFound, ServerError
from vivace.framework.response import HTTPResponse, text


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Leave every logger as it was."""
    names = [
        *log._TARGETS,
        *(logger.name for logger in log._TARGETS.values()),
        "sanic.access",
        "sanic.websockets",
    ]
    found = [logging.getLogger(name) for name in names]
    before = [(one, list(one.handlers), list(one.filters), one.level, one.propagate) for one in found]
    yield
    for one, handlers, filters, level, propagate in before:
        one.handlers, one.filters, one.propagate = handlers, filters, propagate
        one.setLevel(level)


def record(level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("sanic.root", level, "/x/y.py", 10, "hello %s", ("w",), None)
    made.created = 1700000000.5
    vars(made).update(extra)
    return made


ACCESS: dict[str, Any] = {
    "host": "h:1",
    "request": "GET http://x/",
    "status": 200,
    "byte": 5,
    "duration": " 1.2ms",
}


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (formatter.AutoFormatter, "INFO: hello w"),
        (formatter.ProdFormatter, "INFO: hello w"),
        (formatter.DebugFormatter, "INFO: hello w"),
        (formatter.LegacyFormatter, "[INFO] hello w"),
    ],
)
def test_lines_for_people(made: type[logging.Formatter], line: str) -> None:
    assert made().format(record()).endswith(line)


def test_levels_are_shortened_for_developers() -> None:
    assert " WARN: " in formatter.DebugFormatter().format(record(logging.WARNING))
    assert " WARNING: " in formatter.ProdFormatter().format(record(logging.WARNING))


def test_extra_is_written_below() -> None:
    assert formatter.AutoFormatter().format(record(a=1, b="c")).endswith("hello w\na=1\nb=c")


def test_lines_for_requests() -> None:
    line = formatter.ProdAccessFormatter().format(record(**ACCESS))
    assert line.startswith("Main |")
    assert line.endswith("h:1 GET http://x/ 200 5  1.2ms")
    legacy = formatter.LegacyAccessFormatter().format(record(**ACCESS))
    assert "(sanic.root)[INFO][h:1]: GET http://x/ hello w 200 5" in legacy


def test_json_lines() -> None:
    made = json.loads(formatter.JSONFormatter().format(record(a=1)))
    assert (made["level"], made["message"], made["name"], made["lineno"], made["a"]) == (
        "INFO",
        "hello w",
        "sanic.root",
        10,
        1,
    )
    access = json.loads(formatter.JSONAccessFormatter().format(record(**ACCESS)))
    assert list(access) == ["timestamp", "level", "message", *ACCESS]


def test_json_has_the_traceback() -> None:
    made = record(logging.ERROR)
    try:
        raise ValueError("seen")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: seen" in json.loads(formatter.JSONFormatter().format(made))["exc_info"]


def test_colours_and_columns_on_a_terminal() -> None:
    class Terminal(formatter.AutoFormatter):
        ATTY = True
        NO_COLOR = False

    line = Terminal().format(record(logging.ERROR))
    assert line.startswith("Main \033[6G ")
    assert "\033[31mERROR\033[0m: \033[42Ghello w" in line


def test_an_app_configures_the_loggers() -> None:
    Sanic("configured")
    handler = logging.getLogger("sanic.root").handlers[0]
    assert isinstance(handler.formatter, formatter.AutoFormatter)
    assert handler.format(record()).startswith("Main  2023-11-14 ")
    assert handler.format(record()).endswith(" INFO: hello w")
    assert isinstance(logging.getLogger("sanic.access").handlers[0].formatter, formatter.AutoAccessFormatter)
    assert logging.getLogger("sanic.error").level == logging.INFO


def test_a_worker_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = formatter.AutoFormatter()
    monkeypatch.setenv("VIVACE_SLOT", "1")
    assert lines.format(record()).startswith("Srv 1  2023-11-14 ")
    monkeypatch.setenv("VIVACE_SLOT", "mail/2")  # a process beside the workers
    assert lines.format(record()).startswith("Main  2023-11-14 ")


def test_an_app_can_be_told_how() -> None:
    config = copy.copy(log.LOGGING_CONFIG_DEFAULTS)
    config["formatters"] = {**config["formatters"], "generic": {"format": "own %(message)s"}}
    Sanic("told", log_config=config)
    handler = logging.getLogger("sanic.root").handlers[0]
    assert handler.format(record()) == "own hello w"


def test_an_app_can_be_told_not_to() -> None:
    logging.getLogger("sanic.root").handlers = []
    Sanic("silent", configure_logging=False)
    assert logging.getLogger("sanic.root").handlers == []


def test_verbosity() -> None:
    made = log.VerbosityFilter()
    assert made.filter(record())
    assert not made.filter(record(verbosity=1))


def test_deprecations_are_warnings() -> None:
    with pytest.warns(DeprecationWarning, match=r"\[DEPRECATION v26\.6\] gone"):
        log.deprecation("gone", 26.6)


def ask(error: Exception, **config: Any) -> None:
    app = Sanic("failing")
    app.config.update(config)

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        raise error

    app.test_client.get("/")


def test_exceptions_arrive_at_the_error_logger(caplog: pytest.LogCaptureFixture) -> None:
    log.forward_records()
    ask(ValueError("v"))
    (found,) = [r for r in caplog.records if r.name == "sanic.error"]
    assert found.levelno == logging.ERROR
    assert found.getMessage().startswith("Exception occurred while handling uri: 'http://127.0.0.1:")
    assert found.exc_info is not None
    assert found.exc_info[0] is ValueError


def test_quiet_exceptions_are_logged_only_where_all_are(caplog: pytest.LogCaptureFixture) -> None:
    log.forward_records()
    ask(NotFound("n"))
    ask(ServerError("s", quiet=True))
    assert not [r for r in caplog.records if r.name == "sanic.error"]
    ask(NotFound("n"), NOISY_EXCEPTIONS=True)
    assert [r for r in caplog.records if r.name == "sanic.error"]


def test_the_level_of_the_other_logger_counts(caplog: pytest.LogCaptureFixture) -> None:
    log.forward_records()
    logging.getLogger("sanic.root").setLevel(logging.WARNING)
    logging.getLogger("vivace").info("low")
    logging.getLogger("vivace").warning("high")
    assert caplog.record_tuples == [("sanic.root", logging.WARNING, "high")]


def test_requests_of_tests_are_records(caplog: pytest.LogCaptureFixture) -> None:
    app = Sanic("access")
    app.config.ACCESS_LOG = True

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text("hello")

    app.test_client.get("/?a=b")
    (found,) = [vars(r) for r in caplog.records if r.name == "sanic.access"]
    assert found["host"].startswith("127.0.0.1:")
    assert found["request"].startswith("GET http://127.0.0.1:")
    assert found["request"].endswith("/?a=b")
    assert (found["status"], found["byte"]) == (200, 5)
    assert found["duration"].endswith("ms")
