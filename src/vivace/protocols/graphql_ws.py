"""GraphQL over a WebSocket, the server's side: both sub-protocols, as state machines without I/O.

``graphql-transport-ws`` is what the npm package graphql-ws speaks, ``graphql-ws`` (confusingly) what
subscriptions-transport-ws and old versions of Apollo's client speak. `make_machine` gives the one that was
chosen; both have the same methods and events, so that what drives them knows no difference.

Rules of this file:

- Messages in, events out; what is to be sent collects in `outbox`. With `closing` set nothing is read.
- The clock is an argument, in seconds of any steady clock.
- Results of an operation that has ended, or whose id belongs to another one by now, are dropped here.
"""

from typing import Any, Final

import msgspec

__all__ = [
    "LEGACY",
    "MODERN",
    "SUBPROTOCOLS",
    "Connect",
    "Event",
    "Limits",
    "Machine",
    "Operation",
    "Start",
    "Stop",
    "make_machine",
]

MODERN: Final = "graphql-transport-ws"
LEGACY: Final = "graphql-ws"
SUBPROTOCOLS: Final = (MODERN, LEGACY)
"""What is spoken, the better one first."""

MAX_ID: Final = 256
"""Characters that the id of an operation may have."""

_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class Limits(msgspec.Struct, frozen=True):
    """What one connection may do.

    Attributes:
        init_timeout: Seconds until the client must have introduced itself; 0: for ever.
        keep_alive: Seconds between two signs of life of the old protocol; 0: none.
        max_operations: Operations that run at a time.
        max_message: Octets of a message, and of what the operations that run were asked with, together.
    """

    init_timeout: float = 10.0
    keep_alive: float = 20.0
    max_operations: int = 100
    max_message: int = 1_048_576


class Operation:
    """An operation that a client has started; what is sent for it names this object, not its id.

    Attributes:
        id: What the client calls it.
        payload: ``query``, ``variables``, ``operationName``, ``extensions``, as they came.
        size: Octets of the payload.
    """

    __slots__ = ("id", "payload", "size")

    def __init__(self, id: str, payload: dict[str, Any], size: int) -> None:  # noqa: A002  # its name in the protocol
        self.id = id
        self.payload = payload
        self.size = size

    def __repr__(self) -> str:
        return f"<Operation {self.id!r}>"


class Connect:
    """The client introduced itself: answer with `accept` or `refuse`."""

    __slots__ = ("payload",)

    def __init__(self, payload: dict[str, Any]) -> None:
        self.payload = payload


class Start:
    """The client wants an operation: answer with `result`, then `complete`; or with `error`."""

    __slots__ = ("operation",)

    def __init__(self, operation: Operation) -> None:
        self.operation = operation


class Stop:
    """An operation is not wanted any more: end it; nothing of it is sent."""

    __slots__ = ("operation",)

    def __init__(self, operation: Operation) -> None:
        self.operation = operation


Event = Connect | Start | Stop


