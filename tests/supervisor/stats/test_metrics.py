"""`/metrics`, `/stats`, the stats socket and the memory report: what they say, to whom, and what it costs."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import find_free_port
from tests.services.terminal import open_terminal
from tests.supervisor.serving import APP, PATIENCE, Serving, ask, clean_environment, until
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.ipc.totals import NOTHING, Totals
from vivace.supervisor.stats.memory import MemoryReport, weigh
from vivace.supervisor.stats.metrics import render_metrics
from vivace.supervisor.stats.uwsgi_stats import uwsgi_shape
from vivace.supervisor.system.procfs import memory_of
from vivace.supervisor.system.usage import Usage

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")
FAIL = """

@app.get("/fail")
async def fail(request):
    raise RuntimeError("as asked")
"""
SERVER = {
    "name": 'a "b" \\',
    "version": "1",
    "uptime": 5.0,
    "generation": 2,
    "wanted": 2,
    "memory": 1024,
    "pid": 7,
    "addresses": ["http://127.0.0.1:8000", "unix:/run/shop.sock"],
    "queues": [{"address": "http://127.0.0.1:8000", "queue": 3, "dropped": 4}],
}
WORKER = {
    "worker": 1,
    "pid": 4711,
    "state": "ready",
    "uptime": 2.0,
    "restarts": 3,
    "active": 4,
    "served": 12,
    "errors": 1,
    "connections": 5,
    "rss": 4096,
    "delay_p50": 0.001,
    "delay_p95": 0.002,
    "oldest": {"request": "GET /", "age": 1.5},
}
BACKOFF = {"worker": 2, "state": "backoff", "due": 1.0, "restarts": 1, "last_exit": None}
DAEMON = {"name": "redis", "kind": "daemon", "index": 0, "pid": 12, "rss": 8192, "restarts": 0}


def parse(text: str) -> dict[str, dict[str, float]]:
    """Values by metric and labels, as Prometheus' own parser reads them."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            assert labels not in found.setdefault(sample.name, {}), "a sample comes twice"
            found[sample.name][labels] = sample.value
    return found


def test_all_that_is_known_is_told_and_nothing_else() -> None:
    usages = [Usage("db", 0, 4711, 3, 5)]
    one = Totals(20, (1, 0, 15, 0, 2, 2), (4, 5, *[0] * 15, 1), 31.5)
    other = NOTHING._replace(served=5, answers=(0, 0, 5, 0, 0, 0), took=(5, *[0] * 17), seconds=0.001)
    text = render_metrics(SERVER, [WORKER, BACKOFF], [DAEMON], {0: one, 1: other}, usages).decode()
    found = parse(text)
    assert found["vivace_info"] == {'name=a "b" \\,version=1': 1.0}
    assert found["vivace_requests_total"] == {"": 25.0}
    assert found["vivace_server_errors_total"] == {"": 2.0}
    assert found["vivace_worker_requests_total"] == {"worker=1": 20.0, "worker=2": 5.0}
    assert found["vivace_responses_total"]["class=2xx"] == 20.0
    assert found["vivace_responses_total"]["class=none"] == 1.0
    assert found["vivace_worker_responses_total"]["worker=1,class=5xx"] == 2.0
    assert found["vivace_worker_request_seconds_total"] == {"worker=1": 31.5, "worker=2": 0.001}
    buckets = found["vivace_request_duration_seconds_bucket"]
    assert list(buckets)[:3] == ["le=0.0005", "le=0.001", "le=0.0025"]
    assert (buckets["le=0.0005"], buckets["le=0.001"], buckets["le=10.0"], buckets["le=+Inf"]) == (
        9,
        14,
        14,
        15,
    )
    assert found["vivace_request_duration_seconds_count"] == {"": 15.0}
    assert found["vivace_request_duration_seconds_sum"] == {"": 31.501}
    assert found["vivace_worker_exits_total"] == {"worker=1": 3.0, "worker=2": 1.0}
    assert found["vivace_requests_in_progress"] == {"": 4.0}
    assert found["vivace_listen_queue"] == {"address=http://127.0.0.1:8000": 3.0}
    assert found["vivace_listen_dropped_total"] == {"address=http://127.0.0.1:8000": 4.0}
    assert found["vivace_workers"]["state=ready"] == 1.0
    assert found["vivace_workers"]["state=backoff"] == 1.0
    assert found["vivace_workers"]["state=blocked"] == 0.0
    assert found["vivace_worker_resident_memory_bytes"] == {"worker=1": 4096.0}
    assert found["vivace_worker_delay_seconds"]["worker=1,quantile=0.95"] == 0.002
    assert found["vivace_worker_oldest_request_seconds"] == {"worker=1": 1.5}
    assert found["vivace_process_up"] == {"name=redis,kind=daemon,index=0": 1.0}
    assert found["vivace_budget_connections_open"] == {"budget=db,worker=1": 3.0}
    assert "vivace_process_cpu_seconds_total" not in found
    assert "vivace_worker_threads_busy" not in found


