"""GraphQL: ``app.graphql("/graphql", schema)`` serves a schema over HTTP, WebSockets and server-sent events.

Names are imported when they are first used; graphql-core when a schema is served.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.ext.graphql.context import Context as Context
    from vivace.ext.graphql.endpoint import Endpoint as Endpoint
    from vivace.ext.graphql.engine import Engine as Engine
    from vivace.ext.graphql.source import SKIP as SKIP
    from vivace.ext.graphql.source import topics as topics

_HOMES: Final = {
    "SKIP": "source",
    "Context": "context",
    "Endpoint": "endpoint",
    "Engine": "engine",
    "topics": "source",
}

__all__ = ["SKIP", "Context", "Endpoint", "Engine", "topics"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
