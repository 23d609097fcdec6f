"""What a process may say to its hub: the fields of each frame.

A process is of the same user and nearly of the same version, but it runs foreign code: it may be overwritten,
stopped in the middle, or be no process of ours at all. What it says is looked at here, once, so that nothing
of a wrong type gets into the hub, where it would break what others say.

Rules of this file:

- Types and bounds; what a topic may be called is the business of `check_topic`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import msgspec.structs

from vivace.hub.exchange import PRESENT
from vivace.hub.records import Position, Rule, check_topic
from vivace.hub.wire import Op

__all__ = ["read_fields"]

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


def _make_shape(types: Sequence[Any]) -> type[msgspec.Struct]:
    """A struct, for msgspec looks at its types once: at those of a tuple each time."""
    fields = [(f"field{number}", one) for number, one in enumerate(types)]
    return msgspec.defstruct("Fields", fields, array_like=True, forbid_unknown_fields=True)


_SHAPES: Final[dict[int, tuple[type[msgspec.Struct], int | None]]] = {
    int(op): (_make_shape(types), place)
    for op, place, types in (
        (Op.RULES, None, [list[Rule]]),
        (Op.SUBSCRIBE, 0, [str, Position | None]),
        (Op.UNSUBSCRIBE, 0, [str]),
        (Op.SEND, 0, [str, bytes, str, str | None]),
        (Op.PUBLISH, 1, [_Number, str, bytes, str, str | None]),
        (Op.PAST, 1, [_Number, str, Position | None, _Count]),
        (Op.CONTROL, None, [bytes]),
        (Op.TRACK, 0, [str, str, str, Any]),
        (Op.UNTRACK, 0, [str, str, str]),
        (Op.PRESENCE, 1, [_Number, str]),
        (Op.STATS, None, [_Number]),
    )
}
"""The types of the fields, and which of them is the name of a topic."""
_astuple: Final = msgspec.structs.astuple
_FOLLOWS: Final = frozenset({int(Op.SUBSCRIBE), int(Op.UNSUBSCRIBE)})
_CONTROL: Final = int(Op.CONTROL)
_WORD: Final = msgspec.msgpack.Decoder(tuple[str, str | None, str | None, str])
"""What `CONTROL` says: see `vivace.hub.people`."""


def read_fields(op: int, fields: list[Any]) -> tuple[Any, ...]:
    """The fields of a frame, as they have to be.

    Raises:
        ValueError: They are something else, or there is no such frame.
    """
    found = _SHAPES.get(op)
    if found is None:
        raise ValueError(f"there is no frame {op!r:.20}")
    shape, place = found
    read = _astuple(msgspec.convert(fields, shape))
    if place is not None:
        name = read[place]
        check_topic(name.removeprefix(PRESENT) if op in _FOLLOWS else name)
    elif op == _CONTROL:
        _WORD.decode(read[0])
    return read
