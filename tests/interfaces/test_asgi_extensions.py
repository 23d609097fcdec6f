"""The extensions of ASGI: trailers, early hints, debug, pathsend, zerocopysend."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.asgi_support import START, body, get, hosting, sends


async def test_trailers_go_to_a_client_that_takes_them() -> None:
    app = sends(
        {**START, "trailers": True},
        body(b"x"),
        {"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"b", b"2")]},
    )
    async with hosting(app) as running:
        close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        assert (await running.exchange(close + b"TE: trailers\r\n\r\n")).endswith(
            b"1\r\nx\r\n0\r\na: 1\r\nb: 2\r\n\r\n"
        )
        assert (await running.exchange(close + b"\r\n")).endswith(b"1\r\nx\r\n0\r\n\r\n")


async def test_early_hints_when_they_are_allowed() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
    async with hosting(sends(hint, START, body(b"x")), EARLY_HINTS=True) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await client.read_head()
        assert head.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        assert head.count(b"link: ") == 2
        assert (await client.read_response())[2] == b"x"


async def test_debug_messages_are_taken_in_debug_mode_only(caplog: pytest.LogCaptureFixture) -> None:
    debug = {"type": "http.response.debug", "info": {"template": "x"}}
    async with hosting(sends(debug, START, body(b"x")), DEBUG=True) as running:
        assert (await get(running))[2] == b"x"
    async with hosting(sends(debug, START, body(b"x"))) as running:
        assert (await get(running))[0] == 500


async def test_pathsend(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    async with hosting(sends(START, {"type": "http.response.pathsend", "path": str(path)})) as running:
        status, head, data = await get(running)
        assert (status, data) == (200, path.read_bytes())
        assert b"content-length: 300000\r\n" in head
        head_only = await running.exchange(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"content-length: 300000\r\n" in head_only
        assert head_only.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("as_object", [False, True])
async def test_zerocopysend(tmp_path: Path, as_object: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(2)
        given: Any = file if as_object else file.fileno()
        message = {"type": "http.response.zerocopysend", "file": given}
        app = sends(
            {**START, "headers": [(b"content-length", b"12")]},
            {**message, "offset": 0, "count": 3, "more_body": True},
            body(b"-", True),
            message,
        )
        async with hosting(app) as running:
            assert (await get(running))[2] == b"012-23456789"


async def test_a_file_that_became_shorter_cuts_the_response(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        message = {"type": "http.response.zerocopysend", "file": file, "offset": 0, "count": 20}
        async with hosting(sends({**START, "headers": [(b"content-length", b"20")]}, message)) as running:
            client = await running.connect()
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert not (await client.read_all()).endswith(b"x" * 10)
