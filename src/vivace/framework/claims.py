"""Which route has which path and method: so a second one is refused at the line that declares it.

Rules of this file:

- Two paths are one if nothing but the names of their parameters tells them apart.
- It is asked when something is declared and never while requests run; the router checks again at the end.
"""

from typing import NamedTuple

from vivace.errors import RouteExists
from vivace.framework.handler import source_of
from vivace.framework.pattern import Segment, TypeTable, parse_path
from vivace.framework.spec import Placement, RouteSpec, declared_path, full_path

__all__ = ["Claims"]


class _Claim(NamedTuple):
    methods: frozenset[str]
    hosts: tuple[str, ...] | None
    name: str
    source: str


class Claims:
    """What the routes of an app claim.

    Args:
        types: The parameter types of the app.
        mixed: A route for any host may stand beside one that is bound to hosts.
    """

    __slots__ = ("_held", "_mixed", "_types")

    def __init__(self, types: TypeTable, mixed: bool) -> None:
        self._types = types
        self._mixed = mixed
        self._held: dict[tuple[str, ...], list[_Claim]] = {}

    def add(self, spec: RouteSpec, place: Placement) -> None:
        """Note what `spec` claims at `place`.

        Raises:
            RouteExists: Another route has it, and `place` does not overwrite.
        """
        path = full_path(spec, place)
        strict = spec.strict_slashes if spec.strict_slashes is not None else place.strict_slashes
        new = _Claim(
            spec.methods,
            spec.hosts_at(place),
            f"{place.name}.{spec.name}",
            source_of(spec.handler),
        )
        held = self._held.setdefault(_key(parse_path(path, self._types), strict), [])
        for index, old in enumerate(held):
            if old.methods & new.methods and self._meet(old.hosts, new.hosts):
                if not place.overwrite:
                    shown = declared_path(spec, place).strip("/")
                    raise RouteExists(
                        f"Route already registered: {shown} [{','.join(sorted(spec.methods))}]: "
                        f"{old.name} ({old.source}) and {new.name} ({new.source})",
                        key=path,
                    )
                held[index] = old._replace(methods=old.methods - new.methods)
        held.append(new)

    def _meet(self, one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
        if one is None or other is None:
            return one is other or not self._mixed
        return not set(one).isdisjoint(other)


def _key(segments: list[Segment], strict: bool) -> tuple[str, ...]:
    found = tuple(_label(segment) for segment in segments)
    return found[:-1] if found and not found[-1] and not strict else found


def _label(segment: Segment) -> str:
    if segment.literal is not None:
        return segment.literal
    return f"<{segment.kind.label if segment.kind is not None else segment.regex}>"
