"""Blueprints: a part of an app, declared apart and put in its place later; groups of them.

Rules of this file:

- A blueprint knows nothing of where it ends up; one may be part of several apps, or of one twice
  under different prefixes.
- The order of a path: version prefix and version, prefixes from the outermost group inwards, the route's own.
- Middleware and exception handlers of a blueprint serve its routes only; listeners the whole server.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import reduce
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload
from weakref import WeakSet

from vivace.errors import DeclarationError
from vivace.framework.lifespan import ORDER
from vivace.framework.part_work import PartWork, PartWorking
from vivace.framework.registry import Registry
from vivace.framework.signals import SignalSpec
from vivace.framework.spec import VERSION_PREFIX, Placement, RouteSpec, Version, host_names, join_path

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.route import Route

__all__ = ["Blueprint", "BlueprintGroup", "Registration", "place_all"]

F = TypeVar("F", bound=Callable[..., Any])

BLUEPRINT_CONDITION: Final = "__blueprint__"
"""Under this key the condition of a blueprint's signal names the blueprint."""


class _Apps(WeakSet["Vivace[Any, Any]"]):
    """Apps that are not kept alive; it can be pickled."""

    def __reduce__(self) -> "tuple[type[_Apps], tuple[list[Vivace[Any, Any]]]]":
        return type(self), (list(self),)


