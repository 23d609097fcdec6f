"""Every test of the HTTP/1.1 protocol runs on both builds."""

from typing import Any

import pytest

from tests.protocols.driver import BUILDS


@pytest.fixture(params=BUILDS)
def build(request: pytest.FixtureRequest) -> Any:
    return BUILDS[request.param]
