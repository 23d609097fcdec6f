"""What goes through the hub: positions, messages, gaps, rules.

Rules of this file:

- Values only: no clock, no loop, no socket.
- Whatever crosses a socket or is stored is a `msgspec.Struct` that is encoded as an array, by `encode`.
- `data` is what the program gave, `payload` is its msgpack. It is encoded once, where it is published, and
  decoded at most once in each process that looks at it.
"""

import re
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from vivace.errors import InvalidTopic

__all__ = [
    "ASK_AGAIN",
    "RESERVED",
    "Delivery",
    "Gap",
    "Message",
    "Outgoing",
    "Past",
    "Position",
    "Roll",
    "Rule",
    "Stored",
    "check_topic",
    "decode_payload",
    "encode_payload",
]

Delivery = Literal["fast", "resume", "latest"]
RESERVED: Final = "$"
"""Topics that begin with it are the hub's own."""

_is_topic: Final = re.compile(r"[^$\x00-\x1f\x7f\ud800-\udfff][^\x00-\x1f\x7f\ud800-\udfff]*").fullmatch
_NO_TOPIC: Final = (
    "no group has such a name: it takes 1 to 200 octets of UTF-8, no control characters, no '$' at its begin"
)
"""Short enough for the end of a WebSocket, which takes 123 octets; what follows it is cut off there."""
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()


class Position(
    msgspec.Struct,
    frozen=True,
    array_like=True,
):
    """A place in a topic that keeps its order.

    Attributes:
        epoch: Names one unbroken life of the topic's history; positions of two epochs cannot be compared.
        offset: Of the message that was last seen; the first one has 1.
    """

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """What `str` made, such as the Last-Event-ID of a client; None if it is something else."""
        epoch, colon, offset = text.rpartition(":")
        if not (colon and epoch and offset.isascii() and offset.isdecimal() and len(offset) < 19):
            return None
        return cls(epoch, int(offset))


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """What holds for the topics of a pattern; see `Hub.topic`."""

    pattern: str
    delivery: Delivery = "fast"
    history: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many messages are kept; 0: none."""
    ttl: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds for which a message is kept; 0: as long as `history` allows."""
    max_message: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The largest payload in octets; 0: HUB_MAX_MESSAGE."""

    @property
    def ordered(self) -> bool:
        """Whether messages have positions and are kept: `resume` and `latest`."""
        return self.delivery != "fast"


class Outgoing(msgspec.Struct, array_like=True):
    """A message on its way to the engine."""

    topic: str
    payload: bytes
    rule: Rule
    id: str
    """Of this message, unique; it is the same when the message is sent again."""
    origin: str
    """Names the hub that sent it."""
    exclude: str | None = None


class Stored(msgspec.Struct, array_like=True):
    """A message that comes from the engine or from the history."""

    topic: str
    payload: bytes
    pos: Position | None
    """None for a `fast` topic."""
    id: str = ""
    origin: str = ""
    exclude: str | None = None


class Past(msgspec.Struct, array_like=True):
    """What a history knows since a position."""

    messages: list[Stored]
    """Oldest first; empty if `complete` is false."""
    complete: bool
    """Whether nothing is missing between the position that was asked for and the first message."""
    position: Position | None
    """Of the newest message of the topic; None if there has not been one."""


class Roll(NamedTuple):
    """Whom a hub speaks for, or what of it changed, as it is written down at the engine's server.

    Attributes:
        hub: Names it.
        version: Of its state, after this.
        joins: Who came: topic, key, ref, and the msgpack of what is said of them.
        leaves: Who went: topic, key, ref.
        whole: It is everything, not what changed.
        kept: Seconds for which it holds, or still does; 0: the hub is gone.
    """

    hub: str
    version: int
    joins: list[tuple[str, str, str, bytes]]
    leaves: list[tuple[str, str, str]]
    whole: bool
    kept: float


class Message:
    """A message as a subscriber gets it.

    Attributes:
        topic: Where it was published.
        pos: Its position; None on a `fast` topic.
        payload: The msgpack of its data.
        exclude: The id of the connection that is not to get it.
        kept: Room for what was made of it for many receivers: frames by kind.
    """

    __slots__ = ("_data", "exclude", "kept", "payload", "pos", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        pos: Position | None = None,
        exclude: str | None = None,
    ) -> None:
        self._data: Any
        self.topic = topic
        self.payload = payload
        self.pos = pos
        self.exclude = exclude
        self.kept: dict[Any, Any] | None = None

    @property
    def data(self) -> Any:
        """What was published: dicts, lists, str, bytes, numbers, booleans, None."""
        try:
            return self._data
        except AttributeError:
            self._data = _decoder.decode(self.payload)
            return self._data

    def __repr__(self) -> str:
        where = "" if self.pos is None else f" at {self.pos}"
        return f"<Message {self.topic!r}{where}: {len(self.payload)} octets>"


class Gap:
    """Messages of a topic were lost between what came before and what comes after.

    Attributes:
        topic: Which one.
        reason: Why: ``slow``, ``hub``, ``engine``, ``history`` ..., followed by a colon and words.
    """

    __slots__ = ("kept", "pos", "reason", "topic")

    def __init__(self, topic: str, reason: str, pos: Position | None = None) -> None:
        self.topic = topic
        self.reason = reason
        self.pos = pos
        self.kept: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<Gap {self.topic!r}: {self.reason}>"


def encode_payload(data: Any) -> bytes:
    """The msgpack of `data`.

    Raises:
        TypeError: It is made of something that cannot go through the hub.
    """
    return _encoder.encode(data)


ASK_AGAIN: Final = encode_payload(["recheck", None, None])
"""The control message for a process that may have missed one: whoever may not stay is found by asking."""


def decode_payload(payload: bytes) -> Any:
    """The data of a payload."""
    return _decoder.decode(payload)


def check_topic(topic: str) -> None:
    """Refuse a name that no topic can have.

    Raises:
        InvalidTopic: It is empty, longer than 200 octets, has control characters, or is the hub's own.
        TypeError: It is no text.
    """
    if not _is_topic(topic) or (len(topic) > 50 and len(topic.encode()) > 200):
        shown = repr(topic)
        raise InvalidTopic(f"{_NO_TOPIC}: {shown if len(shown) <= 80 else shown[:80] + '...'}", key="topic")
