"""What happens to a site when things go wrong, by server: `python -m bench.matrix`.

    python -m bench.matrix [--peers BIN] [--servers vivace,vivace asgi,gunicorn,...] [--only A,B,...]

Each case starts a server of two workers in a folder of its own, does something to it, and says what came of
it. A cell that is not right begins with ``!``. Without ``--peers`` only our columns are tried; the exit code
is 1 if a cell of ours is not right.

Rules of this file:

- Every server runs as its own documentation says for production, with nothing but its workers and its port.
- A case is a function of the server that returns a cell; what is right is decided here, alike for all.
"""

import argparse
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cases import tell
from bench.crowd import Crowd
from bench.report import markdown
from bench.stage import Stage, app_text, until

__all__ = ["CASES", "OURS", "Cell", "Kind", "main", "try_case"]


class Kind(NamedTuple):
    """A server.

    Attributes:
        argv: How it is started with two workers; ``{peers}`` is the folder of the other servers.
        bare: How it is started when the environment says the port and the number of workers.
        package: See `app_text`.
    """

    argv: str
    bare: str
    package: str = ""


class Cell(NamedTuple):
    """What came of a case.

    Attributes:
        text: In words and figures.
        right: Whether a site may live with it.
    """

    text: str
    right: bool


OURS = {
    "vivace": Kind(
        "{python} -m vivace run trial:app --port {port} --workers 2 --no-access-log",
        "{python} -m vivace run trial:app --no-access-log",
        "vivace",
    ),
    "vivace asgi": Kind(
        "{python} -m vivace run trial:asgi --port {port} --workers 2 --no-access-log",
        "{python} -m vivace run trial:asgi --no-access-log",
    ),
    "vivace wsgi": Kind(
        "{python} -m vivace run trial:wsgi --port {port} --workers 2 --no-access-log",
        "{python} -m vivace run trial:wsgi --no-access-log",
        "wsgi",
    ),
}
PEERS = {
    "gunicorn": Kind(
        "{peers}/gunicorn -b 127.0.0.1:{port} -w 2 trial:wsgi", "{peers}/gunicorn trial:wsgi", "wsgi"
    ),
    "gunicorn asgi": Kind(
        "{peers}/gunicorn -k asgi -b 127.0.0.1:{port} -w 2 trial:asgi", "{peers}/gunicorn -k asgi trial:asgi"
    ),
    "uvicorn": Kind(
        "{peers}/uvicorn --no-access-log --port {port} --workers 2 trial:asgi", "{peers}/uvicorn trial:asgi"
    ),
    "granian": Kind(
        "{peers}/granian --interface asgi --port {port} --workers 2 trial:asgi",
        "{peers}/granian --interface asgi trial:asgi",
    ),
    "hypercorn": Kind(
        "{peers}/hypercorn --bind 127.0.0.1:{port} -w 2 trial:asgi", "{peers}/hypercorn trial:asgi"
    ),
    "sanic": Kind(
        "{peers}/sanic trial:app --port {port} --workers 2 --no-access-logs",
        "{peers}/sanic trial:app",
        "sanic",
    ),
}


class Trial:
    """A server that cases start as they need it.

    Args:
        kind: Which one.
        peers: The folder of the other servers.
        folder: Of the case.
    """

    def __init__(self, kind: Kind, peers: Path, folder: Path) -> None:
        self._kind = kind
        self._peers = peers
        self.folder = folder

    def change(self, value: int = 1, *, boot: float = 0, dies: float = 0, harm: str = "") -> None:
        """Put a version of the app into place, at once."""
        text = app_text(self.folder, value, boot=boot, dies=dies, harm=harm, package=self._kind.package)
        (self.folder / "trial.new").write_text(text)
        (self.folder / "trial.new").replace(self.folder / "trial.py")

    def start(self, environ: Mapping[str, str] | None = None, *, bare: bool = False) -> Stage:
        """Start it; the caller ends it."""
        words = (self._kind.bare if bare else self._kind.argv).split()
        places = {"{python}": sys.executable}
        argv = [places.get(word, word.replace("{peers}", str(self._peers))) for word in words]
        return Stage(argv, self.folder, environ)

    @contextmanager
    def serving(self, environ: Mapping[str, str] | None = None) -> Iterator[Stage]:
        """Start it, wait until both workers serve, and end it."""
        with self.start(environ) as stage:
            stage.wait_until_serving()
            count_workers(stage, 2, 5.0)
            yield stage


