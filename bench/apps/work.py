"""A WSGI app that computes or waits: what threads and processes are compared with (`bench.advice`)."""

import time
from collections.abc import Callable, Iterable
from typing import Any

COMPUTING = 0.002
"""Seconds of processor time of a request to /compute."""
WAITING = 0.02
"""Seconds that a request to /wait spends as one that waits for a database does."""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer when the work is done."""
    if environ["PATH_INFO"] == "/compute":
        until = time.thread_time() + COMPUTING
        while time.thread_time() < until:
            pass
    else:
        time.sleep(WAITING)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
