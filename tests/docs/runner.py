"""Run the code blocks of a Markdown page as a reader would: top to bottom, in one empty folder.

What a block means, by its language:

- ``python``    is executed; the blocks of a page share their names
- ``console``   lines with ``$ `` are commands; what it prints must have the lines below a command, in that
                order; ``...`` stands for anything
- anything else is only shown

An HTML comment right above a block changes that:

- ``<!-- file: NAME -->``    the block is written to NAME
- ``<!-- append: NAME -->``  the block is added to NAME
- ``<!-- serve -->``         the command is a server and goes on; until the next one or the end of the page
- ``<!-- skip: REASON -->``  nothing is done

Rules of this file:

- The page says 8000; the test uses a free port instead, in commands and in what they print.
- Whatever was started is ended with the page.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ServerProcess, clean_environment, find_free_port

_FENCE = re.compile(r"^```(\w*)\s*$")
_MARK = re.compile(r"^<!--\s*(file|append|serve|skip)(?::\s*(.+?))?\s*-->$")
_PORT = "8000"


@dataclass
class Block:
    """One fenced block.

    Attributes:
        line: The number of its opening line, from 1.
        language: The word behind the fence; empty if there is none.
        mark: ``file``, ``append``, ``serve``, ``skip`` or empty.
        argument: What the mark says.
        text: The content, with a line feed at its end.
    """

    line: int
    language: str
    mark: str
    argument: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: A fence is not closed.
    """
    lines = page.splitlines()
    number = 0
    mark = ("", "")
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            found = _MARK.match(lines[number].strip())
            if found or lines[number].strip():
                mark = (found[1], found[2] or "") if found else ("", "")
            number += 1
            continue
        end = number + 1
        while end < len(lines) and lines[end] != "```":
            end += 1
        if end == len(lines):
            raise ValueError(f"line {number + 1}: the block is not closed")
        yield Block(number + 1, fence[1], mark[0], mark[1], "\n".join(lines[number + 1 : end]) + "\n")
        mark = ("", "")
        number = end + 1


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block with the lines that they should print."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), [])
        elif not found:
            raise ValueError(f"output {line!r} stands before any command")
        elif line.strip():
            found[-1][1].append(line.strip())
    return found


def missing_line(expected: list[str], output: str) -> str | None:
    """The first expected line that does not follow in `output`; None if all do."""
    rest = output
    for line in expected:
        position = 0
        for part in line.split("..."):
            at = rest.find(part.strip(), position)
            if at < 0:
                return line
            position = at + len(part.strip())
        rest = rest[position:]
    return None


class Reader:
    """Follows one page, in a folder of its own."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self._names: dict[str, Any] = {"__name__": "page"}
        self._port = str(find_free_port())
        self._server: ServerProcess | None = None

    def follow(self, page: Path) -> None:
        """Run every block.

        Raises:
            AssertionError: A block did not do what the page says; names page and line.
        """
        try:
            for block in blocks(page.read_text()):
                with _located(f"{page.name}:{block.line}"):
                    self._do(block)
            self._end_server()
        finally:
            if self._server is not None:
                self._server.remove()

    def _do(self, block: Block) -> None:
        if block.mark == "skip":
            assert block.argument, "a block that is skipped needs a reason"
        elif block.mark in {"file", "append"}:
            with (self._folder / block.argument).open("w" if block.mark == "file" else "a") as file:
                file.write(block.text)
        elif block.language == "python":
            exec(compile(block.text, f"<line {block.line}>", "exec"), self._names)
        elif block.language == "console":
            for command, expected in commands(block.text.replace(_PORT, self._port)):
                self._serve(command) if block.mark == "serve" else self._run(command, expected)

    def _environment(self) -> dict[str, str]:
        tools = str(Path(sys.executable).parent)
        path = os.pathsep.join([tools, os.environ["PATH"]])
        return clean_environment(PATH=path, VIVACE_PORT=self._port, COLUMNS="200")

    def _run(self, command: str, expected: list[str]) -> None:
        answer = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        missing = missing_line(expected, answer.stdout)
        assert missing is None, f"`{command}` does not print {missing!r} but:\n{answer.stdout}{self._said()}"

    def _said(self) -> str:
        return f"\nthe server said:\n{self._server.output}" if self._server else ""

    def _serve(self, command: str) -> None:
        self._end_server()
        argv = ["bash", "-c", f"exec env {command}"]
        self._server = ServerProcess(argv, int(self._port), self._environment(), self._folder, self._log)
        self._server.wait_until_serving()

    def _end_server(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            try:
                assert server.stop() == 0, (
                    f"the server ended with {server.process.returncode}:\n{server.output}"
                )
            finally:
                server.remove()


@contextlib.contextmanager
def _located(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error
