"""Seeds and mutations for fuzzing the HTTP/1.1 parsers: octets that are nearly right find more than noise."""

import random

HOST = b"Host: a\r\n"

SEEDS: tuple[bytes, ...] = (
    b"GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x/1\r\n\r\n",
    b"GET /a/b?c=d HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b'PUT / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\n\r\n1;a="b\\""\r\nh\r\n2\r\n\r\n\r\n0\r\n\r\n',
    b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET http://b:1/x?y HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nIf-Match: x\r\nDate: y\r\n\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 5 + b"\r\n",
    b"GET /%41%2f%z HTTP/1.1\r\nHost:a\r\nCookie: a\r\nCookie: b\r\nX_A: c\r\nProxy: d\r\nA:e\r\na:e\r\n\r\n",
    b"\r\n\r\nDELETE /%41 HTTP/1.1\r\nhost:a\r\ncontent-length:\t0 \r\n\r\n",
)

PIECES: tuple[bytes, ...] = (
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\x00", b"\x0b", b"\x0c", b"\x1e", b"\x7f", b"\x85",
    b"\xa0", b"\xff", b" ", b"\t", b":", b";", b",", b"=", b'"', b"\\", b"/", b"?", b"#", b"*", b"@", b"%",
    b"+", b"-", b"_", b"0", b"0x", b"1", b"10000000000000005", b"ffffffffffffffff", b"9223372036854775808",
    b"chunked", b"identity", b"gzip, ", b"Content-Length: 5\r\n", b"Content-Length: 05\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Content-Length : 5\r\n",
    b" Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Host: a/?\r\n", b"Expect: x\r\n",
    b"Connection: close\r\n", b"X: y\r\n", b": y\r\n", b"X\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n",
    b"HTTP/2.0", b"HTTP/1.0", b"HTTP/1.1", b"GET ", b"POST ", b"HEAD ", b"PRI * ", b"CONNECT a:1 ",
    b"http://", b"//", b"a" * 20, b"a" * 70,
)  # fmt: skip


def mutate(seed: bytes, source: random.Random) -> bytes:
    """Change `seed` in zero to four places: insert, overwrite, delete, repeat, splice, change case."""
    data = seed
    for _ in range(source.randrange(5)):
        at = source.randrange(len(data) + 1)
        size = source.choice((0, 1, 1, 2, 4, 16))
        kind = source.randrange(6)
        if kind == 0:
            data = data[:at] + source.choice(PIECES) + data[at:]
        elif kind == 1:
            data = data[:at] + source.choice(PIECES) + data[at + size :]
        elif kind == 2:
            data = data[:at] + data[at + size :]
        elif kind == 3:
            data = data[: at + size] + data[at:]
        elif kind == 4:
            other = source.choice(SEEDS)
            data = data[:at] + other[source.randrange(len(other)) :]
        else:
            data = data[:at] + data[at : at + size].swapcase() + data[at + size :]
    return data
