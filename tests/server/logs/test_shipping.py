"""Lines reach real receivers, none is lost in a pause of theirs, and nobody who logs ever waits."""

import http.server
import json
import logging
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.conftest import find_free_port
from tests.services.syslog import Rsyslog
from vivace.config import Config
from vivace.config.places import parse_place
from vivace.errors import ConfigError
from vivace.server.logs import shipper as shipping
from vivace.server.logs.handler import PlacesHandler
from vivace.server.logs.places import FilePlace, make_place
from vivace.server.logs.shipper import Entry, Shipper
from vivace.server.logs.syslog import SyslogStream
from vivace.server.logs.udp import cut

PATIENCE = 15.0


def entry(text: str, level: int = logging.INFO) -> Entry:
    return Entry(time.time(), level, text)


def until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def handlers() -> Iterator[list[PlacesHandler]]:
    made: list[PlacesHandler] = []
    yield made
    for one in made:
        one.close()


def logger_to(handlers: list[PlacesHandler], place: str, **settings: Any) -> logging.Logger:
    handler = PlacesHandler(Config(LOG_TO=place, **settings))
    handlers.append(handler)
    made = logging.getLogger("shop.shipped")
    made.handlers.clear()
    made.propagate = False
    made.setLevel(logging.INFO)
    made.addHandler(handler)
    return made


@pytest.mark.parametrize("kind", ["udp", "tcp", "tls"])
def test_a_real_rsyslog_gets_every_line(kind: str, tmp_path: Path, handlers: list[PlacesHandler]) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    server = Rsyslog(tmp_path, (authority.path, pair.cert, pair.key) if kind == "tls" else None)
    server.start()
    try:
        port = server.udp if kind == "udp" else server.port
        options = f"?app=shop&facility=local3&{'size=9000' if kind == 'udp' else 'framing=octets'}"
        options += f"&ca={authority.path}" if kind == "tls" else ""
        log = logger_to(handlers, f"syslog+{kind}://127.0.0.1:{port}{options}")
        log.error("it failed: %s", "password=secret1")
        for number in range(20):
            log.info("ñandú %d\nsecond line", number)
        log.info("long %s", "x" * 3000)
        lines = server.lines(22)
    finally:
        server.stop()
    first = re.fullmatch(r"local3\.err shop (\d+) (\S+) (.*)", lines[0])
    assert first is not None
    assert first[1] == str(os.getpid())
    assert json.loads(first[3])["message"] == "it failed: password=***"
    assert "ñandú 19\\nsecond line" in lines[20]
    assert "x" * 3000 in lines[21]


def test_a_certificate_that_nobody_vouches_for_gets_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    server = Rsyslog(tmp_path, (authority.path, pair.cert, pair.key))
    server.start()
    try:
        shipper = Shipper(make_place(parse_place(f"syslog+tls://127.0.0.1:{server.port}"), "shop"), 10)
        shipper.put(entry("private"))
        until(lambda: shipper._fails)
        shipper.close()
    finally:
        server.stop()
    assert "CERTIFICATE_VERIFY_FAILED" in capfd.readouterr().err
    assert not (tmp_path / "received.log").exists()


def test_what_a_receiver_missed_comes_when_it_is_back(
    tmp_path: Path, handlers: list[PlacesHandler], capfd: pytest.CaptureFixture[str]
) -> None:
    server = Rsyslog(tmp_path)
    server.start()
    log = logger_to(handlers, f"syslog+tcp://127.0.0.1:{server.port}")
    log.info("before")
    server.lines(1)
    server.stop()
    log.info("meanwhile 1")
    log.info("meanwhile 2")
    until(lambda: handlers[0].shippers[0]._fails)
    server.start()
    try:
        assert [json.loads(line.split(" ", 4)[4])["message"] for line in server.lines(3)] == [
            "before",
            "meanwhile 1",
            "meanwhile 2",
        ]
    finally:
        server.stop()
    told = capfd.readouterr().err
    assert told.count("does not take the log") == 1
    assert "takes the log again" in told


