"""Server-sent events: what is written is read back, and what is read follows the standard."""

import random

import pytest

from vivace.errors import LocalProtocolError
from vivace.http.sse import EventParser, ServerEvent, format_comment, format_event


def read(*pieces: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (format_event("a"), b"data: a\n\n"),
        (format_event(""), b"data: \n\n"),
        (format_event("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (format_event("ä", "x", "5", 100), "id: 5\nevent: x\nretry: 100\ndata: ä\n\n".encode()),
        (format_event(None, retry=0), b"retry: 0\n\n"),
        (format_event("a", "message", ""), b"id: \ndata: a\n\n"),
        (format_comment(), b":\n\n"),
        (format_comment("a\nb"), b": a\n: b\n\n"),
    ],
)
def test_what_is_written(octets: bytes, expected: bytes) -> None:
    assert octets == expected


@pytest.mark.parametrize(
    "fields", [{"event": "a\nb"}, {"id": "a\rb"}, {"id": "a\0"}, {"event": "\0"}, {"retry": -1}]
)
def test_what_would_end_a_field_early_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        format_event("x", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [ServerEvent("YHOO\n+2\n10")]),
        (b": test\n\ndata: first\nid: 1\n\n", [ServerEvent("first", id="1")]),
        (
            b"data: a\nid: 1\n\ndata:b\nid\n\ndata:  c\n\n",
            [ServerEvent("a", id="1"), ServerEvent("b"), ServerEvent(" c")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [ServerEvent(""), ServerEvent("\n")]),
        (b"data:test\n\ndata: test\n\n", [ServerEvent("test"), ServerEvent("test")]),
        (b"event: add\ndata: 7\n\ndata: 8\n\n", [ServerEvent("7", "add"), ServerEvent("8")]),
        (b"event: add\n\ndata: 8\n\n", [ServerEvent("8")]),
        (b"id: 4\n\ndata: 8\n\n", [ServerEvent("8", id="4")]),
        (b"id: 4\0\ndata: 8\n\n", [ServerEvent("8")]),
        (b"retry: 5x\nretry: 30\nretry:-1\ndata: 8\n\n", [ServerEvent("8", retry=30)]),
        (b"data: 1\r\rdata: 2\r\n\r\ndata: 3\n\n", [ServerEvent("1"), ServerEvent("2"), ServerEvent("3")]),
        (b"\xef\xbb\xbfdata: 1\n\n", [ServerEvent("1")]),
        (b"DATA: 1\nfoo: bar\n\n", []),
        (b"data: \xff\n\n", [ServerEvent("\ufffd")]),
        (b"data: not complete\n", []),
    ],
)
def test_what_is_read_whole_and_octet_by_octet(stream: bytes, expected: list[ServerEvent]) -> None:
    assert read(stream) == expected
    assert read(*(bytes((octet,)) for octet in stream)) == expected


def test_the_last_id_stands_also_without_an_event() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 7\n\n") == []
    assert parser.last_id == "7"
    assert parser.feed(b"retry: 12\nid: 8\n") == []
    assert (parser.last_id, parser.retry) == ("7", 12)


def test_whatever_is_written_is_read_back() -> None:
    rng = random.Random(6)
    for _ in range(300):
        data = "".join(rng.choice("ab: \n\r\u2028ä") for _ in range(rng.randrange(12)))
        octets = format_event(data, "kind", "7")
        cut = rng.randrange(len(octets))
        (event,) = read(octets[:cut], octets[cut:])
        assert event == ServerEvent(data.replace("\r\n", "\n").replace("\r", "\n"), "kind", "7")
