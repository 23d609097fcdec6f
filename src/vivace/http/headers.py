"""The fields of a message: a case-insensitive mapping in which a name may occur more than once.

Rules:

- The store is one list of ``(lower-case name, value)`` pairs of octets: what a protocol delivers and what it
  writes. Nothing is decoded before it is asked for.
- Octets and text correspond by latin-1 (RFC 9110 section 5.5), so that every value survives.
- What is *set* is checked at once: a name is a token (section 5.1), a value has no control character but
  HTAB. What was *received* was checked by the protocol.
- The names of the methods are Sanic's (and multidict's).
"""

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, Final, Self, TypeVar, overload

from vivace.errors import LocalProtocolError

__all__ = ["Headers", "encode_name", "encode_value"]

T = TypeVar("T")

Pairs = list[tuple[bytes, bytes]]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME_CACHE_SIZE: Final = 1024
_MISSING: Final = object()

_names: dict[str, bytes] = {}


def encode_name(name: str) -> bytes:
    """Return the lower-case octets of a field name.

    Raises:
        LocalProtocolError: `name` is not a token (RFC 9110 section 5.1).
    """
    known = _names.get(name)
    if known is not None:
        return known
    if not _TOKEN.fullmatch(name):
        raise LocalProtocolError(f"header name {name!r:.100} is not a token: use letters, digits and hyphens")
    encoded = name.lower().encode("ascii")
    if len(_names) < _NAME_CACHE_SIZE:
        _names[name] = encoded
    return encoded


def encode_value(name: str, value: object) -> bytes:
    """Return the octets of a field value, without surrounding white space.

    Args:
        name: The field's name, for the message.
        value: Text of latin-1 characters; octets; anything else is turned into text first.

    Raises:
        LocalProtocolError: The value holds CR, LF, NUL or another control character, or one beyond latin-1.
    """
    text = value if isinstance(value, str) else _as_text(value)
    if not (text.isascii() and text.isprintable()):
        found = _FORBIDDEN.search(text)
        if found:
            raise LocalProtocolError(
                f"header {name!r:.100}: control character {found[0]!r} at {found.start()} of the value; "
                "it could end the field early"
            )
    try:
        return text.strip(" \t").encode("latin-1")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(
            f"header {name!r:.100}: {text[error.start]!r} is beyond latin-1; percent-encode it (RFC 8187)"
        ) from None


def _as_text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Items(ItemsView[str, str]):
    """All pairs, also those of repeated names."""

    _mapping: "Headers"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, value in self._mapping.to_pairs():
            yield name.decode("latin-1"), value.decode("latin-1")

    def __contains__(self, item: object) -> bool:
        return any(pair == item for pair in self)


class _Values(ValuesView[str]):
    """All values, also those of repeated names."""

    _mapping: "Headers"

    def __iter__(self) -> Iterator[str]:
        for _, value in self._mapping.to_pairs():
            yield value.decode("latin-1")

    def __contains__(self, item: object) -> bool:
        return any(value == item for value in self)


