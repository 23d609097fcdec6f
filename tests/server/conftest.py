"""Every test of the server runs on asyncio's own loop and on uvloop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """The loops that connections have to work on alike."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
