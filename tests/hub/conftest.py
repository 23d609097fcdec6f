"""Fixtures for the tests of the hub."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.hub.processes import HubProcess
from vivace.hub import Hub


@pytest.fixture
async def make_hub() -> AsyncIterator[Callable[..., Hub]]:
    """Makes hubs that end with the test."""
    made: list[Hub] = []

    def make(*args: object, **options: object) -> Hub:
        hub = Hub(*args, **options)  # type: ignore[arg-type]
        made.append(hub)
        return hub

    yield make
    for hub in made:
        await hub.stop()


@pytest.fixture
def make_process(tmp_path: Path) -> Iterator[Callable[..., HubProcess]]:
    """Makes processes of hubs that end with the test."""
    made: list[HubProcess] = []

    def make(**settings: object) -> HubProcess:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        process = HubProcess(folder, **settings)
        made.append(process)
        process.start()
        return process

    yield make
    for process in made:
        process.close()
