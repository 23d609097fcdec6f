"""Django is set up once, in this process, for the tests of this folder."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.contrib import site


@pytest.fixture(autouse=True, scope="session")
def _django(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("static")
    for name, content in site.STATIC.items():
        (folder / name).write_bytes(content)
    if not settings.configured:
        site.configure(str(folder))


@pytest.fixture
def watch() -> Iterator[site.Watch]:
    """What the views tell; whatever still waits goes on at the end."""
    site.watch.clear()
    yield site.watch
    site.watch.gate.set()
