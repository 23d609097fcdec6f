"""What tests of every part share: free ports, and processes that are gone when their test is.

Rules of this file:

- A process is ended by its own id, politely first; one that does not leave in time fails its test.
- Whoever waits, waits for a condition, never for a while.
"""

import http.client
import itertools
import logging
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository."""

_LOGGERS = ("vivace", "sanic")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_OURS = ("PORT", "WEB_CONCURRENCY", "DEBUG")


_PORTS = range(20_000, 32_000)
_candidates = itertools.cycle(random.Random(os.getpid()).sample(_PORTS, len(_PORTS)))


def find_free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now.

    It is below those that the system gives to outgoing connections: another test cannot get it meanwhile.
    """
    for port in _candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the list of candidates has no end")


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without the variables that the server reads, and with `extra`."""
    kept = {k: v for k, v in os.environ.items() if k not in _OURS and not k.startswith("VIVACE_")}
    if os.environ.get("VIVACE_PURE"):
        kept["VIVACE_PURE"] = os.environ["VIVACE_PURE"]
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


class ServerProcess:
    """A server under test in a process of its own.

    Attributes:
        port: Where it listens on 127.0.0.1.
        process: The process, the leader of its own group.
    """

    def __init__(self, argv: Sequence[str], port: int, env: dict[str, str], cwd: Path, log: Path) -> None:
        self.port = port
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything that the server printed so far."""
        return self._log.read_text(errors="replace")

    def wait_until_serving(self, seconds: float = 30.0) -> None:
        """Return when a TCP connection is accepted; AssertionError with the server's output if it is not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"nothing serves on port {self.port}; the server said:\n{self.output}")

    def get(
        self, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, fields with lower-case names, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def stop(self, sent: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and return the exit code; AssertionError if the process is still there afterwards."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {seconds} s after {sent.name}:\n{self.output}") from None

    def remove(self) -> None:
        """End what is left of the process and its children; AssertionError if it did not leave politely."""
        if self.process.poll() is not None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True)
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for child in children:
                if child.is_running():
                    child.kill()


Launch = Callable[..., ServerProcess]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports travel between processes in UTF-8: what a test logs may be none."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on now."""
    return find_free_port()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start servers that are gone after the test: `launch(argv, port, cwd=..., **environment)`."""
    started: list[ServerProcess] = []

    def start(argv: Sequence[str], port: int, cwd: Path = ROOT, **environment: str) -> ServerProcess:
        log = tmp_path / f"server-{len(started)}.log"
        server = ServerProcess(argv, port, clean_environment(**environment), cwd, log)
        started.append(server)
        server.wait_until_serving()
        return server

    with ExitStack() as stack:
        yield start
        for server in started:
            stack.callback(server.remove)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """What a test arranges for signals ends with it: a signal that is ignored is so in later children too."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    """What a test arranges for the loggers of the process ends with it: the alias and apps do so as well."""
    before = {name: _arrangement(logging.getLogger(name)) for name in _logger_names()}
    root, off = logging.root.level, logging.root.manager.disable
    yield
    logging.root.setLevel(root)
    logging.disable(off)
    for name in _logger_names():
        logger, level, propagate, disabled, handlers, filters = before.get(name) or _untouched(name)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
        logger.handlers[:], logger.filters[:] = handlers, filters


def _logger_names() -> list[str]:
    return [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]


def _untouched(name: str) -> tuple[Any, ...]:
    return logging.getLogger(name), logging.NOTSET, True, False, [], []


def _arrangement(logger: logging.Logger) -> tuple[Any, ...]:
    return (
        logger,
        logger.level,
        logger.propagate,
        logger.disabled,
        list(logger.handlers),
        list(logger.filters),
    )


@pytest.fixture(autouse=True, scope="session")
def _no_process_is_left() -> Iterator[None]:
    yield
    left = [child for child in psutil.Process().children(recursive=True) if _is_a_worry(child)]
    assert not left, f"processes left behind by the tests: {left}"


def _is_a_worry(child: psutil.Process) -> bool:
    try:
        command = " ".join(child.cmdline())
        return child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in command
    except psutil.NoSuchProcess:
        return False