class Machine:
    """What both protocols have in common.

    Args:
        limits: What this connection may do.
        now: The time.

    Attributes:
        outbox: Messages to send, in order; whoever sends them takes them out.
        closing: Code and reason of the close that is to come behind them; None: it stays open.
        live: The operations that run, by id.
    """

    __slots__ = ("_accepted", "_asked", "_began", "_held", "closing", "limits", "live", "outbox")

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.outbox: list[str] = []
        self.closing: tuple[int, str] | None = None
        self.live: dict[str, Operation] = {}
        self._began = now
        self._held = 0
        """Octets of the payloads of what is live."""
        self._asked = self._accepted = False

    def receive(self, message: str | bytes, now: float) -> list[Event]:
        """Take a message of the client; what is to be done about it."""
        if self.closing is not None:
            return []
        if len(message) > self.limits.max_message or (
            len(message) * 4 > self.limits.max_message and len(_octets(message)) > self.limits.max_message
        ):
            self.close(1009, f"a message may have {self.limits.max_message} octets")
            return []
        try:
            read = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._malformed("expected JSON")
        if not isinstance(message, str) or not isinstance(read, dict):
            return self._malformed("expected a JSON object, as text")
        kind, key, payload = read.get("type"), read.get("id"), read.get("payload")
        if not isinstance(kind, str):
            return self._malformed("expected a type")
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_ID):
            return self._malformed(f"expected an id of 1 to {MAX_ID} characters")
        return self._take(kind, key, payload, now)

    def accept(self, payload: dict[str, Any] | None, now: float) -> list[Event]:
        """Welcome the client; the operations that waited for it."""
        raise NotImplementedError

    def refuse(self, message: str) -> None:
        """Send the client away."""
        raise NotImplementedError

    def result(self, operation: Operation, payload: dict[str, Any]) -> bool:
        """Send a result: ``data``, ``errors``, ``extensions``; False: nobody wants it any more."""
        raise NotImplementedError

    def error(self, operation: Operation, errors: list[dict[str, Any]]) -> bool:
        """End an operation that could not be begun, or go on; False: nobody wants to know."""
        raise NotImplementedError

    def complete(self, operation: Operation) -> bool:
        """End an operation; False: it was over."""
        if self._end(operation):
            self._put("complete", operation.id)
            return True
        return False

    def is_live(self, operation: Operation) -> bool:
        """Whether what belongs to `operation` is still wanted."""
        return self.closing is None and self.live.get(operation.id) is operation

    def deadline(self) -> float | None:
        """When `tick` has something to do; None: never, as far as it is known now."""
        if self._asked or not self.limits.init_timeout:
            return None
        return self._began + self.limits.init_timeout

    def tick(self, now: float) -> None:
        """Do what the time asks for."""
        if not self._asked and self.limits.init_timeout and now >= self._began + self.limits.init_timeout:
            self.close(4408, "Connection initialisation timeout")

    def close(self, code: int, reason: str) -> None:
        """Close the connection behind what was put out; the first reason counts."""
        if self.closing is None:
            self.closing = code, reason

    def _take(self, kind: str, key: str | None, payload: Any, now: float) -> list[Event]:
        raise NotImplementedError

    def _malformed(self, why: str) -> list[Event]:
        raise NotImplementedError

    def _begin(self, key: str, payload: dict[str, Any]) -> list[Event]:
        operation = Operation(key, payload, len(_encoder.encode(payload)))
        most, largest, held = self.limits.max_operations, self.limits.max_message, self._held
        self.live[key] = operation
        self._held += operation.size
        if len(self.live) > most:
            self.error(operation, [{"message": f"a connection may run {most} operations at a time"}])
            return []
        if held and self._held > largest:
            told = f"the operations of a connection may have {largest} octets together (GRAPHQL_MAX_MESSAGE)"
            self.error(operation, [{"message": told}])
            return []
        return [Start(operation)]

    def _end(self, operation: Operation) -> bool:
        if not self.is_live(operation):
            return False
        self._remove(operation.id)
        return True

    def _remove(self, key: str) -> Operation | None:
        operation = self.live.pop(key, None)
        if operation is not None:
            self._held -= operation.size
        return operation

    def _put(self, kind: str, key: str | None = None, payload: Any = None) -> None:
        message: dict[str, Any] = {"type": kind}
        if key is not None:
            message["id"] = key
        if payload is not None:
            message["payload"] = payload
        self.outbox.append(_encoder.encode(message).decode())


class _Modern(Machine):
    """``graphql-transport-ws``: what breaks it closes the connection with a code of its own."""

    __slots__ = ()

    def _take(self, kind: str, key: str | None, payload: Any, now: float) -> list[Event]:
        if payload is not None and not isinstance(payload, dict):
            return self._malformed("expected an object as the payload")
        if kind == "connection_init":
            return self._init(payload or {})
        if kind == "subscribe":
            return self._subscribe(key, payload)
        if kind == "complete":
            return self._drop(key)
        if kind == "ping":
            self._put("pong", payload=payload)
            return []
        return [] if kind == "pong" else self._malformed(f"unknown type {kind[:40]!r}")

    def _init(self, payload: dict[str, Any]) -> list[Event]:
        if self._asked:
            self.close(4429, "Too many initialisation requests")
            return []
        self._asked = True
        return [Connect(payload)]

    def _subscribe(self, key: str | None, payload: Any) -> list[Event]:
        if not self._accepted:
            self.close(4401, "Unauthorized")
        elif key is None:
            return self._malformed("subscribe needs an id")
        elif not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
            return self._malformed("subscribe needs a payload with a query")
        elif key in self.live:
            self.close(4409, f"Subscriber for {key[:64]} already exists")
        else:
            return self._begin(key, payload)
        return []

    def _drop(self, key: str | None) -> list[Event]:
        if key is None:
            return self._malformed("complete needs an id")
        operation = self._remove(key)
        return [] if operation is None else [Stop(operation)]

    def accept(self, payload: dict[str, Any] | None, now: float) -> list[Event]:
        if self.closing is None:
            self._accepted = True
            self._put("connection_ack", payload=payload)
        return []

    def refuse(self, message: str) -> None:
        self.close(4403, message)

    def result(self, operation: Operation, payload: dict[str, Any]) -> bool:
        if live := self.is_live(operation):
            self._put("next", operation.id, payload)
        return live

    def error(self, operation: Operation, errors: list[dict[str, Any]]) -> bool:
        if ended := self._end(operation):
            self._put("error", operation.id, errors)
        return ended

    def _malformed(self, why: str) -> list[Event]:
        self.close(4400, f"Invalid message: {why}")
        return []


