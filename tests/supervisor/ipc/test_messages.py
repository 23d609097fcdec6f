"""What processes tell each other arrives, whole and in order, whatever else is on the line."""

import os
from collections.abc import Iterator

import pytest

from vivace.supervisor.ipc.messages import Channel, Made, Message, Order, Report, Wish, failed

MESSAGES: list[Message] = [
    Report(True, "web:app (native: it is one)", "CPython", "uvloop", 4, 15.0, ("a",), ("/x",), 5.0),
    failed("line\nline \udcff \N{SNOWMAN}", 3),
    Wish("restart", "asked for it", {"WORKERS": 2}),
    Made(1, 4711),
    Order("fork", 2),
]


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_arrives_as_it_was_sent(pair: tuple[Channel, Channel], message: Message) -> None:
    assert pair[0].send(message)
    assert pair[1].receive() == [message]


def test_messages_arrive_however_they_are_cut(pair: tuple[Channel, Channel]) -> None:
    one, other = Channel.pair()
    for message in MESSAGES:
        one.send(message)
    found: list[Message] = []
    while len(found) < len(MESSAGES):
        pair[0].sock.send(other.sock.recv(7))
        found += pair[1].receive() or []
    assert found == MESSAGES
    one.close()
    other.close()


def test_text_that_no_utf8_can_hold_is_told_as_far_as_it_goes() -> None:
    assert failed("a\udcffb", 3).text == "a?b"


def test_what_is_no_message_is_dropped(pair: tuple[Channel, Channel]) -> None:
    deep = b'{"type":"Wish","what":"restart","settings":{"A":' + b"[" * 20_000
    pair[0].sock.sendall(b'junk\n[1,2]\n{}\n{"type":"Nothing"}\n\xff\n"\xff"\n' + deep + b"\n")
    pair[0].send(Made(1, 2))
    found: list[Message] = []
    while not found:
        found += pair[1].receive() or []
    assert found == [Made(1, 2)]


def test_a_line_without_end_is_dropped(pair: tuple[Channel, Channel]) -> None:
    one, other = pair
    for _ in range(40):
        one.sock.sendall(b"x" * 50000)
        other.receive()
    one.sock.sendall(b"\n")
    one.send(Made(1, 2))
    found: list[Message] = []
    while not found:
        found += other.receive() or []
    assert found == [Made(1, 2)]


def test_orders_bring_their_descriptors_in_order(pair: tuple[Channel, Channel]) -> None:
    pipes = [os.pipe() for _ in range(3)]
    pair[1].takes = True
    for slot, (_, write) in enumerate(pipes):
        pair[0].send(Order("fork", slot), write)
    found: list[Message] = []
    while len(found) < 3:
        found += pair[1].receive() or []
    for slot, (read, write) in enumerate(pipes):
        os.close(write)
        taken = pair[1].take_descriptor()
        os.write(taken, b"%d" % slot)
        os.close(taken)
        assert os.read(read, 8) == b"%d" % slot
        os.close(read)


def test_descriptors_that_nobody_wants_are_closed_by_the_system(pair: tuple[Channel, Channel]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    read, write = os.pipe()
    for _ in range(50):
        pair[0].send(Wish("recycle"), write)
    found: list[Message] = []
    while len(found) < 50:
        found += pair[1].receive() or []
    os.close(read)
    os.close(write)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_end_that_is_gone_is_noticed_on_both_sides(pair: tuple[Channel, Channel]) -> None:
    pair[0].close()
    assert pair[1].receive() is None
    assert not pair[1].send(Made(1, 2))
