"""sanic.worker.loader: an app by its name.

Rules of this file: how an app is found is the supervisor's business, as for `vivace run`.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["AppLoader"]


class AppLoader:
    """Imports an app when it is wanted.

    Args:
        module_input: Such as ``module:app``, ``module`` or ``module:factory``.
        as_factory: What it names is a function that makes the app.
        as_simple: Not there: Vivace serves no bare folder.
        args: Kept for its place.
        factory: Makes the app, instead of a name.

    Raises:
        ValueError: `as_simple` was asked for.
    """

    def __init__(
        self,
        module_input: str = "",
        as_factory: bool = False,
        as_simple: bool = False,
        args: Any = None,
        factory: Callable[[], Any] | None = None,
    ) -> None:
        if as_simple:
            raise ValueError(
                "Vivace serves no bare folder: give an app a static route, app.static('/', folder)"
            )
        self.module_input = module_input.removesuffix("()")
        self.as_factory = as_factory
        self.args = args
        self.factory = factory

    def load(self) -> Any:
        """The app.

        Raises:
            StartupError: It cannot be imported, or there is none of that name.
        """
        if self.factory is not None:
            return self.factory()
        from vivace.supervisor.loading.target import load_target

        return load_target(self.module_input).app
