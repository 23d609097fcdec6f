"""Django's ORM from coroutines: a function that uses it, in a thread that keeps no dead connection.

Rules of this file:

- Connections of the thread are looked at before and after, as Django does around each request: one that is
  too old (CONN_MAX_AGE) or broken is closed.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from django.db import close_old_connections

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread: ``app.graphql("/graphql", schema, threads=in_thread)``.

    Args:
        function: What uses the ORM.
    """
    return await asyncio.to_thread(_call, function)


def _call(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        close_old_connections()
