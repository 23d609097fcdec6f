"""Who is present in a topic, on this machine and on the others.

Rules of this file:

- No I/O and no clock: the time is an argument.
- A hub speaks for its own processes only: it tells the others what changed, numbered, and now and then its
  number. Who has another number asks for everything, so a lost message heals itself.
- A hub that is not heard of for `DOWN` seconds is gone, and all whom it spoke for with it.
"""

from typing import Any, Final

from vivace.hub.records import decode_payload, encode_payload

__all__ = ["DELTA", "DIGEST", "DOWN", "Presence"]

DELTA: Final = 0.5
"""Seconds between two messages about changes, at least."""
DIGEST: Final = 15.0
"""Seconds between two words of life."""
DOWN: Final = 30.0
"""Seconds after which a silent hub is gone."""

Entries = dict[str, dict[str, dict[str, Any]]]
"""By topic, key and ref: what is said of it."""


class _Other:
    """What another hub says."""

    __slots__ = ("entries", "seen", "version")

    def __init__(self, seen: float) -> None:
        self.seen = seen
        self.version = 0
        self.entries: Entries = {}


class Presence:
    """Who is present.

    Args:
        origin: Names this hub.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._own: Entries = {}
        self._owners: dict[object, dict[tuple[str, str, str], None]] = {}
        self._others: dict[str, _Other] = {}
        self._version = 0
        self._joins: dict[tuple[str, str, str], Any] = {}
        self._leaves: dict[tuple[str, str, str], None] = {}

    def track(self, owner: object, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present; the same again replaces what is said."""
        place = (topic, key, ref)
        _put(self._own, *place, meta)
        self._owners.setdefault(owner, {})[place] = None
        self._joins[place] = meta
        self._leaves.pop(place, None)

    def untrack(self, owner: object, topic: str, key: str, ref: str) -> None:
        """Somebody is present no more."""
        place = (topic, key, ref)
        owned = self._owners.get(owner, {})
        if place not in owned:
            return
        del owned[place]
        if not owned:
            del self._owners[owner]
        _drop(self._own, *place)
        self._joins.pop(place, None)
        self._leaves[place] = None

    def detach(self, owner: object) -> None:
        """A process is gone, and all whom it spoke for with it."""
        for place in list(self._owners.get(owner, ())):
            self.untrack(owner, *place)

    def of(self, topic: str) -> dict[str, list[Any]]:
        """What is said of each key that is present."""
        found: dict[str, list[Any]] = {}
        for entries in (self._own, *(other.entries for other in self._others.values())):
            for key, refs in entries.get(topic, {}).items():
                found.setdefault(key, []).extend(refs.values())
        return found

    @property
    def changed(self) -> bool:
        """Whether the other hubs do not know everything yet."""
        return bool(self._joins or self._leaves)

    def delta(self) -> bytes:
        """What changed since the last one, for the other hubs."""
        self._version += 1
        joins = [[*place, meta] for place, meta in self._joins.items()]
        leaves = [list(place) for place in self._leaves]
        self._joins, self._leaves = {}, {}
        return encode_payload(["delta", self.origin, self._version, joins, leaves])

    def digest(self) -> bytes:
        """Word of life."""
        return encode_payload(["digest", self.origin, self._version])

    def everything(self) -> bytes:
        """All whom this hub speaks for."""
        self._joins, self._leaves = {}, {}
        self._version += 1
        return encode_payload(["all", self.origin, self._version, self._own])

    def ask(self, hub: str = "") -> bytes:
        """A question for everything that a hub, or each, speaks for."""
        return encode_payload(["ask", self.origin, 0, hub])

    def leaving(self) -> bytes:
        """Word of the end."""
        return encode_payload(["bye", self.origin, self._version])

    def take(self, payload: bytes, now: float) -> bytes | None:
        """Hear another hub; give what is to be said in return, if anything."""
        kind, hub, version, *rest = decode_payload(payload)
        if hub == self.origin:
            return None
        if kind == "ask":
            return self.everything() if rest[0] in {"", self.origin} else None
        if kind == "bye":
            self._others.pop(hub, None)
            return None
        other = self._others.get(hub)
        if other is None:
            other = self._others[hub] = _Other(now)
        other.seen = now
        if kind == "all":
            other.version, other.entries = version, rest[0]
            return None
        if kind == "delta" and version == other.version + 1:
            other.version = version
            for topic, key, ref, meta in rest[0]:
                _put(other.entries, topic, key, ref, meta)
            for topic, key, ref in rest[1]:
                _drop(other.entries, topic, key, ref)
            return None
        return None if version == other.version else self.ask(hub)

    def sweep(self, now: float) -> list[str]:
        """Forget hubs that have been silent for too long, and give their names."""
        gone = [hub for hub, other in self._others.items() if other.seen + DOWN <= now]
        for hub in gone:
            del self._others[hub]
        return gone

    @property
    def count(self) -> int:
        """How many this hub speaks for."""
        return sum(len(owned) for owned in self._owners.values())

    @property
    def hubs(self) -> int:
        """Other hubs that are alive."""
        return len(self._others)


def _put(entries: Entries, topic: str, key: str, ref: str, meta: Any) -> None:
    entries.setdefault(topic, {}).setdefault(key, {})[ref] = meta


def _drop(entries: Entries, topic: str, key: str, ref: str) -> None:
    keys = entries.get(topic, {})
    refs = keys.get(key, {})
    refs.pop(ref, None)
    if not refs:
        keys.pop(key, None)
    if not keys:
        entries.pop(topic, None)
