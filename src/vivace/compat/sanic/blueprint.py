"""The blueprint class under its Sanic name.

Rules of this file: only what a Sanic program can see and a Vivace program is better off without.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vivace.compat.sanic.declaring import Declaring
from vivace.errors import DeclarationError
from vivace.framework.app import Vivace
from vivace.framework.blueprint import Blueprint as _Blueprint
from vivace.framework.spec import RouteSpec

__all__ = ["Blueprint"]


class Blueprint(Declaring, _Blueprint):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`vivace.Blueprint`, as programs know it that were written for Sanic."""

    __slots__ = ()

    def register(self, app: Vivace[Any, Any], options: Mapping[str, Any]) -> None:
        """Make it part of an app.

        Args:
            app: The app.
            options: The other arguments of `Vivace.blueprint`.
        """
        app.blueprint(self, **options)

    def _declare(self, spec: RouteSpec) -> None:
        super()._declare(replace(spec, alone=True) if spec.static else spec)

    def reset(self) -> None:
        """Forget the apps that it is part of, which keep what they took over: it can be registered anew."""
        self._apps.clear()

    @property
    def apps(self) -> set[Vivace[Any, Any]]:
        """The apps that it is part of.

        Raises:
            DeclarationError: It is part of none.
        """
        if not self.registered:
            raise DeclarationError(f"{self} has not yet been registered to an app")
        return super().apps
