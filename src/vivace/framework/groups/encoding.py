"""What a message of a group becomes on its way to clients: once for all who want it in the same form.

Rules of this file:

- A form is a function from a message or a gap to its octets, or to None: then nothing is sent.
- What a form made is kept with the message. Forms with the same arguments are the same object.
"""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from vivace.framework.response import encode_json
from vivace.http.sse import format_event
from vivace.hub.records import Gap, Message
from vivace.protocols.broadcast import Broadcast, Encoded

__all__ = ["Custom", "Form", "Item", "encode_all", "envelope", "json_only", "plain", "server_event"]

logger = logging.getLogger("vivace.error")

Item = Message | Gap
Form = Callable[[Any], Encoded | None]
_FORMS: Final = 256


def plain(item: Item) -> Encoded | None:
    """Text as text, octets as octets, anything else as JSON; of a gap nothing."""
    if isinstance(item, Gap):
        return None
    data = item.data
    return Encoded.of(data) if isinstance(data, (str, bytes)) else Encoded(encode_json(data), True)


def json_only(item: Item) -> Encoded | None:
    """Everything as JSON; of a gap nothing."""
    return None if isinstance(item, Gap) else Encoded(encode_json(item.data), True)


def envelope(item: Item) -> Encoded | None:
    """JSON with ``topic`` and ``data``, ``pos`` where there is one; of a gap ``topic`` and ``gap``."""
    told: dict[str, Any] = {"topic": item.topic}
    if item.pos is not None:
        told["pos"] = str(item.pos)
    if isinstance(item, Gap):
        told["gap"] = item.reason
    else:
        told["data"] = item.data
    return Encoded(encode_json(told), True)


class Custom:
    """The form that a program gives; two with the same function are one.

    Args:
        encode: Gives what to send for a message, or None for nothing.
    """

    __slots__ = ("_encode",)

    def __init__(self, encode: Callable[[Message], str | bytes | None]) -> None:
        self._encode = encode

    def __call__(self, item: Item) -> Encoded | None:
        made = None if isinstance(item, Gap) else self._encode(item)
        return None if made is None else Encoded.of(made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and self._encode == other._encode

    def __hash__(self) -> int:
        return hash(self._encode)


@functools.lru_cache(_FORMS)
def server_event(event: str | None, positions: bool) -> Form:
    """The octets of a server-sent event; a gap is an event ``gap``.

    Args:
        event: The type of the events; None: ``message``.
        positions: The id of an event is the position of its message.
    """

    def form(item: Item) -> Encoded | None:
        place = str(item.pos) if positions and item.pos is not None else None
        if isinstance(item, Gap):
            told = encode_json({"topic": item.topic, "reason": item.reason}).decode()
            return Encoded(format_event(told, "gap", place), True)
        data = item.data
        text = data if isinstance(data, str) else encode_json(data).decode()
        return Encoded(format_event(text, event, place), True)

    return form


def encode_all(form: Form, items: Sequence[Item]) -> Broadcast | None:
    """What items become in a form; None: nothing. A form that fails is logged, and its item left out."""
    made: list[Encoded] = []
    about: list[Item] = []
    for item in items:
        kept = item.kept
        if kept is None:
            kept = item.kept = {}
        if form not in kept:
            kept[form] = _encode(form, item)
        if kept[form] is not None:
            made.append(kept[form])
            about.append(item)
    return Broadcast(made, about) if made else None


def _encode(form: Form, item: Item) -> Encoded | None:
    try:
        return form(item)
    except Exception:
        logger.exception("a message of the group %r could not be encoded; it is left out", item.topic)
        return None
