"""Extensions: what an app may have and does not pay for otherwise.

``from vivace.ext import Extend; Extend(app)`` starts those that come with Vivace; some are modules to be used
alone: ``from vivace.ext.cors import CORS``.

Rules of this package:

- It stands on the framework and on nothing above it.
- What is decided for a route is decided when routes are compiled; an app that is not extended pays nothing.

    extend, extension, config, errors    what all of them stand on, and how they are started
    cors, health, http, methods, counted, tracing, logging
                                         around requests
    injection, dependencies, arguments, models, validation, schema, words
                                         parameters of handlers: made, checked, described
    serializer, templating               what handlers return
    openapi/, graphql/                   documents of an API, and GraphQL
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
