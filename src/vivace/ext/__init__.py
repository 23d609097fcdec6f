"""Extensions: what an app may have and does not pay for otherwise.

``from vivace.ext import Extend; Extend(app)`` starts those that come with Vivace; some are modules to be used
alone: ``from vivace.ext.cors import CORS``.

Rules of this package:

- It stands on the framework and on nothing above it.
- What is decided for a route is decided when routes are compiled; an app that is not extended pays nothing.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.ext.config import Config as Config
    from vivace.ext.extend import Extend as Extend
    from vivace.ext.extension import Extension as Extension

_HOMES: Final = {
    "Config": "vivace.ext.config",
    "Extend": "vivace.ext.extend",
    "Extension": "vivace.ext.extension",
}

__all__ = ["Config", "Extend", "Extension"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
