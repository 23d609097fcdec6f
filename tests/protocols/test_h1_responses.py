"""What a response looks like, what may not be sent, and when the connection stays."""

from typing import Any

import pytest

from tests.protocols.driver import DATE
from vivace.errors import LocalProtocolError, RemoteProtocolError
from vivace.protocols.events import CONNECTION_CLOSED, NEED_DATA, PAUSED
from vivace.protocols.h1 import H1Limits

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
HEAD = b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEEP = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def asked(build: Any, data: bytes = GET) -> Any:
    """A connection that waits for the answer to `data`."""
    connection = build(H1Limits())
    connection.receive_data(data)
    connection.next_event()
    return connection


# -- whole responses ----------------------------------------------------------------------------------------


def test_a_whole_response(build: Any) -> None:
    connection = asked(build)
    sent = connection.send_response(200, [(b"x", b"y")], b"hello", DATE)
    assert sent == OK + b"x: y\r\n" + DATE + b"content-length: 5\r\n\r\nhello"
    assert connection.keep_alive


def test_head_gets_the_length_and_no_content(build: Any) -> None:
    assert asked(build, HEAD).send_response(200, (), b"hello", b"") == OK + b"content-length: 5\r\n\r\n"
    assert asked(build, HEAD).send_response(200, (), b"", b"") == OK + b"\r\n"
    sent = asked(build, HEAD).send_response(200, [(b"content-length", b"9")], b"", b"")
    assert sent == OK + b"content-length: 9\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (204, (), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (204, [(b"content-length", b"5"), (b"x", b"y")], b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"),
        (205, (), b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
        (304, (), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (304, [(b"content-length", b"5")], b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("request_", [GET, HEAD])
def test_statuses_without_content(
    build: Any, status: int, fields: Any, expected: bytes, request_: bytes
) -> None:
    assert asked(build, request_).send_response(status, fields, b"hello", b"") == expected
    connection = asked(build, request_)
    assert connection.send_head(status, fields, b"") == expected
    assert connection.send_data(b"hello") == b""
    assert connection.frame_data(5) is None
    assert connection.send_end() == b""
    assert connection.keep_alive


def test_a_status_without_a_phrase(build: Any) -> None:
    assert asked(build).send_response(299, (), b"", b"").startswith(b"HTTP/1.1 299 \r\n")
    assert asked(build).send_response(999, (), b"", b"").startswith(b"HTTP/1.1 999 \r\n")


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 1000, -200])
def test_what_is_no_final_status(build: Any, status: int) -> None:
    for send in ("send_response", "send_head"):
        connection = asked(build)
        with pytest.raises(LocalProtocolError):
            if send == "send_response":
                connection.send_response(status, (), b"", b"")
            else:
                connection.send_head(status, (), b"")
        assert connection.send_response(500, (), b"", b"").startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"\n", b"\x00", b"a\rb"])
def test_nothing_is_sent_when_a_field_is_illegal(build: Any, value: bytes) -> None:
    connection = asked(build)
    with pytest.raises(LocalProtocolError):
        connection.send_response(200, [(b"location", value)], b"", DATE)
    with pytest.raises(LocalProtocolError):
        connection.send_head(200, [(b"location", value)], DATE)
    assert connection.send_error(500, b"no", DATE).startswith(b"HTTP/1.1 500 ")


def test_a_length_that_is_not_that_of_the_content_is_refused(build: Any) -> None:
    connection = asked(build)
    for length in (b"4", b"6", b"x"):
        with pytest.raises(LocalProtocolError):
            connection.send_response(200, [(b"content-length", length)], b"hello", DATE)
    assert connection.send_response(200, [(b"content-length", b"5")], b"hello", b"").endswith(
        b"\r\n\r\nhello"
    )


def test_one_response_to_one_request(build: Any) -> None:
    fresh = build(H1Limits())
    with pytest.raises(LocalProtocolError):
        fresh.send_response(200, (), b"", b"")
    connection = asked(build)
    connection.send_response(200, (), b"", b"")
    for again in (
        lambda: connection.send_response(200, (), b"", b""),
        lambda: connection.send_head(200, (), b""),
        lambda: connection.send_data(b"x"),
        connection.send_end,
        lambda: connection.send_informational(103, ()),
        lambda: connection.send_error(500, b"", b""),
    ):
        with pytest.raises(LocalProtocolError):
            again()


# -- streamed responses -------------------------------------------------------------------------------------


def test_content_of_unknown_length_goes_in_chunks(build: Any) -> None:
    connection = asked(build)
    assert connection.send_head(200, (), b"") == OK + b"transfer-encoding: chunked\r\n\r\n"
    assert connection.send_data(b"hello world, hello") == b"12\r\nhello world, hello\r\n"
    assert connection.send_data(b"") == b"", "an empty chunk would be the end"
    assert connection.frame_data(4096) == (b"1000\r\n", b"\r\n")
    assert connection.frame_data(0) == (b"", b"")
    assert connection.send_end() == b"0\r\n\r\n"
    assert connection.keep_alive


