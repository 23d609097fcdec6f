"""Real processes: new code, new workers, and clients that notice nothing."""

import contextlib
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, change, until
from vivace.supervisor.system.procfs import proportional_memory

APP = """
import asyncio, os, sys
from vivace import Vivace

app = Vivace("sample")
VALUE = 1


def say(text):
    print(text, file=sys.stderr, flush=True)


@app.get("/")
async def index(request):
    return {"value": VALUE, "pid": os.getpid(), "slot": os.environ.get("VIVACE_SLOT")}


@app.get("/restart")
async def restart(request):
    app.restart(keep_alive_timeout=3, **{k: v for k, v in request.args.items() if k == "nonsense"})
    return {"was": app.config.KEEP_ALIVE_TIMEOUT}


@app.get("/slow")
async def slow(request):
    say("slow began")
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    return {"value": VALUE}


@app.main_process_start
async def begin(app):
    say(f"main start {os.getpid()}")


@app.main_process_ready
async def ready(app):
    say(f"main ready {os.getpid()}")


@app.main_process_stop
async def end(app):
    say(f"main stop {os.getpid()}")


if __name__ == "__main__":
    app.run(port=0, workers=2, access_log=False)
"""
RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")
PROGRAM = ("sample.py",)


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_text(APP)
    return path


def supervisor_of(server: Serving) -> int:
    return int(server.wait_for(r"supervisor pid (\d+)")[1])