def workers_of(stage: Stage) -> set[str]:
    """The processes that answer a few requests at once."""
    found: set[str] = set()

    def ask() -> None:
        found.add(stage.ask().rpartition(" ")[2])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {pid for pid in found if pid.isdigit()}


def count_workers(stage: Stage, wanted: int, seconds: float = 3.0) -> int:
    """How many processes answer; asked until there are so many, or the time is over."""
    found: set[str] = set()

    def enough() -> bool:
        found.update(workers_of(stage))
        return len(found) >= wanted

    until(enough, seconds)
    return len(found)


def import_raises(trial: Trial) -> Cell:
    """The app raises at import: the platform must hear of it."""
    trial.change(harm="raise RuntimeError('a bad deploy')")
    with trial.start() as stage:
        start = time.monotonic()
        code = stage.wait(6.0)
        if code is None:
            tries = len(stage.noted("imported"))
            return Cell(f"goes on, {tries} children in 6 s" if tries else "goes on for ever", False)
        return Cell(f"exit {code} in {time.monotonic() - start:.1f} s", code > 0)


def restart(trial: Trial) -> Cell:
    """SIGHUP under load, the new code boots in 1.5 s: nobody notices."""
    trial.change(boot=1.5)
    with trial.serving() as stage:
        trial.change(2, boot=1.5)
        with Crowd(stage.port, 4, 0.02) as crowd:
            crowd.wait(100, 10)
            stage.send(signal.SIGHUP)
            new = until(lambda: stage.code is not None or _all_serve(stage, 2), 15.0)
        served = new <= 15.0 and stage.code is None
    asked, longest = crowd.answered + crowd.failures, crowd.quantile(1.0)
    text = f"{crowd.failures} of {asked} failed, longest {longest * 1e3:.0f} ms"
    text += f", new code after {new:.1f} s" if served else ", no new code"
    return Cell(text, crowd.failures == 0 and longest < 0.5 and served)


def _all_serve(stage: Stage, value: int) -> bool:
    return all(stage.serves(value) for _ in range(30))


def broken_restart(trial: Trial) -> Cell:
    """SIGHUP into code that does not import: the old code serves on."""
    trial.change()
    with trial.serving() as stage:
        trial.change(2, harm="raise RuntimeError('a bad deploy')")
        stage.send(signal.SIGHUP)
        until(lambda: stage.code is not None, 4.0)
        answers = [stage.ask() for _ in range(10)]
        left = count_workers(stage, 2)
        if stage.code is not None:
            return Cell(f"dead, exit {stage.code}", False)
    good = sum(answer.startswith("1 ") for answer in answers)
    if good < len(answers):
        return Cell(f"{good} of {len(answers)} requests answered", False)
    return Cell(f"serves the old code, {left} of 2 workers", left == 2)


def stop(trial: Trial) -> Cell:
    """SIGTERM with a request in flight: it is finished; a new connection learns at once."""
    trial.change()
    with trial.serving() as stage:
        answers: list[str] = []
        path = "/slow?2"
        slow = threading.Thread(target=lambda: answers.append(stage.ask(path, 8.0)))
        slow.start()
        time.sleep(0.5)
        stage.send(signal.SIGTERM)
        time.sleep(0.5)
        fresh = stage.ask(patience=1.0)
        slow.join()
        start = time.monotonic()
        code = stage.wait(10.0)
    finished = answers[0].startswith("1 ")
    fresh = "served" if fresh.startswith("1 ") else fresh
    late = "" if time.monotonic() - start < 2.5 else ", late"
    text = f"{'finished' if finished else 'cut'}, new connection {fresh}, exit {code}{late}"
    return Cell(text, finished and fresh in {"served", "refused"} and code == 0 and not late)


