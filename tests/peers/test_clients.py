"""Python's HTTP clients against the real command: what each of them is strict about."""

import asyncio
import hashlib
import http.client
from collections.abc import AsyncIterator, Iterator

import aiohttp
import h11
import httpx2
import pytest

from tests.peers.support import PATIENCE, Serving, count, url_of

BODY = bytes(range(256)) * 4_000  # 1 MB
DIGEST = {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}


def pieces() -> Iterator[bytes]:
    for start in range(0, len(BODY), 100_000):
        yield BODY[start : start + 100_000]


async def later_pieces() -> AsyncIterator[bytes]:
    for piece in pieces():
        await asyncio.sleep(0)
        yield piece


# http.client


def test_http_client_keeps_its_connection(server: Serving) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    client.connect()
    first = client.sock
    for method, path, status in (
        ("GET", "/", 200),
        ("HEAD", "/files/a.txt", 200),
        ("GET", "/nothing", 204),
        ("OPTIONS", "/", 204),
        ("GET", "/lines/5", 200),
        ("GET", "/not/there", 404),
        ("DELETE", "/", 405),
        ("GET", "/fault/raise", 500),
        ("GET", "/files/big.bin", 206),
        ("GET", "/", 200),
    ):
        client.request(method, path, headers={"Range": "bytes=5-9"} if status == 206 else {})
        answer = client.getresponse()
        answer.read()
        assert answer.status == status, (method, path)
        assert client.sock is first, f"{method} {path} cost the connection"
    client.close()


