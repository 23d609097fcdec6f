"""Each alarm is told once in a while, to whom it concerns, signed, and again if that fails."""

import asyncio
import hashlib
import hmac
import http.server
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vivace import Vivace
from vivace.config import Config
from vivace.config.alarms import EVENTS, PLACE, Alarm, parse_alarms, show_alarms
from vivace.errors import ConfigError, DeclarationError
from vivace.framework.alarms import keeper
from vivace.framework.alarms.book import MOST, SUBJECTS, AlarmBook
from vivace.framework.alarms.declare import companion
from vivace.framework.alarms.targets import signature, targets_of
from vivace.framework.beside import Context
from vivace.server.logs.notes import LONGEST_NAME, WAITING, Notes, notes
from vivace.server.logs.schema import place_process

PATIENCE = 10.0
CRASH = Alarm(event="worker.crash", subject="worker 1", message="it died", host="web1")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def test_an_alarm_is_told_once_in_an_interval_and_its_end_once() -> None:
    book = AlarmBook(300.0)
    over = Alarm(event="worker.crash", subject="worker 1", resolved=True)
    assert book.note(over, 0.0) is None
    assert book.note(CRASH, 0.0) is CRASH
    assert book.note(Alarm(event="worker.crash", subject="worker 2"), 1.0) is not None
    assert book.note(over, 2.0) is over
    assert book.note(over, 3.0) is None
    assert book.note(CRASH, 4.0) is None
    assert book.note(CRASH, 299.9) is None
    assert book.note(over, 299.9) is None
    told = book.note(CRASH, 300.0)
    assert told is not None
    assert told.held_back == 2


def test_an_interval_of_zero_holds_nothing_back() -> None:
    book = AlarmBook(0.0)
    assert [book.note(CRASH, 1.0) is not None for _ in range(3)] == [True] * 3


def test_a_book_forgets_the_oldest() -> None:
    book = AlarmBook(300.0)
    for number in range(1001):
        book.note(Alarm(event=f"x{number}"), float(number))
    assert len(book._known) == len(book._events) == MOST
    assert book.note(Alarm(event="x0"), 100.0) is not None
    assert book.note(Alarm(event="x1000"), 1002.0) is None


def test_who_was_told_of_an_end_is_told_that_it_began_again() -> None:
    book = AlarmBook(300.0)
    over = Alarm(event="worker.crash", subject="worker 1", resolved=True)
    assert [book.note(CRASH, 0.0), book.note(over, 1.0)] == [CRASH, over]
    assert book.next_due() == float("inf")
    assert book.note(CRASH, 2.0) is book.note(CRASH, 3.0) is None
    assert book.next_due() == 300.0
    assert book.due(299.0) == []
    (told,) = book.due(300.0)
    assert (told.event, told.held_back, told.resolved) == ("worker.crash", 1, False)
    assert book.due(900.0) == []
    assert book.note(over, 301.0) is over


def test_a_beginning_that_was_held_back_is_not_told_after_its_end() -> None:
    book = AlarmBook(300.0)
    over = Alarm(event="worker.crash", subject="worker 1", resolved=True)
    assert [book.note(CRASH, 0.0), book.note(over, 1.0)] == [CRASH, over]
    assert book.note(CRASH, 2.0) is book.note(over, 3.0) is None
    assert book.due(900.0) == []


def test_subjects_that_strangers_choose_are_no_storm() -> None:
    book = AlarmBook(300.0)
    told = [book.note(Alarm(event="request.timeout", subject=f"GET /{n}"), 1.0) for n in range(100)]
    assert [one is not None for one in told] == [True] * SUBJECTS + [False] * (100 - SUBJECTS)
    assert book.note(Alarm(event="task.dead"), 2.0) is not None
    (last,) = book.due(301.0)
    assert (last.subject, last.held_back) == ("GET /99", 100 - SUBJECTS - 1)
    assert book.note(Alarm(event="request.timeout", subject="GET /99", resolved=True), 302.0) is not None
    again = book.note(Alarm(event="request.timeout", subject="GET /new"), 700.0)
    assert again is not None
    assert again.held_back == 0