def orphans(trial: Trial) -> Cell:
    """SIGKILL of the supervisor: nobody is left who holds the port."""
    trial.change()
    with trial.serving() as stage:
        os.kill(stage.process.pid, signal.SIGKILL)
        stage.wait()
        took = until(lambda: not stage.family() and stage.is_free(), 6.0)
        left = len(stage.family())
    if took > 6.0:
        return Cell(f"{left} orphans after 6 s", False)
    return Cell(f"gone in {took * 1e3:.0f} ms", took <= 1.0)


def crash_loop(trial: Trial) -> Cell:
    """The app dies 0.2 s after its boot: it is tried again, slower and slower."""
    trial.change(dies=0.2)
    with trial.start() as stage:
        code = stage.wait(6.0)
        born = len(stage.noted("served"))
    ending = "" if code is None else f", then exit {code}"
    return Cell(f"{born} children in 6 s{ending}", 4 <= born <= 14 and code != 0)


def killed(trial: Trial) -> Cell:
    """SIGKILL of a worker: another takes its place."""
    trial.change()
    with trial.serving() as stage:
        victim = workers_of(stage).pop()
        os.kill(int(victim), signal.SIGKILL)
        seen: set[str] = set()

        def two_more() -> bool:
            seen.update(workers_of(stage))
            return len(seen - {victim}) > 1

        took = until(two_more, 6.0)
    return Cell(f"replaced in {took * 1e3:.0f} ms" if took < 6 else "not replaced in 6 s", took <= 1.5)


def foreign_sockets(trial: Trial) -> Cell:
    """Variables of socket activation that are not for this process, and some that are for nobody."""
    trial.change()
    kinds = {"foreign": ("999999", "1"), "blank": ("", ""), "senseless": ("x", "y")}
    failed = [
        name
        for name, (pid, count) in kinds.items()
        if not _starts(trial, {"LISTEN_PID": pid, "LISTEN_FDS": count})
    ]
    return Cell(f"fails: {', '.join(failed)}" if failed else "ok", not failed)


def blank_variables(trial: Trial) -> Cell:
    """WEB_CONCURRENCY that is blank or no number."""
    trial.change()
    failed = [value or "blank" for value in ("", "many") if not _starts(trial, {"WEB_CONCURRENCY": value})]
    return Cell(f"fails: {', '.join(failed)}" if failed else "ok", not failed)


def _starts(trial: Trial, environ: Mapping[str, str]) -> bool:
    with trial.start(environ) as stage:
        until(lambda: stage.serves() or stage.code is not None, 8.0)
        return stage.code is None and stage.serves()


def platform(trial: Trial) -> Cell:
    """PORT and WEB_CONCURRENCY, and nothing else, as platforms say it."""
    trial.change()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with trial.start({"PORT": str(port), "WEB_CONCURRENCY": "3"}, bare=True) as stage:
        stage.port = port
        listens = until(lambda: stage.serves() or stage.code is not None, 5.0) < 5.0 and stage.serves()
        three = listens and count_workers(stage, 3) >= 3
    if not listens:
        return Cell("PORT ignored", False)
    return Cell(f"PORT heeded, workers {'heeded' if three else 'ignored'}", three)


