"""What the system says of this process, and of none."""

import os
import signal

import pytest

from vivace.supervisor.system.procfs import catches, is_traced, processor_time, resident_memory


def test_the_time_of_processors_is_that_of_the_system() -> None:
    assert processor_time(os.getpid()) == pytest.approx(sum(os.times()[:2]), abs=0.1)


def test_memory_is_in_octets() -> None:
    assert (resident_memory(os.getpid()) or 0) > 1 << 20


def test_handlers_of_signals_are_seen() -> None:
    before = signal.signal(signal.SIGTTOU, lambda *_: None)
    try:
        assert catches(os.getpid(), signal.SIGTTOU)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        assert not catches(os.getpid(), signal.SIGTTOU)
    finally:
        signal.signal(signal.SIGTTOU, before)


def test_nobody_debugs_the_tests() -> None:
    assert not is_traced(os.getpid())


def test_nothing_is_known_of_a_process_that_is_none() -> None:
    assert processor_time(0) is None
    assert resident_memory(0) is None
    assert not is_traced(0)
    assert catches(0, signal.SIGTERM)
