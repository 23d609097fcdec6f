"""What it costs to be watched: figures of the workers, tracing, and a scrape.

    python -m bench.telemetry [--rounds 20] [--connections 64] [--workers 8] [--scrapes 300]

Three measures, from the finest to the widest.

*Inside*: one process answers a greeting on connections without sockets, watched and not, by turns of a few
milliseconds; the lower quartile of the turns is compared. What the kernel, the load and the rest of the
machine do is not in it, so it tells tens of nanoseconds apart.

*Servers*: microseconds of server CPU per request (user and system, all its processes), in bursts that take
turns. A process differs from another one just like it by some per cent, as the second row shows; so the ratio
that counts is what was measured inside, added to the first row.

*Scrape*: a server with eight workers, idle: until `/metrics` has come whole.
"""

import argparse
import asyncio
import http.client
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cases import HERE, free_port, tell
from bench.measure import REQUEST, burst
from bench.proc import Server, tree
from vivace import Request, Vivace, text
from vivace.config import Config
from vivace.ext.tracing import Tracing
from vivace.interfaces.native import NativeInterface
from vivace.server.connection import Connection
from vivace.server.settings import ServerSettings
from vivace.server.state import ServerState
from vivace.supervisor.ipc.scoreboard import Scoreboard

COMMAND = (sys.executable, "-m", "vivace", "run")
ENVIRON = {"VIVACE_KEEP_ALIVE_TIMEOUT": "600", "VIVACE_ACCESS_LOG": "false"}
SUPERVISED = ("--supervise", "on")


TURN = 32
"""Requests that each connection gets in a turn inside."""
STARTS = 4
"""Processes of each case."""
WATCHED = ("nobody is told", "figures of the workers", "tracing, no SDK")


