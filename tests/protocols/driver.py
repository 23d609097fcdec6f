"""Driving an `H1Connection` from the outside: what a server would see of a client's octets.

Two builds are driven: the one that the package uses, and the Python source on the Python definitions of the
wire functions, whatever the package uses.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from typing import Any

import vivace.protocols
from vivace.errors import RemoteProtocolError
from vivace.protocols import h1
from vivace.protocols.events import CONNECTION_CLOSED, NEED_DATA, DataReceived, EndOfMessage, RequestReceived
from vivace.protocols.h1 import H1Limits
from vivace.wire import head, response

DATE = b"date: Sat, 21 Nov 2026 05:00:00 GMT\r\n"
LIMITS = H1Limits()


def _load_plain() -> Any:
    source = f"{next(iter(vivace.protocols.__path__))}/h1.py"
    spec = importlib.util.spec_from_file_location("vivace_plain_h1", source)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.parse_head = head.py_parse_head
    module.split_fields = head.py_split_fields
    module.render_head = response.py_render_head
    return module


BUILDS: dict[str, Any] = {"used": h1.H1Connection, "plain": _load_plain().H1Connection}

Step = tuple[Any, ...]


def read(connection: Any) -> Iterator[Step]:
    """Tell what can be told now, each thing as a tuple; the last one says why it ended."""
    while True:
        try:
            event = connection.next_event()
        except RemoteProtocolError as error:
            yield "error", error.status_hint
            return
        if isinstance(event, RequestReceived):
            yield (
                "request",
                event.method,
                event.target,
                event.path,
                event.query,
                event.http_version,
                event.scheme,
                event.host,
                event.content_length,
                event.has_body,
                event.chunked,
                event.keep_alive,
                event.expect_continue,
                event.upgrade,
                tuple(event.fields()),
            )
            if event.has_body:
                continue
        elif isinstance(event, DataReceived):
            assert event.data
            yield "data", event.data
            continue
        elif isinstance(event, EndOfMessage):
            yield "end", tuple(event.trailers)
        else:
            yield (repr(event),)
            return
        connection.send_response(200, (), b"", DATE)
        if not connection.keep_alive:
            yield ("close", connection.buffered)
            return
        connection.next_cycle()


def transcript(build: Any, segments: Iterable[bytes], limits: H1Limits = LIMITS) -> list[Step]:
    """Everything that a server would see of these segments, with neighbouring pieces of data joined.

    What a request with ``Connection: close`` leaves in the buffer depends on the segments, so it is not told.
    """
    connection = build(limits)
    steps: list[Step] = []
    for segment in (*segments, b""):
        connection.receive_data(segment)
        for step in read(connection):
            if step[0] == "data" and steps and steps[-1][0] == "data":
                steps[-1] = ("data", steps[-1][1] + step[1])
            elif step[0] == "close":
                return [*steps, ("close",)]
            elif step[0] == "error":
                return [*steps, step]
            elif step[0] != repr(NEED_DATA):
                steps.append(step)
    assert steps[-1] == (repr(CONNECTION_CLOSED),)
    return steps


def outcome(build: Any, data: bytes, limits: H1Limits = LIMITS) -> list[Any]:
    """The short form of a transcript: ``GET /path``, bodies, statuses of errors, ``close``."""
    found: list[Any] = []
    for step in transcript(build, [data] if data else [], limits):
        if step[0] == "request":
            found.append(f"{step[1]} {step[2].decode('latin-1')}")
        elif step[0] in {"data", "error"}:
            found.append(step[1])
        elif step[0] != "end":
            found.append(step[0])
    return found
