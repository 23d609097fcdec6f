"""Each malformed message is refused with its status over a real socket and the connection closed.

The table holds raw octets and the status; each is sent behind a good request on the same connection, so
that the good one is answered first, and before one that must never be reached.
"""

import pytest

from tests.server.support import echo, running

GOOD = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
NEVER = b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n"

H = b"Host: x\r\n"

HEADS: dict[str, tuple[int, bytes]] = {
    "bare LF after the request line": (400, b"GET / HTTP/1.1\n" + H + b"\r\n"),
    "bare LF after a field": (400, b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
    "bare LF ends the head": (400, b"GET / HTTP/1.1\r\nHost: x\r\n\n"),
    "only bare LFs": (400, b"GET / HTTP/1.1\nHost: x\n\n"),
    "bare CR in the request line": (400, b"GET / HTTP/1.1\rX: y\r\n" + H + b"\r\n"),
    "bare CR in a value": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\rc\r\n\r\n"),
    "CR alone ends the head": (400, b"GET / HTTP/1.1\r\n" + H + b"\rZ\r\n\r\n"),
    "obs-fold": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n"),
    "obs-fold with a tab": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n\tc\r\n\r\n"),
    "space before the first field": (400, b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    "tab before the colon": (400, b"GET / HTTP/1.1\r\n" + H + b"A\t: b\r\n\r\n"),
    "empty name": (400, b"GET / HTTP/1.1\r\n" + H + b": b\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\n" + H + b"nothing\r\n\r\n"),
    "invalid name": (400, b"GET / HTTP/1.1\r\n" + H + b"A(b): c\r\n\r\n"),
    "non-ASCII name": (400, b"GET / HTTP/1.1\r\n" + H + b"A\xff: c\r\n\r\n"),
    "NUL in a name": (400, b"GET / HTTP/1.1\r\n" + H + b"A\x00: c\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\x00c\r\n\r\n"),
    "control in a value": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\x1ec\r\n\r\n"),
    "vertical tab in a value": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\x0bc\r\n\r\n"),
    "DEL in a value": (400, b"GET / HTTP/1.1\r\n" + H + b"A: b\x7fc\r\n\r\n"),
    "missing Host": (400, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    "repeated Host": (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    "repeated Host with absolute-form": (400, b"GET http://x/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    "missing Host with absolute-form": (400, b"GET http://x/ HTTP/1.1\r\n\r\n"),
    "path in Host": (400, b"GET / HTTP/1.1\r\nHost: a/?\r\n\r\n"),
    "user in Host": (400, b"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n"),
    "space in Host": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "junk port in Host": (400, b"GET / HTTP/1.1\r\nHost: x:8a\r\n\r\n"),
    "two spaces in the request line": (400, b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    "tab in the request line": (400, b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n"),
    "space at the end of the request line": (400, b"GET / HTTP/1.1 \r\n" + H + b"\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\n" + H + b"\r\n"),
    "no version": (400, b"GET /\r\n\r\n"),
    "bad method": (400, b"GE(T / HTTP/1.1\r\n" + H + b"\r\n"),
    "target without a slash": (400, b"GET a HTTP/1.1\r\n" + H + b"\r\n"),
    "authority moved by the target": (400, b"GET @evil/ HTTP/1.1\r\n" + H + b"\r\n"),
    "control in the target": (400, b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n"),
    "non-ASCII target": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n"),
    "fragment in the target": (400, b"GET /#a HTTP/1.1\r\n" + H + b"\r\n"),
    "user in absolute-form": (400, b"GET http://u:p@x/ HTTP/1.1\r\n" + H + b"\r\n"),
    "asterisk-form of GET": (400, b"GET * HTTP/1.1\r\n" + H + b"\r\n"),
    "bad version": (400, b"GET / HTTP/1.x\r\n" + H + b"\r\n"),
    "lower-case version": (400, b"GET / http/1.1\r\n" + H + b"\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    "HTTP/0.9": (505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
    "a TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "repeated equal Content-Length": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    ),
    "differing Content-Length": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    ),
    "list in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1, 1\r\n\r\na"),
    "plus in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\na"),
    "minus in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\na"),
    "underscore in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1_0\r\n\r\n"),
    "hex in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x1\r\n\r\na"),
    "empty Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: \r\n\r\n"),
    "Unicode digit in Content-Length": (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: \xb2\r\n\r\n"),
    "Content-Length and Transfer-Encoding": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "Transfer-Encoding in HTTP/1.0": (
        400,
        b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "vertical tab before chunked": (
        400,
        b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    ),
    "chunked twice": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, chunked\r\n\r\n"),
    "chunked not last": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    "empty Transfer-Encoding": (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding:\r\n\r\n"),
    "another coding": (501, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip\r\n\r\n"),
    "gzip before chunked": (501, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "a field over the limit": (431, b"GET / HTTP/1.1\r\n" + H + b"A: " + b"b" * 33_000 + b"\r\n\r\n"),
    "too many fields": (431, b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n" * 101 + b"\r\n"),
    "a target over the limit": (414, b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "a target without end": (414, b"GET /" + b"a" * 17_000),
    "a field without end": (431, b"GET / HTTP/1.1\r\n" + H + b"A: " + b"b" * 33_000),
}

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

BODIES: dict[str, bytes] = {
    "junk size": b"xyz\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscored size": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "size over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "anything after the data": b"5\r\nhelloXX0\r\n\r\n",
    "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "control in an extension": b"5;\x01\r\nhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\n\r\nhello\r\n0\r\n\r\n",
    "last chunk without its end": b"0\r\nX:GET /never HTTP/1.1\r\nHost: x\r\n bad\r\n\r\n",
    "bad trailer": b"0\r\nA b\r\n\r\n",
    "endless extensions": b"5;" + b"a=b;" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_malformed_head_is_refused_and_the_connection_closed(name: str) -> None:
    status, data = HEADS[name]
    async with running(echo) as server:
        first, second = split(await server.exchange(GOOD + data + NEVER))
        assert first.startswith(b"HTTP/1.1 200 ")
        assert second.startswith(b"HTTP/1.1 %d " % status), second
        assert b"connection: close" in second.lower()
        assert second.lower().count(b"content-length:") == 1


@pytest.mark.parametrize("name", BODIES)
async def test_a_malformed_chunk_is_400_and_the_connection_closed(name: str) -> None:
    async with running(echo) as server:
        first, second = split(await server.exchange(GOOD + CHUNKED + BODIES[name] + NEVER))
        assert first.startswith(b"HTTP/1.1 200 ")
        assert second.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), second
        assert b"connection: close" in second.lower()
        assert second.lower().count(b"content-length:") == 1


@pytest.mark.parametrize("name", [name for name, (_, data) in HEADS.items() if len(data) < 2000])
async def test_a_malformed_head_octet_by_octet_is_refused_alike(name: str) -> None:
    status, data = HEADS[name]
    async with running(echo) as server:
        client = await server.connect()
        for octet in data:
            await client.send(bytes([octet]))
        reply = await client.read_all()
        assert reply.startswith(b"HTTP/1.1 %d " % status), reply


ACCEPTED: dict[str, bytes] = {
    "an empty line before the request": b"\r\nGET / HTTP/1.1\r\n" + H + b"\r\n",
    "absolute-form": b"GET http://other/p HTTP/1.1\r\n" + H + b"\r\n",
    "asterisk-form of OPTIONS": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    "an IPv6 Host": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "no space after the colon": b"GET / HTTP/1.1\r\nHost:x\r\n\r\n",
    "obs-text in a value": b"GET / HTTP/1.1\r\n" + H + b"A: \xe9\r\n\r\n",
    "an empty value": b"GET / HTTP/1.1\r\n" + H + b"A:\r\n\r\n",
    "HTTP/1.1 with a higher minor": b"GET / HTTP/1.2\r\n" + H + b"\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\n" + H + b"\r\n",
    "a line of 8190 octets": b"GET /" + b"a" * 8_190 + b" HTTP/1.1\r\n" + H + b"\r\n",
    "100 fields": b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n" * 99 + b"\r\n",
    "leading zeros in Content-Length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 005\r\n\r\nhello",
    "Chunked in capitals": b"POST / HTTP/1.1\r\n"
    + H
    + b"Transfer-Encoding:  CHUNKED \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "a chunk extension": CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n',
    "a body of GET": b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello",
    "an unknown upgrade": b"GET / HTTP/1.1\r\n" + H + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_an_unusual_but_valid_message_is_served_and_the_next_one_too(name: str) -> None:
    async with running(echo) as server:
        client = await server.connect()
        await client.send(ACCEPTED[name] + GOOD)
        assert (await client.read_response())[0] == 200
        assert (await client.read_response())[0] == 200


async def test_connect_and_trace_are_refused() -> None:
    async with running(echo) as server:
        assert split(await server.exchange(b"CONNECT x:80 HTTP/1.1\r\n" + H + b"\r\n"))[0][9:12] in (
            b"405",
            b"501",
        )


async def test_a_preface_of_http_2_is_refused() -> None:
    async with running(echo) as server:
        reply = await server.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert reply == b"" or reply.startswith(b"HTTP/1.1 505 ")


async def test_an_unknown_expectation_is_417() -> None:
    async with running(echo) as server:
        reply = await server.exchange(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: miracles\r\n\r\nok" + NEVER
        )
        assert reply.startswith(b"HTTP/1.1 417 ")
        assert reply.count(b"HTTP/1.1 ") == 1


async def test_an_error_to_head_has_no_content() -> None:
    async with running(echo) as server:
        reply = await server.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nA b\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 400 ")
        assert reply.endswith(b"\r\n\r\n")


def split(reply: bytes) -> tuple[bytes, bytes]:
    """The first response and whatever follows it."""
    cut = reply.find(b"HTTP/1.1 ", 1)
    return (reply, b"") if cut < 0 else (reply[:cut], reply[cut:])