def test_a_datagram_is_never_too_long() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        port = receiver.getsockname()[1]
        place = make_place(parse_place(f"syslog+udp://127.0.0.1:{port}?host=web1&app=my+shop"), "x")
        place.send([entry("y" * 100_000, logging.CRITICAL)])
        data = receiver.recv(70_000)
        place.close()
    assert len(data) == 2048
    assert data.endswith(b"yyy...[cut]")
    assert re.match(rb"<10>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z web1 myshop \d+ - - yyy", data)


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_over_tcp_has_an_end(more: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = make_place(parse_place(f"syslog+tcp://127.0.0.1:{listener.getsockname()[1]}?host=h"), "shop")
        head = len(f"<14>1 1970-01-01T00:00:01.000Z h shop {os.getpid()} - - ")
        place.send([Entry(1.0, 20, "x" * (65_536 - head + more))])
        connection, _ = listener.accept()
        place.close()
        with connection, connection.makefile("rb") as file:
            length, _, message = file.read().partition(b" ")
    assert int(length) == len(message) == 65_536
    assert message.endswith(b"...[cut]" if more else b"xxxxxxxx")


def test_lines_with_a_line_feed_between_are_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        place = make_place(parse_place(f"syslog+tcp://127.0.0.1:{port}?framing=lf"), "shop")
        place.send([entry("a\nb"), Entry(1.0, 20, "c\nd", 2)])
        connection, _ = listener.accept()
        place.close()
        with connection, connection.makefile("rb") as file:
            lines = [line.rsplit(b" - - ", 1)[1] for line in file]
    assert lines == [b"a#012b\n", b"c\n", b"d\n"]


def test_a_collector_gets_records_of_opentelemetry() -> None:
    bodies: list[Any] = []
    answers = [503, 200]

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(answers.pop(0))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - that is its name
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = make_place(parse_place(f"otlp://127.0.0.1:{server.server_port}?app=shop"), "x")
        shipper = Shipper(place, 10)
        span = '"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"'
        line = f'{{"level":"error","message":"no","worker":2,"request_id":"a1",{span}}}'
        shipper.put(entry(line, logging.ERROR))
        until(lambda: shipper.sent)
        shipper.close()
        server.shutdown()
        thread.join()
    path, body = bodies[1]
    assert path == "/v1/logs"
    (found,) = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (found["severityNumber"], found["severityText"]) == (17, "ERROR")
    assert found["body"] == {"stringValue": "no"}
    assert {"key": "worker", "value": {"intValue": "2"}} in found["attributes"]
    assert {"key": "request_id", "value": {"stringValue": "a1"}} in found["attributes"]
    assert (found["traceId"], found["spanId"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def test_a_file_is_opened_anew_and_no_line_is_lost(tmp_path: Path, handlers: list[PlacesHandler]) -> None:
    path = tmp_path / "app.log"
    log = logger_to(handlers, f"file://{path}", LOG_FORMAT="text")
    for number in range(500):
        log.info("line %d", number)
    path.rename(tmp_path / "app.log.1") if path.exists() else None
    handlers[0].reopen()
    for number in range(500, 1000):
        log.info("line %d", number)
    handlers[0].close()
    found = [line for name in ("app.log.1", "app.log") for line in (tmp_path / name).read_text().splitlines()]
    assert [int(line.rsplit(" ", 1)[1]) for line in found] == list(range(1000))


class Stuck:
    """A place that takes nothing until it is let."""

    name = "stuck"

    def __init__(self) -> None:
        self.free = threading.Event()
        self.got: list[str] = []

    def send(self, entries: list[Entry]) -> None:
        self.free.wait(PATIENCE)
        self.got += [line for one in entries for line in one.lines()]

    def reopen(self) -> None: ...

    def close(self, *, forked: bool = False) -> None: ...


@pytest.mark.parametrize(("size", "lost"), [(1, 19), (19, 1), (20, 0)])
def test_a_place_that_stands_still_holds_nobody_up(size: int, lost: int) -> None:
    place = Stuck()
    shipper = Shipper(place, size)
    shipper.put(entry("under way"))
    until(lambda: not shipper._waiting)
    began = time.monotonic()
    for number in range(20):
        shipper.put(entry(str(number)))
    assert time.monotonic() - began < 0.2
    assert shipper.dropped == lost
    place.free.set()
    shipper.close()
    assert place.got == ["under way", *map(str, range(lost, 20))]


def test_once_in_a_while_the_log_says_how_many_were_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipping, "DROPS_TOLD", 0.05)
    place = Stuck()
    shipper = Shipper(place, 2)
    shipper.put(entry("under way"))
    until(lambda: not shipper._waiting)
    shipper.put(Entry(1.0, 20, "a\nb", 2))
    shipper.put(Entry(1.0, 20, "c", 1))
    place.free.set()
    until(lambda: caplog.records)
    shipper.close()
    (record,) = caplog.records
    assert record.getMessage().startswith("2 lines of the log were dropped: stuck")
    assert (record.__dict__["event"], record.__dict__["subject"]) == ("log.dropped", "stuck")


def test_drops_are_told_while_the_place_still_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipping, "DROPS_TOLD", 0.05)
    place = Stuck()
    shipper = Shipper(place, 2)
    shipper.put(entry("under way"))
    until(lambda: not shipper._waiting)
    end = time.monotonic() + PATIENCE
    while not caplog.records:
        shipper.put(entry("more"))
        assert time.monotonic() < end
    shipper.close(0.01)
    place.free.set()
    assert "lines of the log were dropped: stuck" in caplog.text
    assert "3 lines of the log are lost: stuck did not take them before the end" in capfd.readouterr().err


def test_a_standard_error_that_is_full_holds_no_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr("sys.__stderr__", stream)
        shipper = Shipper(FilePlace(descriptor=writing), 10)
        shipper.put(entry("stays"))
        until(lambda: not shipper._waiting)
        shipper.close(0.01)
        assert shipper.dropped == 1
        os.read(reading, 1 << 20)
        assert shipper._thread is not None
        shipper._thread.join(PATIENCE)
        assert not shipper._thread.is_alive()
    os.close(reading)


def test_long_lines_take_no_more_memory_than_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "CHARACTERS", 1000)
    place = Stuck()
    shipper = Shipper(place, 1000)
    shipper.put(entry("under way"))
    until(lambda: not shipper._waiting)
    for letter in "abc":
        shipper.put(entry(letter * 500))
    shipper.put(entry("d" * 1001))
    assert shipper.dropped == 4
    shipper.put(entry("e" * 1000))
    place.free.set()
    shipper.close()
    assert place.got == ["under way", "e" * 1000]


