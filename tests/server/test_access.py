"""The access log has a line a request, cannot be forged, and never holds up a request."""

import json
import logging
import os
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.support import hello, running, serving
from vivace import Vivace
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.native import NativeInterface
from vivace.server import access
from vivace.server.access import AccessLog


class Sink:
    """A pipe that the log writes into."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def lines(self) -> list[str]:
        os.close(self.writing)
        with os.fdopen(self.reading, "rb") as file:
            return file.read().decode("ascii").splitlines()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    for descriptor in (made.reading, made.writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


async def logged(sink: Sink, data: bytes, *, as_json: bool) -> list[str]:
    log = AccessLog(json=as_json, file=sink.writing)
    async with running(hello, access=log) as server:
        await server.exchange(data)
    return sink.lines()


async def test_a_json_line_has_the_facts(sink: Sink) -> None:
    (line,) = await logged(sink, b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", as_json=True)
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry.pop("ms") >= 0
    assert entry == {
        "level": "info",
        "logger": "vivace.access",
        "message": "GET /a?b=c 200",
        "event": "request",
        "pid": os.getpid(),
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/a?b=c",
        "http": "1.1",
        "status": 200,
        "bytes": 8,
    }


async def test_a_text_line_reads_like_others(sink: Sink) -> None:
    (line,) = await logged(sink, b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", as_json=False)
    assert re.fullmatch(r'\S+ 127\.0\.0\.1 "GET /a HTTP/1\.1" 200 8 \d+\.\d{3}ms', line)


@pytest.mark.parametrize("as_json", [True, False])
async def test_quotes_and_backslashes_of_a_client_cannot_forge_a_line(sink: Sink, as_json: bool) -> None:
    target = b'/"\\,"status":999,"x":"'
    data = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    (line,) = await logged(sink, data, as_json=as_json)
    if as_json:
        assert json.loads(line)["path"] == target.decode()
        assert json.loads(line)["status"] == 200
    else:
        assert '" 200 ' in line
        assert '/\\"' in line


async def test_secret_query_values_are_masked(sink: Sink) -> None:
    data = b"GET /a?token=abc&x=1&API_KEY=def HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    (line,) = await logged(sink, data, as_json=True)
    assert json.loads(line)["path"] == "/a?token=***&x=1&API_KEY=***"


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        (b"PIN", True),
        (b"authorization", True),
        (b"X-API-KEY", True),
        (b"%74oken", True),
        (b"pi", False),
        (b"page", False),
    ],
)
async def test_names_of_log_redact_and_escaped_ones_are_masked_in_queries(
    tmp_path: Path, key: bytes, masked: bool
) -> None:
    path = tmp_path / "access.log"
    config = Config(ACCESS_LOG_FILE=str(path), LOG_REDACT="pin, iban")
    async with serving(NativeInterface(Vivace("masked")), config) as server:
        await server.exchange(b"GET /?" + key + b"=abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (line,) = path.read_text().splitlines()
    assert ("abc" not in line) is masked


def test_masking_is_linear_in_what_a_client_sends() -> None:
    target = b"/?" + b"token" * 600_000
    assert access._masked(target) == target
    assert access._masked(b"/?" + b"token=a&" * 100_000).count(b"***") == 100_000


async def test_a_refused_message_is_logged(sink: Sink) -> None:
    (line,) = await logged(sink, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", as_json=True)
    assert json.loads(line)["status"] == 400


def test_a_long_target_is_cut() -> None:
    line = access._text_lines((), [(0.0, "1", "GET", b"/" + b"a" * 15_000, "1.1", 200, 0, 0.0, "")], 0.0)
    assert len(line) <= access.LINE_SIZE


async def test_a_broken_sink_costs_lines_and_no_request() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = AccessLog(json=True, file=writing)
    async with running(hello, access=log) as server:
        reply = await server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert reply.endswith(b"hello /a")
    assert log.dropped == 1
    os.close(writing)


def test_a_stuck_sink_fills_a_bounded_queue_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "QUEUE_SIZE", 4 * access.BATCH_SIZE)
    log = AccessLog(json=True, file=-1)
    log._thread = threading.current_thread()
    for _ in range(6 * access.BATCH_SIZE):
        log.record_refused(None, 400, "x")
        if len(log._batch) == access.BATCH_SIZE:
            log.flush()
    assert log._queue.qsize() == 4
    assert log.dropped == 2 * access.BATCH_SIZE


class Caught(logging.Handler):
    """What the log says, whatever else listens."""

    def __init__(self) -> None:
        super().__init__()
        self.said: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.put(record)


def test_drops_are_told_and_bounded_in_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "DROPS_TOLD", 0.0)
    monkeypatch.setattr(access, "QUEUE_OCTETS", 100_000)
    reading, writing = os.pipe()
    log, caught = AccessLog(json=False, file=writing), Caught()
    logging.getLogger("vivace.server").addHandler(caught)
    try:
        for _ in range(1000):  # the pipe takes 64 KiB, and then 100 KB wait
            log.record_refused(None, 400, "x" * 7000)
            log.flush()
        record = caught.said.get(timeout=30)
    finally:
        logging.getLogger("vivace.server").removeHandler(caught)
        os.set_blocking(reading, False)
        log._queue.put(None)
        while log._thread is not None and log._thread.is_alive():
            try:
                os.read(reading, 1 << 20)
            except BlockingIOError:
                log._thread.join(0.01)
        os.close(reading)
        os.close(writing)
    assert log.dropped > 900
    assert "lines of the access log were dropped: its output does not take them" in record.getMessage()
    assert record.__dict__["event"] == "log.dropped"


def test_a_fifo_that_nobody_reads_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="nobody reads this FIFO"):
        AccessLog(json=False, path=str(path))
