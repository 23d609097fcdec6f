"""Measure threads against processes, for the advice in the documentation.

    python -m bench.advice

A WSGI app computes for 2 ms or waits for 20 ms (`bench/apps/work.py`); 32 clients ask on as many connections.
The table has requests per second, the latency that 99 % stay under, and resident memory. Nothing is bound to
a processor, so that processes can use all there are; nothing leaves 127.0.0.1; what was started is ended.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cases import HERE, free_port
from bench.measure import MIB, parse_wrk
from bench.proc import Server, rss

SHAPES = ((1, 0), (1, 1), (1, 4), (1, 16), (2, 1), (2, 4), (4, 4))
"""Processes and threads of each; no threads: inline."""
SECONDS = 4
CLIENTS = 32


def measure(workers: int, threads: int, folder: Path) -> list[str]:
    """The cells of a row."""
    cells = [str(workers), str(threads or "inline")]
    memory = 0
    for path in ("compute", "wait"):  # each on a server of its own: what is left of one would spoil the other
        port = free_port()
        server = Server("vivace", _command(port, workers, threads), port, {}, HERE / "apps", folder / "log")
        try:
            server.wait_for_answer()
            cells += _load(port, path)
            memory = rss(server.pid)
        finally:
            server.stop()
    return [*cells, f"{memory / MIB:.0f}"]


def _command(port: int, workers: int, threads: int) -> list[str]:
    vivace = str(Path(sys.executable).with_name("vivace"))
    # A server is bound to one processor; this takes the bond off.
    free = ["taskset", "-c", f"0-{(os.cpu_count() or 1) - 1}"]
    shape = ["--workers", str(workers), "--threads", str(threads)]
    return [*free, vivace, "run", "work:app", "--port", str(port), "--no-access-log", *shape]


def _load(port: int, path: str) -> tuple[str, str]:
    """Requests per second and the latency in milliseconds."""
    argv = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{port}/{path}"]
    seen = parse_wrk(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return f"{seen.requests / SECONDS:.0f}", f"{(seen.p99 or 0) * 1000:.0f}"


def main() -> None:
    """Print the table."""
    rows = [
        ["processes", "threads", "compute: req/s", "p99 ms", "wait: req/s", "p99 ms", "MiB"],
        ["---:"] * 7,
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows += [measure(*shape, Path(folder)) for shape in SHAPES]
    for row in rows:
        print("|", " | ".join(row), "|")
    print(f"\n{os.cpu_count()} processors, {CLIENTS} clients, {SECONDS} s each.")


if __name__ == "__main__":
    main()