HANDSHAKE = (
    "GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def websocket(trial: Trial) -> Cell:
    """SIGTERM with an open WebSocket: it is closed with 1001, "going away" (RFC 6455 section 7.4.1)."""
    trial.change()
    with trial.serving() as stage, socket.create_connection(("127.0.0.1", stage.port), 10.0) as client:
        client.sendall(HANDSHAKE.encode())
        data = b""
        while b"\r\n\r\n" not in data and (piece := client.recv(65536)):
            data += piece
        if not data.startswith(b"HTTP/1.1 101 "):
            return Cell("no WebSockets", True)
        stage.send(signal.SIGTERM)
        start = time.monotonic()
        code = _closing_code(client, data.partition(b"\r\n\r\n")[2])
        ended = stage.wait(20.0) is not None
        took = time.monotonic() - start
    text = f"closed with {code or 'no code'}, stopped in {took:.1f} s" if ended else "does not stop in 20 s"
    return Cell(text, code == 1001 and ended and took < 6.0)


def _closing_code(client: socket.socket, data: bytes) -> int:
    """The code of the close frame, which is answered; 0 if the connection ends without one."""
    try:
        while len(data) < 2 or len(data) < 2 + data[1]:  # short frames only: nothing else is sent
            piece = client.recv(65536)
            if not piece:
                return 0
            data += piece
        if data[0] & 0x0F != 8:
            return _closing_code(client, data[2 + data[1] :])
        content = data[2 : 2 + data[1]]
        client.sendall(bytes([0x88, 0x80 | len(content), 0, 0, 0, 0]) + content)
        return int.from_bytes(content[:2], "big")
    except OSError:
        return 0


CASES: dict[str, tuple[str, Callable[[Trial], Cell]]] = {
    "A": ("app raises at import", import_raises),
    "B": ("SIGHUP under load, boot 1.5 s", restart),
    "C": ("SIGHUP into broken code", broken_restart),
    "D": ("SIGTERM, a request in flight", stop),
    "E": ("SIGKILL of the supervisor", orphans),
    "F": ("app dies 0.2 s after boot", crash_loop),
    "G": ("foreign LISTEN_PID, LISTEN_FDS", foreign_sockets),
    "H": ("blank WEB_CONCURRENCY", blank_variables),
    "K": ("SIGKILL of a worker", killed),
    "P": ("only PORT and WEB_CONCURRENCY", platform),
    "W": ("SIGTERM, an open WebSocket", websocket),
}


def try_case(name: str, kind: Kind, peers: Path = Path()) -> Cell:
    """One case with one server, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="vivace-matrix-"))
    try:
        return CASES[name][1](Trial(kind, peers, folder))
    except (RuntimeError, TimeoutError, OSError) as error:
        return Cell(str(error).splitlines()[0], False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(names: Sequence[str], cells: Mapping[tuple[str, str], Cell]) -> str:
    """Markdown: a row for each case, a column for each server."""
    servers = list(dict.fromkeys(server for server, _ in cells))
    rows = []
    for name in names:
        found = [cells[server, name] for server in servers]
        rows.append([f"{name} {CASES[name][0]}", *(f"{'' if c.right else '! '}{c.text}" for c in found)])
    return markdown(["case", *servers], rows)


def main() -> int:
    """Try what is asked for and print the table."""
    parser = argparse.ArgumentParser(description="What happens to a site when things go wrong.")
    parser.add_argument("--peers", type=Path, help="the bin folder of the other servers")
    parser.add_argument("--servers", default="", help="by name, with commas; all that there are")
    parser.add_argument("--only", default=",".join(CASES), help="cases by letter: %(default)s")
    chosen = parser.parse_args()
    kinds = {**OURS, **(PEERS if chosen.peers else {})}
    names = chosen.only.split(",")
    cells: dict[tuple[str, str], Cell] = {}
    for server in filter(None, chosen.servers.split(",")) if chosen.servers else kinds:
        for name in names:
            cell = cells[server, name] = try_case(name, kinds[server], chosen.peers or Path())
            tell(f"{server:14} {name} {'ok ' if cell.right else 'NOT'} {cell.text}")
    print(table(names, cells))
    return 0 if all(cell.right for (server, _), cell in cells.items() if server in OURS) else 1


if __name__ == "__main__":
    sys.exit(main())
