"""Encrypted connections over real sockets, on both event loops."""

import asyncio
import logging
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Pair
from tests.server.support import TEXT, Client, Running, echo, hello, running, until
from tests.server.ws_support import HANDSHAKE, Peer
from tests.server.ws_support import echo as ws_echo
from vivace.protocols.stream import Stream
from vivace.server.tls import Tls, read_ssl

GET = b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n"
LAST = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("shop.test", "*.shop.test", "127.0.0.1")


@pytest.fixture
def tls(pair: Pair) -> Tls:
    return read_ssl({"cert": pair.cert, "key": pair.key})


async def ask(server: Running, context: ssl.SSLContext, name: str = "shop.test") -> tuple[int, bytes]:
    client = await server.connect(context, name)
    await client.send(GET)
    status, _, body = await client.read_response()
    return status, body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_on_one_connection(authority: Authority, tls: Tls, version: ssl.TLSVersion) -> None:
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    async with running(hello, tls=tls) as server:
        client = await server.connect(context, "shop.test")
        for _ in range(3):
            await client.send(GET)
            assert (await client.read_response())[2] == b"hello /a"
        await client.send(GET + GET)  # pipelined, in one record
        assert (await client.read_response())[2] == (await client.read_response())[2] == b"hello /a"


async def test_stream_says_how_it_came(authority: Authority, tls: Tls) -> None:
    seen: list[Any] = []

    async def app(stream: Stream) -> None:
        seen.append(
            (stream.scheme, stream.tls.server_name, stream.tls.version(), dict(stream.tls.context.cert))
        )
        stream.respond(200, TEXT, b"")

    async with running(app, tls=tls) as server:
        await ask(server, authority.client(), "www.shop.test")
    ((scheme, name, version, cert),) = seen
    assert (scheme, name, version) == ("https", "www.shop.test", "TLSv1.3")
    assert cert["names"] == ["shop.test", "*.shop.test", "127.0.0.1"]


async def test_alpn_offers_http_1(authority: Authority, tls: Tls) -> None:
    context = authority.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with running(hello, tls=tls) as server:
        client = await server.connect(context, "shop.test")
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_old_versions_are_refused(authority: Authority, tls: Tls) -> None:
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with running(hello, tls=tls) as server:
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            await server.connect(context, "shop.test")


async def test_body_in_both_directions(authority: Authority, tls: Tls) -> None:
    body = os.urandom(3_000_000)
    head = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with running(echo, tls=tls) as server:
        client = await server.connect(authority.client(), "shop.test")
        sending = asyncio.ensure_future(client.send(head + body))
        assert (await client.read_response())[2] == body
        await sending


async def test_handler_waits_for_a_slow_client(authority: Authority, tls: Tls) -> None:
    sent = 0

    async def app(stream: Stream) -> None:
        nonlocal sent
        stream.start(200, TEXT)
        for _ in range(400):
            await stream.send(b"x" * 65_536)
            sent += 1
        await stream.end()

    async with running(app, tls=tls) as server:
        client = await server.connect(authority.client(), "shop.test")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(LAST)
        await until(lambda: sent > 3)
        before = -1
        while before != sent:  # until it stands still
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 400
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.read_all()).count(b"x") > 400 * 65_000


