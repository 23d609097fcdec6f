"""sanic.compat.Header: fields that keep their names as written and their values as given.

Rules of this file:

- What a program reads is what it wrote: the case of names, numbers, None; Sanic's is a multidict.
- What leaves is another matter: CR, LF, NUL and other controls are taken out of names and values, as Sanic
  does since 25.12.1, so that no value ends a field early. A name that is no token is refused.
- Text leaves as UTF-8.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Self

from vivace.http.headers import Headers, encode_name

__all__ = ["Header"]

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MISSING: Final[Any] = object()

Entries = list[tuple[str, str, Any]]


class Header(Headers):
    """Fields of a message, by case-insensitive name; a name may occur more than once.

    Args:
        source: A mapping or pairs.
        fields: More of them.
    """

    __slots__ = ("_entries",)

    _entries: Entries

    def __init__(self, source: Any = (), /, **fields: Any) -> None:
        self._entries = [*_read(source), *_read(fields)]

    @classmethod
    def from_raw(cls, pairs: list[tuple[bytes, bytes]]) -> Self:
        """Wrap fields as a protocol delivers them; octets beyond ASCII are UTF-8 where they can be."""
        made = cls.__new__(cls)
        entries: Entries = []
        for octets, value in pairs:
            name = octets.decode("ascii")
            entries.append((name, name, value.decode("ascii") if value.isascii() else _decode(value)))
        made._entries = entries
        return made

    def to_pairs(self) -> list[tuple[bytes, bytes]]:
        """Return the fields for the wire: ``(lower-case name, value)``.

        Raises:
            LocalProtocolError: A name is no token.
        """
        return [
            (encode_name(_clean(key)), _clean(str(v)).strip(" \t").encode()) for key, _, v in self._entries
        ]

    def raw(self, name: bytes) -> bytes | None:
        """Return the octets of the first field called `name` (lower case), None if there is none."""
        value = self.get(name.decode("ascii"), _MISSING)
        return None if value is _MISSING else _clean(str(value)).encode()

    # Reading

    def __getitem__(self, name: str) -> Any:
        value = self.get(name, _MISSING)
        if value is _MISSING:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of `name`, `default` if there is none."""
        key = _key(name)
        for found, _, value in self._entries:
            if found == key:
                return value
        return default

    def get_all(self, name: str) -> list[Any]:
        """Return all values of `name`, in order; an empty list if there is none."""
        key = _key(name)
        return [value for found, _, value in self._entries if found == key]

    def to_dict(self) -> dict[str, list[Any]]:
        """A dictionary of all values by the names as they were written."""
        found: dict[str, list[Any]] = {}
        for key, name, value in self._entries:
            found.setdefault(next((known for known in found if _key(known) == key), name), []).append(value)
        return found

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return ",".join(map(str, self.get_all(name.rstrip("_").replace("_", "-"))))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name, _MISSING) is not _MISSING

    def __iter__(self) -> Iterator[str]:
        for _, name, _ in self._entries:
            yield name

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Any:
        """Return all pairs, in order."""
        return [(name, value) for _, name, value in self._entries]

    def values(self) -> Any:
        """Return all values, in order."""
        return [value for _, _, value in self._entries]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            mine = [(name.lower(), value) for name, value in self.items()]
            return mine == [(name.lower(), value) for name, value in other.items()]
        if isinstance(other, Mapping):
            return len(self) == len(other) and dict(self.items()) == dict(other)
        return NotImplemented

    __hash__ = None

    def __repr__(self) -> str:
        inside = ", ".join(f"{name!r}: {value!r}" for name, value in self.items())
        return f"<{type(self).__name__}({inside})>"

    # Writing

    def __setitem__(self, name: str, value: Any) -> None:
        self._put(name, [value])

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._put(name, [])

    def add(self, name: str, value: Any) -> None:
        """Append a field, whether or not one of this name exists."""
        self._entries.append((_key(name), name, value))

    def extend(self, source: Any = (), /, **fields: Any) -> None:
        """Append every field."""
        self._entries.extend([*_read(source), *_read(fields)])

    def update(self, source: Any = (), /, **fields: Any) -> None:
        """Replace the fields that are named; a name that is repeated stays repeated."""
        grouped: dict[str, list[tuple[str, Any]]] = {}
        for key, name, value in [*_read(source), *_read(fields)]:
            grouped.setdefault(key, []).append((name, value))
        for pairs in grouped.values():
            self._put(pairs[0][0], [value for _, value in pairs])

    def merge(self, source: Any = (), /, **fields: Any) -> None:
        """Append the fields whose names are not there yet."""
        there = {key for key, _, _ in self._entries}
        self._entries.extend(e for e in [*_read(source), *_read(fields)] if e[0] not in there)

    def popone(self, name: str, default: Any = _MISSING) -> Any:
        """Remove the first field called `name` and return its value.

        Raises:
            KeyError: There is none and no default was given.
        """
        key = _key(name)
        for at, (found, _, value) in enumerate(self._entries):
            if found == key:
                del self._entries[at]
                return value
        if default is _MISSING:
            raise KeyError(name)
        return default

    pop = popone

    def popall(self, name: str, default: Any = _MISSING) -> Any:
        """Remove all fields called `name` and return their values.

        Raises:
            KeyError: There is none and no default was given.
        """
        found = self.get_all(name)
        if found:
            self._put(name, [])
            return found
        if default is _MISSING:
            raise KeyError(name)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the last field and return its name and value."""
        if not self._entries:
            raise KeyError("empty multidict")
        _, name, value = self._entries.pop()
        return name, value

    def clear(self) -> None:
        """Remove every field."""
        self._entries = []

    def copy(self) -> "Header":
        """Return an independent copy."""
        return Header(self)

    __copy__ = copy

    def _put(self, name: str, values: list[Any]) -> None:
        key = _key(name)
        kept = [entry for entry in self._entries if entry[0] != key]
        places = [at for at, entry in enumerate(self._entries) if entry[0] == key]
        at = places[0] if places else len(kept)
        kept[at:at] = [(key, name, value) for value in values]
        self._entries = kept


def _read(source: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Entries:
    if isinstance(source, Header):
        return list(source._entries)
    pairs: Any = source.items() if isinstance(source, Mapping) else source
    return [(_key(name), name, value) for name, value in pairs]


def _key(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError("CIMultiDict keys should be either str or subclasses of str")
    return name.lower()


def _clean(text: str) -> str:
    return text if text.isprintable() else _CONTROLS.sub("", text)


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
