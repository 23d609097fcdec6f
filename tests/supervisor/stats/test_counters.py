"""What `/metrics` counts never becomes less, whoever ends: a killed worker, a generation, a supervisor."""

import http.client
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import find_free_port
from tests.supervisor.serving import APP, PATIENCE, Serving, until

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")
FAIL = """

@app.get("/fail")
async def fail(request):
    raise RuntimeError("as asked")
"""
TALK = """
import logging
from vivace import Vivace

app = Vivace("sample")


@app.get("/")
async def index(request):
    for number in range(100):
        logging.getLogger("sample").warning("line %d", number)
    return {}
"""
COUNTING = ("counter", "histogram")
OF_SUPERVISOR = re.compile("vivace_process_|vivace_worker_exits")
"""What begins anew with each supervisor."""

Counts = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Watched:
    """A server whose counters are looked at, again and again."""

    def __init__(self, server: Serving, port: int) -> None:
        self.server = server
        self._port = port
        self._before: Counts = {}

    def scrape(self) -> Counts:
        """What counts now, which must not be less than it was."""
        now = self._read()
        fallen = {key: value for key, value in self._before.items() if now.get(key, 0) < value}
        assert not fallen
        self._before = now
        return now

    def _read(self) -> Counts:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except ConnectionError:  # one supervisor has left the address, and the other is about to take it
            return self._before
        finally:
            connection.close()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.type in COUNTING and not OF_SUPERVISOR.match(family.name)
        }

    def value(self, name: str, **labels: str) -> float:
        return self.scrape().get((name, tuple(sorted(labels.items()))), 0.0)

    def ask(self, count: int) -> None:
        """Ask for so many answers of 200, 404 and 500."""
        for _ in range(count):
            for path in ("/", "/none", "/fail"):
                self.server.get(path)

    def expect(self, count: int) -> None:
        """Wait until so many were counted of each of them."""
        until(lambda: self.value("vivace_requests_total") == 3 * count)
        for name in ("2xx", "4xx", "5xx"):
            assert self.value("vivace_responses_total", **{"class": name}) == count
        assert self.value("vivace_request_duration_seconds_count") == 3 * count
        assert self.value("vivace_request_duration_seconds_bucket", le="+Inf") == 3 * count

    def pid(self) -> int:
        """Of a worker."""
        return int(re.findall(r"\d+", self.server.get("/").rpartition("pid")[2])[0])


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "sample.py").write_text(APP + FAIL)
    port = find_free_port()
    with Serving([*RUN, "--admin-bind", f"127.0.0.1:{port}"], tmp_path) as server:
        server.wait_for("Listening on")
        made = Watched(server, port)
        until(lambda: bool(made.scrape()))
        yield made


def test_workers_that_are_killed_take_nothing_with_them_that_was_told(watched: Watched) -> None:
    watched.ask(3)
    watched.expect(3)
    for number in range(1, 4):
        os.kill(watched.pid(), signal.SIGKILL)
        watched.server.wait_for(r"\bworker \d .*(SIGKILL|signal 9)", number)
        watched.scrape()
    total = watched.value("vivace_requests_total")
    watched.ask(2)
    until(lambda: watched.value("vivace_requests_total") >= total + 6)


@pytest.mark.once
def test_a_restart_of_all_workers_loses_nothing(watched: Watched) -> None:
    for number in range(1, 4):
        watched.ask(2)
        watched.server.signal_again(signal.SIGHUP)  # before they have told of it by themselves
        watched.server.wait_for(f"restarted: generation {number + 1} serves")
        watched.expect(2 * number)


@pytest.mark.once
def test_a_supervisor_that_takes_over_goes_on_counting(watched: Watched) -> None:
    pid = watched.server.process.pid
    for number in range(1, 3):
        watched.ask(2)
        watched.expect(4 * number - 2)
        os.kill(pid, signal.SIGUSR2)
        pid = int(watched.server.wait_for(r"a new supervisor starts as pid (\d+)", number)[1])
        watched.server.wait_for(r"the new supervisor \(pid \d+\) serves", number)
        watched.ask(2)
        watched.expect(4 * number)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_lines_that_nobody_took_are_counted(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(TALK)
    port = find_free_port()
    more = ["--admin-bind", f"127.0.0.1:{port}", "--log-to", "file:///dev/full", "--log-buffer", "5"]
    with Serving([*RUN, *more], tmp_path) as server:
        server.wait_for("Listening on")
        watched = Watched(server, port)
        for _ in range(4):
            server.get("/")
        until(lambda: watched.value("vivace_log_lines_dropped_total") >= 4 * 100 - 2 * 5)
        assert watched.value("vivace_log_lines_dropped_total") < 4 * 110
