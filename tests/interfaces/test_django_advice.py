"""What a Django site is told at its start: in processes of their own, for Django is set up once in each."""

import subprocess
import sys

import pytest

from tests.conftest import clean_environment

pytest.importorskip("channels")

SITE = """
from django.conf import settings
database = {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "CONN_MAX_AGE": {age}}}
settings.configure(DATABASES={{"default": database}}, SECRET_KEY="only for tests", ROOT_URLCONF="x")
settings.MIDDLEWARE = []
import django
django.setup()
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application as own
from vivace.contrib.django import get_asgi_application as ours
from vivace.config import Config
from vivace.interfaces.asgi import AsgiInterface
config = Config()
AsgiInterface({app}, config)
print(*config.warnings, sep="\\n")
"""


@pytest.mark.parametrize(
    ("app", "age", "told"),
    [
        ("own()", 600, True),
        ("own()", None, True),
        ("own()", 0, False),
        ("ours()", 600, False),
        ("ProtocolTypeRouter({'http': own()})", 1, True),
        ("ProtocolTypeRouter({'http': ours()})", 600, False),
        ("ProtocolTypeRouter({'websocket': own()})", 600, False),
    ],
)
def test_connections_that_pile_up_are_named(app: str, age: int | None, told: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SITE.format(app=app, age=age)],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    assert (f"'default' has CONN_MAX_AGE {age}" in done.stdout) is told, done.stdout
    assert ("or set CONN_MAX_AGE to 0" in done.stdout) is told
