"""Vivace for Django sites: ``runserver``, static files in development, and an ASGI handler with few threads.

As an app of the site (INSTALLED_APPS) it brings the command and the static files; `get_asgi_application` is
for the site's ``asgi.py``. Neither is needed to serve a site: ``vivace run project.asgi`` takes it as it is.

Rules of this package:

- Django is used by what it documents; where that does not suffice, the place says so and says what it needs.
- Importing it loads nothing of Django, for a settings module may do so.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivace.contrib.django.handler import BoundedHandler
    from vivace.framework.budget import Budget

__all__ = ["budget", "get_asgi_application"]


def budget(name: str = "postgres", **numbers: Any) -> "Budget":
    """Share the connections of a database out among workers and machines, for a settings module.

    ``DATABASES["default"]["OPTIONS"]["pool"] = budget(limit=20).django()``

    Args:
        name: Of the budget.
        numbers: ``limit``, ``reserve``, ``background``, ``instances``, ``surge``, ``aliases`` and ``url``, as
            for `Vivace.budget`; what BUDGETS says beats them.

    Raises:
        ConfigError: Something of it cannot be.
    """
    from vivace.config import Config
    from vivace.framework.budget import declare

    config = Config.load()
    return declare(name, config=lambda: config, **numbers)


def get_asgi_application() -> "BoundedHandler":
    """Set Django up; its ASGI application, whose sync code runs in THREADS threads.

    Django's own gives each request a thread of its own, so that forty requests at a time make forty threads
    and forty database connections. With this one there are never more than THREADS, the number that bounds
    the WSGI pool of `vivace run` too. Any ASGI server can run it.

    Raises:
        ImproperlyConfigured: The installed asgiref does not let threads be shared.
    """
    import django

    from vivace.contrib.django.handler import BoundedHandler, count_threads
    from vivace.interfaces.asgiref_threads import share_threads

    django.setup(set_prefix=False)
    handler = BoundedHandler(count_threads())
    share_threads(handler.threads)
    return handler