class Clients:
    """Clients that keep their connections, and count what goes wrong."""

    def __init__(self, port: int, count: int = 8) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self.values: set[str] = set()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        connection: socket.socket | None = None
        while not self._stop.wait(0.01):
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._port), 10)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                answer = _read_answer(connection)
            except OSError as error:
                self.failed.append(repr(error))
                connection = None
                continue
            self.answered += 1
            self.values.add(answer)
            if "connection: close" in answer.lower():
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def _read_answer(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError("closed before the answer")
        data += piece
    if not data.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(data.decode())
    return data.decode()


@contextmanager
def clients(server: Serving) -> Iterator[Clients]:
    made = Clients(server.port)
    made.start()
    try:
        yield made
    finally:
        made.end()
    assert made.failed == []
    assert made.answered > 0


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_a_restart_serves_new_code_and_loses_nothing(tmp_path: Path, app: Path, way: tuple[str, ...]) -> None:
    options = ("--workers", "2") if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server, clients(server):
        assert '"value":1' in server.get()
        for value in (2, 3):
            change(app, f"VALUE = {value - 1}", f"VALUE = {value}")
            os.kill(supervisor_of(server), signal.SIGHUP)
            server.wait_for(f"restarted: generation {value} serves")
            until(partial(_answers, server, f'"value":{value}'))
    assert "Traceback" not in server.log


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
@pytest.mark.parametrize("harm", ["raise RuntimeError('a bad deploy')", "import sys; sys.exit(0)"])
def test_code_that_does_not_start_leaves_the_old_one_serving(
    tmp_path: Path, app: Path, way: tuple[str, ...], harm: str
) -> None:
    options = ("--workers", "2") if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server, clients(server):
        supervisor = supervisor_of(server)
        change(app, "VALUE = 1", f"VALUE = 2\n{harm}")
        os.kill(supervisor, signal.SIGHUP)
        server.wait_for("the old one goes on serving")
        assert '"value":1' in server.get()
        change(app, harm, "")
        os.kill(supervisor, signal.SIGHUP)
        server.wait_for("restarted: generation 3 serves")
        until(lambda: '"value":2' in server.get())


def test_a_listener_that_fails_in_new_code_leaves_the_old_one_serving(tmp_path: Path, app: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server, clients(server):
        change(app, "VALUE = 1", "VALUE = 2\n@app.before_server_start\ndef no(app):\n    raise ValueError(1)")
        os.kill(supervisor_of(server), signal.SIGHUP)
        server.wait_for("the restart is given up, the old code goes on serving")
        assert '"value":1' in server.get()
        assert "listener no" in server.log


def test_a_wrong_setting_in_a_file_leaves_the_old_code_serving(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        supervisor = supervisor_of(server)
        (tmp_path / "vivace.toml").write_text('GRACEFUL_SHUTDOWN_TIMEOUT = "soon"\n')
        os.kill(supervisor, signal.SIGHUP)
        server.wait_for("GRACEFUL_SHUTDOWN_TIMEOUT")
        server.wait_for("the old one goes on serving")
        assert '"value":1' in server.get()


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_an_app_may_restart_its_server_with_other_settings(tmp_path: Path, way: tuple[str, ...]) -> None:
    options = ("--workers", "2") if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server:
        assert '"was":5.0' in server.get("/restart")
        server.wait_for("restarted: generation 2 serves")
        until(lambda: '"was":3.0' in server.get("/restart"))
        assert "500" in server.get("/restart?nonsense=1")
        server.wait_for("restart\\(\\) got an unexpected argument 'nonsense'")


def test_a_single_process_says_that_it_cannot_restart(tmp_path: Path) -> None:
    with Serving(RUN, tmp_path) as server:
        assert "500" in server.get("/restart")
        server.wait_for("a restart needs a supervisor: serve with several workers, or with SUPERVISE=on")


def test_a_supervisor_keeps_a_single_worker_too(tmp_path: Path) -> None:
    with Serving([*RUN, "--supervise", "on"], tmp_path) as server:
        server.wait_for("1 worker process, supervisor pid")
        first = re.findall(r'"pid":(\d+)', server.get())[0]
        os.kill(int(first), signal.SIGKILL)
        server.wait_for("serves as pid")
        assert f'"pid":{first}' not in server.get()
        assert server.stop() == 0


def test_a_long_request_delays_nobody(tmp_path: Path, app: Path) -> None:
    with Serving([*RUN, "--supervise", "on"], tmp_path) as server, server.connect() as slow:
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("slow began")
        change(app, "VALUE = 1", "VALUE = 2")
        os.kill(supervisor_of(server), signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        until(lambda: '"value":2' in server.get())
        (tmp_path / "go").touch()
        assert '"value":1' in _read_answer(slow)


def test_workers_are_recycled_after_their_requests_and_nobody_notices(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2", "--max-requests", "50"], tmp_path) as server, clients(server):
        server.wait_for("is recycled: enough requests", count=3)
    assert "is replaced" not in server.log


def test_old_workers_are_recycled_one_after_the_other(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2", "--max-lifetime", "1"], tmp_path) as server:
        server.wait_for(r"is recycled: age=\d", count=3)
        assert '"value":1' in server.get()


def test_workers_that_grow_too_large_are_recycled(tmp_path: Path) -> None:
    assert proportional_memory(os.getpid()) > 1 << 20
    assert proportional_memory(1 << 30) == 0
    arguments = [*RUN, "--workers", "2", "--max-memory", "1000"]
    with Serving(arguments, tmp_path, {"VIVACE_LOG_FORMAT": "json"}) as server:
        line = server.wait_for(r".* is recycled: memory pss=\d+M limit=0M.*", patience=40)[0]
    said = json.loads(line)
    assert said["event"] == "memory.soft"
    assert said["subject"] in said["message"]


def test_the_number_of_workers_follows_signals(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        supervisor = supervisor_of(server)
        os.kill(supervisor, signal.SIGTTIN)
        server.wait_for("worker 3 serves as pid")
        for left in (2, 1):
            os.kill(supervisor, signal.SIGTTOU)
            server.wait_for(f"{left + 1} workers become {left}")
        os.kill(supervisor, signal.SIGTTOU)
        os.kill(supervisor, signal.SIGWINCH)
        assert '"value":1' in server.get()
        assert server.stop() == 0


def test_the_template_is_the_main_process_of_the_app(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        started = server.wait_for(r"main start (\d+)")[1]
        server.wait_for(f"main ready {started}")
        assert int(started) != supervisor_of(server)
        assert server.stop() == 0
        server.wait_for(f"main stop {started}")
    assert server.log.count("main start") == 1


def test_an_app_with_threads_is_imported_by_each_worker(tmp_path: Path, app: Path) -> None:
    thread = "threading.Thread(target=time.sleep, args=(99,), name='mine', daemon=True).start()"
    change(app, "VALUE = 1", f"VALUE = 1\nimport threading, time\n{thread}")
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        server.wait_for(r"starts threads when it is imported \(mine\).*so each worker imports")
        assert '"value":1' in server.get()
        change(app, "VALUE = 1", "VALUE = 2")
        os.kill(supervisor_of(server), signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        until(lambda: '"value":2' in server.get())
        assert server.stop() == 0


def test_an_app_with_connections_is_imported_by_each_worker(tmp_path: Path, app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        connect = f"import socket\nkept = socket.create_connection(('127.0.0.1', {port}))"
        change(app, "VALUE = 1", f"VALUE = 1\n{connect}")
        with Serving([*RUN, "--workers", "2"], tmp_path) as server:
            server.wait_for("opens a connection when it is imported, which workers must not share")
            assert '"value":1' in server.get()


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_all_processes_go_with_a_supervisor_that_is_killed(tmp_path: Path, way: tuple[str, ...]) -> None:
    options = ("--workers", "2") if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server:
        supervisor = supervisor_of(server)
        os.kill(supervisor, signal.SIGHUP)
        server.wait_for("restarted")
        family = _session(server.process.pid)
        assert len(family) >= 3
        os.kill(supervisor, signal.SIGKILL)
        server.wait()
        assert until(lambda: not _session(server.process.pid)) < 1.0


def test_workers_share_the_listener_and_nothing_else(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "3"], tmp_path) as server:
        pids: set[str] = set()

        def all_seen() -> bool:
            pids.update(re.findall(r'"pid":(\d+)', server.get()))
            return len(pids) == 3

        until(all_seen)
        one, two, three = (_sockets(pid) for pid in pids)
        assert len(one & two) == len(two & three) == len(one & three) == 1


def test_quit_shows_what_workers_do_and_ends_them(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        os.kill(supervisor_of(server), signal.SIGQUIT)
        assert server.wait() == 0
        assert "most recent call first" in server.log


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_a_changed_file_restarts_the_app(tmp_path: Path, app: Path, way: tuple[str, ...]) -> None:
    change(app, "workers=2", "auto_reload=True, reload_dir='pages'")
    (tmp_path / "pages").mkdir()
    options = ("--auto-reload", "--reload-dirs", "pages") if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server:
        assert '"value":1' in server.get()
        change(app, "VALUE = 1", "VALUE = 2")
        server.wait_for("sample.py changed: the app is restarted")
        until(lambda: '"value":2' in server.get())
        change(app, "VALUE = 2", "VALUE = syntax error")
        server.wait_for("the old one goes on serving")
        assert '"value":2' in server.get()
        change(app, "VALUE = syntax error", "VALUE = 3")
        until(lambda: '"value":3' in server.get())
        (tmp_path / "pages" / "new.html").write_text("new")
        server.wait_for("pages/new.html changed")
        assert server.stop() == 0


def _answers(server: Serving, text: str) -> bool:
    return text in server.get()


def _sockets(pid: str) -> set[str]:
    places = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed since the list was made
            places.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return {place for place in places if place.startswith("socket:")}


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(name))
    return found


RELOADING = """

@app.reload_process_start
async def reload_start(app):
    say(f"reload start {os.getpid()}")


@app.before_reload_trigger
async def before(app):
    say("before reload")


@app.after_reload_trigger
async def after(app, changed):
    say("after reload " + ", ".join(map(os.path.basename, changed)))


@app.reload_process_stop
async def reload_stop(app):
    say(f"reload stop {os.getpid()}")


if __name"""


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_listeners_of_reloads_run_in_the_main_process(
    tmp_path: Path, app: Path, way: tuple[str, ...]
) -> None:
    change(app, "workers=2", "auto_reload=True")
    change(app, "\n\nif __name", RELOADING)
    options = ("--auto-reload",) if way is RUN else ()
    with Serving([*way, *options], tmp_path) as server:
        main = server.wait_for(r"main ready (\d+)")[1]
        server.wait_for(f"reload start {main}")
        change(app, "VALUE = 1", "VALUE = 2")
        server.wait_for("before reload(?s:.*)after reload sample.py")
        until(lambda: '"value":2' in server.get())
        assert server.stop() == 0
        server.wait_for(f"reload stop {main}")
    assert server.log.count("before reload") == 1


def test_settings_of_a_restart_that_failed_do_not_stay(tmp_path: Path, app: Path) -> None:
    change(app, "keep_alive_timeout=3,", "keep_alive_timeout='soon',")
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        server.get("/restart")
        server.wait_for("KEEP_ALIVE_TIMEOUT(?s:.*)the old one goes on serving")
        os.kill(supervisor_of(server), signal.SIGHUP)
        server.wait_for("restarted: generation 3 serves")


def test_a_program_with_threads_is_told_what_a_fork_loses(tmp_path: Path, app: Path) -> None:
    thread = "threading.Thread(target=time.sleep, args=(99,), name='mine', daemon=True).start()"
    change(app, "VALUE = 1", f"VALUE = 1\nimport threading, time\n{thread}")
    with Serving(PROGRAM, tmp_path) as server:
        server.wait_for(r"starts threads when it is imported \(mine\).*workers are forked all the same")
        assert '"value":1' in server.get()


def test_a_template_that_does_not_answer_holds_up_no_stop(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2", "--graceful-shutdown-timeout", "1"], tmp_path) as server:
        template = int(server.wait_for(r"main ready (\d+)")[1])
        os.kill(template, signal.SIGSTOP)
        os.kill(int(re.findall(r'"pid":(\d+)', server.get())[0]), signal.SIGKILL)
        server.wait_for("it is replaced now")
        assert server.stop() == 0


def release(folder: Path, value: int) -> Path:
    """A folder with a release, and `current` leads there."""
    made = folder / f"release{value}"
    made.mkdir()
    (made / "sample.py").write_text(APP.replace("VALUE = 1", f"VALUE = {value}"))
    (folder / "next").symlink_to(made)
    (folder / "next").rename(folder / "current")
    return made


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_a_deploy_by_a_symbolic_link_is_followed(tmp_path: Path, way: tuple[str, ...]) -> None:
    old, current = release(tmp_path, 1), tmp_path / "current"
    options = ("--workers", "2", "--pid-file", "pid") if way is RUN else ()
    with Serving([*way, *options], current, {"PWD": str(current)}) as server:
        supervisor = supervisor_of(server)
        with clients(server):
            release(tmp_path, 2)
            os.kill(supervisor, signal.SIGHUP)
            server.wait_for("restarted: generation 2 serves")
            until(lambda: '"value":2' in server.get())
            current.unlink()
            os.kill(supervisor, signal.SIGHUP)
            server.wait_for(rf"cannot be started: No such file or directory \({current}\)")
            until(lambda: '"value":2' in server.get())
            release(tmp_path, 3)
            os.kill(supervisor, signal.SIGHUP)
            server.wait_for("generation 4 serves")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not (old / "pid").exists(), "what was made in the old folder is found there again"


def test_without_a_name_the_folder_stays(tmp_path: Path) -> None:
    release(tmp_path, 1)
    with Serving([*RUN, "--workers", "2"], tmp_path / "current", {"PWD": "/"}) as server:
        assert '"value":1' in server.get()
        release(tmp_path, 2)
        os.kill(supervisor_of(server), signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        assert '"value":1' in server.get()
