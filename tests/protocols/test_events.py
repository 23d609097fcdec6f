"""The head of a request gives its fields in the two forms that applications want."""

from typing import Any

from vivace.protocols.events import RequestReceived
from vivace.protocols.h1 import H1Limits


def head_of(build: Any, data: bytes) -> RequestReceived:
    connection = build(H1Limits())
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, RequestReceived)
    return event


def test_fields_are_pairs_and_keys_of_an_environ(build: Any) -> None:
    head = head_of(build, b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\nx-a: c\r\n\r\n")
    environ: dict[str, object] = {"REQUEST_METHOD": "GET"}
    head.fill_environ(environ)
    assert head.fields() == [(b"host", b"a"), (b"x-a", b"b"), (b"x-a", b"c")]
    assert environ == {"REQUEST_METHOD": "GET", "HTTP_HOST": "a", "HTTP_X_A": "b,c"}


def test_the_authority_of_an_absolute_target_replaces_host_in_both(build: Any) -> None:
    # RFC 9112 section 3.2.2
    head = head_of(build, b"GET http://b:1/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
    environ: dict[str, object] = {}
    head.fill_environ(environ)
    assert head.fields() == [(b"host", b"b:1"), (b"x", b"y")]
    assert environ == {"HTTP_HOST": "b:1", "HTTP_X": "y"}


def test_without_host_there_is_no_key_for_it(build: Any) -> None:
    environ: dict[str, object] = {}
    head_of(build, b"GET / HTTP/1.0\r\n\r\n").fill_environ(environ)
    assert environ == {}


def test_what_logs_call_a_request(build: Any) -> None:
    assert head_of(build, b"GET /shop?key=1 HTTP/1.0\r\n\r\n").describe() == "GET /shop"
    assert head_of(build, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").describe() == "OPTIONS *"
    assert RequestReceived.refused().describe() == "a message that is no request"