def test_of_more_lines_than_may_wait_the_newest_stay() -> None:
    place = Stuck()
    shipper = Shipper(place, 2)
    shipper.put(entry("under way"))
    until(lambda: not shipper._waiting)
    shipper.put(Entry(1.0, 20, "a\nb\nc", 3))
    place.free.set()
    shipper.close()
    assert (place.got, shipper.dropped) == (["under way", "b", "c"], 1)


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Files may have so many octets: as on a full disk, the last write takes a part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("many", [1, 4])
def test_a_disk_that_was_full_has_every_line_once(
    tmp_path: Path, small_disk: Callable[[int], None], many: int
) -> None:
    path = tmp_path / "log"
    place = FilePlace(str(path))
    lines = [f"line {number} " + "x" * 90 for number in range(12)]
    entries = [Entry(1.0, 20, "\n".join(lines[at : at + many]), many) for at in range(0, 12, many)]
    small_disk(550)
    with pytest.raises(OSError, match="too large"):
        place.send(entries)
    assert sum(one.many for one in entries) == 7
    with pytest.raises(OSError, match="too large"):
        place.send(entries)
    small_disk(resource.RLIM_INFINITY)
    place.send(entries)
    place.close()
    found = path.read_text().splitlines()
    torn = found.pop(5)
    assert lines[5].startswith(torn)
    assert found == lines


