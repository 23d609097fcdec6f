"""GraphQL over WebSocket without I/O: every step of both sub-protocols, and everything that breaks them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.protocols.graphql_ws import (
    LEGACY,
    MAX_ID,
    MODERN,
    SUBPROTOCOLS,
    Connect,
    Limits,
    Machine,
    Operation,
    Start,
    Stop,
    make_machine,
)

QUERY = {"query": "{ a }"}
INIT = {"type": "connection_init"}
RESULT = {"data": {"a": 1}}


class Client:
    """A machine and what a client of it says and sees."""

    def __init__(self, subprotocol: str | None, **limits: Any) -> None:
        self.now = 100.0
        self.machine: Machine = make_machine(subprotocol, Limits(**limits), self.now)

    def say(self, message: Any) -> list[Any]:
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        return self.machine.receive(raw, self.now)

    def seen(self) -> list[dict[str, Any]]:
        seen = [json.loads(text) for text in self.machine.outbox]
        self.machine.outbox.clear()
        return seen

    def enter(self, payload: dict[str, Any] | None = None) -> list[Any]:
        (event,) = self.say(INIT if payload is None else {**INIT, "payload": payload})
        assert isinstance(event, Connect)
        events = self.machine.accept(None, self.now)
        self.seen()
        return list(events)

    def start(self, key: str, **payload: Any) -> Operation:
        kind = "start" if self.is_legacy else "subscribe"
        events = self.say({"type": kind, "id": key, "payload": {**QUERY, **payload}})
        assert isinstance(events[-1], Start)
        return events[-1].operation

    @property
    def is_legacy(self) -> bool:
        return "Legacy" in type(self.machine).__name__

    @property
    def code(self) -> int | None:
        return self.machine.closing and self.machine.closing[0]


@pytest.fixture(params=SUBPROTOCOLS)
def client(request: pytest.FixtureRequest) -> Client:
    """One for each protocol, welcomed."""
    client = Client(request.param)
    client.enter()
    return client


@pytest.fixture
def modern() -> Client:
    return Client(MODERN)


@pytest.fixture
def legacy() -> Client:
    return Client(LEGACY)


# What both do


def test_an_operation_gives_results_and_completes(client: Client) -> None:
    operation = client.start("1", variables={"x": 2}, operationName="n")
    assert operation.payload == {**QUERY, "variables": {"x": 2}, "operationName": "n"}
    assert client.machine.result(operation, RESULT)
    assert client.machine.complete(operation)
    kind = "data" if client.is_legacy else "next"
    assert client.seen() == [{"type": kind, "id": "1", "payload": RESULT}, {"type": "complete", "id": "1"}]
    assert client.machine.live == {}


def test_what_is_over_sends_nothing_more(client: Client) -> None:
    operation = client.start("1")
    (stopped,) = client.say({"type": "stop" if client.is_legacy else "complete", "id": "1"})
    assert isinstance(stopped, Stop)
    assert stopped.operation is operation
    client.seen()
    machine = client.machine
    assert not machine.result(operation, RESULT)
    assert not machine.error(operation, [])
    assert not machine.complete(operation)
    assert client.seen() == []


def test_results_of_an_ended_operation_do_not_reach_the_next_of_its_id(client: Client) -> None:
    first = client.start("1")
    client.machine.complete(first)
    second = client.start("1")
    client.seen()
    assert not client.machine.result(first, RESULT)
    assert not client.machine.complete(first)
    assert client.machine.is_live(second)
    assert client.seen() == []


def test_ending_one_operation_leaves_the_others(client: Client) -> None:
    kept, ended = client.start("kept"), client.start("ended")
    client.say({"type": "stop" if client.is_legacy else "complete", "id": "ended"})
    assert client.machine.is_live(kept)
    assert not client.machine.is_live(ended)


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_operations_at_a_time_are_limited(subprotocol: str) -> None:
    client = Client(subprotocol, max_operations=2)
    client.enter()
    first, second = client.start("1"), client.start("2")
    events = client.say({"type": "start" if client.is_legacy else "subscribe", "id": "3", "payload": QUERY})
    assert events == []
    (refused,) = client.seen()
    errors = refused["payload"]
    error = errors if client.is_legacy else errors[0]
    assert (refused["type"], refused["id"]) == ("error", "3")
    assert error["message"] == "a connection may run 2 operations at a time"
    assert client.code is None
    client.machine.complete(first)
    client.start("3")
    assert client.machine.is_live(second)


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_what_operations_were_asked_with_is_limited_together(subprotocol: str) -> None:
    payload = {"query": "{a}" + " " * 197}
    size = len(json.dumps(payload, separators=(",", ":")))
    client = Client(subprotocol, max_message=2 * size + 20)
    kind = "start" if client.is_legacy else "subscribe"

    def start(key: str, query: str = payload["query"]) -> list[Any]:
        return client.say({"type": kind, "id": key, "payload": {"query": query}})

    client.enter()
    (first,), (_,) = start("1"), start("2", payload["query"] + " " * 20)
    assert start("3", "{a}") == []
    (refused,) = client.seen()
    error = refused["payload"] if client.is_legacy else refused["payload"][0]
    assert (refused["type"], refused["id"]) == ("error", "3")
    assert "octets together (GRAPHQL_MAX_MESSAGE)" in error["message"]
    assert client.code is None
    client.machine.complete(first.operation)
    client.seen()
    assert len(start("3")) == 1
    client.say({"type": "stop" if client.is_legacy else "complete", "id": "2"})
    assert len(start("4")) == 1


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
@pytest.mark.parametrize("filler", ["a", "é", "€"])
def test_messages_have_a_largest_size(subprotocol: str, filler: str) -> None:
    empty = len(json.dumps({**INIT, "payload": {"a": ""}}, ensure_ascii=False).encode())
    size = len(filler.encode())
    text = json.dumps({**INIT, "payload": {"a": filler * 40}}, ensure_ascii=False)
    fits = Client(subprotocol, max_message=empty + 40 * size)
    assert len(fits.say(text)) == 1
    tight = Client(subprotocol, max_message=empty + 40 * size - 1)
    assert tight.say(text) == []
    assert tight.code == 1009


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_a_client_that_does_not_introduce_itself_is_closed(subprotocol: str) -> None:
    client = Client(subprotocol, init_timeout=3.0)
    assert client.machine.deadline() == 103.0
    client.machine.tick(102.9)
    assert client.code is None
    client.machine.tick(103.0)
    assert client.code == 4408


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_introduced_clients_meet_no_time_out_while_they_are_judged(subprotocol: str) -> None:
    client = Client(subprotocol, init_timeout=3.0, keep_alive=0)
    client.say(INIT)
    assert client.machine.deadline() is None
    client.machine.tick(1000.0)
    assert client.code is None


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_no_time_out_when_there_is_none(subprotocol: str) -> None:
    client = Client(subprotocol, init_timeout=0)
    assert client.machine.deadline() is None
    client.machine.tick(1e9)
    assert client.code is None


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
def test_welcome_may_carry_a_payload(subprotocol: str) -> None:
    client = Client(subprotocol, keep_alive=0)
    (event,) = client.say({**INIT, "payload": {"token": "t"}})
    assert event.payload == {"token": "t"}
    client.machine.accept({"user": 7}, client.now)
    assert client.seen() == [{"type": "connection_ack", "payload": {"user": 7}}]


def test_ids_have_a_longest_length(client: Client) -> None:
    assert client.machine.is_live(client.start("x" * MAX_ID))
    assert client.say({"type": "complete", "id": "x" * (MAX_ID + 1)}) == []
    assert client.is_legacy or client.code == 4400


def test_after_a_close_nothing_is_read_or_sent(client: Client) -> None:
    operation = client.start("1")
    client.machine.close(1001, "stop")
    client.machine.close(1011, "later")
    assert client.say({"type": "complete", "id": "1"}) == []
    assert not client.machine.result(operation, RESULT)
    assert client.machine.accept(None, 0.0) == []
    assert (client.code, client.seen()) == (1001, [])


def test_values_that_json_has_not_are_written_as_text(client: Client) -> None:
    operation = client.start("1")
    client.machine.result(operation, {"data": {"a": 1 + 2j}})
    assert client.seen()[0]["payload"] == {"data": {"a": "(1+2j)"}}


def test_no_common_subprotocol() -> None:
    for offered in (None, "chat"):
        assert Client(offered).machine.closing == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
@given(message=st.one_of(st.text(), st.binary(), st.dictionaries(st.text(), st.text()).map(json.dumps)))
def test_anything_may_come(subprotocol: str, message: str | bytes) -> None:
    client = Client(subprotocol)
    client.enter()
    client.say(message)
    assert client.is_legacy or client.code in {None, 4400}
    client.seen()


# graphql-transport-ws


def test_modern_second_introduction(modern: Client) -> None:
    modern.say(INIT)
    assert modern.say(INIT) == []
    assert modern.machine.closing == (4429, "Too many initialisation requests")


def test_modern_subscribe_before_the_welcome(modern: Client) -> None:
    modern.say(INIT)
    assert modern.say({"type": "subscribe", "id": "1", "payload": QUERY}) == []
    assert modern.machine.closing == (4401, "Unauthorized")


def test_modern_refusal(modern: Client) -> None:
    modern.say(INIT)
    modern.machine.refuse("Forbidden")
    assert (modern.machine.closing, modern.seen()) == ((4403, "Forbidden"), [])


def test_modern_id_that_is_taken(modern: Client) -> None:
    modern.enter()
    modern.start("a")
    modern.say({"type": "subscribe", "id": "a", "payload": QUERY})
    assert modern.machine.closing == (4409, "Subscriber for a already exists")


def test_modern_error_is_a_list_and_ends_without_complete(modern: Client) -> None:
    modern.enter()
    operation = modern.start("a")
    modern.machine.error(operation, [{"message": "x"}, {"message": "y"}])
    assert not modern.machine.complete(operation)
    assert modern.seen() == [{"type": "error", "id": "a", "payload": [{"message": "x"}, {"message": "y"}]}]


def test_modern_completes_of_unknown_ids_are_ignored(modern: Client) -> None:
    modern.enter()
    assert modern.say({"type": "complete", "id": "never"}) == []
    assert (modern.code, modern.seen()) == (None, [])


def test_modern_ping_is_answered_before_the_welcome_too(modern: Client) -> None:
    modern.say({"type": "ping"})
    modern.say({"type": "ping", "payload": {"a": 1}})
    modern.say({"type": "pong"})
    assert modern.seen() == [{"type": "pong"}, {"type": "pong", "payload": {"a": 1}}]
    assert modern.code is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "1",
        b'{"type": "ping"}',
        b"\xff",
        "[" * 100_000,
        {},
        {"type": 1},
        {"type": "start", "id": "1", "payload": QUERY},
        {"type": "subscribe", "payload": QUERY},
        {"type": "subscribe", "id": 1, "payload": QUERY},
        {"type": "subscribe", "id": "", "payload": QUERY},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": "{ a }"},
        {"type": "subscribe", "id": "1", "payload": {"query": 1}},
        {"type": "complete"},
        {"type": "ping", "payload": [1]},
    ],
)
def test_modern_malformed(modern: Client, message: Any) -> None:
    modern.enter()
    assert modern.say(message) == []
    assert modern.code == 4400
    assert modern.machine.closing is not None
    assert len(modern.machine.closing[1].encode()) <= 123


# graphql-ws


def test_legacy_start_may_come_before_the_welcome(legacy: Client) -> None:
    assert legacy.say({"type": "start", "id": "0", "payload": QUERY}) == []
    assert len(legacy.say(INIT)) == 1
    assert legacy.say({"type": "start", "id": "1", "payload": QUERY}) == []
    assert legacy.say({"type": "start", "id": "gone", "payload": QUERY}) == []
    legacy.say({"type": "stop", "id": "gone"})
    assert legacy.seen() == [{"type": "complete", "id": "gone"}]
    events = legacy.machine.accept(None, legacy.now)
    assert [event.operation.id for event in events if isinstance(event, Start)] == ["0", "1"]


def test_legacy_queue_before_the_welcome_is_limited() -> None:
    legacy = Client(LEGACY, max_operations=1)
    for key in ("1", "1", "2"):
        legacy.say({"type": "start", "id": key, "payload": QUERY})
    assert [(one["type"], one["id"]) for one in legacy.seen()] == [("error", "2")]
    legacy.say(INIT)
    assert len(legacy.machine.accept(None, 0.0)) == 1


def test_legacy_queue_before_the_welcome_has_a_largest_size() -> None:
    size = len('{"query":"{a}"}')
    legacy = Client(LEGACY, max_message=100 + 2 * size)
    payload = {"query": "{a}" + " " * 50}
    for key in ("1", "2", "3"):
        legacy.say({"type": "start", "id": key, "payload": payload})
    assert [(one["type"], one["id"]) for one in legacy.seen()] == [("error", "3")]
    legacy.say({"type": "stop", "id": "1"})
    legacy.say({"type": "start", "id": "3", "payload": payload})
    legacy.say(INIT)
    started = [event for event in legacy.machine.accept(None, 0.0) if isinstance(event, Start)]
    assert [event.operation.id for event in started] == ["2", "3"]


def test_legacy_refusal_says_why_and_closes(legacy: Client) -> None:
    legacy.say({"type": "start", "id": "1", "payload": QUERY})
    legacy.say(INIT)
    legacy.machine.refuse("no token")
    assert legacy.seen() == [{"type": "connection_error", "payload": {"message": "no token"}}]
    assert legacy.code == 1011
    assert legacy.machine.accept(None, 0.0) == []


def test_legacy_start_of_a_live_id_stops_the_old_one(legacy: Client) -> None:
    legacy.enter()
    first = legacy.start("1")
    stop, start = legacy.say({"type": "start", "id": "1", "payload": QUERY})
    assert isinstance(stop, Stop)
    assert stop.operation is first
    assert isinstance(start, Start)
    assert start.operation is not first
    assert legacy.machine.is_live(start.operation)
    assert legacy.seen() == []


def test_legacy_stop_is_answered_and_unknown_ids_are_not(legacy: Client) -> None:
    legacy.enter()
    legacy.start("1")
    assert len(legacy.say({"type": "stop", "id": "1"})) == 1
    assert legacy.say({"type": "stop", "id": "2"}) == []
    assert legacy.seen() == [{"type": "complete", "id": "1"}]


def test_legacy_error_is_one_object(legacy: Client) -> None:
    legacy.enter()
    legacy.machine.error(legacy.start("1"), [{"message": "x"}, {"message": "y"}])
    legacy.machine.error(legacy.start("2"), [])
    assert [one["payload"] for one in legacy.seen()] == [{"message": "x"}, {"message": "unknown"}]


def test_legacy_signs_of_life_begin_with_the_welcome_and_do_not_stop() -> None:
    legacy = Client(LEGACY, keep_alive=20.0, init_timeout=3.0)
    legacy.say(INIT)
    legacy.machine.accept(None, 101.0)
    assert [one["type"] for one in legacy.seen()] == ["connection_ack", "ka"]
    for due in (121.0, 141.0, 161.0):
        assert legacy.machine.deadline() == due
        legacy.machine.tick(due - 0.1)
        assert legacy.seen() == []
        legacy.machine.tick(due)
        assert legacy.seen() == [{"type": "ka"}]


def test_legacy_signs_of_life_can_be_off() -> None:
    legacy = Client(LEGACY, keep_alive=0)
    legacy.say(INIT)
    legacy.machine.accept(None, 101.0)
    assert ([one["type"] for one in legacy.seen()], legacy.machine.deadline()) == (["connection_ack"], None)


def test_legacy_bye(legacy: Client) -> None:
    legacy.enter()
    legacy.say({"type": "connection_terminate"})
    assert legacy.machine.closing == (1000, "")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("{", "connection_error"),
        ("[]", "connection_error"),
        (b"{}", "connection_error"),
        ({"id": "1"}, "connection_error"),
        ({"type": "start", "payload": QUERY}, "connection_error"),
        ({"type": "stop"}, "connection_error"),
        (INIT, "connection_error"),
        ({"type": "start", "id": "1"}, "error"),
        ({"type": "start", "id": "1", "payload": {}}, "error"),
    ],
)
def test_legacy_malformed_stays_open(legacy: Client, message: Any, kind: str) -> None:
    legacy.enter()
    assert legacy.say(message) == []
    assert ([one["type"] for one in legacy.seen()], legacy.code) == ([kind], None)


def test_legacy_bad_payload_of_the_introduction(legacy: Client) -> None:
    assert legacy.say({**INIT, "payload": "x"}) == []
    assert ([one["type"] for one in legacy.seen()], legacy.code) == (["connection_error"], None)


def test_legacy_unknown_type(legacy: Client) -> None:
    legacy.enter()
    legacy.say({"type": "subscribe", "id": "1", "payload": QUERY})
    assert legacy.seen() == [{"type": "error", "id": "1", "payload": {"message": "Invalid message type!"}}]
