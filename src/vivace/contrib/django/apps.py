"""The Django app: what happens when a site that has it in INSTALLED_APPS is set up."""

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import register

from vivace.contrib.django.checks import check_order

__all__ = ["VivaceConfig"]

_MIDDLEWARE = "vivace.contrib.django.static.serve_static_files"


class VivaceConfig(AppConfig):
    """``"vivace.contrib.django"`` in INSTALLED_APPS.

    It adds a middleware in front of all others that serves the site's static files in development. It is
    added here and not by the site's author, so that development needs no option; a MIDDLEWARE that names it
    already, at a place of its own, is left alone.
    """

    name = "vivace.contrib.django"
    label = "vivace"
    verbose_name = "Vivace"

    def ready(self) -> None:
        """Register the checks; add the middleware where django.contrib.staticfiles is there to find files."""
        register(check_order)
        if apps.is_installed("django.contrib.staticfiles") and _MIDDLEWARE not in settings.MIDDLEWARE:
            settings.MIDDLEWARE = [_MIDDLEWARE, *settings.MIDDLEWARE]
