"""The chat in a real browser: two users on two workers, one who is removed, and servers that go."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, ServerProcess, clean_environment, find_free_port
from tests.services.chromium import Tab, open_browser
from tests.services.postgres import Postgres, postgres

pytest.importorskip("asyncpg")
pytest.importorskip("strawberry")
pytestmark = pytest.mark.once

__all__ = ["open_browser", "postgres"]

EXAMPLE = ROOT / "examples" / "chat"
_numbers = itertools.count(1)


class User:
    """A user in a tab."""

    def __init__(self, tab: Tab, url: str, name: str, room: str) -> None:
        self.tab = tab
        self.name = name
        tab.go(url)
        tab.type("[name=name]", name)
        tab.type("[name=room]", room, enter=True)
        self.is_here()

    def is_here(self) -> None:
        self.tab.until(lambda: self.tab.text("#state") == "connected", f"{self.name} is not connected")

    @property
    def worker(self) -> int:
        return int(self.tab.attribute("#state", "title").removeprefix("worker ") or 0)

    def say(self, text: str) -> None:
        self.tab.type("[name=text]", text, enter=True)

    def heard(self) -> list[str]:
        return self.tab.texts("#said li:not(.pending) span")

    def hears(self, *texts: str) -> None:
        self.tab.until(lambda: self.heard() == list(texts), f"{self.name} should see {texts}")


@contextmanager
def serve_chat(postgres: Postgres, log: Path, **more: str) -> Iterator[ServerProcess]:
    """The chat on two workers, started by the line of its Procfile, with a database of its own."""
    name = f"chat{next(_numbers)}"
    postgres.ask(f"CREATE DATABASE {name}")
    command = (EXAMPLE / "Procfile").read_text().removeprefix("web: ").split()
    assert command == ["vivace", "run", "chat:app"]
    port = find_free_port()
    url = f"postgresql://{postgres.user}@/{name}?host={postgres.folder}"
    environ = clean_environment(PORT=str(port), WEB_CONCURRENCY="2", DATABASE_URL=url, **more)
    server = ServerProcess([sys.executable, "-m", *command], port, environ, EXAMPLE, log)
    try:
        server.wait_until_serving()
        yield server
        assert server.stop() == 0, server.output
    finally:
        server.remove()


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The chat on two workers."""
    with serve_chat(postgres, tmp_path_factory.mktemp("chat") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def new_tab(open_browser: Callable[[], Callable[[], Tab]]) -> Callable[[], Tab]:
    """Opens tabs in one browser."""
    return open_browser()


@pytest.fixture
def users(server: ServerProcess, new_tab: Callable[[], Tab]) -> Iterator[tuple[User, User]]:
    """Ada and Bob in a room of this test, in two tabs, on two workers."""
    room = f"room{next(_numbers)}"
    ada = User(new_tab(), f"http://127.0.0.1:{server.port}/", "Ada", room)
    bob = User(new_tab(), f"http://localhost:{server.port}/", "Bob", room)
    for _ in range(40):
        if bob.worker != ada.worker:
            break
        bob.tab.run("location.reload()")
        bob.is_here()
    assert bob.worker != ada.worker
    yield ada, bob
    for user in (ada, bob):
        user.tab.close()


def test_two_users_on_two_workers_see_the_same(users: tuple[User, User]) -> None:
    ada, bob = users
    ada.say("hello Bob")
    bob.hears("hello Bob")
    bob.say("hello <b>Ada</b>")
    for user in users:
        user.hears("hello Bob", "hello <b>Ada</b>")
    assert bob.tab.texts("#said li b") == ["Ada", "me"]
    bob.tab.run("location.reload()")  # who comes later sees what was said
    bob.is_here()
    bob.hears("hello Bob", "hello <b>Ada</b>")


def test_who_is_removed_hears_nothing_more(users: tuple[User, User]) -> None:
    ada, bob = users
    ada.say("before")
    bob.hears("before")
    room = ada.tab.text("#room")
    removal = "return fetch(`/rooms/${arguments[0]}/members/Bob`, {method: 'DELETE'}).then(r => r.status)"
    assert ada.tab.run(removal, room) == 204
    bob.tab.until(lambda: bob.tab.text("#state") == "you are not in this room", "Bob is still there")
    ada.say("after")
    ada.hears("before", "after")
    bob.hears("before")
    bob.tab.run("location.reload()")
    bob.tab.until(lambda: bob.tab.text("#state") == "you are not in this room", "Bob is back")
    bob.hears()


def test_nothing_said_is_lost_when_the_server_is_restarted(
    server: ServerProcess, users: tuple[User, User]
) -> None:
    ada, bob = users
    before = {ada.worker, bob.worker}
    said = talk_while(users, lambda: server.process.send_signal(signal.SIGHUP))
    ada.tab.until(lambda: not before & {ada.worker, bob.worker}, "the old workers are still there")
    said += talk_while(users, lambda: None)
    all_is_heard(users, said)


def test_nothing_said_is_lost_when_a_worker_is_killed(
    server: ServerProcess, users: tuple[User, User]
) -> None:
    ada, bob = users
    said = talk_while(users, lambda: os.kill(bob.worker, signal.SIGKILL))
    said += talk_while(users, lambda: os.kill(ada.worker, signal.SIGKILL))
    all_is_heard(users, said)


def test_nothing_said_is_lost_when_the_hub_is_killed(server: ServerProcess, users: tuple[User, User]) -> None:
    children = psutil.Process(server.process.pid).children()
    (hub,) = [child for child in children if "hub" in " ".join(child.cmdline())]
    said = talk_while(users, hub.kill)
    all_is_heard(users, said)


def talk_while(users: tuple[User, User], happens: Callable[[], object]) -> list[str]:
    """Both say something before, while and after something happens; what they said."""
    said: list[str] = []
    for step in range(3):
        if step == 1:
            happens()
        for user in users:
            said.append(f"{user.name} {next(_numbers)}")
            user.say(said[-1])
    return said


def all_is_heard(users: tuple[User, User], said: list[str]) -> None:
    """Both see all that was said, and nothing twice, in one order, in which nobody is behind themselves."""
    ada, bob = users
    for user in users:
        user.tab.until(lambda: sorted(user.heard()) == sorted(said), f"{user.name} should see {said}")  # noqa: B023
    assert ada.heard() == bob.heard()
    for user in users:
        mine = [text for text in said if text.startswith(user.name)]
        assert [text for text in user.heard() if text in mine] == mine
