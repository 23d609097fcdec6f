"""What a message may be made of, and its form on the way.

Rules of this file:

- A message is checked where it is sent: who sends something that cannot travel learns it at once, by name.
- The specification allows dict (with str keys), list, str, bytes, int of 64 bits, float, bool and None.
  Tuples pass as lists, as with other layers.
"""

from typing import Any, Final

import msgspec
from channels.exceptions import MessageTooLarge  # type: ignore[import-untyped]

__all__ = ["MAX_DEPTH", "pack", "unpack"]

MAX_DEPTH: Final = 64
"""Levels of dicts and lists in a message."""
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()


def pack(message: Any, max_size: int) -> bytes:
    """The form of a message on its way.

    Args:
        message: A dict.
        max_size: Octets at most.

    Raises:
        TypeError: It is not made of what the specification allows; says where.
        MessageTooLarge: It is.
    """
    if not isinstance(message, dict):
        raise TypeError(f"a message of a channel layer is a dict, not {type(message).__name__}")
    payload = _encoder.encode(_plain(message, "message", 0))
    if len(payload) > max_size:
        raise MessageTooLarge(
            f"the message takes {len(payload)} octets, and {max_size} are allowed: send where the data is,"
            " not the data, or raise `max_size` of the layer"
        )
    return payload


def unpack(payload: bytes) -> dict[str, Any]:
    """The message: a new dict for each reader."""
    message: dict[str, Any] = _decoder.decode(payload)
    return message


def _plain(value: Any, where: str, depth: int) -> Any:
    """The same of plain types: what is derived from them, such as Django's safe strings, travels as them."""
    kind = type(value)
    if kind is str or kind is bool or kind is float or kind is bytes or value is None:
        return value
    if kind is int:
        return _int(value, where)
    if depth >= MAX_DEPTH:
        raise TypeError(f"{where} is nested too deep: {MAX_DEPTH} levels of dicts and lists are allowed")
    if isinstance(value, dict):
        return {_key(key, where): _plain(v, f"{where}[{key!r}]", depth + 1) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, f"{where}[{at}]", depth + 1) for at, each in enumerate(value)]
    return _derived(value, where)


def _derived(value: Any, where: str) -> Any:
    """A value of a type that is made from a plain one."""
    if isinstance(value, int):
        return _int(int(value), where)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(
        f"{where} is a {type(value).__name__}: a message is made of dict, list, str, bytes, int, float, bool"
        " and None; say what you mean with them, for instance by str()"
    )


def _int(value: int, where: str) -> int:
    if _LOWEST <= value <= _HIGHEST:
        return value
    raise TypeError(f"{where} is {value}: a number in a message has 64 bits at most")


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise TypeError(f"{where} has the key {key!r}: keys in a message are str")