class _Legacy(Machine):
    """``graphql-ws``: lenient; operations may come before they are allowed, and wait."""

    __slots__ = ("_beat", "_waiting")

    def __init__(self, limits: Limits, now: float) -> None:
        super().__init__(limits, now)
        self._waiting: list[tuple[str, dict[str, Any], int]] = []
        self._beat: float | None = None
        """When the next sign of life is due; None: there are none."""

    def _take(self, kind: str, key: str | None, payload: Any, now: float) -> list[Event]:
        if kind == "connection_init":
            return self._init(payload)
        if kind == "connection_terminate":
            self.close(1000, "")
            return []
        if kind == "start":
            return self._start(key, payload)
        if kind == "stop":
            return self._stop(key)
        self._put("error", key, {"message": "Invalid message type!"})
        return []

    def _init(self, payload: Any) -> list[Event]:
        if self._asked:
            return self._malformed("connection_init comes once")
        if payload is not None and not isinstance(payload, dict):
            return self._malformed("expected an object as the payload")
        self._asked = True
        return [Connect(payload or {})]

    def _start(self, key: str | None, payload: Any) -> list[Event]:
        if key is None:
            return self._malformed("start needs an id")
        if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
            self._put("error", key, {"message": "start needs a payload with a query"})
            return []
        if self._accepted:
            before = self._remove(key)
            return ([Stop(before)] if before else []) + self._begin(key, payload)
        self._wait(key, payload)
        return []

    def _wait(self, key: str, payload: dict[str, Any]) -> None:
        """Keep what comes before the client was let in: no more than one message may have."""
        self._waiting = [one for one in self._waiting if one[0] != key]
        size, most = len(_encoder.encode(payload)), self.limits.max_operations
        if len(self._waiting) >= most:
            self._put("error", key, {"message": f"a connection may run {most} operations at a time"})
        elif size + sum(one[2] for one in self._waiting) > self.limits.max_message:
            largest = self.limits.max_message
            self._put("error", key, {"message": f"before connection_ack {largest} octets may wait"})
        else:
            self._waiting.append((key, payload, size))

    def _stop(self, key: str | None) -> list[Event]:
        if key is None:
            return self._malformed("stop needs an id")
        waited = len(self._waiting)
        self._waiting = [one for one in self._waiting if one[0] != key]
        operation = self._remove(key)
        if operation is not None or len(self._waiting) < waited:
            self._put("complete", key)
        return [] if operation is None else [Stop(operation)]

    def accept(self, payload: dict[str, Any] | None, now: float) -> list[Event]:
        if self.closing is not None:
            return []
        self._accepted = True
        self._put("connection_ack", payload=payload)
        if self.limits.keep_alive:
            self._put("ka")
            self._beat = now + self.limits.keep_alive
        waiting, self._waiting = self._waiting, []
        return [event for key, one, _ in waiting for event in self._begin(key, one)]

    def refuse(self, message: str) -> None:
        self._put("connection_error", payload={"message": message})
        self.close(1011, message)

    def result(self, operation: Operation, payload: dict[str, Any]) -> bool:
        if live := self.is_live(operation):
            self._put("data", operation.id, payload)
        return live

    def error(self, operation: Operation, errors: list[dict[str, Any]]) -> bool:
        if ended := self._end(operation):
            # The message has room for one; a client that gets it ends the operation.
            self._put("error", operation.id, errors[0] if errors else {"message": "unknown"})
        return ended

    def deadline(self) -> float | None:
        return super().deadline() if self._beat is None else self._beat

    def tick(self, now: float) -> None:
        super().tick(now)
        if self._beat is not None and now >= self._beat and self.closing is None:
            self._put("ka")
            self._beat = now + self.limits.keep_alive

    def _malformed(self, why: str) -> list[Event]:
        self._put("connection_error", payload={"message": f"Invalid message: {why}"})
        return []


def make_machine(subprotocol: str | None, limits: Limits, now: float) -> Machine:
    """The machine for a connection.

    Args:
        subprotocol: What was chosen of `SUBPROTOCOLS`; None: the client names nothing that is spoken here.
        limits: What it may do.
        now: The time.
    """
    machine = (_Legacy if subprotocol == LEGACY else _Modern)(limits, now)
    if subprotocol not in SUBPROTOCOLS:
        machine.close(4406, "Subprotocol not acceptable")
    return machine


def _octets(message: str | bytes) -> bytes:
    return message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
