"""What we take, h11 and httptools take too and read in the same way; what they refuse, we refuse.

The peers are more lenient than we are, each in its own way; so only one direction can be held: nothing that
we take is refused by both of them. The exceptions are named below, with the reason.
"""

import random
import re
from typing import Any

import h11
import httptools
import pytest

from tests.fuzz.mutate import SEEDS, mutate
from tests.protocols.driver import BUILDS, transcript

INPUTS = 1500
"""Mutated requests a seed of the random source."""

Message = tuple[str, bytes, bytes]
"""Method, target, body."""


def ours(data: bytes) -> tuple[list[Message], bool]:
    """The messages that are whole, and whether it ended without an error."""
    found: list[Message] = []
    steps = transcript(BUILDS["used"], [data] if data else [])
    method, target, body = "", b"", b""
    for step in steps:
        if step[0] == "request":
            method, target, body = step[1], step[2], b""
            if not step[9]:
                found.append((method, target, b""))
        elif step[0] == "data":
            body = step[1]
        elif step[0] == "end":
            found.append((method, target, body))
    return found, steps[-1][0] != "error"


def by_h11(data: bytes) -> list[Message]:
    """The messages that h11 reads before it raises or the octets end."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    connection.receive_data(b"")
    found: list[Message] = []
    method, target, body = "", b"", b""
    try:
        while True:
            event: Any = connection.next_event()
            if isinstance(event, h11.Request):
                method, target, body = event.method.decode(), event.target, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((method, target, body))
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return found
                connection.start_next_cycle()
            else:
                return found
    except h11.ProtocolError:
        return found


class _Reader:
    def __init__(self) -> None:
        self.found: list[Message] = []
        self.target = self.body = b""

    def on_message_begin(self) -> None:
        self.target = self.body = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_method().decode(), self.target, self.body))

    parser: Any


def by_httptools(data: bytes) -> list[Message]:
    """The messages that llhttp reads before it raises."""
    reader = _Reader()
    reader.parser = httptools.HttpRequestParser(reader)
    try:
        reader.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        pass
    return reader.found


def is_ours_alone(messages: list[Message], data: bytes) -> bool:
    """The reasons why both peers may refuse the last of these messages, which we take."""
    # RFC 9110 section 9.1 lets methods be any token, llhttp knows a list; it stops at an upgrade, and it
    # takes fewer octets in targets. Where that is so it gives no verdict, and h11 alone has others: it takes
    # no empty lines before a request (RFC 9112 section 2.2 does).
    known = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
    method = any(method not in known for method, _, _ in messages)
    target = any(octet in target for _, target, _ in messages for octet in b'"<>\\^`{|}')
    if (method or target or b"pgrade" in data) and (method or re.search(rb"(?:^|\r\n\r\n)\r\n", data)):
        return True
    # We drop fields that may not be trailers; they refuse the message.
    return re.search(rb"(?is)chunked.*\r\n(?:transfer-encoding|content-length) *:", data) is not None


def compare(data: bytes) -> int:
    """Hold what we take of `data` against both peers; the number of messages compared."""
    messages, _ = ours(data)
    peers = [by_h11(data), by_httptools(data)] if messages else []
    for i, message in enumerate(messages):
        agree = [read for read in peers if read[i : i + 1] == [message]]
        if not agree:
            assert is_ours_alone(messages[: i + 1], data), (data, message, peers)
            return i
        peers = agree
    return len(messages)


@pytest.mark.parametrize("seed", range(4))
def test_what_we_take_a_peer_takes(seed: int) -> None:
    source = random.Random(seed)
    compared = sum(compare(mutate(source.choice(SEEDS), source)) for _ in range(INPUTS))
    assert compared > INPUTS // 4


@pytest.mark.parametrize("seed", range(4, 8))
def test_bodies_end_where_they_end_for_the_peers(seed: int) -> None:
    """Where a body ends is what smuggling is about: a message that we and a peer read has the same octets."""
    source = random.Random(seed)
    for _ in range(INPUTS):
        data = mutate(source.choice(SEEDS), source)
        messages, _ = ours(data)
        # llhttp takes what follows an upgrade as the other protocol's; we ignore an upgrade that has a body.
        for peer in (by_h11,) if b"pgrade" in data else (by_h11, by_httptools):
            for mine, theirs in zip(messages, peer(data), strict=False):
                if mine[:2] != theirs[:2]:
                    break
                assert mine[2] == theirs[2], (data, peer, mine, theirs)
