"""An app to extend."""

import pytest

from tests.framework.streams import make_app
from vivace import Vivace


@pytest.fixture
def app() -> Vivace:
    return make_app()
