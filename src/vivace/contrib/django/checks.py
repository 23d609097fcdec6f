"""System checks of the Django app."""

from typing import Any

from django.core.checks import Warning as CheckWarning
from django.core.management import get_commands

__all__ = ["check_order"]

_NAME = "vivace.contrib.django"


def check_order(**_: Any) -> list[CheckWarning]:
    """Warn if ``runserver`` is the command of another app: the first one in INSTALLED_APPS wins."""
    name = get_commands()["runserver"]
    if name == _NAME:
        return []
    return [
        CheckWarning(
            f"`runserver` is the command of {name}, not of Vivace",
            hint=f"Put {_NAME!r} before {name!r} in INSTALLED_APPS.",
            id="vivace.W001",
        )
    ]
