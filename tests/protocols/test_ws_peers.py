"""What we send wsproto reads, and the other way round, compressed or not, cut anywhere."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from vivace.protocols.deflate import DeflateOptions, Deflater, agree
from vivace.protocols.ws import WsConnection, WsLimits

messages = st.lists(
    st.one_of(st.text(max_size=300), st.binary(max_size=300), st.integers(1, 3000).map(lambda n: "abc" * n)),
    max_size=6,
)


def pair(compressed: str) -> tuple[WsConnection, Connection]:
    """Our server and wsproto's client, with what they agreed upon."""
    if not compressed:
        return WsConnection(WsLimits()), Connection(ConnectionType.CLIENT)
    theirs = PerMessageDeflate()
    offer = theirs.offer()
    assert isinstance(offer, str)
    parameters = [p.strip().partition("=") for p in offer.split(";") if p.strip()]
    options = DeflateOptions(context_takeover=compressed == "takeover", threshold=0)
    made = agree([("permessage-deflate", [(n, v or None) for n, _, v in parameters])], Deflater(options))
    assert made is not None
    theirs.finalize(made[1].removeprefix("permessage-deflate").lstrip("; "))
    return WsConnection(WsLimits(), made[0]), Connection(ConnectionType.CLIENT, extensions=[theirs])


def heard(connection: Connection, data: bytes) -> list[Any]:
    """The messages that wsproto reads in octets."""
    connection.receive_data(data)
    found: list[Any] = []
    parts: list[Any] = []
    for event in connection.events():
        assert isinstance(event, Message)
        parts.append(event.data)
        if event.message_finished:
            whole = "".join(parts) if isinstance(event, TextMessage) else b"".join(map(bytes, parts))
            found.append(whole)
            parts = []
    return found


@pytest.mark.parametrize("compressed", ["", "deflate", "takeover"])
@given(sent=messages, cut=st.integers(1, 50))
def test_messages_go_both_ways(compressed: str, sent: list[Any], cut: int) -> None:
    ours, theirs = pair(compressed)
    data = b"".join(ours.send_text(m) if isinstance(m, str) else ours.send_bytes(m) for m in sent)
    assert heard(theirs, data) == sent
    back = b"".join(theirs.send(TextMessage(m) if isinstance(m, str) else BytesMessage(m)) for m in sent)
    found: list[Any] = []
    for at in range(0, len(back), cut):
        found += ours.receive_data(back[at : at + cut])
    assert found == sent


def test_pings_and_closes_are_understood() -> None:
    ours, theirs = pair("")
    payload = os.urandom(20)
    (event,) = ours.receive_data(theirs.send(Ping(payload)))
    assert event.data == payload
    theirs.receive_data(ours.take_answers() + ours.send_close(1001, "bye"))
    *_, closed = theirs.events()
    assert isinstance(closed, CloseConnection)
    assert (closed.code, closed.reason) == (CloseReason.GOING_AWAY, "bye")
    (event,) = ours.receive_data(theirs.send(closed.response()))
    assert event.code == 1001