def test_trailers_stand_behind_chunks(build: Any) -> None:
    connection = asked(build)
    connection.send_head(200, (), b"")
    assert connection.send_end([(b"x-sum", b"1")]) == b"0\r\nx-sum: 1\r\n\r\n"


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb"), (b"", b""), (b"Content-Length", b"1"), (b"host", b"a")])
def test_illegal_trailers_are_refused(build: Any, field: tuple[bytes, bytes]) -> None:
    connection = asked(build)
    connection.send_head(200, (), b"")
    with pytest.raises(LocalProtocolError):
        connection.send_end([field])
    assert connection.send_end() == b"0\r\n\r\n"


def test_content_of_a_length_that_the_application_says(build: Any) -> None:
    connection = asked(build)
    sent = connection.send_head(200, [(b"content-length", b"5")], b"")
    assert sent == OK + b"content-length: 5\r\n\r\n"
    assert connection.send_data(b"he") + connection.send_data(b"llo") == b"hello"
    assert connection.send_end([(b"x", b"y")]) == b""
    assert connection.keep_alive


def test_content_never_overruns_its_length(build: Any) -> None:
    connection = asked(build)
    connection.send_head(200, [(b"content-length", b"5")], b"")
    connection.send_data(b"hell")
    with pytest.raises(LocalProtocolError):
        connection.send_data(b"oo")
    with pytest.raises(LocalProtocolError):
        connection.frame_data(2)
    assert not connection.keep_alive


def test_content_that_is_too_short_is_told(build: Any) -> None:
    connection = asked(build)
    connection.send_head(200, [(b"content-length", b"5")], b"")
    connection.send_data(b"hell")
    with pytest.raises(LocalProtocolError):
        connection.send_end()
    assert not connection.keep_alive


def test_content_to_http_1_0_ends_with_the_connection(build: Any) -> None:
    connection = asked(build, OLD_KEEP)
    assert connection.send_head(200, (), b"") == OK + b"connection: close\r\n\r\n"
    assert connection.send_data(b"hello") == b"hello"
    assert connection.send_end([(b"x", b"y")]) == b""
    assert not connection.keep_alive


def test_head_streams_no_content(build: Any) -> None:
    connection = asked(build, HEAD)
    assert connection.send_head(200, (), b"") == OK + b"\r\n"
    assert connection.send_data(b"hello") == b""
    assert connection.send_end() == b""
    connection = asked(build, HEAD)
    assert connection.send_head(200, [(b"content-length", b"5")], b"") == OK + b"content-length: 5\r\n\r\n"
    assert connection.send_end() == b""


def test_content_belongs_between_head_and_end(build: Any) -> None:
    connection = asked(build)
    with pytest.raises(LocalProtocolError):
        connection.send_data(b"x")
    with pytest.raises(LocalProtocolError):
        connection.send_end()


# -- whether the connection stays ---------------------------------------------------------------------------


def test_http_1_0_is_told_that_the_connection_stays(build: Any) -> None:
    assert b"connection: keep-alive\r\n" in asked(build, OLD_KEEP).send_response(200, (), b"", b"")
    connection = asked(build, OLD)
    assert b"connection: close\r\n" in connection.send_response(200, (), b"", b"")
    assert not connection.keep_alive


@pytest.mark.parametrize("reason", ["client", "server", "application"])
def test_who_closes(build: Any, reason: str) -> None:
    asks = GET[:-2] + b"Connection: close\r\n\r\n" if reason == "client" else GET
    connection = asked(build, asks)
    if reason == "server":
        connection.close_after()
    fields = [(b"Connection", b"close")] if reason == "application" else []
    assert connection.send_response(200, fields, b"", b"").count(b"connection: close\r\n") == 1
    assert not connection.keep_alive
    with pytest.raises(LocalProtocolError):
        connection.next_cycle()


def test_the_next_request_waits_for_the_next_cycle(build: Any) -> None:
    connection = asked(build, GET + GET)
    assert connection.buffered == len(GET)
    assert connection.next_event() is PAUSED
    with pytest.raises(LocalProtocolError):
        connection.next_cycle()
    connection.send_response(200, (), b"", b"")
    assert connection.next_event() is PAUSED
    connection.next_cycle()
    assert connection.next_event().method == "GET"
    assert connection.buffered == 0


def test_a_body_that_was_not_read_holds_up_the_next_cycle(build: Any) -> None:
    connection = asked(build, POST + b"\r\nhel")
    connection.send_response(200, (), b"", b"")
    with pytest.raises(LocalProtocolError):
        connection.next_cycle()
    assert connection.next_event().data == b"hel"
    connection.receive_data(b"lo" + GET)
    assert connection.next_event().data == b"lo"
    connection.next_event()
    connection.next_cycle()
    assert connection.next_event().method == "GET"


def test_rubbish_behind_a_request_does_not_spoil_its_answer(build: Any) -> None:
    connection = asked(build, GET + b"\x00\x01rubbish")
    assert connection.send_response(200, (), b"ok", b"").endswith(b"\r\n\r\nok")
    connection.next_cycle()
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert connection.send_error(400, b"bad", b"").startswith(b"HTTP/1.1 400 ")


