"""Foreign programs beside the workers: real ones, started in order, ended with all that they own."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import find_free_port
from tests.supervisor.beside.test_companions import status
from tests.supervisor.serving import Serving, change, until

APP = """
from vivace import Vivace

app = Vivace("shop")


@app.get("/")
async def index(request):
    return {}
"""
TICKER = """
import os, signal, socket, subprocess, sys, time

given = sorted(name for name in os.environ if name.startswith("LISTEN_"))
print("ticker runs as", os.getpid(), "with", given, flush=True)
signal.signal(signal.SIGINT, lambda *_: (print("ticker ends", flush=True), sys.exit(0)))
if "child" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
    print("child runs as", child.pid, flush=True)
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "listen" in sys.argv:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[-1])))
if "notify" in sys.argv:
    time.sleep(0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(b"STATUS=up\\nREADY=1", os.environ["NOTIFY_SOCKET"])
while True:
    time.sleep(1)
"""
RUN = ("-m", "vivace", "run", "app:app", "--port", "0")
PYTHON = sys.executable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the app is, and a program that can do what daemons do."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "ticker.py").write_text(TICKER)
    return tmp_path


def configure(folder: Path, text: str) -> None:
    """Write vivace.toml."""
    (folder / "vivace.toml").write_text(text.replace("PYTHON", PYTHON))


def pid_of(server: Serving, what: str = "ticker", count: int = 1) -> int:
    """The process id that a program said."""
    return int(server.wait_for(rf"{what} runs as (\d+)", count)[1])


def test_a_daemon_runs_beside_one_worker_and_ends_with_all_that_it_has_started(folder: Path) -> None:
    configure(
        folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py", "child"]\nstop_signal = "INT"\n'
    )
    with Serving(RUN, folder, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}) as server:
        found, child = pid_of(server), pid_of(server, "child")
        assert server.port
        assert re.search(r"INFO vivace\.daemon\.tick: ticker runs as \d+ with \[\]", server.log)
        row = status(server, folder)["beside"][0]
        assert (row["name"], row["kind"], row["pid"], row["state"]) == ("tick", "daemon", found, "ready")
        assert server.stop() == 0
        server.wait_for("ticker ends")
        until(lambda: not psutil.pid_exists(found) and not psutil.pid_exists(child))


def test_one_that_does_not_end_is_killed_within_the_time_of_a_stop(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py", "deaf"]\ngrace = 60\n')
    with Serving((*RUN, "--graceful-shutdown-timeout", "0"), folder) as server:
        found = pid_of(server)
        assert server.port
        server.signal(signal.SIGTERM)
        assert server.wait(15) == 0
        server.wait_for(rf"daemon tick \(pid {found}\) did not end in time: killed")
        assert not psutil.pid_exists(found)


def test_it_dies_with_a_supervisor_that_is_killed(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\n')
    with Serving(RUN, folder) as server:
        found = pid_of(server)
        server.process.kill()
        assert until(lambda: not psutil.pid_exists(found)) < 5.0


def test_a_dead_one_is_started_again_and_a_program_that_is_not_there_is_named(folder: Path) -> None:
    configure(
        folder,
        '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\n'
        '[[daemon]]\nname = "none"\ncmd = "no-such-program -x"\nrestart = "never"\n',
    )
    with Serving(RUN, folder) as server:
        os.kill(pid_of(server), signal.SIGKILL)
        server.wait_for("daemon tick .* ended with SIGKILL; it is started again now")
        pid_of(server, count=2)
        server.wait_for("vivace.daemon.none: no-such-program cannot be started: No such file or directory")


@pytest.mark.parametrize("kind", ["tcp", "log", "notify"])
def test_the_app_is_loaded_when_a_daemon_is_ready(folder: Path, kind: str) -> None:
    port = find_free_port()
    ready = {"tcp": f"tcp:{port}", "log": "log:runs as [0-9]+", "notify": "notify"}[kind]
    word = {"tcp": "listen", "log": "nothing", "notify": "notify"}[kind]
    configure(
        folder,
        f'[[daemon]]\nname = "first"\ncmd = ["PYTHON", "ticker.py", "{word}", "{port}"]\nready = "{ready}"\n'
        '[[daemon]]\nname = "second"\ncmd = ["PYTHON", "ticker.py"]\nstart_after = ["first"]\n',
    )
    with Serving(RUN, folder) as server:
        assert server.port
        moments = ["daemon first starts", "daemon first is ready", "daemon second starts", "Listening on"]
        places = [server.log.index(moment) for moment in moments]
        assert places == sorted(places)


def test_one_that_is_never_ready_holds_the_server_up_for_its_time_only(folder: Path) -> None:
    configure(
        folder,
        '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\n'
        'ready = "log:never"\nready_timeout = 0.3\n',
    )
    with Serving(RUN, folder) as server:
        assert server.port
        assert re.search(
            r"daemon tick is not ready \(log:never\) after 0.3 s; the server goes on", server.log
        )


@pytest.mark.parametrize("cmd", ['["false"]', '["no-such-program"]'])
def test_one_that_dies_before_it_is_ready_holds_the_server_up_for_its_time_only(
    folder: Path, cmd: str
) -> None:
    configure(
        folder,
        f'[[daemon]]\nname = "dies"\ncmd = {cmd}\nready = "log:never"\nready_timeout = 1.5\n'
        '[[daemon]]\nname = "next"\ncmd = ["PYTHON", "ticker.py"]\nstart_after = "dies"\n',
    )
    with Serving(RUN, folder) as server:
        server.wait_for(r"daemon dies is not ready \(log:never\) after 1.5 s; the server goes on without")
        server.wait_for("ticker runs as")
        assert server.get().startswith("HTTP/1.1 200")
        assert server.log.count("daemon dies is not ready") == 1


def test_the_server_ends_with_a_critical_one(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\ncritical = true\n')
    with Serving(RUN, folder) as server:
        assert server.port
        os.kill(pid_of(server), signal.SIGKILL)
        assert server.wait() == 5
        assert "ended with SIGKILL, and it is critical: the server stops" in server.log


def test_over_a_restart_one_is_kept_another_is_not_and_a_new_one_comes(folder: Path) -> None:
    configure(
        folder,
        '[[daemon]]\nname = "kept"\ncmd = ["PYTHON", "ticker.py", "a"]\n'
        '[[daemon]]\nname = "fresh"\ncmd = ["PYTHON", "ticker.py", "b"]\nkeep-on-reload = false\n',
    )
    with Serving(RUN, folder) as server:
        assert server.port
        rows = {one["name"]: one["pid"] for one in status(server, folder)["beside"]}
        with (folder / "vivace.toml").open("a") as more:
            more.write(f'[[daemon]]\nname = "new"\ncmd = ["{PYTHON}", "ticker.py"]\n')
        server.signal(signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        pid_of(server, count=4)
        after = {one["name"]: one["pid"] for one in status(server, folder)["beside"]}
        assert after["kept"] == rows["kept"]
        assert after["fresh"] not in (0, rows["fresh"])
        assert after["new"]


def test_one_that_is_adopted_outlives_the_server_and_another_takes_it_over(folder: Path) -> None:
    port = find_free_port()
    configure(
        folder,
        f'[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py", "listen", "{port}"]\n'
        f'adopt = true\nready = "tcp:{port}"\n',
    )
    found = 0
    try:
        with Serving(RUN, folder) as server:
            assert server.port
            found = status(server, folder)["beside"][0]["pid"]
            assert server.stop() == 0
        assert "ticker runs" in (folder / ".vivace" / "daemon-tick.log").read_text()
        assert psutil.Process(found).is_running()
        with Serving(RUN, folder) as server:
            server.wait_for(rf"daemon tick goes on as pid {found}, which another server has started")
            assert server.port
            os.kill(found, signal.SIGKILL)
            server.wait_for(r"daemon tick starts as pid (\d+)")
            found = status(server, folder)["beside"][0]["pid"]
    finally:
        if found and psutil.pid_exists(found):
            os.kill(found, signal.SIGKILL)


def tickers(server: Serving) -> list[psutil.Process]:
    """The programs that run."""
    return [one for one in psutil.Process(server.process.pid).children() if "ticker.py" in one.cmdline()]


def test_one_that_cannot_be_noted_is_not_left_behind(folder: Path) -> None:
    configure(
        folder,
        '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\nadopt = true\nready_timeout = 0.5\n',
    )
    (folder / ".vivace" / "daemon-tick.new").mkdir(parents=True)
    with Serving(RUN, folder) as server:
        server.wait_for("daemon tick cannot be started: Is a directory", 2)
        server.wait_for(r"daemon tick is not ready \(it does not run\) after 0.5 s; the server goes on")
        assert server.get().startswith("HTTP/1.1 200")
        until(lambda: not tickers(server))
        (folder / ".vivace" / "daemon-tick.new").rmdir()
        found = int(server.wait_for(r"daemon tick starts as pid (\d+)")[1])
    os.kill(found, signal.SIGKILL)


def test_one_is_started_anew_when_what_it_watches_changes(folder: Path) -> None:
    (folder / "tick.conf").write_text("a")
    configure(folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\nwatch = ["tick.conf"]\n')
    with Serving(RUN, folder) as server:
        first = pid_of(server)
        assert server.port
        change(folder / "tick.conf", "a", "bb")
        assert pid_of(server, count=2) != first


def test_a_supervisor_is_not_replaced_over_a_daemon_that_would_run_twice(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "tick"\ncmd = ["PYTHON", "ticker.py"]\n')
    with Serving(RUN, folder) as server:
        assert server.port
        server.signal(signal.SIGUSR2)
        server.wait_for("SIGUSR2 is ignored: tick would end with this server")


def test_a_procfile_names_the_server_and_its_daemons(folder: Path) -> None:
    (folder / "Procfile").write_text(
        f"# what runs\nweb: vivace run app:app --workers 2\nclock: {PYTHON} ticker.py\nrelease: false\n"
    )
    with Serving(("-m", "vivace", "run", "Procfile", "--port", "0"), folder) as server:
        found = pid_of(server)
        assert server.port
        assert "2 worker processes" in server.log
        row = status(server, folder)["beside"][0]
        assert (row["name"], row["pid"]) == ("clock", found)


def test_hooks_run_at_their_stages_with_what_they_write_in_the_log(folder: Path) -> None:
    say = "import os; print('stage', os.environ['VIVACE_STAGE'])"
    stages = ("before_start", "after_ready", "before_restart", "before_stop")
    configure(folder, "[hooks]\n" + "".join(f'{one} = ["PYTHON", "-c", "{say}"]\n' for one in stages))
    with Serving(RUN, folder) as server:
        assert server.port
        assert "INFO vivace.hook.before_start: stage before_start" in server.log
        server.wait_for("stage after_ready")
        server.signal(signal.SIGHUP)
        server.wait_for("stage before_restart")
        server.wait_for("restarted: generation 2 serves")
        assert server.stop() == 0
        server.wait_for("stage before_stop")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('["PYTHON", "-c", "raise SystemExit(7)"]', r"before_start \(pid \d+\) ended with exit code 7"),
        ('"no-such-program"', "cannot be started: No such file"),
        (
            '["PYTHON", "-c", "import time; time.sleep(99)"]\ntimeout = 0.2',
            "ended with SIGTERM after more than 0.2 s",
        ),
    ],
)
def test_a_server_whose_first_hook_fails_does_not_start(folder: Path, command: str, said: str) -> None:
    configure(folder, f"[hooks]\nbefore_start = {command}\n")
    with Serving(RUN, folder) as server:
        assert server.wait() == 3
        server.wait_for(said)
        server.wait_for("the start is given up")


def test_what_a_hook_leaves_running_ends_with_it(folder: Path) -> None:
    leave = "import subprocess; print('left', subprocess.Popen(['sleep', '99']).pid)"
    configure(folder, f'[hooks]\nafter_ready = ["PYTHON", "-c", "{leave}"]\n')
    with Serving(RUN, folder) as server:
        left = int(server.wait_for(r"after_ready: left (\d+)")[1])
        until(lambda: not psutil.pid_exists(left))
        assert server.get().startswith("HTTP/1.1 200")


def test_a_stop_ends_a_hook_that_still_runs(folder: Path) -> None:
    configure(folder, '[hooks]\nbefore_start = ["PYTHON", "-c", "import time; time.sleep(99)"]\n')
    with Serving(RUN, folder) as server:
        found = int(server.wait_for(r"before_start: .* runs as pid (\d+)")[1])
        assert server.stop() == 0
        assert not psutil.pid_exists(found)


def test_a_second_signal_to_stop_does_not_wait_for_the_hook(folder: Path) -> None:
    configure(folder, '[hooks]\nbefore_stop = ["PYTHON", "-c", "import time; time.sleep(99)"]\n')
    with Serving(RUN, folder) as server:
        assert server.port
        server.signal(signal.SIGTERM)
        found = int(server.wait_for(r"before_stop: .* runs as pid (\d+)")[1])
        assert server.get().startswith("HTTP/1.1 200")
        server.signal_again(signal.SIGTERM)
        assert server.wait(10) == 0
        assert not psutil.pid_exists(found)


def test_a_restart_whose_hook_fails_is_given_up(folder: Path) -> None:
    configure(folder, '[hooks]\nbefore_restart = ["PYTHON", "-c", "raise SystemExit(1)"]\n')
    with Serving(RUN, folder) as server:
        assert server.port
        server.signal(signal.SIGHUP)
        server.wait_for(
            r"before_restart .* exit code 1; the restart is given up, the old code goes on serving"
        )
        assert server.get().startswith("HTTP/1.1 200")
        assert status(server, folder)["server"]["generation"] == 1


def test_what_a_file_says_wrongly_ends_the_start_with_2(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "tick"\n')
    with Serving(RUN, folder) as server:
        assert server.wait() == 2
        server.wait_for("DAEMON: 'tick': Object missing required field `cmd`")


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_real_redis_is_there_when_the_app_is_imported(folder: Path) -> None:
    port = find_free_port()
    change(
        folder / "app.py",
        "from vivace import Vivace\n",
        "import socket\nfrom vivace import Vivace\n"
        f"with socket.create_connection(('127.0.0.1', {port})) as probe:\n"
        "    probe.sendall(b'PING\\r\\n')\n"
        "    assert probe.recv(64).startswith(b'+PONG')\n",
    )
    configure(
        folder,
        f'[[daemon]]\nname = "redis"\ncmd = "redis-server --port {port} --save \'\' --dir ."\n'
        f'ready = "tcp:{port}"\n',
    )
    with Serving(RUN, folder) as server:
        assert server.get().startswith("HTTP/1.1 200")
        assert "INFO vivace.daemon.redis: " in server.log
        found = status(server, folder)["beside"][0]["pid"]
        assert server.stop() == 0
        assert not psutil.pid_exists(found)
        assert "User requested shutdown" in server.log or "SIGTERM" in server.log
