"""Measure Vivace beside other servers: microseconds of server CPU per request, and the ratio to nginx.

    python -m bench.run [--peers BIN] [--only requests,start] [--cases nginx,vivace]
                        [--rounds 5] [--seconds 2] [--write docs]

Throughput on a shared machine drifts by a factor of two between runs. The CPU time that a server burns per
request (user and system, all its processes, read from /proc before and after each burst) does not. So that is
the figure, and its ratio to nginx, measured in the same interleaved rounds, is what can be compared between
machines.

Servers run on CPU 0, the load on CPU 1; nothing leaves 127.0.0.1; whatever was started is ended.
"""

import argparse
import json
import platform
import shlex
import shutil
import socket
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import measure, report
from bench.proc import Server

HERE = Path(__file__).resolve().parent
PARTS = ("requests", "transfers", "idle", "start")


def tell(message: str) -> None:
    """Progress goes to standard error: the tables can be redirected."""
    print(message, file=sys.stderr, flush=True)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Bench:
    """One run: the cases, a folder of its own, and the tables that came out so far.

    Attributes:
        sections: Markdown by section name.
        results: The raw numbers by section name.
        hello: The medians of the first group, for the chart; microseconds by case name.
    """

    def __init__(self, options: argparse.Namespace, tmp: Path) -> None:
        self._options = options
        self._tmp = tmp
        self._cases: dict[str, Any] = tomllib.loads((HERE / "cases.toml").read_text())
        self.sections: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self.hello: dict[str, float] = {}

    def _fill(self, text: str, port: int) -> str:
        return text.format(
            here=HERE,
            tmp=self._tmp,
            port=port,
            ours=Path(sys.executable).parent,
            peers=self._options.peers,
        )

    def _launch(self, name: str) -> Server:
        spec = self._cases["servers"][name]
        port = free_port()
        if name == "nginx":
            (self._tmp / "nginx.conf").write_text(self._fill((HERE / "nginx.conf").read_text(), port))
        argv = [self._fill(part, port) for part in shlex.split(spec["command"])]
        env = {key: self._fill(value, port) for key, value in spec.get("env", {}).items()}
        return Server(name, argv, port, env, HERE / "apps", self._tmp / f"{name}.log")

    @contextmanager
    def serving(self, names: list[str]) -> Iterator[dict[str, Server]]:
        """Start servers and end them; one that cannot start is told and left out."""
        with ExitStack() as started:
            up: dict[str, Server] = {}
            for name in dict.fromkeys(names):
                try:
                    server = self._launch(name)
                    started.callback(server.stop)
                    server.wait_for_answer()
                except (OSError, RuntimeError) as error:
                    tell(f"left out: {error}")
                else:
                    up[name] = server
            yield up

    def requests(self) -> None:
        """CPU per request of every group."""
        for group, spec in self._cases["requests"].items():
            tell(f"{group}: {spec['title']}")
            wanted = [(case["name"], case.get("server", case["name"])) for case in spec["cases"]]
            if self._options.cases:
                wanted = [pair for pair in wanted if pair[0] in self._options.cases.split(",")]
            with self.serving([server for _, server in wanted]) as up:
                costs = measure.requests(
                    [(name, up[server]) for name, server in wanted if server in up],
                    spec.get("path", "/"),
                    spec.get("headers", []),
                    rounds=self._options.rounds,
                    seconds=self._options.seconds,
                    connections=self._options.connections,
                    tell=tell,
                )
            self._keep(group, spec["title"], report.requests_table(costs, spec["reference"]))
            self.results[group] = {name: asdict(cost) for name, cost in costs.items()}
            if group == "hello":
                self.hello = {name: cost.median * 1e6 for name, cost in costs.items() if cost.cpu}

    def transfers(self) -> None:
        """CPU per GiB and growth of memory, down and up."""
        files = self._tmp / "files"
        files.mkdir(exist_ok=True)
        big = files / "big.bin"
        with big.open("wb") as output:
            for number in range(100):
                output.write(bytes([number]) * measure.MIB)
        for direction, spec in self._cases["transfers"].items():
            tell(f"{direction}: {spec['title']}")
            with self.serving(spec["servers"]) as up:
                found = measure.transfers(
                    up.values(), direction, big, rounds=self._options.rounds, repeats=self._options.repeats
                )
            self._keep(direction, spec["title"], report.transfers_table(found, "nginx"))
            self.results[direction] = {name: asdict(transfer) for name, transfer in found.items()}

    def idle(self) -> None:
        """Memory per idle connection."""
        spec = self._cases["idle"]
        tell(f"idle: {spec['title']}")
        measure.allow_open_files(spec["connections"] + 256)
        found: dict[str, float] = {}
        for name in spec["servers"]:
            with self.serving([name]) as up:
                for server in up.values():
                    found[name] = measure.idle(server, spec["connections"])
        rows = [[name, f"{octets / 1024:.1f}"] for name, octets in found.items()]
        self._keep("idle", spec["title"], report.markdown(["server", "KiB / connection"], rows))
        self.results["idle"] = found

    def start(self) -> None:
        """Milliseconds from the start of the process to the first answer."""
        spec = self._cases["start"]
        tell(f"start: {spec['title']}")
        found: dict[str, list[float]] = {name: [] for name in spec["servers"]}
        for _ in range(self._options.rounds):
            for name, times in found.items():
                server = self._launch(name)
                try:
                    times.append(server.wait_for_answer())
                except RuntimeError as error:
                    tell(f"left out: {error}")
                finally:
                    server.stop()
        rows = [[name, f"{statistics.median(times) * 1e3:.0f}"] for name, times in found.items() if times]
        self._keep("start", spec["title"], report.markdown(["server", "ms"], rows))
        self.results["start"] = found

    def _keep(self, name: str, title: str, table: str) -> None:
        self.sections[name] = table
        print(f"\n{title}\n\n{table}", flush=True)

    def write(self, docs: Path) -> None:
        """Put the tables into docs/benchmarks.md and the chart beside it."""
        page = docs / "benchmarks.md"
        text = page.read_text()
        for name, table in self.sections.items():
            text = report.replace_section(text, name, "\n" + table + "\n")
        page.write_text(report.replace_section(text, "machine", machine() + "\n"))
        if self.hello:
            chart = report.chart("Server CPU per Hello, World! request", self.hello, "us")
            (docs / "benchmarks.svg").write_text(chart)


def machine() -> str:
    """What it ran on, in one sentence."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}."


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peers", type=Path, default=Path(sys.executable).parent, help="bin folder with the others"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between: %(default)s")
    parser.add_argument(
        "--cases", default="", help="cases of the requests, with commas between; all if not given"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="length of a burst")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=10, help="files a round of the transfers")
    parser.add_argument("--json", type=Path, help="write the raw numbers here")
    parser.add_argument("--write", type=Path, help="write tables and chart into this documentation folder")
    options = parser.parse_args(argv)
    unknown = set(options.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the wanted parts; 0 if all tools were there."""
    options = parse(argv)
    if missing := measure.missing_tools():
        tell(f"needed and not found: {', '.join(missing)} (Debian: wrk nginx-light curl util-linux)")
        return 1
    tmp = Path(tempfile.mkdtemp(prefix="vivace-bench-"))
    tmp.chmod(0o755)
    (tmp / "files").mkdir()
    try:
        bench = Bench(options, tmp)
        parts: dict[str, Callable[[], None]] = {name: getattr(bench, name) for name in PARTS}
        for name in options.only.split(","):
            parts[name]()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(bench.results, indent=1))
    if options.write:
        bench.write(options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
