"""WSGI apps that take too long: which thread is stuck where, and who waits for it."""

import asyncio
import threading

import pytest

from tests.interfaces.wsgi_support import Environ, StartResponse, ask, request, serving
from tests.server.support import until
from vivace.protocols.threads import count_threads, late_workers

TEXT = [("Content-Type", "text/plain")]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_late_thread_is_named_with_its_stack_and_so_is_who_waits(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        stuck_here()
        start_response("200 OK", TEXT)
        return [b"well"]

    def stuck_here() -> None:
        released.wait(30)

    body = b"x" if method == "POST" else b""
    async with serving(app, 1, RESPONSE_TIMEOUT=0.3) as started:
        first = asyncio.create_task(ask(started, request("/first", method, body=body)))
        await until(lambda: count_threads() == (1, 0))
        second = asyncio.create_task(ask(started, request("/second", method, body=body)))
        assert (await first)[0] == 503
        assert [one.describe() for one in late_workers()] == [f"vivace-wsgi-1: {method} /first"]
        assert (await second)[0] == 503
        assert count_threads() == (1, 1)
        released.set()
        await until(lambda: count_threads() == (0, 0))
        assert (await ask(started, request()))[2] == b"well"
    lines = sorted(line for line in caplog.messages if "had no answer" in line)
    assert lines[0].startswith(f"{method} /first had no answer after 0.")
    assert "vivace-wsgi-1 goes on with it\n" in lines[0]
    assert lines[0].index("in app") < lines[0].index("in stuck_here")
    busy = f"it waited for one of 1 threads, which were busy (vivace-wsgi-1: {method} /first)"
    assert lines[1].endswith(busy)
