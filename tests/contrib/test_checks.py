"""The system check that tells whose `runserver` it is."""

import subprocess
import sys

import pytest
from django.core.checks import run_checks
from django.core.management import get_commands

from tests.conftest import clean_environment
from vivace.contrib.django.checks import check_order

SITE = """
import django
from django.conf import settings
from django.core.management import call_command
settings.configure(INSTALLED_APPS={apps!r}, SECRET_KEY="only for tests", STATIC_URL="static/")
django.setup()
call_command("check")
"""
OURS, OTHER = "vivace.contrib.django", "django.contrib.staticfiles"


@pytest.mark.parametrize(("apps", "warned"), [([OURS, OTHER], False), ([OTHER, OURS], True)])
def test_the_order_of_apps(apps: list[str], warned: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SITE.format(apps=apps)],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    assert ("vivace.W001" in done.stderr) is warned, done.stderr
    assert (f"Put {OURS!r} before {OTHER!r}" in done.stderr) is warned


def test_the_check_runs_with_the_others() -> None:
    assert get_commands()["runserver"] == OURS
    assert check_order(app_configs=None) == []
    assert [message.id for message in run_checks()] == []