def test_what_is_cut_is_still_utf_8() -> None:
    assert cut("ñ".encode() * 10, 15) == "ñññ".encode() + b"...[cut]"


def test_a_fifo_that_nobody_reads_is_no_place(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="nobody reads this FIFO"):
        FilePlace(str(path))


def test_a_pipe_that_nobody_reads_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("vivace.server.logs.places.PATIENCE", 0.01)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        place = FilePlace(str(path))
        with pytest.raises(OSError, match="nobody has read for"):
            place.send([entry("x" * 1_000_000)])
        place.close()
    finally:
        os.close(reader)


def test_a_slow_receiver_gets_no_line_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def __init__(self) -> None:
            self.got = b""

        def send(self, data: memoryview) -> int:
            self.got += data[:1000]
            return min(len(data), 1000)

    place, slow = SyslogStream(parse_place("syslog+tcp://127.0.0.1?framing=lf"), "shop"), Slow()
    monkeypatch.setattr(place, "_connected", lambda: slow)
    place.send([entry("x" * 5000), entry("last")])
    assert slow.got.count(b"last") == 1
    assert slow.got.count(b"\n") == 2


def test_a_collector_that_redirects_has_not_taken_it(capfd: pytest.CaptureFixture[str]) -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(302)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - that is its name
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        shipper = Shipper(make_place(parse_place(f"otlp://127.0.0.1:{server.server_port}"), "shop"), 10)
        for count in (1, 2, 3):
            shipper.put(entry("{}"))
            until(lambda count=count: shipper.dropped == count)
        shipper.close()
        server.shutdown()
        thread.join()
    assert shipper.sent == 0
    assert capfd.readouterr().err.count("the collector answered 302") == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_takes_no_lines_and_no_thread_with_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    shipper = Shipper(FilePlace(str(path)), 100)
    shipper.put(entry("parent 1"))
    pid = os.fork()
    if pid == 0:
        shipper.put(entry("child"))
        shipper.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    shipper.put(entry("parent 2"))
    shipper.close()
    assert sorted(path.read_text().splitlines()) == ["child", "parent 1", "parent 2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://x", "expected stdout, stderr, file"),
        ("syslog+udp://", "expected a host"),
        ("syslog+udp://x:99999", "Port out of range"),
        ("syslog+udp://x?size=479", "from 480 to 65000"),
        ("syslog+udp://x?size=65001", "from 480 to 65000"),
        ("syslog+tcp://x?ca=y", "ca is no option of syslog+tcp"),
        ("syslog+tls://x?verify=no", "verify is full or none"),
        ("syslog+tcp://x?facility=mine", "facility is one such as"),
        ("file://host/path", "expected a path"),
        ("otlp://ann:secret1@x:99999", "LOG_TO: otlp://...: a user and a password have no place there"),
    ],
)
def test_a_place_that_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        Config(LOG_TO=text)


def test_edges_of_settings() -> None:
    assert parse_place("syslog+udp://x?size=480").options == {"size": "480"}
    assert parse_place("syslog+tls://x").port == 6514
    assert Config(LOG_TO=["stdout", "file:///a"]).LOG_TO == "stdout file:///a"
    assert Config(LOG_BUFFER=1).LOG_BUFFER == 1
    for bad in (0, 10_000_001):
        with pytest.raises(ConfigError):
            Config(LOG_BUFFER=bad)
    with pytest.raises(ConfigError):
        Config(LOG_LEVEL="loud")


def test_files_and_certificates_that_are_not_there_are_told_at_once(tmp_path: Path) -> None:
    port = find_free_port()
    for text in (f"file://{tmp_path}/no/where", f"syslog+tls://127.0.0.1:{port}?ca={tmp_path}/none.pem"):
        with pytest.raises(ConfigError, match="LOG_TO"):
            make_place(parse_place(text), "shop")
