"""``manage.py runserver`` by Vivace: the server of production with Django's own reloader.

Rules of this file:

- Options, addresses, checks and the reloader are Django's; only what serves is replaced.
- With the reloader the server runs in a thread and ends with its process, as Django's own does.
"""

import os
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import connections
from django.utils import autoreload
from django.utils.module_loading import import_string

from vivace.config import Config
from vivace.errors import ConfigError, StartupError

__all__ = ["Command"]


class Command(DjangoCommand):
    """The command."""

    help = "Serve the site by Vivace, for development: reloads, and serves static files with DEBUG."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Those of Django's command and of the one of django.contrib.staticfiles.

        Args:
            parser: Takes them.
        """
        super().add_arguments(parser)
        parser.add_argument(
            "--nostatic", action="store_false", dest="use_static_handler", help="Do not serve static files."
        )
        parser.add_argument(
            "--insecure",
            action="store_true",
            dest="insecure_serving",
            help="Serve static files even if DEBUG is False.",
        )

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the site and serve it; called anew, in a new process, after each change of a file."""
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        connections.close_all()
        if not options["use_static_handler"]:
            settings.VIVACE_STATIC = False
        elif options["insecure_serving"]:
            settings.VIVACE_STATIC = True
        # What fails here fails as with Django's own command: the reloader waits for a change.
        handler = self.get_handler(*args, **options)
        try:
            self._serve(handler, options["use_threading"])
        except (ConfigError, StartupError) as error:
            self.stderr.write(f"Error: {error}")
            _end(1)
        if shutdown_message := options.get("shutdown_message", ""):
            self.stdout.write(shutdown_message)

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """The application to serve: that of ASGI_APPLICATION if the site has one, else the WSGI one.

        Args:
            args: Not used.
            options: Of the command.
        """
        named = getattr(settings, "ASGI_APPLICATION", None)
        return import_string(named) if named else super().get_handler(*args, **options)

    def _serve(self, handler: Any, use_threads: bool) -> None:
        """Serve until a signal comes."""
        from vivace.interfaces.kind import classify
        from vivace.supervisor.launch import launch
        from vivace.supervisor.loading.job import Job
        from vivace.supervisor.loading.target import Loaded, mount_all

        overrides = {
            "HOST": "0.0.0.0" if self.addr == "0" else self.addr,  # noqa: S104
            "PORT": int(self.port),
            "WORKERS": 1,
            "DEBUG": settings.DEBUG,
            **({} if use_threads else {"THREADS": 1}),
        }
        name = str(settings.SETTINGS_MODULE)
        self.stdout.write(f"Django {self.get_version()}, settings {name}")
        loaded = Loaded(name, handler, *classify(handler))
        config = Config.load(overrides=overrides)
        code = launch(Job(lambda: mount_all(loaded, config), config, overrides))
        # With the reloader it goes on after a failed start: a change may mend it.
        if code and _is_main():
            _end(code)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end(code: int) -> None:
    """End the process; from the reloader's thread `sys.exit` would end that thread only."""
    if _is_main():
        sys.exit(code)
    sys.stdout.flush()
    os._exit(code)
