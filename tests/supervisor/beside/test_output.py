"""What programs write: every line in the log, and nobody can hold up the supervisor by writing."""

import logging
import os
import selectors
import subprocess
import sys
from collections.abc import Callable

import pytest

from vivace.supervisor.beside.output import LINES, LONGEST, Output

said = logging.getLogger("vivace.daemon.test")


def turns(selector: selectors.BaseSelector, done: Callable[[], bool]) -> None:
    """Let the selector call what is registered until something is so."""
    while not done():
        found = selector.select(30)
        assert found
        for key, _ in found:
            key.data()


def test_lines_are_said_whole_whatever_they_are_made_of(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    with selectors.DefaultSelector() as selector, caplog.at_level(logging.INFO):
        output = Output(selector, said, heard.append)
        os.write(output.writer, b"one\r\nt\xffo\n" + b"x" * (LONGEST + 10) + b"\n\nrest")
        output.started()
        turns(selector, lambda: not selector.get_map())
    assert heard == ["one", "t\\xffo", "x" * LONGEST, "x" * 10, "", "rest"]
    assert caplog.messages == heard


def test_who_writes_without_end_does_not_hold_up_the_end() -> None:
    heard: list[str] = []
    with selectors.DefaultSelector() as selector:
        output = Output(selector, said, heard.append)
        program = "import os\nwhile True: os.write(1, b'y\\n' * 2000)"
        with subprocess.Popen([sys.executable, "-c", program], stdout=output.writer, stderr=-3) as endless:
            try:
                turns(selector, lambda: bool(heard))
                output.close()
                assert 0 < len(heard) <= 100_000
            finally:
                endless.kill()


def test_however_short_the_lines_few_are_said_in_one_turn() -> None:
    heard: list[str] = []
    said_at_once: list[int] = []
    with selectors.DefaultSelector() as selector:
        output = Output(selector, said, heard.append)
        os.write(output.writer, b"\n" * 4000)
        while len(heard) < 4000:
            before = len(heard)
            turns(selector, lambda: len(heard) > before)  # noqa: B023 - called before it changes
            said_at_once.append(len(heard) - before)
        output.close()
    assert max(said_at_once) <= 4 * LINES
