"""The modules of the alias: empty ones, whose names are looked up in the table when they are used.

Rules of this file:

- A name that is not there is answered with one sentence: what is nearest, or why it is missing.
- `from sanic import x` fails with ImportError, `sanic.x` with AttributeError, as with any module.
- Follows PEP 302, 451 and 562.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from vivace.compat.sanic import ROOTS
from vivace.compat.sanic.table import MISSING, MODULES

__all__ = ["AliasFinder", "AliasModule", "describe_missing"]


class MissingModule(ModuleNotFoundError):
    """There is nothing of that name; says what is near."""


class AliasModule(ModuleType):
    """A module of the alias."""

    def __getattr__(self, name: str) -> Any:
        place = MODULES[self.__name__].get(name)
        if place is not None:
            value = _fetch(place)
        elif f"{self.__name__}.{name}" in MODULES:
            value = import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(describe_missing(f"{self.__name__}.{name}"))
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # The import of a submodule sets it on its package, also where the package has a name like it.
        if not (isinstance(value, AliasModule) and name in MODULES[self.__name__]):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *MODULES[self.__name__]})


class AliasFinder(MetaPathFinder, Loader):
    """Finds the modules of the alias, before any installed ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of that name.

        Raises:
            ImportError: It would be one of the alias, and there is none.
        """
        if fullname.partition(".")[0] not in ROOTS:
            return None
        if fullname not in MODULES:
            raise MissingModule(describe_missing(fullname))
        return ModuleSpec(fullname, self, origin="vivace.compat.sanic", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty module."""
        module = AliasModule(spec.name, "Vivace under the name of a part of Sanic.")
        module.__dict__["__all__"] = [n for n in MODULES[spec.name] if not n.startswith("_")]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: names come when they are asked for."""


def describe_missing(name: str) -> str:
    """Why there is nothing of that name, and what is nearest to it."""
    package, _, last = name.rpartition(".")
    if name in MISSING:
        return f"{name} is not in Vivace: {MISSING[name]}"
    return f"{name} is not in Vivace{_nearest(package, last)}; docs/sanic-names.md lists what is"


def _nearest(package: str, name: str) -> str:
    for module, names in MODULES.items():
        if name in names:
            return f": {name} is in {module}"
    inside = [
        *MODULES.get(package, {}),
        *(m.rpartition(".")[2] for m in MODULES if m.startswith(f"{package}.")),
    ]
    close = get_close_matches(name, inside, 1)
    return f": the nearest is {package}.{close[0]}" if close else ""


def _fetch(place: str) -> Any:
    module, _, name = place.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found