class Sink(asyncio.Transport):
    """Takes what is written, and that is all."""

    def write(self, data: object) -> None:
        """Nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """It never does."""
        return False


def greeting(name: str) -> Vivace:
    """An app that is asked inside."""
    app = Vivace(name)

    @app.get("/")
    async def hello(request: Request) -> object:
        return text("Hello, World!")

    return app


class Inside:
    """A worker without sockets.

    Args:
        name: Of `WATCHED`.
        count: Of connections.

    Attributes:
        state: What the connections share.
    """

    def __init__(self, name: str, count: int) -> None:
        app = greeting(f"inside-{WATCHED.index(name)}")
        if name.startswith("tracing"):
            Tracing(app)
        interface = NativeInterface(app)
        self._start = interface.before_start
        loop = asyncio.get_running_loop()
        self.state = ServerState(interface, ServerSettings.from_config(Config()), loop)
        if name.startswith("figures"):
            entry = Scoreboard().enter(0, 1)
            assert entry is not None
            self.state.note = entry.note
            self.state.keep_tally()
        self._connections = [Connection(self.state) for _ in range(count)]

    async def start(self) -> None:
        """Be ready for requests."""
        await self._start()
        for connection in self._connections:
            connection.connection_made(Sink())

    async def turn(self) -> float:
        """Seconds that a request takes."""
        state, connections = self.state, self._connections
        began = time.process_time()
        for _ in range(TURN):
            for connection in connections:
                connection.data_received(REQUEST)
            while state.active:  # noqa: ASYNC110 - it is the loop that is measured
                await asyncio.sleep(0)
        return (time.process_time() - began) / TURN / len(connections)


async def inside(turns: int, connections: int) -> dict[str, float]:
    """Seconds per request by the name, the lower quartile of the turns."""
    workers = {name: Inside(name, connections) for name in WATCHED}
    for worker in workers.values():
        await worker.start()
    found: dict[str, list[float]] = {name: [] for name in WATCHED}
    for number in range(-10, turns):  # the first ones warm up
        for name, worker in workers.items():
            took = await worker.turn()
            if number >= 0:
                found[name].append(took)
    return {name: quartile(samples) for name, samples in found.items()}


class Case(NamedTuple):
    """A server.

    Attributes:
        name: In the table.
        app: In `apps`.
        options: Of the command.
        environ: Variables, beside those of all.
        limit: The ratio that it should not exceed; 0.0: none is set.
    """

    name: str
    app: str
    options: tuple[str, ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    limit: float = 0.0


CASES = (
    Case("nobody is told", "ours.py"),
    Case("the same again", "ours.py"),
    Case("figures of the workers", "ours.py", SUPERVISED, (), 1.02),
    Case("tracing, no SDK", "traced.py", (), (), 1.05),
    Case("tracing, SDK", "traced.py", (), (("SDK", "1"),)),
)


def nanoseconds(root: int) -> int:
    """CPU time of a tree, as the scheduler counts it: far finer than ticks."""
    total = 0
    for pid in tree(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


@contextmanager
def started(case: Case, folder: Path) -> Iterator[Server]:
    """The server of a case, which answers."""
    port = free_port()
    argv = [*COMMAND, str(HERE / "apps" / case.app), "--port", str(port), "--workers", "1", *case.options]
    log = folder / f"{case.name}.log"
    server = Server(case.name, argv, port, {**ENVIRON, **dict(case.environ)}, folder, log)
    try:
        server.wait_for_answer()
        yield server
    finally:
        server.stop()


def measure(rounds: int, connections: int, folder: Path) -> dict[str, list[float]]:
    """Microseconds per request of each case, one for each round; so often it is started anew."""
    found: dict[str, list[float]] = {case.name: [] for case in CASES}
    for start in range(STARTS):
        with ExitStack() as stack:
            servers = [stack.enter_context(started(case, folder)) for case in CASES]
            for number in range(-1, rounds // STARTS):  # the first warms up
                tell(f"start {start + 1} of {STARTS}, round {number + 1} of {rounds // STARTS}")
                for server in servers:
                    before = nanoseconds(server.pid)
                    seen = burst(server.url, 1, connections, ())
                    spent = nanoseconds(server.pid) - before
                    if number >= 0 and seen.requests and not seen.errors:
                        found[server.name].append(spent / 1000 / seen.requests)
    return found


def scrape(place: Path) -> tuple[float, int]:
    """Seconds that it took to get the figures, and their octets."""
    connection = http.client.HTTPConnection("x")
    began = time.perf_counter()
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(place))
    connection.request("GET", "/metrics")
    body = connection.getresponse().read()
    took = time.perf_counter() - began
    connection.close()
    return took, len(body)


def scrapes(workers: int, count: int, folder: Path) -> tuple[list[float], float, int]:
    """How long scrapes took, CPU seconds of the supervisor for each, and the octets of the last."""
    place = folder / "admin"
    options = (*SUPERVISED, "--workers", str(workers), "--admin-bind", f"unix:{place}")
    with started(Case("scraped", "ours.py", options), folder) as server:
        time.sleep(2.0)  # until the last of them serves
        for _ in range(5):
            scrape(place)
        own = Path(f"/proc/{server.pid}/schedstat")
        before = int(own.read_text().split()[0])
        took = [scrape(place) for _ in range(count)]
        spent = (int(own.read_text().split()[0]) - before) / 1e9 / count
    return [seconds for seconds, _ in took], spent, took[-1][1]


def quartile(samples: list[float]) -> float:
    """The lower one."""
    return statistics.quantiles(samples, n=4)[0] if len(samples) > 1 else samples[0]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--scrapes", type=int, default=300)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is needed, which is not on the path")
    fine = asyncio.run(inside(options.rounds * 20, options.connections))
    with tempfile.TemporaryDirectory() as name:
        found = measure(options.rounds, options.connections, Path(name))
        took, spent, octets = scrapes(options.workers, options.scrapes, Path(name))
    base = quartile(found[CASES[0].name])
    print("| Watched by | inside, ns more | ratio | limit | server, µs | ratio |\n|---|---|---|---|---|---|")
    for case in CASES:
        own, more = quartile(found[case.name]), "-"
        ratio = "-"
        if case.name in fine:
            extra = (fine[case.name] - fine[WATCHED[0]]) * 1e6
            more, ratio = f"{extra * 1000:.0f}", f"{1 + extra / base:.3f}"
        print(f"| {case.name} | {more} | {ratio} | {case.limit or '-'} | {own:.2f} | {own / base:.3f} |")
    middle, worst = statistics.median(took) * 1000, statistics.quantiles(took, n=100)[98] * 1000
    print(f"\nA scrape of {options.workers} workers: {middle:.2f} ms in the middle, {worst:.2f} ms for 99 of")
    print(f"100, {spent * 1000:.2f} ms of CPU of the supervisor, {octets} octets; the limit is 5 ms.")


if __name__ == "__main__":
    main()
