"""The benchmark of telemetry runs; what it finds is for people to read."""

import asyncio

import pytest

pytest.importorskip("opentelemetry", reason="opentelemetry-api is not installed")

from bench.telemetry import WATCHED, Inside, inside


def test_requests_are_answered_inside_a_process_watched_and_not() -> None:
    found = asyncio.run(inside(2, 4))
    assert set(found) == set(WATCHED)
    assert all(seconds > 0 for seconds in found.values())


async def test_figures_are_counted_there() -> None:
    worker = Inside(WATCHED[1], 4)
    await worker.start()
    await worker.turn()
    assert worker.state.tally is not None
    assert worker.state.tally.answers[2] == worker.state.served == 4 * 32
