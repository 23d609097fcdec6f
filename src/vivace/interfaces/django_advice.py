"""What a Django site served by ASGI should be told at its start.

Rules of this file:

- Nothing of Django is imported here: what is not loaded by now is not served.
- Django's own handler is known by its class; ours (`vivace.contrib.django`) keeps its threads: no advice.
"""

import sys
from typing import Any

__all__ = ["advise"]


def advise(app: Any) -> list[str]:
    """What to say about a Django site, or a Channels project, that is about to be served by ASGI.

    Django's own handler gives each request a thread, which ends with it. A database connection that is to
    live on (CONN_MAX_AGE) belongs to a thread that is gone: it stays open and nobody uses it.

    Args:
        app: An ASGI callable.
    """
    django = sys.modules.get("django.core.handlers.asgi")
    if django is None:
        return []
    handler = _http_part(app)
    if not isinstance(handler, django.ASGIHandler) or type(handler).__module__.startswith("vivace."):
        return []
    return [
        f"the database {alias!r} has CONN_MAX_AGE {age}, and the site is served by Django's own ASGI handler:"
        " each request has a thread of its own there, so kept connections pile up unused. Take"
        " get_asgi_application from vivace.contrib.django, or set CONN_MAX_AGE to 0"
        for alias, age in _kept_connections()
    ]


def _http_part(app: Any) -> Any:
    """The part of an app that answers HTTP: Channels' ProtocolTypeRouter has one for each protocol."""
    parts = getattr(app, "application_mapping", None)
    return parts.get("http") if isinstance(parts, dict) else app


def _kept_connections() -> list[tuple[str, Any]]:
    """The databases whose connections outlive a request."""
    settings = sys.modules["django.conf"].settings
    found = [(alias, said.get("CONN_MAX_AGE", 0)) for alias, said in settings.DATABASES.items()]
    return [(alias, age) for alias, age in found if age is None or age > 0]