async def test_reading_stops_when_the_app_takes_nothing(authority: Authority, tls: Tls) -> None:
    take = asyncio.Event()
    streams: list[Any] = []

    async def app(stream: Stream) -> None:
        streams.append(stream)
        await take.wait()
        size = 0
        while data := await stream.receive():
            size += len(data)
        stream.respond(200, TEXT, b"%d" % size)

    async with running(app, tls=tls, REQUEST_BUFFER_SIZE=65_536) as server:
        client = await server.connect(authority.client(), "shop.test")
        await client.send(b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 20000000\r\n\r\n")
        sending = asyncio.ensure_future(client.send(b"x" * 20_000_000))
        await until(lambda: streams and streams[0].body.received > 65_536)
        await asyncio.sleep(0.1)
        assert streams[0].body.received < 500_000
        take.set()
        assert (await client.read_response())[2] == b"20000000"
        await sending


async def test_file(authority: Authority, tls: Tls, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    path = tmp_path / "file"
    path.write_bytes(content)

    async def app(stream: Stream) -> None:
        with path.open("rb") as file:
            stream.start(200, ((b"content-length", b"%d" % len(content)),))
            await stream.send_file(file.fileno(), 0, len(content))
            await stream.end()

    async with running(app, tls=tls) as server:
        client = await server.connect(authority.client(), "shop.test")
        await client.send(GET)
        assert (await client.read_response())[2] == content


async def test_closing_is_said(authority: Authority, tls: Tls) -> None:
    """The client sees close_notify, so it knows that nothing was cut off."""
    async with running(hello, tls=tls) as server:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client().wrap_bio(incoming, outgoing, server_hostname="shop.test")
        raw = await server.connect()
        answer = b""
        written = False
        while True:
            try:
                if not written:
                    client.do_handshake()
                    client.write(LAST)
                    written = True
                piece = client.read(65_536)
                if not piece:
                    break  # close_notify: an end without it raises
                answer += piece
            except ssl.SSLWantReadError:
                await raw.send(outgoing.read())
                data = await asyncio.wait_for(raw.reader.read(65_536), 10)
                if data:
                    incoming.write(data)
                else:
                    incoming.write_eof()
    assert answer.endswith(b"hello /a")


async def test_half_closed_client_gets_its_answer(authority: Authority, tls: Tls) -> None:
    """A client says close_notify behind its request, which in TLS 1.3 closes one direction only."""
    asked = asyncio.Event()

    async def app(stream: Stream) -> None:
        asked.set()
        await asyncio.sleep(0.1)
        stream.respond(200, TEXT, b"late")

    async with running(app, tls=tls) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.settimeout(10)
            loop = asyncio.get_running_loop()

            def talk() -> bytes:
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                client = authority.client().wrap_bio(incoming, outgoing, server_hostname="shop.test")
                while True:
                    try:
                        client.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        raw.sendall(outgoing.read())
                        incoming.write(raw.recv(65_536))
                client.write(GET)
                try:
                    client.unwrap()
                except ssl.SSLWantReadError:
                    pass
                raw.sendall(outgoing.read())
                while not raw.recv(65_536, socket.MSG_PEEK):
                    pass
                answer = b""
                while data := raw.recv(65_536):
                    answer += data
                return answer

            answer = await loop.run_in_executor(None, talk)
        assert asked.is_set()
        assert len(answer) > 300  # session tickets, and the encrypted answer behind them


async def test_client_that_leaves_cancels_its_handler(authority: Authority, tls: Tls) -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def app(stream: Stream) -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with running(app, tls=tls, HALF_CLOSE_TIMEOUT=0.1) as server:
        client = await server.connect(authority.client(), "shop.test")
        await client.send(GET)
        await begun.wait()
        client.reset()
        await asyncio.wait_for(cancelled.wait(), 10)


# -- names ----------------------------------------------------------------------------------------------


def certificate_of(client: Client) -> list[str]:
    found = client.writer.get_extra_info("ssl_object").getpeercert()
    return [name for _, name in found["subjectAltName"]]


async def test_certificate_is_chosen_by_name(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other.test", "*.other.test")
    tls = read_ssl([str(Path(pair.cert).parent), {"cert": other.cert, "key": other.key}])
    async with running(hello, tls=tls) as server:
        for name, first in [
            ("shop.test", "shop.test"),
            ("other.test", "other.test"),
            ("a.other.test", "other.test"),
        ]:
            client = await server.connect(authority.client(), name)
            assert certificate_of(client)[0] == first
        lax = authority.client()
        lax.check_hostname = False
        client = await server.connect(lax, "unknown.test")
        assert certificate_of(client)[0] == "shop.test"


async def test_strict_host_refuses_unknown_names(authority: Authority, pair: Pair) -> None:
    tls = read_ssl([None, {"cert": pair.cert, "key": pair.key}])
    lax = authority.client()
    lax.check_hostname = False
    async with running(hello, tls=tls) as server:
        assert (await ask(server, authority.client()))[0] == 200
        for name in ("unknown.test", "a.b.shop.test", ""):
            with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
                await server.connect(lax, name)
            assert not isinstance(caught.value, ssl.SSLCertVerificationError)


# -- client certificates --------------------------------------------------------------------------------


async def test_client_certificate_is_verified(
    authority: Authority, pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vivace.server")
    tls = read_ssl({"cert": pair.cert, "key": pair.key, "ca_certs": authority.path})
    seen: list[Any] = []

    async def app(stream: Stream) -> None:
        seen.append(stream.tls.getpeercert()["subjectAltName"])
        stream.respond(200, TEXT, b"ok")

    stranger = ssl.create_default_context(cafile=authority.path)
    stranger.load_cert_chain(*Authority(tmp_path).issue("me@other.test"))
    async with running(app, tls=tls) as server:
        assert (await ask(server, authority.client("me@shop.test")))[0] == 200
        for context in (authority.client(), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await ask(server, context)
    assert seen == [(("email", "me@shop.test"),)]
    assert [r.levelno for r in caplog.records if "TLS" in r.message] == [logging.DEBUG, logging.DEBUG]
    assert not any(r.exc_info for r in caplog.records)


# -- what clients get wrong -----------------------------------------------------------------------------


async def test_plain_http_is_told(tls: Tls) -> None:
    async with running(hello, tls=tls) as server:
        answer = await server.exchange(GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close" in head
    assert b"this port speaks HTTPS" in body


@pytest.mark.parametrize(
    "data", [b"\x00\x01\x02", b"\x80junk", b"\x16\x03\x01\x00\x05junk!", b"SSH-2.0-x\r\n" * 9]
)
async def test_junk_ends_the_connection(tls: Tls, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(hello, tls=tls) as server:
        await server.exchange(data)
        await until(lambda: server.server.connections == 0)
    assert caplog.records == []


async def test_junk_within_a_connection(authority: Authority, tls: Tls) -> None:
    async with running(hello, tls=tls) as server:
        client = await server.connect(authority.client(), "shop.test")
        os.write(client.writer.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x05junk!" * 3)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await client.send(GET)
            await client.read_response()
        await until(lambda: server.server.connections == 0)


async def test_handshake_has_a_time_limit(tls: Tls) -> None:
    async with running(hello, tls=tls, HEAD_TIMEOUT=0.2) as server:
        assert await server.exchange(b"") == b""
        assert await server.exchange(b"\x16\x03\x01") == b""


async def test_handshakes_make_room_for_others(authority: Authority, tls: Tls) -> None:
    async with running(hello, tls=tls, MAX_CONNECTIONS=3) as server:
        for _ in range(3):
            client = await server.connect()
            await client.send(b"\x16\x03\x01")
        await until(lambda: server.server.connections == 3)
        assert (await ask(server, authority.client()))[0] == 200


async def test_stop_does_not_wait_for_handshakes(tls: Tls) -> None:
    async with running(hello, tls=tls) as server:
        await server.connect()
        await until(lambda: server.server.connections == 1)
        async with asyncio.timeout(9):
            await server.server.stop()


# -- renewal --------------------------------------------------------------------------------------------


async def test_renewed_certificate_is_used_at_the_next_connection(
    authority: Authority, tmp_path: Path
) -> None:
    made = Authority(tmp_path)
    old = made.issue("old.test", folder="live")
    tls = read_ssl(str(Path(old.cert).parent))
    async with running(hello, tls=tls, TLS_RELOAD=0.05) as server:
        context = made.client()
        client = await server.connect(context, "old.test")
        made.issue("new.test", folder="live")
        await until(lambda: tls.serves("new.test"))
        assert (await ask(server, context, "new.test"))[0] == 200
        await client.send(GET)  # the connection that was there before goes on
        assert (await client.read_response())[0] == 200


async def test_broken_renewal_leaves_the_old_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Authority(tmp_path)
    pair = made.issue("old.test", folder="live")
    tls = read_ssl(str(Path(pair.cert).parent))
    async with running(hello, tls=tls, TLS_RELOAD=0.05) as server:
        Path(pair.cert).write_text("half a file")
        await until(lambda: "the old one stays" in caplog.text)
        assert pair.cert in caplog.text
        assert (await ask(server, made.client(), "old.test"))[0] == 200
    assert not any(record.exc_info for record in caplog.records)


async def test_session_is_resumed(authority: Authority, tls: Tls) -> None:
    """By a thread, for asyncio has no sessions."""
    context = authority.client()

    def talk(port: int, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
        raw = socket.create_connection(("127.0.0.1", port), 10)
        with context.wrap_socket(raw, server_hostname="shop.test", session=session) as client:
            client.sendall(LAST)
            while client.recv(65_536):
                pass
            return client.session, client.session_reused

    async with running(hello, tls=tls) as server:
        loop = asyncio.get_running_loop()
        session, _ = await loop.run_in_executor(None, talk, server.port, None)
        _, resumed = await loop.run_in_executor(None, talk, server.port, session)
    assert resumed


async def test_a_websocket_over_tls(authority: Authority, tls: Tls) -> None:
    async with running(ws_echo, tls=tls) as server:
        client = await server.connect(authority.client(), "shop.test")
        await client.send(HANDSHAKE + b"\r\n")
        peer = Peer(client, await client.read_head())
        for message in ("hello", b"\xff" * 200_000, "bye"):
            await peer.send(message)
            assert await peer.recv() == message
        assert await peer.close() == 1000
        await until(lambda: server.server.connections == 0)