def test_the_next_book_knows_what_was_told() -> None:
    first, second = AlarmBook(300.0), AlarmBook(300.0)
    first.note(CRASH, 0.0)
    second.restore(b"no book")
    second.restore(first.save())
    assert second.note(CRASH, 1.0) is None
    over = Alarm(event="worker.crash", subject="worker 1", resolved=True)
    assert second.note(over, 2.0) is over


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"to": "https://x"}, "missing required field `on`"),
        ({"on": "Worker!", "to": "https://x"}, "is no event"),
        ({"on": "worker.*", "to": "me"}, "expected https://host/path"),
        ({"on": "worker.*", "to": "exec:"}, "expected exec:program"),
        ({"on": "worker.*", "to": "exec:a 'b"}, "cannot be split"),
        ({"on": [], "to": "https://x"}, "cannot be empty"),
        ({"on": "*", "to": "https://x", "when": 1}, "unknown field `when`"),
        ("[", "no JSON"),
        (5, "expected tables"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(table: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why.replace("*", r"\*")):
        Config(ALARM=table)


def test_a_rule_is_read_and_shown() -> None:
    (rule,) = parse_alarms(Config(ALARM=[{"on": "worker.*", "to": "https://x", "secret": "s"}]).ALARM)
    assert (rule.on, rule.to, rule.secret) == (["worker.*"], ["https://x"], "s")
    assert parse_alarms(show_alarms([rule])) == [rule]
    assert CRASH.fits(["task.dead", "worker.*"])
    assert not CRASH.fits(["worker"])
    assert "worker.crash" in EVENTS
    for bad in (-1, 86_401):
        with pytest.raises(ConfigError):
            Config(ALARM_INTERVAL=bad)


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what webhooks send."""

    seen: "list[tuple[str, bytes]]" = []
    answers: "list[int]" = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.headers.get("vivace-signature", ""), body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - that is its name
        return

    def do_GET(self) -> None:
        self.seen.append(("followed", b""))


@asynccontextmanager
async def hook(*answers: int) -> AsyncIterator[int]:
    Hook.seen, Hook.answers = [], list(answers)
    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        await asyncio.to_thread(server.shutdown)
        thread.join()


@asynccontextmanager
async def kept(
    app: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[logging.Logger]:
    """A process that tells of alarms, without the process; events go into the logger."""
    monkeypatch.setenv("VIVACE_RUN", str(folder))
    monkeypatch.setattr(keeper, "PAUSES", (0.01, 0.01, 0.01))
    ready = asyncio.Event()
    context = Context(app, Config(**settings), "alarms", 0, ready.set)
    task = asyncio.create_task(keeper.keep_alarms(context))
    await asyncio.wait_for(ready.wait(), PATIENCE)
    log, handler = logging.getLogger("vivace.alarms.test"), Notes()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)
    context.stop()
    await asyncio.wait_for(task, PATIENCE)


async def test_an_event_that_is_almost_one_of_the_server_is_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rule = {"on": ["task.died", "tasks.*", "payment.failed"], "to": ["exec:true", "exec:false"]}
    async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=[rule]):
        pass
    assert [r.message for r in caplog.records if "no event" in r.message] == [
        "alarms: the server knows no event task.died; did you mean task.dead?",
    ]


async def test_functions_of_the_app_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, got = Vivace("alarmed"), list[Alarm]()

    @app.on_alarm("worker.*")
    async def later(alarm: Alarm) -> None:
        got.append(alarm)

    @app.on_alarm("payment.failed")
    def at_once(alarm: Alarm) -> None:
        got.append(alarm)

    @app.on_alarm("*")
    def broken(alarm: Alarm) -> None:
        raise ValueError("of the app")

    async with kept(app, tmp_path, monkeypatch) as log:
        log.error("worker 1 died", extra={"event": "worker.crash", "subject": "worker 1"})
        log.error("no event")
        log.error("worker 1 died", extra={"event": "worker.crash", "subject": "worker 1"})
        log.info("it serves", extra={"event": "worker.crash", "subject": "worker 1", "resolved": True})
        log.error("declined", extra={"event": "payment.failed"})
        await until(lambda: len(got) == 3)
    told = [(one.event, one.subject, one.message, one.resolved) for one in got]
    assert sorted(told) == [
        ("payment.failed", "", "declined", False),
        ("worker.crash", "worker 1", "it serves", True),
        ("worker.crash", "worker 1", "worker 1 died", False),
    ]
    assert got[0].pid == os.getpid()


async def test_a_webhook_is_signed_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hook(503, 200) as port:
        rule = {"on": "worker.crash", "to": f"http://127.0.0.1:{port}/x", "secret": "shared"}
        async with kept(SimpleNamespace(name="x"), tmp_path, monkeypatch, ALARM=[rule]) as log:
            log.error("it died", extra={"event": "worker.crash"})
            await until(lambda: len(Hook.seen) == 2)
    given, body = Hook.seen[1]
    seconds = given.partition(",")[0].removeprefix("t=")
    expected = hmac.new(b"shared", f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    assert given == f"t={seconds},v1={expected}" == signature("shared", body, int(seconds))
    assert json.loads(body)["event"] == "worker.crash"


@pytest.mark.parametrize("answer", [404, 301, 302, 307])
async def test_a_webhook_that_refuses_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: int
) -> None:
    async with hook(answer) as port:
        rule = {"on": "*", "to": f"http://127.0.0.1:{port}/secret-path"}
        async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=[rule]) as log:
            log.error("it died", extra={"event": "worker.crash"})
            await until(lambda: f"it answered {answer}" in caplog.text)
    assert len(Hook.seen) == 1
    assert "webhook 127.0.0.1 failed on the alarm worker.crash" in caplog.text
    assert "secret-path" not in caplog.text


async def test_a_webhook_that_speaks_no_http_is_asked_again_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await reader.readuntil(b"}")
        writer.write(b"SSH-2.0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rules = [
            {"on": "*", "to": [f"http://127.0.0.1:{port}/secret", f"http://127.0.0.1:{port}/secret two"]}
        ]
        async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=rules) as log:
            log.error("it died", extra={"event": "worker.crash"})
            await until(lambda: caplog.text.count("was not told of the alarm") == 2)
    assert len(asked) == 4
    assert "that was no HTTP: BadStatusLine" in caplog.text
    assert "secret" not in caplog.text


async def test_whoever_hangs_holds_up_no_other_and_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "LAST", 0.2)
    app, got, released = Vivace("hanging_alarms"), list[str](), threading.Event()

    def hangs(alarm: Alarm) -> None:
        released.wait(60)

    for _ in range(40):  # more than a pool of threads has
        app.on_alarm("*")(hangs)
    app.on_alarm("*")(lambda alarm: got.append(alarm.event))
    try:
        async with kept(app, tmp_path, monkeypatch) as log:
            log.error("it died", extra={"event": "worker.crash"})
            await until(lambda: got == ["worker.crash"])
    finally:
        released.set()
    assert caplog.text.count("hangs was not told of 1 alarms before the stop") == 40


async def test_what_began_before_a_restart_ends_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, got = Vivace("restarted_alarms"), list[Alarm]()
    app.on_alarm("*")(got.append)
    over = {"event": "restart.aborted", "resolved": True}
    async with kept(app, tmp_path, monkeypatch) as log:
        log.error("it cannot serve", extra={"event": "restart.aborted"})
        await until(lambda: len(got) == 1)
    async with kept(app, tmp_path, monkeypatch) as log:
        log.error("it cannot serve", extra={"event": "restart.aborted"})
        log.info("done", extra=over)
        await until(lambda: len(got) == 2)
    assert [one.resolved for one in got] == [False, True]


async def test_what_is_due_is_told_without_another_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, got = Vivace("due_alarms"), list[Alarm]()
    app.on_alarm("*")(got.append)
    async with kept(app, tmp_path, monkeypatch, ALARM_INTERVAL=1.0) as log:
        for resolved in (False, True, False):
            log.error("flaps", extra={"event": "daemon.down", "subject": "redis", "resolved": resolved})
        await until(lambda: len(got) == 3)
    assert [one.resolved for one in got] == [False, True, False]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_nobody_to_tell_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    rule = {"on": "*", "to": "nothing://secret"}
    async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=[rule]) as log:
        log.error("it died", extra={"event": "worker.crash"})
    assert "nothing://..." in caplog.text


async def test_a_command_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "tell.py"
    script.write_text(
        "import os, sys\n"
        f"open({str(tmp_path / 'out')!r}, 'a').write("
        "os.environ['ALARM_EVENT'] + os.environ['ALARM_STATE'] + sys.argv[1] + sys.stdin.read())\n"
    )
    rule = {"on": "task.dead", "to": f"exec:{sys.executable} {script} 'a b'"}
    async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=[rule]) as log:
        log.error("it failed", extra={"event": "task.dead", "subject": "send"})
    out = (tmp_path / "out").read_text()
    assert out.startswith('task.deadfiringa b{"event":"task.dead","subject":"send","message":"it failed"')
    assert out.endswith("}\n"), "so that cat >> makes lines"


async def test_what_a_command_says_is_read_and_its_end_told_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "pid"
    script = (
        f"head -c 3000000 /dev/zero; echo first; sleep 60 & echo $! >> {left}; echo it failed >&2; exit 3"
    )
    rule = {"on": "task.dead", "to": f"exec:sh -c '{script}'"}
    async with kept(SimpleNamespace(), tmp_path, monkeypatch, ALARM=[rule]) as log:
        log.error("it failed", extra={"event": "task.dead", "subject": "send"})
        await until(lambda: "was not told of the alarm" in caplog.text)
    for pid in left.read_text().split():  # who holds the output open, and is not waited for
        os.kill(int(pid), signal.SIGKILL)
    assert "it ended with exit code 3; it said" in caplog.text
    assert r"first\nit failed" in caplog.text
    assert len(caplog.text) < 4000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_apprise_delivers() -> None:
    pytest.importorskip("apprise")
    async with hook(200) as port:
        (target,) = targets_of(parse_alarms([{"on": "*", "to": f"json://127.0.0.1:{port}/"}])[0])
        await target.tell(CRASH)
    sent = json.loads(Hook.seen[0][1])
    assert (sent["title"], sent["message"]) == ("worker.crash (worker 1) on web1", "it died")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_apprise_does_not_know_is_told() -> None:
    pytest.importorskip("apprise")
    with pytest.raises(ConfigError, match="does not know the URL nothing://"):
        targets_of(parse_alarms([{"on": "*", "to": "nothing://secret"}])[0])


def test_events_wait_for_who_listens_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVACE_RUN", str(tmp_path))
    handler = Notes()
    for number in range(WAITING + 1):
        facts = {"event": "x", "subject": str(number), "msg": "m", "levelname": "ERROR", "created": 1.0}
        handler.handle(logging.makeLogRecord(facts))
    assert len(handler._waiting) == WAITING
    assert handler.waits
    assert b'"subject":"1"' in handler._waiting[0][1]


@pytest.fixture
def in_a_worker() -> Iterator[None]:
    place_process("worker", 1)
    yield
    place_process("", None)


@pytest.mark.usefixtures("in_a_worker")
def test_an_event_that_nobody_hears_yet_is_told_without_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVACE_RUN", str(tmp_path))
    monkeypatch.setattr("vivace.server.logs.notes.EVERY", 0.01)
    handler = Notes()
    facts = {"event": "e" * 1000, "subject": "\udc80", "msg": "m", "levelname": "ERROR", "created": 1.0}
    handler.handle(logging.makeLogRecord(facts))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / PLACE))
        ear.settimeout(PATIENCE)
        heard = json.loads(ear.recv(65_536))
    assert (heard["event"], heard["subject"]) == ("e" * LONGEST_NAME, "\\udc80")


def test_a_child_does_not_tell_what_its_parent_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIVACE_RUN", str(tmp_path))
    facts = {"event": "x", "msg": "m", "levelname": "ERROR", "created": 1.0}
    notes.handle(logging.makeLogRecord(facts))
    try:
        child = os.fork()
        if not child:
            os._exit(3 if notes.waits else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert notes.waits
    finally:
        notes.forget()


def test_a_declaration_needs_events() -> None:
    app = Vivace("empty_alarms")
    with pytest.raises(DeclarationError, match="expected events"):
        app.on_alarm()
    assert companion().name == "alarms"


def test_an_app_raises_its_own(caplog: pytest.LogCaptureFixture) -> None:
    Vivace("own_alarms").alarm("payment.failed", "declined", subject="visa")
    facts = caplog.records[0].__dict__
    assert (facts["event"], facts["subject"], facts["levelname"]) == ("payment.failed", "visa", "ERROR")


@pytest.mark.parametrize("more", [0, 1])
async def test_a_target_has_so_many_that_wait(
    more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app, got, released = Vivace("slow_alarms"), list[str](), asyncio.Event()

    async def slow(alarm: Alarm) -> None:
        got.append(alarm.event)
        await released.wait()

    app.on_alarm("*")(slow)
    async with kept(app, tmp_path, monkeypatch, ALARM_INTERVAL=0) as log:
        log.error("under way", extra={"event": "first"})
        await until(lambda: got)
        for number in range(keeper.QUEUE + more):
            log.error("waits", extra={"event": f"waits.e{number}"})
            if number % 10 == 0:  # the socket has room for a few
                await asyncio.sleep(0.01)
        if more:
            await until(lambda: "slow is slow: the alarm waits.e100 is not told" in caplog.text)
        released.set()
        await until(lambda: len(got) == 1 + keeper.QUEUE)
    assert caplog.text.count("is slow") == more
