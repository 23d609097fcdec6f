"""Who is present in a topic, on this machine and on the others.

Rules of this file:

- No I/O and no clock: the time is an argument.
- A hub speaks for its own processes only: it tells the others what changed, numbered, and now and then its
  number. Who has another number asks for everything, so a lost message heals itself.
- A hub that is not heard of for `ttl` seconds is gone, and all whom it spoke for with it.
- A ref names one entry, whoever speaks for it: a hub that takes the place of one that was killed is told the
  same entries, and what it says of them holds for those of the other, which is not known to be gone yet.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from vivace.hub.records import Roll, decode_payload, encode_payload

__all__ = ["DOWN", "Presence"]

DOWN: Final = 30.0
"""Seconds after which a silent hub is gone, unless HUB_PRESENCE_TTL says another number."""
MOST: Final = 1000
"""Members of a topic above which nobody is told who comes and goes."""

OnChange = Callable[[str, str, bool, Any], None]
"""Called with topic, key, whether it came, and what is said of it."""
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
        on_change: Told who comes and who goes, wherever it is; None: nobody.
        ttl: Seconds after which a silent hub is gone.
    """

    def __init__(self, origin: str, on_change: OnChange | None = None, ttl: float = DOWN) -> None:
        self.origin = origin
        self.ttl = ttl
        self._on_change = on_change
        self._own: Entries = {}
        self._owners: dict[object, dict[tuple[str, str, str], None]] = {}
        self._others: dict[str, _Other] = {}
        self._version = 0
        self._joins: dict[tuple[str, str, str], Any] = {}
        self._leaves: dict[tuple[str, str, str], None] = {}

    def track(self, owner: object, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present; the same again replaces what is said."""
        place = (topic, key, ref)
        self._enter(self._own, *place, meta)
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
        self._leave_everywhere(*place)
        self._joins.pop(place, None)
        self._leaves[place] = None

    def detach(self, owner: object) -> None:
        """A process is gone, and all whom it spoke for with it."""
        for place in list(self._owners.get(owner, ())):
            self.untrack(owner, *place)

    def of(self, topic: str) -> dict[str, list[Any]]:
        """What is said of each key that is present."""
        found: dict[str, dict[str, Any]] = {}
        for entries in self._all():
            for key, refs in entries.get(topic, {}).items():
                found.setdefault(key, {}).update(refs)
        return {key: list(refs.values()) for key, refs in found.items()}

    @property
    def changed(self) -> bool:
        """Whether the other hubs do not know everything yet."""
        return bool(self._joins or self._leaves)

    def forget_changes(self) -> None:
        """There are no other hubs: nobody is to be told."""
        self._joins, self._leaves = {}, {}

    def delta(self) -> tuple[Roll, bytes]:
        """What changed since the last one: to be written down, and for the other hubs."""
        self._version += 1
        joins, leaves = self._joins, list(self._leaves)
        self._joins, self._leaves = {}, {}
        written = [(*place, encode_payload(meta)) for place, meta in joins.items()]
        said = [[*place, meta] for place, meta in joins.items()]
        return (
            Roll(self.origin, self._version, written, leaves, False, self.ttl),
            encode_payload(["delta", self.origin, self._version, said, leaves]),
        )

    def whole(self) -> Roll:
        """All whom this hub speaks for, to be written down."""
        written = [(*place, encode_payload(meta)) for place, meta in _metas(self._own)]
        return Roll(self.origin, self._version, written, [], True, self.ttl)

    def sign_of_life(self) -> Roll:
        """Nothing changed, to be written down."""
        return Roll(self.origin, self._version, [], [], False, self.ttl)

    def last_words(self) -> Roll:
        """This hub ends, to be written down."""
        return Roll(self.origin, self._version, [], [], True, 0.0)

    def learn(self, roll: Roll, now: float) -> None:
        """Take what is written down of another hub, unless it has spoken for itself."""
        if roll.hub == self.origin or roll.hub in self._others:
            return
        other = self._others[roll.hub] = _Other(now - max(self.ttl - roll.kept, 0.0))
        other.version = roll.version
        for topic, key, ref, meta in roll.joins:
            self._enter(other.entries, topic, key, ref, decode_payload(meta))

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
            self._forget(hub)
            return None
        other = self._others.get(hub)
        if other is None:
            other = self._others[hub] = _Other(now)
        other.seen = now
        if kind == "all":
            other.version = version
            self._replace(other, rest[0])
            return None
        if kind == "delta" and version == other.version + 1:
            other.version = version
            for topic, key, ref, meta in rest[0]:
                self._enter(other.entries, topic, key, ref, meta)
            for topic, key, ref in rest[1]:
                self._leave_everywhere(topic, key, ref)
            return None
        return None if version == other.version else self.ask(hub)

    def sweep(self, now: float) -> list[str]:
        """Forget hubs that have been silent for too long, and give their names."""
        gone = [hub for hub, other in self._others.items() if other.seen + self.ttl <= now]
        for hub in gone:
            self._forget(hub)
        return gone

    # Coming and going

    def _is_present(self, topic: str, key: str) -> bool:
        return any(key in entries.get(topic, ()) for entries in self._all())

    def _all(self) -> Iterator[Entries]:
        yield self._own
        for other in self._others.values():
            yield other.entries

    def _enter(self, entries: Entries, topic: str, key: str, ref: str, meta: Any) -> None:
        new = self._on_change is not None and not self._is_present(topic, key)
        entries.setdefault(topic, {}).setdefault(key, {})[ref] = meta
        if new:
            self._tell(topic, key, True, meta)

    def _leave_everywhere(self, topic: str, key: str, ref: str) -> None:
        for entries in self._all():
            self._leave(entries, topic, key, ref)

    def _leave(self, entries: Entries, topic: str, key: str, ref: str) -> None:
        keys = entries.get(topic, {})
        refs = keys.get(key, {})
        if ref not in refs:
            return
        meta = refs.pop(ref)
        if not refs:
            keys.pop(key, None)
        if not keys:
            entries.pop(topic, None)
        if self._on_change is not None and not self._is_present(topic, key):
            self._tell(topic, key, False, meta)

    def _forget(self, hub: str) -> None:
        other = self._others.get(hub)
        if other is not None:
            self._replace(other, {})
            del self._others[hub]

    def _replace(self, other: _Other, entries: Entries) -> None:
        """Take what a hub says of all whom it speaks for: what is the same changes nothing."""
        old = dict.fromkeys(_places(other.entries))
        for place, meta in _metas(entries):
            self._enter(other.entries, *place, meta)
            old.pop(place, None)
        for place in old:
            self._leave(other.entries, *place)

    def _tell(self, topic: str, key: str, came: bool, meta: Any) -> None:
        assert self._on_change is not None
        if sum(len(entries.get(topic, ())) for entries in self._all()) <= MOST:
            self._on_change(topic, key, came, meta)

    @property
    def count(self) -> int:
        """How many this hub speaks for."""
        return sum(len(owned) for owned in self._owners.values())

    @property
    def hubs(self) -> int:
        """Other hubs that are alive."""
        return len(self._others)


def _metas(entries: Entries) -> Iterator[tuple[tuple[str, str, str], Any]]:
    for topic, keys in entries.items():
        for key, refs in keys.items():
            for ref, meta in refs.items():
                yield (topic, key, ref), meta


def _places(entries: Entries) -> list[tuple[str, str, str]]:
    return [place for place, _ in _metas(entries)]
