"""Files over sockets: nothing but what is meant, whatever the target, and the octets that were asked for."""

import hashlib
import http.client
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.conftest import SECRET
from tests.peers.support import PATIENCE, Answer, Serving, exchange, head_of, peak, read_answer, reset_peak

A = b"0123456789" * 10
ESCAPES = [
    "../secret.txt",
    "sub/../../secret.txt",
    "sub/../a.txt",
    "./a.txt",
    "%2e%2e/secret.txt",
    "%2E%2E%2Fsecret.txt",
    "..%2fsecret.txt",
    ".%2e/secret.txt",
    "%252e%252e/secret.txt",
    "%252e%252e%252fsecret.txt",
    "..%5csecret.txt",
    "..\\secret.txt",
    "%5c..%5csecret.txt",
    "..%c0%afsecret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "..;/secret.txt",
    "a.txt%00",
    "%00",
    "a.txt%00.html",
    "a.txt%0a",
    "..%00/secret.txt",
    "../www-private/secret.txt",
    "%2e%2e/www-private/secret.txt",
    "..%2fwww-private%2fsecret.txt",
    "-private/secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc/passwd",
    "%2f%2fetc%2fpasswd",
    "file:/etc/passwd",
    "C:/secret.txt",
    ".hidden",
    "%2ehidden",
    ".git/config",
    "sub/.env",
    "sub%2f.env",
    "absolute",
    "relative",
    "sibling/secret.txt",
    "loop",
    "inside/x",
    "pipe",
    "",
    "sub",
    "sub/",
    "empty/",
    "a.txt/",
    "a.txt/b",
    "x" * 5000,
    "/".join("x" * 1000),
    "../" * 500 + "etc/passwd",
]


@pytest.mark.parametrize("prefix", ["/files/", "/linked/", "/files", "//files/", "/x/../files/"])
def test_no_target_leads_out(server: Serving, prefix: str) -> None:
    with server.connect() as client:
        for escape in ESCAPES:
            client.sendall(head_of(prefix + escape))
            answer = read_answer(client)
            assert answer.status == 404, (prefix + escape, answer)
            assert SECRET.encode() not in answer.body
            assert "location" not in answer.fields


@pytest.mark.parametrize(
    "octets", [b"a\x00.txt", b"a.txt\x00", b"..\x7f", b"a\x01b", b"\xff\xfe", b"a.txt#/../secret.txt"]
)
def test_what_no_target_may_hold_is_refused(server: Serving, octets: bytes) -> None:
    answer = exchange(server, b"GET /files/" + octets + b" HTTP/1.1\r\nHost: server.test\r\n\r\n")
    assert (answer.status, answer.fields["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/files/a.txt", A),
        ("/files/%61%2etxt", A),
        ("/files/a.txt?v=1&path=../secret.txt", A),
        ("http://elsewhere.test/files/a.txt", A),
        ("/files/sub/b.html", b"<p>b"),
        ("/files/sub%2fb.html", b"<p>b"),
        ("/files/per%2520cent%20%C3%A9.txt", b"escaped twice"),
        ("/files/none.txt", b""),
        ("/linked/inside", b"<p>b"),
    ],
)
def test_what_is_there_is_served(server: Serving, target: str, content: bytes) -> None:
    answer = exchange(server, head_of(target))
    assert (answer.status, answer.body) == (200, content)
    assert answer.fields["x-content-type-options"] == "nosniff"


def test_a_link_is_not_followed_unless_that_was_asked_for(server: Serving) -> None:
    assert exchange(server, head_of("/files/inside")).status == 404


def test_a_file_that_turns_into_a_link_never_shows_where_it_leads(server: Serving, tree: Path) -> None:
    place, other = tree / "www" / "flips", tree / "www" / "flips.new"
    over = threading.Event()

    def flip() -> None:
        while not over.is_set():
            other.symlink_to(tree / "secret.txt")
            os.replace(other, place)
            other.write_text("open")
            os.replace(other, place)

    place.write_text("open")
    flipping = threading.Thread(target=flip)
    flipping.start()
    statuses = set()
    try:
        for prefix in ("/files/flips", "/linked/flips"):
            with server.connect() as client:
                for _ in range(400):
                    client.sendall(head_of(prefix))
                    answer = read_answer(client)
                    statuses.add(answer.status)
                    assert SECRET.encode() not in answer.body
    finally:
        over.set()
        flipping.join(PATIENCE)
        place.unlink()
    assert statuses == {200, 404}


class Kept:
    """One connection for a test, which must not be lost."""

    def __init__(self, server: Serving) -> None:
        self.client = server.connect()

    def ask(self, *fields: str, path: str = "/files/a.txt", method: str = "GET") -> Answer:
        self.client.sendall(head_of(path, method, *fields))
        return read_answer(self.client, method)


@pytest.fixture
def kept(server: Serving) -> Iterator[Kept]:
    found = Kept(server)
    yield found
    found.client.close()


