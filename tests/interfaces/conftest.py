"""WSGI is tested on asyncio's own loop and on uvloop: threads hand over to each in its own way."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

BOTH = ("test_file_wrapper.py", "test_inline.py", "test_pool.py", "test_wsgi")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """The loops that a test runs on."""
    if item.path.name.startswith(BOTH):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