def totals(served: int) -> Totals:
    return Totals(served, (0, 0, served, 0, 0, 0), (served, *[0] * 17), served / 8)


def beat(board: Scoreboard, slot: int, served: int) -> None:
    entry = board.enter(slot, 1)
    assert entry is not None
    entry.beat(1.0, 0.0, served, 0, 0, 0, 0, "", 0.0, done=totals(served))


def test_a_new_worker_goes_on_counting_where_the_one_before_ended() -> None:
    board = Scoreboard()
    assert board.counts() == {}
    for served in (10, 5):
        beat(board, 3, served)
    assert board.counts() == {3: totals(15)}
    reading = board.read(3, os.getpid())
    assert reading is not None
    assert reading.done == totals(5)
    board.enter(3, 2)
    assert board.counts() == {3: totals(15)}
    board.close()


def test_a_server_that_takes_over_goes_on_counting_where_the_one_before_is() -> None:
    first, second = Scoreboard(), Scoreboard()
    beat(first, 0, 7)
    beat(first, 2, 1)
    second.go_on(Scoreboard(os.dup(first.descriptor)))
    assert second.counts() == {0: totals(7), 2: totals(1)}
    beat(second, 0, 2)
    beat(first, 0, 1)  # those of the first are not through with what they have
    assert second.counts() == {0: totals(10), 2: totals(1)}
    second.settle()
    second.settle()
    assert second.counts() == {0: totals(10), 2: totals(1)}
    third = Scoreboard()
    third.go_on(Scoreboard(os.dup(second.descriptor)))
    assert third.counts() == second.counts()
    for board in (first, second, third):
        board.close()


def test_figures_of_another_version_are_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Scoreboard()
    beat(board, 0, 7)
    ((name, value),) = board.hand_on(100).items()
    assert int(value.partition(" ")[0]) >= 100
    monkeypatch.setenv(name, value)
    taken = Scoreboard.inherited()
    assert taken is not None
    assert taken.counts() == board.counts()
    assert name not in os.environ
    for odd in (f"{board.hand_on(100)[name]}x", "9999 1", "nonsense", ""):
        monkeypatch.setenv(name, odd)
        assert Scoreboard.inherited() is None
    monkeypatch.setenv(name, f"9999 {value.partition(' ')[2]}")
    assert Scoreboard.inherited() is None
    taken.close()
    board.close()


