"""`vivace top`: what it shows of a server, and what its keys do."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.serving import APP, PATIENCE, Serving, ask, clean_environment, until
from vivace.supervisor.control.servers import Line, NotFound, find_server

pytest.importorskip("textual", reason="vivace top draws with textual, which is not installed")

from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from vivace.cli.top_rows import Looks, cells, heading, quantile, safe
from vivace.cli.top_screen import Requests, Stacks, Top

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "sample.py").write_text(APP)
    with Serving([*RUN, "--control", str(tmp_path / "c")], tmp_path) as made:
        made.wait_for("Listening on")
        yield made


def asking(server: Serving, folder: Path) -> Any:
    place = find_server(str(folder / "c"))

    def question(name: str, **arguments: Any) -> dict[str, Any]:
        with Line(place, 5.0) as line:
            return line.ask(name, **arguments)

    until(lambda: question("status")["server"]["ready"] == 2)
    return question


async def wait_for(pilot: Pilot[None], condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError("the condition did not come true")


async def test_workers_requests_stacks_and_a_new_worker(server: Serving, tmp_path: Path) -> None:
    question = asking(server, tmp_path)
    app = Top(question, 0.2)
    with server.connect() as client:
        ask(client, "/slow?password=x")
        until(lambda: any(one["active"] for one in question("workers")["workers"]))
        async with app.run_test(size=(150, 20)) as pilot:
            table = app.screen.query_one("#workers", DataTable)
            await wait_for(pilot, lambda: table.row_count == 2)
            await pilot.press("a")
            await wait_for(pilot, lambda: "GET /slow" in str(table.get_row_at(0)[-1]))
            row = [str(cell) for cell in table.get_row_at(0)]
            assert row[3] == "ready"
            assert "password" not in row[-1]
            head = str(app.screen.query_one("#head", Static).render())
            assert "sample: serving, 2 of 2 workers ready" in head
            assert "by active" in head
            await pilot.press("enter")
            await wait_for(pilot, lambda: isinstance(app.screen, Requests))
            shown = app.screen.query_one("#requests", DataTable)
            await wait_for(pilot, lambda: shown.row_count == 1)
            age, _status, where, request = (str(cell) for cell in shown.get_row_at(0))
            assert float(age.rstrip("s")) >= 0.0
            assert request == "GET /slow"
            assert where.endswith("in slow")
            await pilot.press("d")
            await wait_for(pilot, lambda: isinstance(app.screen, Stacks))
            assert "asyncio.sleep(0.01)" in str(app.screen.query_one("#stacks", Static).render())
            await pilot.press("q")
            await wait_for(pilot, lambda: isinstance(app.screen, Requests))
            chosen = app.screen
            assert isinstance(chosen, Requests)
            old = next(one["pid"] for one in question("workers")["workers"] if one["worker"] == chosen.worker)
            await pilot.press("c")
            await wait_for(pilot, lambda: old not in _ready(question))
            await pilot.press("escape")
            said = app.screen.query_one("#said", Static)
            await wait_for(pilot, lambda: f"(pid {old}) is replaced" in str(said.render()))
            (tmp_path / "go").touch()
            await pilot.press("q")
    assert app.return_code == 0


def _ready(question: Any) -> list[int]:
    return [one["pid"] for one in question("workers")["workers"] if one["state"] == "ready"]


async def test_a_server_that_is_gone_is_told_and_no_end() -> None:
    gone = threading.Event()

    def question(name: str, **_: Any) -> dict[str, Any]:
        gone.set()
        raise NotFound("no server answers here")

    app = Top(question, 0.2)
    async with app.run_test(size=(120, 20)) as pilot:
        said = app.screen.query_one("#said", Static)
        await wait_for(pilot, lambda: "no server answers here" in str(said.render()))
        await pilot.press("d", "c", "s")
        assert gone.is_set()
        await pilot.press("q")
    assert app.return_code == 0


async def test_the_cursor_stays_on_its_worker_when_the_order_changes() -> None:
    active = {1: 5, 2: 0}
    server = {"name": "a", "state": "serving", "ready": 2, "wanted": 2, "generation": 1, "uptime": 1.0}
    recycled: list[int] = []

    def question(name: str, worker: int = 0) -> dict[str, Any]:
        if name == "recycle":
            recycled.append(worker)
            return {"ok": True, "pid": 1}
        rows = [{"worker": n, "restarts": 0, "state": "ready", "active": a} for n, a in active.items()]
        return {"ok": True, "server": server, "workers": rows}

    app = Top(question, 0.05)
    async with app.run_test(size=(120, 20)) as pilot:
        table = app.screen.query_one("#workers", DataTable)
        await wait_for(pilot, lambda: table.row_count == 2)
        await pilot.press("a")
        await wait_for(pilot, lambda: str(table.get_row_at(0)[10]) == "5")
        active.update({1: 0, 2: 5})
        await wait_for(pilot, lambda: str(table.get_row_at(0)[0]) == "2")
        await pilot.press("c")
        await wait_for(pilot, lambda: recycled)
    assert recycled == [1]


def test_rates_and_orders() -> None:
    def row(worker: int, up: float, served: int, **more: Any) -> dict[str, Any]:
        return {"worker": worker, "pid": 100 + worker, "uptime": up, "served": served, "restarts": 0, **more}

    looks = Looks()
    looks.rows([row(1, 1.0, 10), row(2, 1.0, 10)], "w")
    found = looks.rows([row(1, 3.0, 20), row(2, 3.0, 110), {"worker": 3, "restarts": 1}], "s")
    assert [(one["worker"], one["rate"]) for one in found] == [(2, 50.0), (1, 5.0), (3, 0.0)]
    found = looks.rows([row(1, 4.0, 20, rss=1, cpu=0.5), row(2, 4.0, 110, rss=9, cpu=0.1)], "m")
    assert [one["worker"] for one in found] == [2, 1]


def counts(**by_index: int) -> list[int]:
    found = [0] * 18
    for index, count in by_index.items():
        found[int(index[1:])] = count
    return found


def test_how_long_requests_take_since_the_last_look() -> None:
    looks = Looks()
    server = {"name": "a", "state": "serving", "ready": 1, "wanted": 1, "generation": 1, "uptime": 5.0}
    row: dict[str, Any] = {"worker": 1, "pid": 5, "uptime": 1.0, "served": 9, "restarts": 0, "state": "ready"}
    (one,) = looks.rows([{**row, "durations": {"counts": counts(_17=9)}}], "l")
    assert one["p95"] is None
    assert "95 %" not in heading(server, [one], "latency")
    later = {**row, "uptime": 2.0, "served": 19, "durations": {"counts": counts(_17=9, _3=10)}}
    (one,) = looks.rows([later], "l")
    assert one["p95"] == pytest.approx(0.0025 + 0.0025 * 0.95)
    assert heading(server, [one], "latency").endswith("10 requests/s, 95 % within 4.9ms, by latency")
    assert "4.9ms" in cells(one)


@pytest.mark.parametrize(
    ("found", "share", "seconds"),
    [
        (counts(), 0.5, None),
        (counts(_0=1), 1.0, 0.0005),
        (counts(_0=99, _5=1), 0.95, 0.0005 * 95 / 99),
        (counts(_17=3), 0.5, 10.0),
    ],
)
def test_quantiles(found: list[int], share: float, seconds: float | None) -> None:
    assert quantile(found, share) == (None if seconds is None else pytest.approx(seconds))


def test_what_a_terminal_obeys_is_escaped_and_what_is_long_is_cut() -> None:
    assert safe("a\x1b[2J\x9b1m\r\u202e\nb") == "a\\x1b[2J\\x9b1m\\r\\u202e\nb"
    assert safe("x" * 1000) == "x" * 240 + "..."


ODD: dict[str, Any] = {
    "ok": True,
    "server": {
        "name": "odd \x1b]0;title\x07 [red]x[/red]",
        "state": "serving",
        "ready": 64,
        "wanted": 64,
        "generation": 1,
        "uptime": 5.0,
    },
    "workers": [
        {
            "worker": number,
            "pid": number,
            "state": "ready",
            "uptime": 1.0,
            "restarts": 0,
            "oldest": {"request": "GET /\x1b[2J" + "a/" * 500, "age": 1.0},
        }
        for number in range(1, 65)
    ],
}


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (5, 2), (300, 90)])
async def test_any_terminal_and_any_text_will_do(size: tuple[int, int]) -> None:
    def question(name: str, **_: Any) -> dict[str, Any]:
        if name == "requests":
            request = {
                "age": 1.0,
                "status": 0,
                "request": "GET /\x1b[2J[/red]" + "b/" * 900,
                "handler": "\x9b",
            }
            return {"ok": True, "workers": [{"requests": [request]}]}
        return ODD if name == "status" else {"ok": True, "dumps": [{"worker": 1, "text": "\x1b[31mred[/]"}]}

    app = Top(question, 0.2)
    async with app.run_test(size=size) as pilot:
        table = app.screen.query_one("#workers", DataTable)
        await wait_for(pilot, lambda: table.row_count == 64)
        await pilot.press("down", "down", "l", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, Requests))
        shown = app.screen.query_one("#requests", DataTable)
        await wait_for(pilot, lambda: shown.row_count == 1)
        assert "\x1b" not in str(shown.get_row_at(0)[-1])
        await pilot.press("d")
        await wait_for(pilot, lambda: isinstance(app.screen, Stacks))
        assert "\x1b" not in str(app.screen.query_one("#stacks", Static).render())
        await pilot.press("q", "q", "q")
    assert app.return_code == 0


@pytest.mark.parametrize("options", [(), ("--once",)])
def test_where_no_terminal_is_the_table_is_written_once(
    server: Serving, tmp_path: Path, options: tuple[str, ...]
) -> None:
    asking(server, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "vivace", "top", "--socket", str(tmp_path / "c"), "--every", "0.1", *options],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "sample: serving, 2 of 2 workers ready, generation 1"
    assert lines[2].split()[:4] == ["WORKER", "PID", "GEN", "STATE"]
    assert [line.split()[3] for line in lines[3:]] == ["ready", "ready"]
    assert "\x1b" not in done.stdout


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vivace", "top", "--socket", str(tmp_path / "none")],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "Error: no server answers at" in done.stderr


def test_requests_and_recycle_from_the_command_line(server: Serving, tmp_path: Path) -> None:
    question = asking(server, tmp_path)
    assert question("recycle", worker=9)["error"] == "there is no worker 9 that serves"
    with server.connect() as client:
        ask(client, "/slow")
        until(lambda: any(one["requests"] for one in question("requests")["workers"]))
        (one,) = [one for worker in question("requests")["workers"] for one in worker["requests"]]
        assert (one["request"], one["status"]) == ("GET /slow", 0)
        (tmp_path / "go").touch()
    before = set(_ready(question))
    assert question("recycle", worker=1)["ok"]
    until(lambda: len(set(_ready(question)) - before) == 1 and len(_ready(question)) == 2)


def test_a_blocked_worker_lists_its_requests_all_the_same(server: Serving, tmp_path: Path) -> None:
    question = asking(server, tmp_path)
    with server.connect() as client:
        ask(client, "/block")
        server.wait_for("block began")
        found = [one for worker in question("requests")["workers"] for one in worker["requests"]]
        assert [one["request"] for one in found] == ["GET /block"]
