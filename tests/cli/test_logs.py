"""`vivace logs receive`, as a process: it opens what real servers send, and counts what it refuses."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import Serving, until

pytest.importorskip("cryptography", reason="cryptography is not installed (the extra `logs`)")

from vivace.server.logs.sealed import Sealer, read_keys

OLD, NEW = "0b" * 32, "c4" * 32
NOTHING = b"nothing of ours"
APP = """
import logging
from vivace import Vivace

app = Vivace("shop")


@app.before_server_start
async def begin(app):
    logging.getLogger("shop").warning("begins")
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "log.key"
    path.write_text(OLD)
    path.chmod(0o600)
    return path


def receiver(folder: Path, port: int, *more: str) -> Serving:
    arguments = ["-m", "vivace", "logs", "receive", "--bind", f"127.0.0.1:{port}", *more]
    return Serving(arguments, folder)


def test_it_takes_the_log_of_a_real_server(tmp_path: Path, key: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    port, got = find_free_port(), tmp_path / "got.log"
    with receiver(tmp_path, port, "--key", str(key), "--to", f"file://{got}") as ear:
        until(lambda: "keys accepted: 1" in ear.log)
        arguments = ["-m", "vivace", "run", "shop:app", "--port", str(find_free_port()), "--workers", "2"]
        arguments += ["--log-to", f"udp+aead://127.0.0.1:{port}?key={key}"]
        with Serving(arguments, tmp_path, {"VIVACE_LOG_FORMAT": "auto"}):
            until(lambda: got.exists() and got.read_text().count('"message":"begins"') == 2)
            until(lambda: '"role":"supervisor"' in got.read_text())  # it has nothing to say before they serve
        lines = [json.loads(line) for line in got.read_text().splitlines()]
        assert {line["role"] for line in lines} >= {"supervisor", "worker"}
        ear.process.terminate()
        assert ear.process.wait(30) == 0
        assert " 0 lost on the way, refused: none, 0 not passed on" in ear.log


def test_it_counts_what_it_refuses_and_reads_keys_anew(tmp_path: Path, key: Path) -> None:
    port, got = find_free_port(), tmp_path / "got.log"
    old, new = (Sealer(read_keys("", text)[0]) for text in (OLD, NEW))
    with (
        receiver(tmp_path, port, "--key", str(key), "--to", f"file://{got}") as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        until(lambda: "keys accepted: 1" in ear.log)
        sender.connect(("127.0.0.1", port))
        first = old.seal(b"one", time.time())
        for data in (NOTHING, first, first, new.seal(b"no", time.time()), first[:-1]):
            sender.send(data)
        sender.send(old.seal(b"two", time.time()))
        until(lambda: got.exists() and got.read_text() == "one\ntwo\n")
        for text, answer in (("broken", "the keys stay as they were"), (f"{NEW}\n{OLD}", "keys accepted: 2")):
            key.write_text(text)
            os.kill(ear.process.pid, signal.SIGHUP)
            until(lambda answer=answer: answer in ear.log)  # type: ignore[misc]
        sender.send(new.seal(b"three", time.time()))
        sender.send(old.seal(b"four", time.time()))
        until(lambda: got.read_text() == "one\ntwo\nthree\nfour\n")
        ear.process.terminate()
        assert ear.process.wait(30) == 0
        refused = "1 forged, 1 no datagram of this kind, 1 repeated, 1 unknown key"
        assert f"4 received, 0 lost on the way, refused: {refused}, 0 not passed on" in ear.log
        assert "broken" not in ear.log


def test_an_impatient_end_is_an_end(tmp_path: Path, key: Path) -> None:
    """What it passes on is a pipe that is full; whoever waits for the end asks again and again."""
    port, pipe = find_free_port(), tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with (
            receiver(tmp_path, port, "--key", str(key), "--to", f"file://{pipe}") as ear,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            until(lambda: "keys accepted: 1" in ear.log)
            sealer = Sealer(read_keys("", OLD)[0])
            for _ in range(50):
                sender.sendto(sealer.seal(b"x" * 1000, time.time()), ("127.0.0.1", port))
            while ear.process.poll() is None:
                ear.process.send_signal(signal.SIGTERM)
                time.sleep(0.01)
            assert ear.wait(30) == 0
    finally:
        os.close(reader)
    assert "Traceback" not in ear.log
    assert "50 received, 0 lost on the way" in ear.log


@pytest.mark.parametrize(
    ("more", "code", "why"),
    [
        ([], 2, "LOG_KEY: no key"),
        (["--bind", "here"], 2, "--bind 'here' cannot be used; expected host:port"),
        (["--window", "0.9"], 2, "0.9 is not in the range 1<=x<=3600"),
        (["--to", "ftp://x"], 2, "expected stdout, stderr, file"),
        (["--bind", "192.0.2.1:5140"], 4, "cannot listen at 192.0.2.1:5140"),
    ],
)
def test_what_cannot_be_is_told(more: list[str], code: int, why: str, tmp_path: Path, key: Path) -> None:
    keys = ["--key", str(key)] if more else []
    with Serving(["-m", "vivace", "logs", "receive", *keys, *more], tmp_path) as ear:
        assert ear.process.wait(30) == code
        assert why in " ".join(ear.log.split())
