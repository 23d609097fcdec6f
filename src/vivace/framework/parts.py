"""What an app is made of: its own routes, its blueprints, and which of them has which path.

Rules of this file:

- Only declarations are kept here; `Vivace.finalize` compiles them.
- Two routes for one path are refused by the line that declares the second.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from vivace.errors import DeclarationError, NameTaken
from vivace.framework.blueprint import Blueprint, BlueprintGroup, Registration, place_all
from vivace.framework.claims import Claims
from vivace.framework.commands import Commands
from vivace.framework.pattern import TypeTable
from vivace.framework.running import Runnable
from vivace.framework.spec import Placement, RouteSpec, Version
from vivace.framework.work import Working

__all__ = ["Composed"]


class Composed(Runnable, Commands, Working):
    """An app as the sum of its parts.

    Args:
        name: Of the app.
        ctx: Anything that belongs to the program.
        strict_slashes: A trailing slash counts.

    Attributes:
        strict_slashes: For routes that do not say it.
        blueprints: The blueprints by name.
        placed: The same by the name with its prefix, as routes know it.
        commands: The functions for ``vivace exec`` by name.
    """

    __slots__ = (
        "_claims",
        "_registrations",
        "_root",
        "_types",
        "blueprints",
        "commands",
        "placed",
        "strict_slashes",
    )

    mixes_hosts: ClassVar[bool] = True
    """Whether a path may have a route for some hosts beside one for any."""

    def __init__(self, name: str, ctx: Any = None, strict_slashes: bool = False) -> None:
        super().__init__(name, ctx)
        self.strict_slashes = strict_slashes
        self.blueprints: dict[str, Blueprint] = {}
        self.placed: dict[str, Blueprint] = {}
        self.commands: dict[str, Callable[..., Any]] = {}
        self._claims: Claims | None = None
        self._registrations: list[Registration] = []
        self._root = ""
        self._types = TypeTable()

    def blueprint(
        self,
        blueprint: Blueprint | BlueprintGroup | Iterable[Blueprint | BlueprintGroup],
        *,
        url_prefix: str | None = None,
        version: Version | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str = "",
    ) -> None:
        """Make a blueprint, a group or several part of this app.

        Args:
            blueprint: What to add; declarations made on it later count too.
            url_prefix: Instead of the blueprint's own.
            version: The same.
            strict_slashes: The same.
            version_prefix: The same.
            name_prefix: Goes before the blueprint's name, so that one can be added twice.

        Raises:
            ConfigError: Another blueprint of the same name is part of this app, or a task's name is taken.
        """
        items = [blueprint] if isinstance(blueprint, Blueprint | BlueprintGroup) else list(blueprint)
        for item in items:
            given = Registration(item, url_prefix, version, strict_slashes, version_prefix, name_prefix)
            own, known = self._parts()
            fresh = [one for one in place_all(given, own) if one not in known]
            for part, place in fresh:
                if self.placed.get(place.blueprint, part) is not part:
                    raise NameTaken(
                        f'A blueprint with the name "{place.blueprint}" is already registered.  '
                        "Blueprint names must be unique."
                    )
                self.check_work(part.work_specs)
                self._claim_all(list(part.route_specs), place)
            for part, place in fresh:
                self.placed[place.blueprint] = self.blueprints[part.name] = part
                part.join(self)
            self._registrations.append(given)
        self.signals_changed()

    def _claim(self, spec: RouteSpec) -> None:
        self._claim_all([spec], self._place())

    def claim_late(self, spec: RouteSpec, blueprint: Blueprint) -> None:
        """Take the path and the methods of a route that was added to a blueprint of this app.

        Raises:
            RouteExists: Another route has them.
        """
        for part, place in self._parts()[1]:
            if part is blueprint:
                self._claim_all([spec], place)

    def _claim_all(self, specs: Iterable[RouteSpec], place: Placement) -> None:
        if self._claims is None:
            self._claims = self._count_claims(specs)
        try:
            for spec in specs:
                self._claims.add(spec, place)
        except DeclarationError:
            self._claims = None
            raise

    def _count_claims(self, new: Iterable[RouteSpec]) -> Claims:
        """What is claimed by all routes but those that are new."""
        claims, leave = Claims(self._types, self.mixes_hosts), {id(spec) for spec in new}
        own, parts = self._parts()
        for registry, place in ((self, own), *parts):
            for spec in registry.route_specs:
                if id(spec) not in leave:
                    claims.add(spec, place)
        return claims

    def forget_claims(self) -> None:
        """Find out anew, when it is asked next, what is claimed."""
        self._claims = None

    def _place(self) -> Placement:
        return Placement(self.name, strict_slashes=self.strict_slashes, root=self._root)

    def _parts(self) -> tuple[Placement, list[tuple[Blueprint, Placement]]]:
        place = self._place()
        found = [part for given in self._registrations for part in place_all(given, place)]
        return place, list(dict.fromkeys(found))
