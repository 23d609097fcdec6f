"""What a tree of processes costs, as the kernel counts it (proc(5)), and how to start and end one.

Rules of this file:

- A server is its whole tree: parents, workers and helpers count alike.
- A process is ended by the id that we started it under, politely first.
"""

import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command name, which may itself hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The ids of `root` and of all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    found = [root]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, in seconds; the kernel counts in ticks of 10 ms."""
    ticks = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def rss(root: int) -> int:
    """Resident memory of the tree, in octets."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += int(_stat(pid)[21]) * PAGE
    return total


def reset_peak(root: int) -> None:
    """Let the kernel forget the highest resident size that it saw."""
    for pid in tree(root):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss(root: int) -> int:
    """The highest resident size of each process since `reset_peak`, summed, in octets."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024
    return total


def pinned(cpu: int, argv: Sequence[str]) -> list[str]:
    """`argv` bound to one CPU; as it is where there is only one."""
    if len(os.sched_getaffinity(0)) < 2:
        return list(argv)
    return ["taskset", "-c", str(cpu), *argv]


class Server:
    """A server under measurement, on CPU 0.

    Attributes:
        name: As in the list of cases.
        port: Where it listens on 127.0.0.1.
        pid: The root of its tree.
        url: Where it answers.
        started: `time.monotonic()` just before it was started.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        *,
        tls: bool = False,
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._tls = ssl._create_unverified_context() if tls else None
        self._log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                pinned(0, argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **env},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_for_answer(self, seconds: float = 15.0) -> float:
        """Seconds from the start until `GET /` was answered with 200.

        Raises:
            RuntimeError: It ended, or did not answer in time; holds the end of what it printed.
        """
        while time.monotonic() - self.started < seconds and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask() == 200:
                    return time.monotonic() - self.started
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} does not answer: {self._log.read_text(errors='replace')[-600:]}")

    def _ask(self) -> int:
        if self._tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=2, context=self._tls)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self) -> None:
        """End the tree: ask, wait, and kill what is left."""
        everyone = tree(self.pid)
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in everyone[1:]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
