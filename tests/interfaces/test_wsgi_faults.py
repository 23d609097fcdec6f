"""WSGI apps that break the rules: the log says how, the client reads a plain 500 or sees a cut answer."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interfaces.wsgi_support import (
    TEXT,
    App,
    Body,
    Environ,
    StartResponse,
    app_of,
    ask,
    is_closed,
    request,
    serving,
)
from tests.server.support import until

MODES = pytest.mark.parametrize("threads", [0, 2], ids=["inline", "threads"])
Caplog = pytest.LogCaptureFixture


def raises(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise ValueError("a secret reason")


def exits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise SystemExit(3)


def silent(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return [b"no status"]


def silent_and_empty(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return []


def twice(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"x"]


def early(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    yield b"a piece"
    start_response("200 OK", TEXT)


def starts_with(*arguments: Any) -> App:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(*arguments)
        return [b"x"]

    return app


def gives(*pieces: Any) -> App:
    def app(environ: Environ, start_response: StartResponse) -> Body:
        start_response("200 OK", TEXT)
        return Body(*pieces)

    return app


class Broken:
    def __iter__(self) -> Iterator[bytes]:
        raise ValueError("no iterator today")


FAULTS = {
    "raises": (raises, "ValueError: a secret reason"),
    "exits": (exits, "SystemExit: 3"),
    "never starts": (silent, "before it called start_response"),
    "never starts, empty": (silent_and_empty, "never called start_response"),
    "starts twice": (twice, "a second time without exc_info"),
    "a piece too early": (early, "before it called start_response"),
    "None": (app_of(None), "returned None, not an iterable of bytes"),
    "a str": (app_of("text"), "returned a value of type str"),
    "bytes": (app_of(b"text"), "returned a value of type bytes"),
    "a number": (app_of(7), "returned a value of type int"),
    "str pieces": (app_of(["text"]), "gave a value of type str as a piece"),
    "str in a generator": (gives("text"), "gave a value of type str as a piece"),
    "None pieces": (gives(None), "gave None as a piece"),
    "a late str": (app_of([b"", b"a", "b"]), "gave a value of type str as a piece"),
    "a broken iterable": (app_of(Broken()), "no iterator today"),
    "raises when iterated": (gives(ValueError("oh")), "ValueError: oh"),
    "bytes status": (starts_with(b"200 OK", TEXT), "the status is a str like '200 OK', not b'200 OK'"),
    "no status": (starts_with(None, TEXT), "the status is a str"),
    "an int status": (starts_with(200, TEXT), "the status is a str"),
    "half a status": (starts_with("20", TEXT), "the status '20' has not the form"),
    "a wordy status": (starts_with("OK 200", TEXT), "has not the form"),
    "a status with a line end": (starts_with("200 OK\r\nX: y", TEXT), "has not the form"),
    "an interim status": (starts_with("100 Continue", TEXT), "with a code from 200 to 999"),
    "no headers": (starts_with("200 OK", None), "a list of pairs of str, not NoneType"),
    "a dictionary": (starts_with("200 OK", {"X-Name": "x"}), "a list of pairs of str, not dict"),
    "a flat header": (starts_with("200 OK", ["X: y"]), "a pair of name and value, not 'X: y'"),
    "a triple": (starts_with("200 OK", [("X", "y", "z")]), "a pair of name and value"),
    "a bytes name": (starts_with("200 OK", [(b"X", "y")]), "a pair of str, not b'X'"),
    "a bytes value": (starts_with("200 OK", [("X", b"y")]), "a pair of str, not 'X': b'y'"),
    "an int value": (starts_with("200 OK", [("X", 1)]), "a pair of str"),
    "a None value": (starts_with("200 OK", [("X", None)]), "a pair of str"),
    "an unhashable name": (starts_with("200 OK", [(["X"], "y")]), "a pair of str"),
    "a line end in a value": (starts_with("200 OK", [("X", "a\r\nY: b")]), "has a control character"),
    "a null in a value": (starts_with("200 OK", [("X", "a\0")]), "has a control character"),
    "a wide value": (starts_with("200 OK", [("X", "\u20ac")]), "a character beyond Latin-1"),
    "a line end in a name": (starts_with("200 OK", [("X\r\nY", "b")]), "is not a token"),
    "a space in a name": (starts_with("200 OK", [("X Y", "b")]), "is not a token"),
    "an empty name": (starts_with("200 OK", [("", "b")]), "is not a token"),
    "a wide name": (starts_with("200 OK", [("\u20ac", "b")]), "is not a token"),
    "connection": (starts_with("200 OK", [("Connection", "close")]), "a hop-by-hop field"),
    "coding": (starts_with("200 OK", [("transfer-encoding", "chunked")]), "a hop-by-hop field"),
    "upgrade": (starts_with("200 OK", [("Upgrade", "h2c")]), "a hop-by-hop field"),
    "two lengths": (starts_with("200 OK", [("Content-Length", "1")] * 2), "given twice"),
    "no length": (starts_with("200 OK", [("Content-Length", "x")]), "is not a number"),
    "a signed length": (starts_with("200 OK", [("Content-Length", "+1")]), "is not a number"),
    "a huge length": (starts_with("200 OK", [("Content-Length", "9" * 30)]), "is not a number"),
}


@MODES
@pytest.mark.parametrize(("app", "reason"), FAULTS.values(), ids=FAULTS)
async def test_the_log_says_what_was_wrong_and_the_client_only_that(
    app: Any, reason: str, threads: int, caplog: Caplog
) -> None:
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request("/here", close=False))
        status, head, body = await client.read_response()
        assert (status, body) == (500, b"Internal Server Error\n")
        assert b"text/plain" in head
        await client.send(request())
        assert (await client.read_response())[0] == 500
    (record, _) = caplog.records
    assert record.name == "vivace.error"
    assert "the WSGI app failed on GET /here" in caplog.text
    assert reason in caplog.text
    assert "Traceback" in caplog.text


@MODES
async def test_the_traceback_ends_in_the_line_of_the_app(threads: int, caplog: Caplog) -> None:
    async with serving(raises, threads) as started:
        await ask(started, request())
    assert 'raise ValueError("a secret reason")' in caplog.text


@MODES
@pytest.mark.parametrize("error", [ValueError("oh"), SystemExit(1)], ids=repr)
async def test_a_failure_behind_the_first_piece_cuts_the_answer(
    threads: int, error: BaseException, caplog: Caplog
) -> None:
    body = Body(b"begun", error)
    async with serving(app_of(body), threads) as started:
        client = await started.connect()
        await client.send(request("/", close=False))
        reply = b""
        while piece := await client.reader.read(4096):
            reply += piece
        await body.wait_closed()
    assert not reply.endswith(b"0\r\n\r\n")
    assert type(error).__name__ in caplog.text
    assert body.closed == 1


@MODES
async def test_a_failure_behind_write_leaves_no_complete_answer(threads: int, caplog: Caplog) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", TEXT)(b"begun")
        raise ValueError("oh")

    async with serving(app, threads) as started:
        reply = await started.exchange(request())
    assert b"200 OK" not in reply or not reply.endswith(b"0\r\n\r\n")
    assert "ValueError: oh" in caplog.text


@MODES
async def test_a_str_behind_the_first_piece_cuts_the_answer(threads: int, caplog: Caplog) -> None:
    body = Body(b"begun", "text")
    async with serving(app_of(body), threads) as started:
        reply = await started.exchange(request())
        await body.wait_closed()
    assert not reply.endswith(b"0\r\n\r\n")
    assert "gave a value of type str as a piece" in caplog.text


@MODES
async def test_write_takes_bytes_only(threads: int, caplog: Caplog) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write: Any = start_response("200 OK", TEXT)
        write("text")
        return []

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[0] == 500
    assert "write takes bytes, not str" in caplog.text


@MODES
async def test_write_after_the_end_is_refused(threads: int) -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Body:
        kept.append(start_response("200 OK", TEXT))
        return body

    body = Body(b"x")
    async with serving(app, threads) as started:
        await ask(started, request())
        await body.wait_closed()
        with pytest.raises(Exception, match="write was called after the end of the request"):
            kept[0](b"late")


@MODES
async def test_write_behind_a_complete_body_is_refused_and_logged(threads: int, caplog: Caplog) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Length", "4")])
        yield b"done"
        write(b"more")

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"done"
        await until(lambda: caplog.records)
    assert "write was called behind a complete body" in caplog.text


@MODES
async def test_write_in_close_is_refused_and_logged(threads: int, caplog: Caplog) -> None:
    class Late(Body):
        def close(self) -> None:
            super().close()
            kept[0](b"late")

    kept: list[Any] = []
    body = Late(b"a", b"b")

    def app(environ: Environ, start_response: StartResponse) -> Body:
        kept.append(start_response("200 OK", TEXT))
        return body

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"ab"
        await until(lambda: caplog.records)
    assert "close() failed behind the response to GET /" in caplog.text
    assert "after the end of the request" in caplog.text


# -- lengths -----------------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("pieces", [[b"12345"], [b"123", b"45"], [b"1", b"2", b"3", b"4", b"5"]], ids=len)
@pytest.mark.parametrize(
    "kind", [list, tuple, lambda pieces: Body(*pieces)], ids=["list", "tuple", "iterable"]
)
async def test_what_is_beyond_the_length_is_cut_and_the_connection_ends(
    threads: int, pieces: list[bytes], kind: Any, caplog: Caplog
) -> None:
    async with serving(app_of(kind(pieces), ("Content-Length", "4")), threads) as started:
        client = await started.connect()
        await client.send(request("/here", close=False))
        assert (await client.read_response())[2] == b"1234"
        assert await is_closed(client)
        await until(lambda: caplog.records)
    assert "GET /here: the content is longer than its Content-Length" in caplog.text


@MODES
async def test_a_piece_behind_a_complete_body_is_dropped_and_logged(threads: int, caplog: Caplog) -> None:
    body = Body(b"1234", b"5", b"6")
    async with serving(app_of(body, ("Content-Length", "4")), threads) as started:
        client = await started.connect()
        await client.send(request("/", close=False))
        assert (await client.read_response())[2] == b"1234"
        await body.wait_closed()
    assert "the content is longer than its Content-Length" in caplog.text
    assert body.given == 2


@MODES
@pytest.mark.parametrize(
    "body",
    [[], [b"123"], (b"1", b"2"), Body(), Body(b"12", b"3")],
    ids=["no piece", "one piece", "two pieces", "no piece of an iterable", "two pieces of an iterable"],
)
async def test_a_body_that_is_too_short_ends_the_connection(threads: int, body: Any, caplog: Caplog) -> None:
    pieces = list(body.pieces) if isinstance(body, Body) else body
    async with serving(app_of(Body(*pieces), ("Content-Length", "4")), threads) as started:
        client = await started.connect()
        await client.send(request("/", close=False))
        head = await client.read_head()
        assert b"content-length: 4\r\n" in head
        assert await client.read_all() == b"".join(pieces)
        await until(lambda: caplog.records)
    assert "the content is shorter than its Content-Length" in caplog.text


# -- the end -----------------------------------------------------------------------------------------------


@MODES
async def test_a_failure_behind_a_complete_body_is_only_logged(threads: int, caplog: Caplog) -> None:
    body = Body(b"1234", ValueError("afterwards"))
    async with serving(app_of(body, ("Content-Length", "4")), threads) as started:
        assert (await ask(started, request()))[2] == b"1234"
        await body.wait_closed()
    assert "ValueError: afterwards" in caplog.text
    assert body.closed == 1


@MODES
async def test_close_that_fails_is_logged(threads: int, caplog: Caplog) -> None:
    class Bad(Body):
        def close(self) -> None:
            super().close()
            raise ValueError("cannot close")

    body = Bad(b"x")
    async with serving(app_of(body), threads) as started:
        assert (await ask(started, request()))[2] == b"x"
        await until(lambda: caplog.records)
    assert "ValueError: cannot close" in caplog.text
    assert body.closed == 1


@MODES
async def test_close_is_called_when_the_first_piece_fails(threads: int, caplog: Caplog) -> None:
    body = Body(ValueError("oh"))
    async with serving(app_of(body), threads) as started:
        assert (await ask(started, request()))[0] == 500
        await body.wait_closed()
    assert body.closed == 1


async def test_who_waits_at_the_end_of_a_graceful_stop_is_told() -> None:
    release = threading.Event()
    called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        called.set()
        release.wait(30)
        start_response("200 OK", TEXT)
        return [b"late"]

    async with serving(app, 1, GRACEFUL_SHUTDOWN_TIMEOUT=0.1) as started:
        replies = [asyncio.create_task(ask(started, request())) for _ in range(2)]
        await until(lambda: called.is_set() and started.server.active == 2)
        stopping = asyncio.create_task(started.server.stop())
        answers = await asyncio.gather(*replies)
        release.set()
        await stopping
    assert [(status, text) for status, _, text in answers] == [(503, b"the server is stopping\n")] * 2


async def test_an_app_that_never_ends_does_not_hold_up_the_stop(caplog: Caplog) -> None:
    release = threading.Event()
    called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        called.set()
        release.wait(30)
        start_response("200 OK", TEXT)
        return [b"late"]

    try:
        async with serving(app, 1, GRACEFUL_SHUTDOWN_TIMEOUT=0.1) as started:
            client = await started.connect()
            await client.send(request("/for/ever"))
            await until(called.is_set)
            await started.server.stop()
            assert await is_closed(client)
    finally:
        release.set()
    assert "is still at work after the stop: GET /for/ever" in caplog.text


@pytest.mark.parametrize("data", [request(), request("/", "POST", body=b"x")], ids=["get", "post"])
async def test_response_timeout_is_answered_in_place_and_the_late_answer_dropped(
    data: bytes, caplog: Caplog
) -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        release.wait(30)
        start_response("200 OK", TEXT)
        return [b"late"]

    async with serving(app, 1, RESPONSE_TIMEOUT=0.1) as started:
        status, _, body = await ask(started, data)
        assert status == 503
        assert b"late" not in body
        release.set()
        await until(lambda: "was answered after RESPONSE_TIMEOUT: dropped" in caplog.text)
        client = await started.connect()
        await client.send(request())
        assert (await client.read_response())[2] == b"late"
