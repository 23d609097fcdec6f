"""Several workers under load: what a killed one takes with it, and what a stop lets finish."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peers.support import (
    APP,
    BUILDS,
    PATIENCE,
    Build,
    Serving,
    ask_json,
    head_of,
    read_answer,
    serve,
    until,
)
from tests.supervisor.serving import is_refused

WORKERS = {"WEB_CONCURRENCY": "2"}


class Load(threading.Thread):
    """A client that asks again and again on one connection, which it makes anew when it is lost.

    Attributes:
        answered: The process that answered and when, each time.
        broken: Of each request without a whole answer: the process at the other end if known, and why.
    """

    def __init__(self, server: Serving, path: str = "/nap/2") -> None:
        super().__init__()
        self.port = server.port
        self.answered: list[tuple[int, float]] = []
        self.broken: list[tuple[int | None, str]] = []
        self.over = threading.Event()
        self._path = path

    def run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        pid: int | None = None
        while not self.over.is_set():
            try:
                client.request("GET", self._path)
                answer = client.getresponse()
                body = answer.read()
                assert answer.status == 200
                by: int = json.loads(body)["pid"]
                self.answered.append((by, time.monotonic()))
                pid = None if answer.will_close else by
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.broken.append((pid, repr(error)))
                client.close()
                pid = None
                if isinstance(error, ConnectionRefusedError):
                    return
        client.close()


@contextmanager
def load(server: Serving, clients: int) -> Iterator[list[Load]]:
    """Clients that ask at the same time until the block ends."""
    threads = [Load(server) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.over.set()
        for thread in threads:
            thread.join(PATIENCE)


def pids_seen(threads: Sequence[Load]) -> set[int]:
    return {pid for thread in threads for pid, _ in list(thread.answered)}


def pids_after(threads: Sequence[Load], since: float) -> set[int]:
    return {pid for thread in threads for pid, moment in list(thread.answered) if moment > since}


def find_workers(server: Serving) -> set[int]:
    found: set[int] = set()

    def both() -> bool:
        found.add(ask_json(server, "/who")["pid"])
        return len(found) == 2

    until(both)
    return found


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_a_killed_worker_takes_only_what_it_had_in_its_hands(tmp_path: Path, build: Build) -> None:
    with serve(tmp_path, build, **WORKERS) as server:
        workers = find_workers(server)
        with load(server, 8) as threads:
            until(lambda: bool(pids_seen(threads)))
            victim = min(pids_seen(threads))
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            server.wait_for(r"worker \d serves as pid")
            replaced = time.monotonic()
            until(lambda: len(find_workers(server) - workers) == 1)
            until(lambda: bool(pids_after(threads, killed + 0.05)))
        broken = [one for thread in threads for one in thread.broken]
        assert {pid for pid, _ in broken} <= {victim, None}, broken
        assert len(broken) <= len(threads), "at most one request in flight for each client"
        assert not any("Refused" in reason for _, reason in broken)
        assert victim not in pids_after(threads, killed + 0.05)
        assert (
            replaced - killed < 3
        )  # tests/supervisor holds it to its second; here is load on two processors


def test_workers_killed_one_after_the_other(tmp_path: Path) -> None:
    with serve(tmp_path, BUILDS[0], **WORKERS) as server:
        with load(server, 4) as threads:
            for round_number in range(1, 4):
                victim = min(find_workers(server))
                os.kill(victim, signal.SIGKILL)
                server.wait_for(r"worker \d serves as pid", round_number)
        broken = [one for thread in threads for one in thread.broken]
        assert len(broken) <= 3 * len(threads)
        assert not any("Refused" in reason for _, reason in broken)
        assert len(find_workers(server)) == 2


@contextmanager
def two_workers(style: str, folder: Path, port: int) -> Iterator[Serving]:
    """Two processes that serve: by the command, or by the program itself as a platform starts it."""
    if style == "vivace run":
        with serve(folder, BUILDS[0], **WORKERS) as server:
            yield server
        return
    environ: dict[str, Any] = {**WORKERS, "PORT": str(port)}
    with Serving([str(APP)], folder, environ) as server:
        assert server.port == port
        yield server


@pytest.mark.parametrize("style", ["vivace run", "python web.py"])
def test_a_stop_under_load_cuts_no_response(tmp_path: Path, style: str, free_port: int) -> None:
    with two_workers(style, tmp_path, free_port) as server, contextlib.ExitStack() as opened:
        find_workers(server)
        slow = [opened.enter_context(server.connect()) for _ in range(4)]
        for client in slow:
            client.sendall(head_of("/nap/700"))
        with load(server, 16) as threads:
            until(lambda: bool(pids_seen(threads)))
            started = time.monotonic()
            server.signal(signal.SIGTERM)
            answers = [read_answer(client) for client in slow]
            assert server.wait() == 0, server.log
        assert [answer.status for answer in answers] == [200] * 4
        assert {answer.fields.get("connection") for answer in answers} == {"close"}
        assert time.monotonic() - started < 10
        # A connection may close as the next request is on its way; a response that has begun is whole.
        reasons = [reason for thread in threads for _, reason in thread.broken]
        assert not any("IncompleteRead" in reason or "BadStatusLine" in reason for reason in reasons), reasons
        assert is_refused(server.port)