def test_ranges(kept: Kept) -> None:
    for wanted, content, place in (
        ("bytes=0-0", b"0", "bytes 0-0/100"),
        ("bytes=10-19", b"0123456789", "bytes 10-19/100"),
        ("bytes=-3", b"789", "bytes 97-99/100"),
        ("bytes=-500", A, "bytes 0-99/100"),
        ("bytes=99-", b"9", "bytes 99-99/100"),
        ("bytes=0-99", A, "bytes 0-99/100"),
    ):
        answer = kept.ask("Range: " + wanted)
        assert (answer.status, answer.body) == (206, content), wanted
        assert answer.fields["content-range"] == place
        assert answer.fields["content-length"] == str(len(content))
    whole = kept.ask()
    assert (whole.status, whole.body) == (200, A)
    assert "content-range" not in whole.fields


def test_ranges_that_cannot_be_satisfied(kept: Kept) -> None:
    for wanted in ("bytes=100-", "bytes=500-600", "bytes=-0"):
        answer = kept.ask("Range: " + wanted)
        assert answer.status == 416, wanted
        assert answer.fields["content-range"] == "bytes */100"


def test_ranges_that_are_none(kept: Kept) -> None:
    many = ",".join(f"{i}-{i + 50}" for i in range(40))
    for wanted in (
        "bytes=5-2",
        "bytes=a-b",
        "lines=1-2",
        "bytes=",
        "0-5",
        f"bytes={many}",
        "bytes=" + "0-," * 3000,
    ):
        answer = kept.ask("Range: " + wanted)
        assert (answer.status, answer.body) == (200, A), wanted
    assert kept.ask("Range: bytes=0-4", method="HEAD").fields["content-length"] == "100"


def test_if_range(kept: Kept) -> None:
    now = kept.ask().fields
    for validator, status in (
        (now["etag"], 206),
        (now["last-modified"], 206),
        ('"other"', 200),
        ("W/" + now["etag"].removeprefix("W/"), 200),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ("rubbish", 200),
    ):
        answer = kept.ask("Range: bytes=1-3", "If-Range: " + validator)
        assert (answer.status, answer.body) == (status, b"123" if status == 206 else A), validator


def test_conditions(kept: Kept) -> None:
    now = kept.ask().fields
    for condition, status in (
        ("If-None-Match: " + now["etag"], 304),
        ("If-None-Match: W/" + now["etag"], 304),
        (f'If-None-Match: "x", {now["etag"]}', 304),
        ("If-None-Match: *", 304),
        ('If-None-Match: "x"', 200),
        ("If-Modified-Since: " + now["last-modified"], 304),
        ("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT", 200),
        ("If-Modified-Since: rubbish", 200),
        ("If-Match: " + now["etag"], 200),
        ('If-Match: "x"', 412),
        ("If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT", 412),
    ):
        for method in ("GET", "HEAD"):
            answer = kept.ask(condition, method=method)
            assert answer.status == status, condition
            assert answer.body == (A if (status, method) == (200, "GET") else b"")
            if status == 304:
                assert answer.fields["etag"] == now["etag"]


def fetch(server: Serving, path: str) -> int:
    """Download and compare with what the tree holds; octets."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    client.request("GET", path)
    answer = client.getresponse()
    checksum = size = 0
    buffer = memoryview(bytearray(1 << 20))
    while got := answer.readinto(buffer):
        checksum = zlib.crc32(buffer[:got], checksum)
        size += got
    client.close()
    expected = 0
    for place in range(0, size, 1 << 20):
        expected = zlib.crc32(place.to_bytes(8, "big") + bytes((1 << 20) - 8), expected)
    assert checksum == expected
    return size


def test_a_large_download_takes_no_memory(server: Serving) -> None:
    pid = server.process.pid
    fetch(server, "/files/big.bin")
    before = reset_peak(pid)
    assert fetch(server, "/files/big.bin") == 100 << 20
    assert peak(pid) - before < 2 << 20


def test_several_large_downloads_take_no_memory(server: Serving) -> None:
    pid = server.process.pid
    fetch(server, "/files/big.bin")
    before = reset_peak(pid)
    with server.connect() as slow:
        slow.sendall(head_of("/files/big.bin"))
        slow.recv(1 << 16)
        threads = [threading.Thread(target=fetch, args=(server, "/files/big.bin")) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert peak(pid) - before < 2 << 20


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_to_a_stream_takes_no_memory(server: Serving, chunked: bool) -> None:
    piece = os.urandom(1 << 20)

    def send() -> bytes:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        fields = {} if chunked else {"Content-Length": str(100 << 20)}
        body = (piece for _ in range(100))
        client.request("POST", "/digest", body=body, headers=fields, encode_chunked=chunked)
        answer = client.getresponse().read()
        client.close()
        return answer

    send()
    pid = server.process.pid
    before = reset_peak(pid)
    answer = send()
    grown = peak(pid) - before
    found = hashlib.sha256()
    for _ in range(100):
        found.update(piece)
    assert found.hexdigest().encode() in answer
    assert grown < 2 << 20
