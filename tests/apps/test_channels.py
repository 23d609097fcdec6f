"""A Django Channels project without Daphne and Redis: two workers, and whoever says something to a room."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.apps.channels_client import SITE, Chat, Talker, hears, serve_site
from tests.apps.support import PATIENCE
from tests.conftest import Launch, ServerProcess, clean_environment
from vivace.hub import Hub

pytest.importorskip("channels")
from websockets.exceptions import ConnectionClosed, InvalidStatus


@pytest.fixture(scope="module")
def hub_socket() -> Iterator[str]:
    """Where processes find the hub that the server did not start: a short path, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="vivace-") as folder:
        yield f"{folder}/hub"


@pytest.fixture(scope="module")
def server(hub_socket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two workers of the project, with its `CHANNEL_LAYERS` and nothing else."""
    log = tmp_path_factory.mktemp("channels") / "log"
    with serve_site(log, 2, VIVACE_HUB_SOCKET=hub_socket) as server:
        yield server


@pytest.fixture
def chat(server: ServerProcess) -> Iterator[Chat]:
    """The site; whoever entered leaves after the test."""
    made = Chat(server)
    yield made
    made.leave()


def manage(*arguments: str, **environ: str) -> str:
    """What a command of `manage.py` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=SITE,
        env=clean_environment(**environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["chat", "sync"])
def test_two_clients_on_two_workers_hear_each_other(chat: Chat, kind: str) -> None:
    ada, bob = chat.enter_twice(f"hall{kind}", kind)
    ada.say("hello")
    assert [who.hear()["text"] for who in (ada, bob)] == ["hello", "hello"]
    for number in range(100):
        bob.say(f"n{number}")
        assert ada.hear()["text"] == bob.hear()["text"] == f"n{number}"


def test_rooms_do_not_hear_each_other(chat: Chat) -> None:
    ada, bob = chat.enter_twice("red")
    other = chat.enter("blue")
    ada.say("red things")
    ada.say("blue things", room="blue")
    assert other.hear()["text"] == "blue things"
    assert bob.hear()["text"] == "red things"


def test_a_message_for_one_channel_of_another_worker(chat: Chat) -> None:
    ada, bob = chat.enter_twice("whisper")
    ada.say("only you", to=bob.channel)
    assert bob.hear()["text"] == "only you"
    bob.say("all")
    assert [ada.hear()["text"], bob.hear()["text"]] == ["all", "all"]


@pytest.mark.parametrize("way", ["bridge", "sync", "async"])
def test_pages_say_something_to_a_room(chat: Chat, way: str) -> None:
    room = f"news{way}"
    talkers = chat.enter_twice(room)
    for number in range(10):
        assert chat.server.get(f"/say/{way}/{room}/?text={number}")[0] == 200
    for talker in talkers:
        # Two requests may be at two workers, so their order is not told.
        assert sorted(talker.hear()["text"] for _ in range(10)) == [str(number) for number in range(10)]


def test_who_leaves_a_room_is_forgotten_and_who_stays_hears_on(chat: Chat) -> None:
    ada, bob = chat.enter_twice("hotel")
    bob.close()
    ada.say("still here")
    assert ada.hear()["text"] == "still here"


def test_the_death_of_the_hub_is_survived(chat: Chat) -> None:
    ada, bob = chat.enter_twice("cellar")
    hears(bob, ada, "before")
    children = psutil.Process(chat.server.process.pid).children()
    (hub,) = [child for child in children if "hub" in " ".join(child.cmdline())]
    hub.kill()
    hears(bob, ada, "after")
    hears(ada, bob, "after too")


@pytest.mark.parametrize("way", ["revoke", "logout"])
@pytest.mark.parametrize("kind", ["chat", "sync"])
def test_who_is_thrown_out_or_logs_out_is_out_on_every_worker(chat: Chat, way: str, kind: str) -> None:
    room = f"club{way}{kind}"
    ada, bob = chat.enter(room, kind, user="1"), [chat.enter(room, kind, user="2") for _ in range(4)]
    assert chat.server.get(f"/out/{way}/2/")[0] == 200
    for talker in bob:
        with pytest.raises(ConnectionClosed) as end:
            talker.hear()
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 4403
    ada.say("he is gone")
    assert ada.hear()["text"] == "he is gone"


def test_sync_consumers_block_no_other_thread_than_their_own(chat: Chat) -> None:
    talkers = [chat.enter("bed", "sync") for _ in range(16)]
    mine = [talker for talker in talkers if talker.worker == talkers[0].worker][:4]
    for talker in mine:
        talker.say("nap")
    threads = {talker.hear()["thread"] for talker in mine}
    assert len(threads) > 1
    assert all(name.startswith("vivace-django-") for name in threads)


def test_a_path_without_a_consumer_is_refused_and_serving_goes_on(chat: Chat) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Talker(chat.server, "/ws/nowhere/")
    assert refused.value.response.status_code in {403, 500}
    assert chat.server.get("/say/sync/empty/?text=x")[0] == 200


@pytest.mark.once
def test_plain_django_refuses_websockets_and_the_worker_goes_on(launch: Launch, free_port: int) -> None:
    command = ["-m", "vivace", "run", "chat_site.plain:application", "--port", str(free_port)]
    server = launch([sys.executable, *command], free_port, cwd=SITE)
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refused:
            Talker(server, "/ws/chat/room/")
        assert refused.value.response.status_code == 403
    assert server.get("/say/sync/empty/?text=x")[0] == 200
    lines = [line for line in server.output.splitlines() if "can only handle ASGI/HTTP connections" in line]
    assert len(lines) == 3
    assert "Traceback" not in server.output


# -- processes that the server did not start ------------------------------------------------------------


def test_a_command_of_manage_py_reaches_the_room(chat: Chat, hub_socket: str) -> None:
    talkers = chat.enter_twice("office")
    texts = [f"n{number}" for number in range(20)]
    manage("say", "office", *texts, VIVACE_HUB_SOCKET=hub_socket)
    for talker in talkers:
        assert [talker.hear()["text"] for _ in texts] == texts


def test_a_single_worker_can_be_found_too(hub_socket: str, tmp_path: Path) -> None:
    path = f"{hub_socket}-of-one"
    with serve_site(tmp_path / "log", 1, VIVACE_HUB_SOCKET=path) as server:
        ada = Talker(server, "/ws/chat/attic/")
        manage("say", "attic", "hello", VIVACE_HUB_SOCKET=path)
        assert ada.hear()["text"] == "hello"
        ada.close()


def count_processes(hub_socket: str) -> int:
    """How many processes the hub speaks with, this one included."""

    async def ask() -> int:
        hub = Hub(f"unix://{hub_socket}")
        try:
            return int((await hub.ask_stats())["processes"])
        finally:
            await hub.stop()

    return asyncio.run(ask())


@pytest.mark.once
def test_a_task_of_celery_reaches_the_room_over_one_connection(
    chat: Chat, hub_socket: str, tmp_path: Path
) -> None:
    pytest.importorskip("celery")
    talkers = chat.enter_twice("kitchen")
    environ = clean_environment(VIVACE_HUB_SOCKET=hub_socket, BROKER=str(tmp_path))
    for name in ("queue", "done"):
        (tmp_path / name).mkdir()
    command = ["-m", "celery", "-A", "chat_site.tasks", "worker", "--concurrency", "1", "--pool", "prefork"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    log = tmp_path / "log"
    worker = ServerProcess([sys.executable, *command, *options], 0, environ, SITE, log)
    try:
        asked = [sys.executable, "-m", "chat_site.tasks", "kitchen", *map(str, range(20))]
        done = subprocess.run(
            asked, cwd=SITE, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        for talker in talkers:  # a folder as the broker knows no order
            assert {talker.hear()["text"] for _ in range(20)} == {str(number) for number in range(20)}
        assert count_processes(hub_socket) <= 2 + 1 + 1  # workers, the one of Celery, this one
        assert worker.stop() == 0, worker.output
    finally:
        worker.remove()
