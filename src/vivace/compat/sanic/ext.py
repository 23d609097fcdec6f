"""``app.ext`` and ``app.extend`` of Sanic's programs, and extensions that start by themselves.

Rules of this file:

- Nothing of `vivace.ext` is imported before an app is extended.
- By itself an app is extended as AUTO_EXTEND says, and only if the program means it: it has imported
  ``sanic_ext``, or the distribution sanic-ext is installed beside it.
"""

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from vivace.framework.app import Vivace
from vivace.framework.automatic import Automatic

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["Extending"]

logger = logging.getLogger("sanic.root")

_STARTS: Final = frozenset({"main_process_start", "before_server_start"})
_PACKAGE: Final = "sanic_ext"


class Extending(Vivace[Any, Any]):
    """An app that extends itself."""

    __slots__ = ()

    automatic_methods: ClassVar[Automatic] = {}  # it is an extension that answers HEAD and OPTIONS

    @property
    def ext(self) -> Any:
        """The extensions; the app is extended if it is not yet.

        Raises:
            RuntimeError: It is not, and AUTO_EXTEND is off.
        """
        if self._ext is None:
            if not self.config.get("AUTO_EXTEND", True):
                raise RuntimeError(
                    "Sanic Extensions is not set up: AUTO_EXTEND is off. Call app.extend() before app.ext"
                )
            self._extend()
        return self._ext

    def extend(
        self,
        *,
        extensions: "Sequence[Any] | None" = None,
        built_in_extensions: bool = True,
        config: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> "Extend":
        """Start extensions; the arguments are those of `vivace.ext.Extend`.

        Raises:
            RuntimeError: They were started before.
        """
        if self._ext is not None:
            raise RuntimeError("Cannot extend Sanic after Sanic Extensions has been setup.")
        self._extend(extensions=extensions, built_in_extensions=built_in_extensions, config=config, **values)
        extended: Extend = self.ext
        return extended

    async def run_listeners(self, stage: str, changed: Collection[str] = ()) -> None:
        """Run the listeners of a stage; before the first the app is extended, if it is to be."""
        if stage in _STARTS and self._ext is None and self.config.get("AUTO_EXTEND", True) and _is_meant():
            self._extend()
        if stage == "before_server_start":
            _list_extensions(getattr(self._ext, "extensions", ()))
        await super().run_listeners(stage, changed)

    def _extend(self, **options: Any) -> None:
        module: Any = sys.modules.get(_PACKAGE)  # a test may have put something else in its place
        if module is None:
            from vivace.ext import extend as module
        self._ext = module.Extend(self, **options)
        router: Any = self.router
        if self.config.get("HTTP_ALL_METHODS"):
            router.ALLOWED_METHODS = (*router.ALLOWED_METHODS, "TRACE")


def _list_extensions(extensions: Any) -> None:
    if not extensions or not isinstance(extensions, list):
        return
    logger.info("Sanic Extensions:")
    for extension in extensions:
        if extension.included():
            logger.info("  > %s %s", extension.name, extension.render_label())


def _is_meant() -> bool:
    return _PACKAGE in sys.modules or _is_installed()


@cache
def _is_installed() -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(_PACKAGE)
    except PackageNotFoundError:
        return False
    return True