class Headers(MutableMapping[str, str]):
    """Fields of a message, by case-insensitive name.

    Iteration, ``len()``, ``keys()``, ``values()`` and ``items()`` cover every field, repeated names too.
    ``headers.content_type`` reads like ``headers["content-type"]`` but joins repeated fields with ``", "``
    and gives ``""`` for a missing one.

    Args:
        source: A mapping or pairs of text, of which a repeated name is kept repeated.

    Raises:
        LocalProtocolError: A name or a value that must not be sent.
    """

    __slots__ = ("_pairs", "_shared")

    _pairs: Pairs
    _shared: bool

    def __init__(self, source: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self._shared = False
        # The cheap checks first: an isinstance() with an abstract class costs more than the fields.
        if not source:
            self._pairs = []
            return
        if type(source) is Headers:
            self._pairs = list(source._pairs)
            return
        given: Any = source.items() if isinstance(source, (dict, Mapping)) else source
        self._pairs = [(encode_name(name), encode_value(name, value)) for name, value in given]

    @classmethod
    def from_raw(cls, pairs: Pairs) -> Self:
        """Wrap fields as a protocol delivers them: lower-case names, already checked.

        The list is used as it is, and copied only when something is changed.
        """
        made = cls.__new__(cls)
        made._pairs = pairs
        made._shared = True
        return made

    def to_pairs(self) -> Pairs:
        """Return the fields for the wire: ``(lower-case name, value)``. The list is not to be changed."""
        return self._pairs

    def raw(self, name: bytes) -> bytes | None:
        """Return the octets of the first field called `name` (lower case), None if there is none."""
        for key, value in self._pairs:
            if key == name:
                return value
        return None

    # Reading

    def __getitem__(self, name: str) -> str:
        value = self.raw(_key(name))
        if value is None:
            raise KeyError(name)
        return value.decode("latin-1")

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: T, /) -> str | T: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the first value of `name`, `default` if there is none."""
        value = self.raw(_key(name))
        return default if value is None else value.decode("latin-1")

    @overload
    def getone(self, name: str) -> str: ...
    @overload
    def getone(self, name: str, default: T) -> str | T: ...
    def getone(self, name: str, default: Any = _MISSING) -> Any:
        """Return the first value of `name`.

        Raises:
            KeyError: There is none and no default was given.
        """
        return self[name] if default is _MISSING else self.get(name, default)

    @overload
    def getall(self, name: str) -> list[str]: ...
    @overload
    def getall(self, name: str, default: T) -> list[str] | T: ...
    def getall(self, name: str, default: Any = _MISSING) -> Any:
        """Return all values of `name`, in order.

        Raises:
            KeyError: There is none and no default was given.
        """
        found = self.get_all(name)
        if found:
            return found
        if default is _MISSING:
            raise KeyError(name)
        return default

    def get_all(self, name: str) -> list[str]:
        """Return all values of `name`, in order; an empty list if there is none."""
        key = _key(name)
        return [value.decode("latin-1") for found, value in self._pairs if found == key]

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return ", ".join(self.get_all(name.rstrip("_").replace("_", "-")))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.raw(_key(name)) is not None

    def __iter__(self) -> Iterator[str]:
        for name, _ in self._pairs:
            yield name.decode("latin-1")

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> ItemsView[str, str]:
        """Return all pairs, in order."""
        return _Items(self)

    def values(self) -> ValuesView[str]:
        """Return all values, in order."""
        return _Values(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._pairs == other._pairs
        if isinstance(other, Mapping):
            return dict(self) == {str(name).lower(): value for name, value in other.items()}
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"

    # Writing

    def __setitem__(self, name: str, value: Any) -> None:
        self._replace(encode_name(name), [encode_value(name, value)])

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._replace(_key(name), [])

    def add(self, name: str, value: Any) -> None:
        """Append a field, whether or not one of this name exists."""
        pair = encode_name(name), encode_value(name, value)
        self._own().append(pair)

    def extend(self, source: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Append every field of `source`."""
        added = Headers(source)._pairs
        self._own().extend(added)

    def update(self, source: Any = (), /, **fields: Any) -> None:
        """Replace the fields that `source` names; a name that it repeats stays repeated."""
        grouped: dict[bytes, list[bytes]] = {}
        for given in (source, fields):
            for name, value in Headers(given)._pairs:
                grouped.setdefault(name, []).append(value)
        for name, values in grouped.items():
            self._replace(name, values)

    def popall(self, name: str) -> list[str]:
        """Remove all fields called `name` and return their values; an empty list if there is none."""
        found = self.get_all(name)
        if found:
            self._replace(_key(name), [])
        return found

    def clear(self) -> None:
        """Remove every field."""
        self._pairs = []
        self._shared = False

    def copy(self) -> "Headers":
        """Return an independent copy."""
        return Headers(self)

    __copy__ = copy

    def _own(self) -> Pairs:
        if self._shared:
            self._pairs = list(self._pairs)
            self._shared = False
        return self._pairs

    def _replace(self, key: bytes, values: list[bytes]) -> None:
        kept: Pairs = []
        at: int | None = None
        for pair in self._pairs:
            if pair[0] != key:
                kept.append(pair)
            elif at is None:
                at = len(kept)
        position = len(kept) if at is None else at
        kept[position:position] = [(key, value) for value in values]
        self._pairs = kept
        self._shared = False


def _key(name: str) -> bytes:
    return _names.get(name) or name.lower().encode("latin-1", "replace")
