"""What the start says, and where log records go."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from vivace.config import Config
from vivace.supervisor.ipc.messages import Report
from vivace.supervisor.telling.banner import banner, describe_build
from vivace.supervisor.telling.logs import JSONFormatter, attach_logging, detach_logging, wants_json

REPORT = Report(True, "web:app (native: it is one)", "CPython", "uvloop", 4, 15.0)


def test_the_start_says_five_things() -> None:
    lines = banner(REPORT, ["http://127.0.0.1:8000"], Config())
    assert len(lines) == 5
    assert lines[0] == "Serving web:app (native: it is one)"
    assert "http://127.0.0.1:8000" in lines[1]
    assert "1 process" in lines[2]
    assert "uvloop" in lines[2]
    assert "4 threads" in lines[2]
    assert lines[3] == "CPython"
    assert "ne server for development and production" in lines[4]


def test_the_start_says_so_when_there_are_no_threads() -> None:
    lines = banner(msgspec.structs.replace(REPORT, threads=0), ["http://127.0.0.1:8000"], Config())
    assert "no threads: what blocks runs inline" in lines[2]


def test_the_start_tells_workers_debug_and_logo() -> None:
    lines = banner(REPORT, ["unix:/x"], Config(WORKERS=3, DEBUG=True, LOGO="~~\n~~"), supervised=True)
    assert lines[:2] == ["~~", "~~"]
    assert "3 worker processes, supervisor pid" in lines[4]
    assert lines[6].startswith("Debug mode, one server")


def test_the_build_is_named() -> None:
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in describe_build()
    assert "build" in describe_build()


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger as Python leaves it, without what the test runner attaches."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    ours = logging.getLogger("vivace").level
    logger.handlers[:] = []
    logger.setLevel(logging.WARNING)
    try:
        yield logger
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logging.getLogger("vivace").setLevel(ours)


def test_records_become_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_root():
        attach_logging(Config())
        attach_logging(Config())
        log = logging.getLogger("vivace.test")
        log.info("two\nlines \udcff %s", 1)
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed", stack_info=True)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == "two\nlines \\udcff 1"
    assert (first["level"], first["logger"]) == ("info", "vivace.test")
    assert first["time"].endswith("Z")
    assert "ValueError: why" in second["exception"]
    assert "test_reports" in second["stack"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_root():
        attach_logging(Config(LOG_FORMAT="text"))
        logging.getLogger("vivace").info("hello")
    assert capsys.readouterr().err.endswith("INFO vivace: hello\n")


def test_the_logging_of_an_app_is_left_alone() -> None:
    own = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(own)
        attach_logging(Config())
        assert root.handlers == [own]
        assert root.level == logging.WARNING
        detach_logging()
        assert root.handlers == [own]


def test_our_handler_makes_room_for_the_app() -> None:
    with bare_root() as root:
        attach_logging(Config())
        assert len(root.handlers) == 1
        detach_logging()
        assert root.handlers == []
        assert root.level == logging.WARNING


def test_debug_shows_our_details() -> None:
    with bare_root():
        attach_logging(Config(DEBUG=True))
        assert logging.getLogger("vivace.server").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("asyncio").isEnabledFor(logging.DEBUG)


def test_the_format_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wants_json(Config(LOG_FORMAT="json"))
    assert not wants_json(Config(LOG_FORMAT="text"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert not wants_json(Config())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert wants_json(Config())
    assert "\n" not in JSONFormatter().format(logging.LogRecord("x", 20, "p", 1, "a\nb", None, None))


def test_what_a_logger_of_the_app_shows_by_itself_is_not_written_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = logging.StreamHandler(io.StringIO())
    own.setLevel(logging.WARNING)
    log = logging.getLogger("some.app.part")
    logging.getLogger("some.app").addHandler(own)
    try:
        with bare_root():
            attach_logging(Config(LOG_FORMAT="text"))
            log.info("below its level")
            log.warning("shown already")
            own.addFilter(lambda record: False)
            log.error("filtered there")
    finally:
        logging.getLogger("some.app").removeHandler(own)
    written = capsys.readouterr().err
    assert "below its level" in written
    assert "shown already" not in written
    assert "filtered there" in written
