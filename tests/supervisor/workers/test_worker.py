"""Parts of workers and supervisor that need no process of their own."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from vivace.config import Config
from vivace.errors import ConfigError, StartupError
from vivace.framework.app import Vivace
from vivace.supervisor.fleet.handle import WorkerHandle
from vivace.supervisor.generations.workforce import Child
from vivace.supervisor.ipc.messages import Channel
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.target import Loaded
from vivace.supervisor.supervisor import Supervisor
from vivace.supervisor.telling.service import Service
from vivace.supervisor.workers.worker import choose_loop


@pytest.mark.parametrize(
    ("wanted", "name"), [("asyncio", "asyncio"), ("uvloop", "uvloop"), ("auto", "uvloop")]
)
def test_the_loop_that_is_asked_for(wanted: str, name: str) -> None:
    pytest.importorskip("uvloop")
    found, factory = choose_loop(wanted)
    loop = factory()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert (found, type(loop).__module__.partition(".")[0]) == (name, name)
    loop.close()


def test_without_uvloop_asyncio_does_unless_uvloop_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert choose_loop("auto")[0] == "asyncio"
    with pytest.raises(ConfigError, match="uvloop, which is not installed") as caught:
        choose_loop("uvloop")
    assert caught.value.key == "LOOP"


def make_supervisor() -> Supervisor:
    config = Config(PORT=0, WORKERS=2)
    app = Vivace("unit", config=config)
    job = Job(lambda: Loaded("unit", app, "native", "it is"), config, {}, final=True)
    return Supervisor(job, Listeners(config), Service())


def test_a_fork_that_the_system_refuses_costs_nothing_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    supervisor = make_supervisor()
    monkeypatch.setattr(os, "fork", refuse)
    before = len(os.listdir("/proc/self/fd"))
    supervisor._do(supervisor._fleet.start(0.0))
    assert len(os.listdir("/proc/self/fd")) == before
    assert "worker 1 cannot be forked: Resource temporarily unavailable; next try in 0." in caplog.text
    assert supervisor._fleet.next_tick() is not None
    supervisor._listeners.close()
    supervisor._close()


def test_orphans_of_a_container_are_reaped() -> None:
    pids = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(3)]
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    supervisor = make_supervisor()
    supervisor._reap_adopted()
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    supervisor._listeners.close()
    supervisor._close()


def test_a_worker_that_ends_among_orphans_is_judged_as_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = make_supervisor()
    pid = os.posix_spawn("/bin/false", ["false"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setitem(supervisor._fleet.workers, pid, WorkerHandle(0, pid, 0.0))
    ours, theirs = Channel.pair()
    supervisor._workforce._children[pid] = Child(1, 0, ours)
    ended: list[tuple[int, int]] = []

    def exited(pid: int, code: int, now: float, cause: str, facts: str) -> list[object]:
        ended.append((pid, code))
        return []

    monkeypatch.setattr(supervisor._fleet, "exited", exited)
    supervisor._reap_adopted()
    assert ended == [(pid, 1)]
    ours.close()
    theirs.close()
    supervisor._listeners.close()
    supervisor._close()


def test_listeners_follow_the_configuration(tmp_path: Path) -> None:
    listeners = Listeners(Config(HOST="127.0.0.1", PORT=0))
    assert listeners.addresses() == [f"http://127.0.0.1:{listeners.sockets[0].getsockname()[1]}"]
    listeners.close()
    listeners.remove()
    path = tmp_path / "x.sock"
    listeners = Listeners(Config(UNIX=str(path)))
    with pytest.raises(StartupError) as caught:
        Listeners(Config(UNIX=str(path)))
    assert caught.value.exit_code == 4
    listeners.close()
    assert path.exists()
    listeners.remove()
    listeners.remove()
    assert not path.exists()


def test_an_ipv6_address_is_written_as_one_types_it() -> None:
    try:
        listeners = Listeners(Config(HOST="::1", PORT=0))
    except StartupError:
        pytest.skip("no IPv6 here")
    assert listeners.addresses()[0].startswith("http://[::1]:")
    listeners.close()