class Blueprint(Registry, PartWorking):
    """Routes, middleware, listeners and exception handlers under a name.

    Args:
        name: A letter or ``_``, then letters, digits, ``_``, ``-``; full names of routes are
            ``app.blueprint.handler``.
        url_prefix: Goes before its paths.
        host: Only for these host names.
        version: Puts ``/v1`` before its paths.
        strict_slashes: A trailing slash counts.
        version_prefix: Instead of ``/v``.
        ctx: Anything that belongs to the program.

    Raises:
        ConfigError: The name is missing or malformed.
    """

    __slots__ = (
        "_apps",
        "_draft",
        "allow_route_overwrite",
        "copied_from",
        "host",
        "strict_slashes",
        "url_prefix",
        "version",
        "version_prefix",
        "work_specs",
    )

    def __init__(
        self,
        name: str,
        url_prefix: str | None = None,
        host: str | Iterable[str] | None = None,
        version: Version | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str = VERSION_PREFIX,
        *,
        ctx: Any = None,
    ) -> None:
        super().__init__(name, ctx)
        self.url_prefix: str | None = url_prefix.removesuffix("/") if url_prefix is not None else None
        self.host: str | Iterable[str] | None = host
        self.version: Version | None = version
        self.strict_slashes: bool | None = strict_slashes
        self.version_prefix: str = version_prefix
        self._apps = _Apps()
        self.allow_route_overwrite: bool = False
        self.copied_from: str = ""
        self.work_specs: list[PartWork] = []
        self._draft: Any = None

    @property
    def registered(self) -> bool:
        """Whether it is part of an app."""
        return bool(self._apps)

    @property
    def apps(self) -> "set[Vivace[Any, Any]]":
        """The apps that it is part of."""
        return set(self._apps)

    def join(self, app: Any) -> None:
        """Note an app that it has become part of, and hand over its tasks."""
        self._apps.add(app)
        app.take_work(self.work_specs)

    @property
    def routes(self) -> "list[Route]":
        """Its routes in every app that it is part of."""
        return [
            route for app in self._apps for route in app.routes if app.placed.get(route.blueprint) is self
        ]

    @property
    def statics(self) -> list[RouteSpec]:
        """Its declarations of files."""
        return [spec for spec in self.route_specs if spec.static]

    @property
    def websocket_routes(self) -> "list[Route]":
        """Those of them that open WebSockets."""
        return [route for route in self.routes if route.websocket]

    def copy(
        self,
        name: str,
        url_prefix: str | EllipsisType | None = ...,
        version: Version | EllipsisType | None = ...,
        version_prefix: str | EllipsisType = ...,
        allow_route_overwrite: bool = False,
        strict_slashes: bool | EllipsisType | None = ...,
        with_registration: bool = True,
        with_ctx: bool = False,
    ) -> "Blueprint":
        """Another blueprint with all that was declared on this one; what is declared later is each one's own.

        Args:
            name: Of the copy.
            url_prefix: Instead of this one's; so are `version`, `version_prefix` and `strict_slashes`.
            version: The same.
            version_prefix: The same.
            allow_route_overwrite: Its routes replace others of the same path and method in an app.
            strict_slashes: The same.
            with_registration: Make the copy part of the apps that this one is part of.
            with_ctx: Copy `ctx` too.

        Raises:
            ConfigError: Two routes of an app would claim the same path and method.
        """
        made = type(self)(
            name,
            self.url_prefix if url_prefix is ... else url_prefix,
            self.host,
            self.version if version is ... else version,
            self.strict_slashes if strict_slashes is ... else strict_slashes,
            self.version_prefix if version_prefix is ... else version_prefix,
            ctx=copy(self.ctx) if with_ctx else None,
        )
        made.copied_from = self.name
        made.allow_route_overwrite = allow_route_overwrite
        made.route_specs = [replace(spec) for spec in self.route_specs]
        made.middleware_specs = list(self.middleware_specs)
        made.listener_specs = list(self.listener_specs)
        made.exception_specs = list(self.exception_specs)
        made.work_specs = list(self.work_specs)
        for spec in self.signal_specs:
            made._add_signal(spec)
        for app in list(self._apps) if with_registration else ():
            app.blueprint(made)
        return made

    def changed(self) -> None:
        """Let the apps take over a late declaration."""
        for app in list(self._apps):
            app.changed()

    def signals_changed(self) -> None:
        """Let the apps hear a late signal."""
        for app in list(self._apps):
            app.signals_changed()

    def _add_signal(self, spec: SignalSpec) -> None:
        condition = {**(spec.condition or {}), BLUEPRINT_CONDITION: self.name}
        super()._add_signal(spec._replace(condition=condition, exclusive=False))

    async def dispatch(self, event: str, **options: Any) -> list[Any]:
        """Dispatch an event to the signals of this blueprint, in each app that it is part of.

        Args:
            event: Its name.
            options: As in `Vivace.dispatch`.

        Returns:
            What each app's dispatch gave.

        Raises:
            DeclarationError: It is part of no app.
        """
        condition = {**(options.pop("condition", None) or {}), BLUEPRINT_CONDITION: self.name}
        return [await app.dispatch(event, condition=condition, **options) for app in self._joined()]

    async def event(self, event: str, timeout: float | None = None, *, condition: Any = None) -> Any:
        """Wait until it or one of the apps that it is part of dispatches an event; see `Vivace.event`."""
        meant = {**(condition or {}), BLUEPRINT_CONDITION: self.name}
        waiting = [
            asyncio.ensure_future(app.event(event, timeout, condition=meant, exclusive=False))
            for app in self._joined()
        ]
        try:
            done, _pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for other in waiting:
                other.cancel()

    def _claim(self, spec: RouteSpec) -> None:
        for app in list(self._apps):
            app.claim_late(spec, self)

    def forget_claims(self) -> None:
        """Let the apps find out anew what is claimed."""
        for app in list(self._apps):
            app.forget_claims()

    def _joined(self) -> "list[Vivace[Any, Any]]":
        if not self._apps:
            raise DeclarationError(f"{self} has not yet been registered to an app")
        return list(self._apps)

    def _is_complete(self) -> bool:
        return False

    @staticmethod
    def group(
        *blueprints: "Blueprint | BlueprintGroup | Iterable[Blueprint | BlueprintGroup]",
        url_prefix: str | None = None,
        version: Version | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str = VERSION_PREFIX,
        name_prefix: str = "",
    ) -> "BlueprintGroup":
        """Put several together, under a common prefix and version."""
        group = BlueprintGroup(url_prefix, version, strict_slashes, version_prefix, name_prefix)
        group.extend(_flatten(blueprints))
        return group

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __repr__(self) -> str:
        shown = ("name", "url_prefix", "host", "version", "strict_slashes")
        return f"{type(self).__name__}({', '.join(f'{n}={_quoted(getattr(self, n))}' for n in shown)})"


def _flatten(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, list | tuple | set):
            yield from _flatten(item)
        else:
            yield item


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