class Told:
    """A server that tells figures."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        (folder / "sample.py").write_text(APP + FAIL)
        self.port = find_free_port()
        address = ("--admin-bind", f"127.0.0.1:{self.port}")
        self.serving = Serving([*RUN, *address, *options], folder, environ)

    def page(self, path: str, host: str = "127.0.0.1", **fields: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(host, self.port, timeout=10)
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def test_requests_of_all_workers_are_counted_also_after_a_restart(tmp_path: Path) -> None:
    told = Told(tmp_path)
    with told.serving as server:
        server.wait_for("Listening on")
        until(lambda: parse(told.page("/metrics")[1])["vivace_workers"]["state=ready"] == 2)
        for path in ("/", "/", "/", "/fail"):
            server.get(path)
        with server.connect() as waits:
            ask(waits, "/slow")
            until(lambda: parse(told.page("/metrics")[1])["vivace_requests_in_progress"][""] == 1)
            until(lambda: parse(told.page("/metrics")[1])["vivace_requests_total"][""] == 5)
            assert parse(told.page("/metrics")[1])["vivace_server_errors_total"][""] == 1
            (tmp_path / "go").touch()
        server.signal(signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        found = parse(told.page("/metrics")[1])
        assert found["vivace_requests_total"][""] == 5
        assert found["vivace_generation"][""] == 2
        assert server.stop() == 0


def test_figures_as_json_and_in_the_shape_of_uwsgi(tmp_path: Path) -> None:
    place = tmp_path / "stats.sock"
    told = Told(tmp_path, "--stats-bind", f"unix:{place}", "--memory-report", "0.5")
    with told.serving as server:
        server.wait_for("Listening on")
        until(lambda: json.loads(told.page("/stats")[1])["server"]["ready"] == 2)
        server.get()
        until(lambda: json.loads(told.page("/stats")[1])["totals"]["served"] == 1)
        document = json.loads(told.page("/stats?format=uwsgi")[1])
        assert sum(one["requests"] for one in document["workers"]) == 1
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            data = b""
            while piece := client.recv(65536):
                data += piece
        assert json.loads(data)["workers"][0].keys() == document["workers"][0].keys()
        server.wait_for(r"memory \(rss/pss/uss\): supervisor \d+M/\d+M/\d+M, .*worker 2 .*; in all \d+M")
        rows = json.loads(_ctl(tmp_path, server, "memory", "--json"))["processes"]
        assert {one["process"] for one in rows} >= {"supervisor", "worker 1", "worker 2"}
        assert all(one["uss"] <= one["pss"] <= one["rss"] for one in rows)
        assert "in all" in _ctl(tmp_path, server, "memory")
        assert json.loads(_ctl(tmp_path, server, "stats", "--format", "uwsgi"))["pid"] == server.process.pid
        assert server.stop() == 0
    assert not place.exists()


def _ctl(folder: Path, server: Serving, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "vivace", "ctl", *arguments, "--pid", str(server.process.pid)],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout


def test_a_token_is_asked_for_and_probes_need_none(tmp_path: Path) -> None:
    told = Told(tmp_path, VIVACE_ADMIN_TOKEN="open sesame")
    with told.serving as server:
        server.wait_for("Listening on")
        assert told.page("/metrics")[0] == 401
        assert told.page("/stats", authorization="Bearer open")[0] == 401
        assert told.page("/metrics", authorization="Bearer open sesame")[0] == 200
        until(lambda: told.page("/-/ready")[0] == 200)
        assert server.stop() == 0


def test_other_machines_learn_nothing_without_a_token(tmp_path: Path) -> None:
    address = _network_address()
    told = Told(tmp_path)
    arguments = [*RUN, "--admin-bind", f"0.0.0.0:{told.port}"]
    told.serving.__exit__(None, None, None)
    with Serving(arguments, tmp_path) as server:
        server.wait_for("Listening on")
        status, text = told.page("/metrics", address)
        assert (status, "set ADMIN_TOKEN" in text) == (403, True)
        assert told.page("/metrics")[0] == 200
        assert told.page("/-/live", address)[0] == 200


def _network_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no address in a network")
        return str(probe.getsockname()[0])


def test_a_stats_socket_in_a_network_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving([*RUN, "--stats-bind", f"0.0.0.0:{find_free_port()}"], tmp_path) as server:
        assert server.wait() == 4
        assert "STATS_BIND is 0.0.0.0, which other machines can reach" in server.log


def test_eight_workers_are_told_within_five_milliseconds(tmp_path: Path) -> None:
    told = Told(tmp_path, "--workers", "8")
    with told.serving as server:
        server.wait_for("Listening on")
        until(lambda: parse(told.page("/metrics")[1])["vivace_workers"]["state=ready"] == 8)
        times = []
        for _ in range(40):
            began = time.perf_counter()
            told.page("/metrics")
            times.append(time.perf_counter() - began)
        assert min(times) < 0.005
        print(
            f"scrape of 8 workers: best {min(times) * 1000:.2f} ms, middle {sorted(times)[20] * 1000:.2f} ms"
        )
        assert server.stop() == 0


def test_memory_that_cannot_be_told_is_none(caplog: pytest.LogCaptureFixture) -> None:
    assert memory_of(2**30) is None
    rows = weigh([{"worker": 1, "pid": 2**30}], [])
    assert rows[1] == {
        "process": "worker 1",
        "pid": 2**30,
        "rss": None,
        "pss": None,
        "uss": None,
        "vsz": None,
    }
    report = MemoryReport(10.0, lambda: rows)
    with caplog.at_level("INFO"):
        report.look(100.0)
    assert "worker 1 -/-/-" in caplog.text
    assert report.due == 110.0
    assert MemoryReport(0.0, lambda: rows).due == float("inf")


def test_a_working_folder_that_was_removed_hides_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "release"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert uwsgi_shape(SERVER, [WORKER], [])["cwd"] == ""


def test_states_have_a_word_of_uwsgi() -> None:
    states = {"ready": "idle", "blocked": "busy", "backoff": "cheap", "unready": "pause", "draining": "busy"}
    for ours, theirs in states.items():
        document = uwsgi_shape(SERVER, [{**WORKER, "active": 0, "state": ours}], [DAEMON])
        assert document["workers"][0]["status"] == theirs
        assert document["daemons"] == [{"cmd": "redis", "pid": 12, "respawns": 0}]


@pytest.mark.once
@pytest.mark.parametrize("way", ["unix", "http"])
def test_uwsgitop_shows_our_workers(tmp_path: Path, way: str) -> None:
    program = Path(sys.executable).with_name("uwsgitop")
    if not program.exists():
        pytest.skip("uwsgitop is not installed")
    place = tmp_path / "s"
    told = Told(tmp_path, "--stats-bind", f"unix:{place}")
    with told.serving as server, open_terminal(tmp_path) as terminal:
        server.wait_for("Listening on")
        until(lambda: json.loads(told.page("/stats")[1])["server"]["ready"] == 2)
        for _ in range(7):
            server.get()
        address = str(place) if way == "unix" else f"http://127.0.0.1:{told.port}/stats?format=uwsgi"
        terminal.run(f"{sys.executable} {program} '{address}'")
        pattern = rf"uwsgi-vivace-\S+ - .* req: 7 .*masterpid: {server.process.pid}.*WID.*STATUS.*idle"
        until(lambda: re.search(pattern, terminal.screen, re.DOTALL) is not None)
        terminal.send("q")
