"""The benchmark of groups runs, and a message crosses processes in time."""

import pytest

from bench.hub import TOPICS, measure


@pytest.mark.once
@pytest.mark.parametrize("topic", list(TOPICS))
def test_a_message_crosses_processes_in_two_milliseconds(topic: str) -> None:
    """The median here, for this machine may be busy; `python -m bench.hub` shows the p99."""
    assert min(measure(TOPICS[topic], 150, 500.0)["p50"] for _ in range(2)) <= 2.0