def test_a_half_closed_client_gets_its_answer(build: Any) -> None:
    connection = asked(build)
    connection.receive_data(b"")
    assert connection.next_event() is PAUSED
    assert connection.send_response(200, (), b"ok", b"").endswith(b"\r\n\r\nok")
    connection.next_cycle()
    assert connection.next_event() is CONNECTION_CLOSED


# -- interim responses --------------------------------------------------------------------------------------


def test_100_continue(build: Any) -> None:
    connection = asked(build, POST + b"Expect: 100-continue\r\n\r\n")
    assert connection.send_informational(100, ()) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.receive_data(b"hello")
    assert connection.next_event().data == b"hello"
    connection.next_event()
    connection.send_response(200, (), b"", b"")
    assert connection.keep_alive


def test_an_answer_without_100_closes_since_the_body_may_or_may_not_come(build: Any) -> None:
    connection = asked(build, POST + b"Expect: 100-continue\r\n\r\n")
    assert b"connection: close\r\n" in connection.send_response(413, (), b"", b"")
    connection = asked(build, POST + b"Expect: 100-continue\r\n\r\n")
    assert b"connection: close\r\n" in connection.send_head(413, (), b"")
    connection = asked(build, POST + b"Expect: 100-continue\r\n\r\nhello")
    assert b"connection: close\r\n" not in connection.send_response(200, (), b"", b"")


def test_other_interim_responses(build: Any) -> None:
    connection = asked(build)
    assert (
        connection.send_informational(103, [(b"link", b"</a>")])
        == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    )
    assert connection.send_informational(199, [(b"content-length", b"5")]) == b"HTTP/1.1 199 \r\n\r\n"
    with pytest.raises(LocalProtocolError):
        connection.send_informational(103, [(b"link", b"\r\n")])
    for status in (101, 200, 99):
        with pytest.raises(LocalProtocolError):
            connection.send_informational(status, ())
    connection.send_head(200, (), b"")
    with pytest.raises(LocalProtocolError):
        connection.send_informational(103, ())


def test_http_1_0_gets_no_interim_response(build: Any) -> None:
    assert asked(build, OLD).send_informational(103, ()) == b""


# -- errors -------------------------------------------------------------------------------------------------


def test_an_error_closes(build: Any) -> None:
    connection = build(H1Limits())
    connection.receive_data(b"GET / HTTP/9.9\r\n")
    with pytest.raises(RemoteProtocolError) as caught:
        connection.next_event()
    sent = connection.send_error(caught.value.status_hint, b"no such version", DATE)
    assert sent == (
        b"HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain; charset=utf-8\r\n"
        + DATE
        + b"content-length: 16\r\nconnection: close\r\n\r\nno such version\n"
    )
    assert not connection.keep_alive
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


@pytest.mark.parametrize("data", [b"HEAD / HTTP/1.1\r\n\r\n", b"\r\nHEAD /#", HEAD[:-2] + b"Host: b\r\n"])
def test_an_error_to_head_has_no_content(build: Any, data: bytes) -> None:
    connection = build(H1Limits())
    connection.receive_data(data)
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert connection.send_error(400, b"bad", b"").endswith(b"connection: close\r\n\r\n")


def test_an_error_before_any_octet(build: Any) -> None:
    sent = build(H1Limits()).send_error(408, b"too slow", b"")
    assert sent.startswith(b"HTTP/1.1 408 ")
    assert sent.endswith(b"\r\n\r\ntoo slow\n")


def test_a_fault_in_the_body_leaves_the_answer_possible(build: Any) -> None:
    connection = asked(build, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert b"connection: close\r\n" in connection.send_response(400, (), b"", b"")


def test_what_was_refused_stays_refused(build: Any) -> None:
    connection = build(H1Limits())
    connection.receive_data(b"\x00")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            connection.next_event()
        connection.receive_data(GET)
    assert connection.send_error(400, b"", b"")
    with pytest.raises(LocalProtocolError):
        connection.next_cycle()


# -- input --------------------------------------------------------------------------------------------------


def test_buffered_counts_what_was_not_consumed(build: Any) -> None:
    connection = build(H1Limits())
    assert connection.next_event() is NEED_DATA
    connection.receive_data(POST)
    assert connection.next_event() is NEED_DATA
    assert connection.buffered == len(POST)
    connection.receive_data(b"\r\nhello" + GET)
    connection.next_event()
    assert connection.buffered == 5 + len(GET)
    assert connection.next_event().data == b"hello"
    assert connection.buffered == len(GET)


def test_a_head_in_single_octets_is_not_parsed_for_each(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = build(H1Limits())
    data = GET[:-2] + b"X: " + b"a" * 8000
    for octet in data:
        connection.receive_data(bytes([octet]))
        assert connection.next_event() is NEED_DATA
    connection.receive_data(b"\r\n\r\n")
    assert connection.next_event().fields()[1] == (b"x", b"a" * 8000)