class BlueprintGroup(MutableSequence[Any]):
    """A list of blueprints and groups with a common prefix and version.

    Args:
        url_prefix: Goes before the prefixes of the members.
        version: For members that have none.
        strict_slashes: For members that do not say it.
        version_prefix: For members that have none.
        name_prefix: Goes before the names of the members.
    """

    __slots__ = ("_members", "name_prefix", "strict_slashes", "url_prefix", "version", "version_prefix")

    def __init__(
        self,
        url_prefix: str | None = None,
        version: Version | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str = VERSION_PREFIX,
        name_prefix: str = "",
    ) -> None:
        self.url_prefix: str | None = url_prefix
        self.version: Version | None = version
        self.strict_slashes: bool | None = strict_slashes
        self.version_prefix: str = version_prefix
        self.name_prefix: str = name_prefix
        self._members: list[Blueprint | BlueprintGroup] = []

    @property
    def blueprints(self) -> list["Blueprint | BlueprintGroup"]:
        """The members."""
        return self._members

    def _all(self) -> Iterator[Blueprint]:
        for member in self._members:
            if isinstance(member, BlueprintGroup):
                yield from member._all()
            else:
                yield member

    @overload
    def middleware(self, middleware_or_request: F, /) -> F: ...
    @overload
    def middleware(
        self, middleware_or_request: str = "request", /, *, priority: int = 0
    ) -> Callable[[F], F]: ...
    def middleware(self, middleware_or_request: Any = "request", /, *, priority: int = 0) -> Any:
        """Declare a middleware for every member; see `Registry.middleware`."""
        if callable(middleware_or_request):
            return self._register(middleware_or_request, "request", priority)
        return lambda function: self._register(function, middleware_or_request, priority)

    def on_request(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Declare request middleware for every member."""
        decorate = self.middleware("request", priority=priority)
        return decorate if middleware is None else decorate(middleware)

    def on_response(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Declare response middleware for every member."""
        decorate = self.middleware("response", priority=priority)
        return decorate if middleware is None else decorate(middleware)

    def _register(self, function: F, place: str, priority: int) -> F:
        for blueprint in self._all():
            blueprint.register_middleware(function, place, priority=priority)
        return function

    def exception(self, *exceptions: type[BaseException] | Iterable[type[BaseException]]) -> Callable[[F], F]:
        """Declare an exception handler for every member; see `Registry.exception`."""

        def decorate(function: F) -> F:
            for blueprint in self._all():
                blueprint.exception(*exceptions)(function)
            return function

        return decorate

    def __getitem__(self, index: Any) -> Any:
        return self._members[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._members[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._members[index]

    def __len__(self) -> int:
        return len(self._members)

    def insert(self, index: int, value: "Blueprint | BlueprintGroup") -> None:
        """Put a member at a place."""
        if not isinstance(value, Blueprint | BlueprintGroup):
            raise DeclarationError(f"{value!r} is no blueprint and no group of them")
        self._members.insert(index, value)


@dataclass(slots=True, frozen=True)
class Registration:
    """What was given to `Vivace.blueprint`; overrides what the blueprint says itself."""

    blueprint: Blueprint | BlueprintGroup
    url_prefix: str | None = None
    version: Version | None = None
    strict_slashes: bool | None = None
    version_prefix: str | None = None
    name_prefix: str = ""
    order: int = field(default_factory=lambda: next(ORDER))


def place_all(registration: Registration, base: Placement) -> Iterator[tuple[Blueprint, Placement]]:
    """Every blueprint of a registration with its place."""
    item = registration.blueprint
    if isinstance(item, Blueprint):
        yield item, _place(item, registration, base)
        return
    for member in item.blueprints:
        yield from place_all(_hand_down(registration, item, member), base)


def _hand_down(
    given: Registration, group: BlueprintGroup, member: Blueprint | BlueprintGroup
) -> Registration:
    """What a member of a group is registered with: prefixes joined, the rest where it says nothing."""
    prefixes = [given.url_prefix, group.url_prefix]
    if isinstance(member, Blueprint):
        prefixes.append(member.url_prefix)
    found = replace(
        given,
        blueprint=member,
        url_prefix=reduce(join_path, (prefix.strip("/") for prefix in prefixes if prefix), ""),
        name_prefix=given.name_prefix or group.name_prefix,
    )
    if member.version is None:
        found = replace(found, version=_first(group.version, given.version))
    if member.strict_slashes is None:
        found = replace(found, strict_slashes=group.strict_slashes or given.strict_slashes)
    if member.version_prefix == VERSION_PREFIX and group.version_prefix != VERSION_PREFIX:
        found = replace(found, version_prefix=group.version_prefix)
    return found


def _place(blueprint: Blueprint, given: Registration, base: Placement) -> Placement:
    name = f"{given.name_prefix}_{blueprint.name}" if given.name_prefix else blueprint.name
    return Placement(
        name=f"{base.name}.{name}",
        blueprint=name,
        url_prefix=_first(given.url_prefix, blueprint.url_prefix, ""),
        version=_first(given.version, blueprint.version, base.version),
        version_prefix=_first(given.version_prefix, blueprint.version_prefix),
        strict_slashes=_first(blueprint.strict_slashes, given.strict_slashes, base.strict_slashes),
        host=base.host if blueprint.host is None else host_names(blueprint.host),
        root=base.root,
        overwrite=blueprint.allow_route_overwrite,
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
