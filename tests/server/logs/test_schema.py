"""Each line has the same fields, knows its request, and shows no secret."""

import json
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from tests.server.support import serving
from vivace import Vivace, text
from vivace.config import Config
from vivace.config.redact import DEEPEST, Redaction
from vivace.interfaces.native import NativeInterface
from vivace.server.logs.schema import JSONFormatter, TextFormatter, place_process
from vivace.server.logs.whose import request_id

if TYPE_CHECKING:
    from vivace.server.stream import Stream

log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    yield
    place_process("", None)


def fields(message: str, **extra: Any) -> dict[str, Any]:
    record = log.makeRecord("shop", 30, "p", 1, message, (), None, extra=extra or None)
    found: dict[str, Any] = json.loads(JSONFormatter().format(record))
    return found


def test_a_line_says_whose_it_is() -> None:
    place_process("worker", 3)
    found = fields("hello", order=7, password="x", event="payment.failed", subject="visa", odd=object)
    assert (found["role"], found["worker"], found["level"]) == ("worker", 3, "warning")
    assert (found["event"], found["subject"]) == ("payment.failed", "visa")
    assert found["extra"] == {"order": 7, "password": "***", "odd": "<class 'object'>"}


def test_a_line_says_that_what_it_tells_of_is_over() -> None:
    over = fields("serves", event="worker.crash", subject="worker 3", resolved=True)
    assert (over["event"], over["state"], "extra" in over) == ("worker.crash", "resolved", False)
    assert "state" not in fields("died", event="worker.crash", resolved=False)
    assert "state" not in fields("mine", resolved=True)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'cookie': 'a=b; c=d', 'x': 1}", "{'cookie': '***', 'x': 1}"),
        ('{"password":"p w","user":"ann"}', '{"password":"***","user":"ann"}'),
        (r'{"password":"p\"w","user":"ann"}', '{"password":"***","user":"ann"}'),
        (r'"{\"password\": \"p w\", \"x\": 1}"', r'"{\"password\": \"***\", \"x\": 1}"'),
        ("('password', 'p, w')", "('password', '***')"),
        ('Authorization: Digest username="ann", response="r"', "Authorization: ***"),
        ("AWS_SECRET_ACCESS_KEY=abc SECRET_KEY=abc", "AWS_SECRET_ACCESS_KEY=*** SECRET_KEY=***"),
        ("prompt_tokens=512", "prompt_tokens=512"),
        ("access_token=abc&x=1", "access_token=***&x=1"),
        ("postgres://ann:secret@db/x", "postgres://ann:***@db/x"),
        ("postgres://ann:s@cret@db/x?m=a@b", "postgres://ann:***@db/x?m=a@b"),
        ("(b'authorization', b'Basic abc')", "(b'authorization', b'***')"),
        ("the token was refused", "the token was refused"),
        ("pin=1234", "pin=***"),
    ],
)
def test_secrets_are_masked(given: str, shown: str) -> None:
    assert Redaction(["pin"]).text(given) == shown


@pytest.mark.parametrize("piece", ["password", "=", "password='", "cookie=\\", "://a:", "token: "])
def test_masking_is_linear(piece: str) -> None:
    assert Redaction().text(piece * 50_000 + "=" * 50_000)


class Card(msgspec.Struct):
    password: str
    number: int


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"accessToken": "a", "x-auth-token": "a"}, {"accessToken": "***", "x-auth-token": "***"}),
        ({"tokens": 3}, {"tokens": 3}),
        (Card("p", 3), {"password": "***", "number": 3}),
        (b"password=abc", "password=***"),
        ({"token=abc"}, ["token=***"]),
        ({"token=abc": 1}, {"token=***": 1}),
        (Broken(), "<Broken>"),
    ],
)
def test_objects_of_extra_show_no_secret(given: Any, shown: Any) -> None:
    assert fields("m", about=given)["extra"]["about"] == shown


def test_an_extra_that_holds_itself_is_written_to_some_depth() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    found = json.dumps(fields("m", about=circle)["extra"])
    assert found.count("again") == DEEPEST - 1
    assert '"..."' in found


def test_text_keeps_tracebacks_readable() -> None:
    try:
        raise ValueError("token=abc")
    except ValueError as error:
        record = log.makeRecord("shop", 40, "p", 1, "no", (), (ValueError, error, error.__traceback__))
    lines = TextFormatter().format(record).splitlines()
    assert lines[0].endswith("ERROR shop: no")
    assert lines[-1] == "  ValueError: token=***"


def test_text_of_a_client_forges_no_record_and_commands_no_terminal() -> None:
    message = "from \r\n2026-01-01T00:00:00.000Z INFO shop: forged\x1b[2J\0\x7f\x9b\u2028\tñ"
    record = log.makeRecord("shop", 40, "p", 1, "%s", (message,), None)
    first, second = TextFormatter().format(record).split("\n")
    assert first.endswith("ERROR shop: from \\x0d")
    assert second == "  2026-01-01T00:00:00.000Z INFO shop: forged\\x1b[2J\\x00\\x7f\\x9b\\u2028\tñ"
    line = JSONFormatter().format(record)
    assert json.loads(line)["message"] == message
    assert not {"\x1b", "\x9b", "\x7f", "\u2028"} & set(line)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    lines: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Heard()
    handler.setFormatter(JSONFormatter())
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


def make_app(name: str) -> Vivace:
    app = Vivace(name)

    @app.get("/at-once")
    async def at_once(request: Any) -> Any:
        log.warning("here")
        return text("x")

    @app.get("/later")
    async def later(request: Any) -> Any:
        import asyncio

        log.warning("first")
        await asyncio.sleep(0.001)
        log.warning("second")
        return text("x")

    @app.get("/thread")
    def thread(request: Any) -> Any:
        log.warning("here")
        return text("x")

    return app


@pytest.mark.parametrize(("path", "count"), [("/at-once", 1), ("/later", 2), ("/thread", 1)])
@pytest.mark.parametrize("given", ["abc-1", ""])
async def test_records_know_their_request(path: str, count: int, given: str, heard: list[str]) -> None:
    interface = NativeInterface(make_app(f"ids{len(path)}{len(given)}"))
    field = f"X-Request-ID: {given}\r\n" if given else ""
    async with serving(interface, Config(ACCESS_LOG=False, THREADS=2)) as server:
        await server.exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\n{field}Connection: close\r\n\r\n".encode())
    log.warning("outside")
    *inside, outside = (json.loads(line) for line in heard)
    ids = {one["request_id"] for one in inside}
    assert len(inside) == count
    assert len(ids) == 1
    assert ids == {given} if given else re.fullmatch(r"[0-9a-f]+-[0-9a-f]{16}", ids.pop())
    assert "request_id" not in outside


@pytest.mark.parametrize("size", [128, 129])
def test_an_id_that_a_client_sends_has_an_end(size: int) -> None:
    stream = SimpleNamespace(head=SimpleNamespace(fields=lambda: [(b"x-request-id", b"x" * size)]))
    assert request_id(cast("Stream", stream), b"x-request-id") == "x" * 128