def test_http_client_sends_chunks(server: Serving) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    for _ in range(2):
        client.request(
            "POST", "/echo", body=pieces(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert client.getresponse().read() == BODY
    client.close()


# aiohttp


async def test_aiohttp_in_parallel(server: Serving) -> None:
    connector = aiohttp.TCPConnector(limit=8)
    async with aiohttp.ClientSession(url_of(server), connector=connector) as session:

        async def ask(number: int) -> None:
            async with session.post("/echo", data=b"%d" % number) as answer:
                assert await answer.read() == b"%d" % number

        await asyncio.gather(*(ask(number) for number in range(300)))


async def test_aiohttp_waits_for_continue(server: Serving) -> None:
    async with (
        aiohttp.ClientSession(url_of(server)) as session,
        session.post("/digest", data=later_pieces(), expect100=True) as answer,
    ):
        assert await answer.json() == DIGEST


async def test_aiohttp_sends_a_form(server: Serving) -> None:
    form = aiohttp.FormData()
    form.add_field("title", "été", content_type="text/plain; charset=utf-8")
    form.add_field("attached", BODY, filename='qu"ote.bin', content_type="application/x-thing")
    async with aiohttp.ClientSession(url_of(server)) as session, session.post("/form", data=form) as answer:
        found = await answer.json()
    assert found["fields"] == {"title": ["été"]}
    assert found["files"]["attached"][0][1:] == ["application/x-thing", DIGEST["sha256"]]


@pytest.mark.parametrize(("parts", "status"), [(1000, 200), (1001, 413)])
async def test_the_number_of_parts_has_a_limit(server: Serving, parts: int, status: int) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for number in range(parts):
        form.add_field("field", str(number))
    async with aiohttp.ClientSession(url_of(server)) as session:
        async with session.post("/form", data=form) as answer:
            assert answer.status == status
            if status == 200:
                assert (await answer.json())["fields"]["field"] == [str(number) for number in range(parts)]
        async with session.get("/") as answer:
            assert await answer.text() == "hello"


async def test_aiohttp_reads_a_stream_and_keeps_cookies(server: Serving) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # it takes cookies of an address that is no name
    async with aiohttp.ClientSession(url_of(server), cookie_jar=jar) as session:
        async with session.get("/lines/1000") as answer:
            found = [line async for line in answer.content]
        assert found == [b"line %d\n" % number for number in range(1000)]
        async with session.get("/cookies/set") as answer:
            assert answer.cookies["odd"]["samesite"] == "Lax"
        async with session.get("/cookies") as answer:
            assert (await answer.json())["plain"] == "one"


async def test_a_download_that_aiohttp_gives_up_is_ended(server: Serving) -> None:
    before = await asyncio.to_thread(count, server, "download-broken-off")
    async with aiohttp.ClientSession(url_of(server)) as session:
        async with session.get("/fault/download") as answer:
            assert len(await answer.content.readexactly(1 << 20)) == 1 << 20
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(count, server, "download-broken-off") == before:
                await asyncio.sleep(0.01)
        async with session.get("/") as answer:
            assert await answer.text() == "hello"


# httpx2


@pytest.fixture
def client(server: Serving) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url_of(server), timeout=PATIENCE, trust_env=False) as found:
        yield found


def test_httpx_follows_and_remembers(client: httpx2.Client) -> None:
    followed = client.get("/moved", follow_redirects=True)
    assert [one.status_code for one in (*followed.history, followed)] == [301, 303, 200]
    assert followed.text == "hello"
    repeated = client.post("/kept", content=BODY, follow_redirects=True)
    assert repeated.content == BODY
    client.get("/cookies/set")
    assert client.get("/cookies").json()["plain"] == "one"


def test_httpx_streams_both_ways(client: httpx2.Client) -> None:
    assert client.post("/digest", content=pieces()).json() == DIGEST
    with client.stream("GET", "/files/big.bin", headers={"Range": "bytes=1048576-2097151"}) as answer:
        assert answer.status_code == 206
        assert sum(map(len, answer.iter_raw())) == 1 << 20


def test_httpx_sends_forms(client: httpx2.Client) -> None:
    both = client.post("/form", data={"a": ["1", "2"]}, files={"f": ("f.bin", BODY, "application/x-thing")})
    assert both.json()["fields"] == {"a": ["1", "2"]}
    assert both.json()["files"] == {"f": [["f.bin", "application/x-thing", DIGEST["sha256"]]]}
    assert client.post("/form", data={"a": "é & ü"}).json()["fields"] == {"a": ["é & ü"]}


def test_values_of_fields_arrive_as_they_were_set(client: httpx2.Client) -> None:
    found = client.get("/shared").headers
    assert found["access-control-allow-origin"] == "http://example.test:8080"
    assert found["access-control-allow-headers"] == "X-One, X-Two,Content-Type"
    assert (
        found["content-security-policy"] == "default-src 'self'; img-src * data:; report-uri /r?a=b&c=\"d\""
    )
    assert found["x-tab"] == "a\tb"
    assert (b"x-latin", b"caf\xe9") in [(name.lower(), value) for name, value in found.raw]


# h11, whose reading of responses is strict


def test_h11_reads_every_kind_of_response(server: Serving) -> None:
    h11_client = h11.Connection(h11.CLIENT)
    with server.connect() as client:
        for method, path, status in (
            ("GET", "/", 200),
            ("HEAD", "/large", 200),
            ("GET", "/large", 200),
            ("GET", "/nothing", 204),
            ("GET", "/lines/3", 200),
            ("HEAD", "/lines/3", 200),
            ("GET", "/files/none.txt", 200),
            ("POST", "/digest", 200),
            ("GET", "/fault/type/none", 500),
            ("GET", "/not/there", 404),
            ("GET", "/shared", 200),
        ):
            body = b"some octets" if method == "POST" else b""
            fields = [("Host", "server.test"), ("Content-Length", str(len(body)))]
            request = h11.Request(method=method, target=path, headers=fields)
            for part in (request, h11.Data(data=body), h11.EndOfMessage()):
                client.sendall(h11_client.send(part) or b"")
            answer = None
            event: object = None
            while not isinstance(event, h11.EndOfMessage):
                event = h11_client.next_event()
                if event is h11.NEED_DATA:
                    h11_client.receive_data(client.recv(65536))
                elif isinstance(event, h11.Response):
                    answer = event
            assert answer is not None
            assert answer.status_code == status
            assert (h11_client.our_state, h11_client.their_state) == (h11.DONE, h11.DONE), path
            h11_client.start_next_cycle()
        assert h11_client.trailing_data == (b"", False)
