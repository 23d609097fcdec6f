"""Channel layers that leave the hub after their test."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from vivace.contrib.django.channels import HubLayer

Make = Callable[..., HubLayer]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Layers that leave the hub after the test."""
    made: list[HubLayer] = []

    def new(**config: Any) -> HubLayer:
        made.append(HubLayer(**config))
        return made[-1]

    yield new
    for layer in made:
        await layer.close()


@pytest.fixture
def layer(make: Make) -> HubLayer:
    """A layer with the settings of its name alone."""
    return make()
