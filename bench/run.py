"""Measure Vivace beside other servers: microseconds of server CPU per request, and the ratio to nginx.

    python -m bench.run [--peers BIN] [--only requests,start] [--groups asgi,wsgi] [--servers nginx,vivace]
                        [--rounds 5] [--seconds 2] [--write docs]

Throughput on a shared machine drifts by a factor of two between runs. The CPU time that a server burns per
request (user and system, all its processes, read from /proc before and after each burst) does not. So that is
the figure, and its ratio to nginx, measured in the same interleaved rounds, is what can be compared between
machines.

Before servers that host apps are compared, `duties` tries what they owe; the tables say what each one skips.

Servers run on CPU 0, the load on CPU 1; nothing leaves 127.0.0.1; whatever was started is ended.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import measure, report
from bench.cases import HERE, Case, Launcher, cases_of, tell

PARTS = ("requests", "transfers", "idle", "start")


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
        self._launcher = Launcher(self._cases["servers"], tmp, options.peers)
        self.sections: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self.hello: dict[str, float] = {}

    def _groups(self, part: str) -> Iterator[tuple[str, dict[str, Any], list[Case]]]:
        """The wanted groups of a part: name, description, wanted cases."""
        for group, spec in self._cases[part].items():
            if not self._options.groups or group in self._options.groups.split(","):
                tell(f"{group}: {spec['title']}")
                yield group, spec, self._wanted(spec)

    def _wanted(self, spec: dict[str, Any]) -> list[Case]:
        return cases_of(spec, filter(None, self._options.servers.split(",")))

    def requests(self) -> None:
        """CPU per request of every group, and which duties the servers skip."""
        for group, spec, cases in self._groups("requests"):
            skipped = None
            if gate := spec.get("gate"):
                skipped = {case.name: self._launcher.skipped(case, gate) for case in cases}
            with self._launcher.serving(cases) as up:
                costs = measure.requests(
                    up,
                    spec.get("path", "/"),
                    spec.get("headers", []),
                    rounds=self._options.rounds,
                    seconds=self._options.seconds,
                    connections=self._options.connections,
                    tell=tell,
                )
            self._keep(group, spec["title"], report.requests_table(costs, spec["reference"], skipped))
            self.results[group] = {name: asdict(cost) for name, cost in costs.items()}
            if skipped:
                self.results[f"{group} skips"] = skipped
            if group == "hello":
                self.hello = {name: cost.median * 1e6 for name, cost in costs.items() if cost.cpu}

    def transfers(self) -> None:
        """CPU per GiB and growth of memory, down and up."""
        files = self._tmp / "files"
        for group, spec, cases in self._groups("transfers"):
            file = measure.make_file(files, spec.get("mib", 100))
            with self._launcher.serving(cases) as up:
                found = measure.transfers(
                    up,
                    spec["direction"],
                    file,
                    rounds=min(self._options.rounds, spec.get("rounds", self._options.rounds)),
                    repeats=spec.get("repeats", self._options.repeats),
                    tell=tell,
                )
            self._keep(group, spec["title"], report.transfers_table(found, "nginx"))
            self.results[group] = {name: asdict(transfer) for name, transfer in found.items()}

    def idle(self) -> None:
        """Memory per idle connection."""
        spec = self._cases["idle"]
        tell(f"idle: {spec['title']}")
        measure.allow_open_files(spec["connections"] + 256)
        found: dict[str, float] = {}
        for case in self._wanted(spec):
            with self._launcher.serving([case]) as up:
                for server in up.values():
                    found[case.name] = measure.idle(server, spec["connections"])
        rows = [[name, f"{octets / 1024:.1f}"] for name, octets in found.items()]
        self._keep("idle", spec["title"], report.markdown(["server", "KiB / connection"], rows))
        self.results["idle"] = found

    def start(self) -> None:
        """Milliseconds from the start of the process to the first answer."""
        spec = self._cases["start"]
        tell(f"start: {spec['title']}")
        found: dict[str, list[float]] = {}
        for _ in range(self._options.rounds):
            for case in self._wanted(spec):
                server = self._launcher.launch(case)
                try:
                    found.setdefault(case.name, []).append(server.wait_for_answer())
                except RuntimeError as error:
                    tell(f"left out: {error}")
                finally:
                    server.stop()
        rows = [[name, f"{statistics.median(times) * 1e3:.0f}"] for name, times in found.items()]
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
        words = f"{machine()}\n{versions(self._options.peers)}\n"
        page.write_text(report.replace_section(text, "machine", words))
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


def versions(peers: Path) -> str:
    """What it is measured beside, in one sentence: the packages of requirements.txt that are installed."""
    lines = (HERE / "requirements.txt").read_text().splitlines()
    names = [line.partition(">")[0] for line in lines if line and not line.startswith("#")]
    answer = subprocess.run(
        [peers / "python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {each["name"].lower(): each["version"] for each in json.loads(answer.stdout or "[]")}
    return ", ".join(f"{name} {found[name.lower()]}" for name in names if name.lower() in found) + "."


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
        "--groups",
        default="",
        help="tables of the requests and transfers, with commas between; all if not given",
    )
    parser.add_argument("--servers", default="", help="servers, with commas between; all if not given")
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
