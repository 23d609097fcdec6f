"""Which server runs which app: the cases of `cases.toml`, started, tried and ended.

Rules of this file:

- A server is described once; its app comes from the case, else from the group, else from the description.
- One that cannot start is told and left out: a peer that does not install here spoils no table.
"""

import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import duties
from bench.proc import Server

HERE = Path(__file__).resolve().parent
NGINX_TLS = " ssl; ssl_certificate {tmp}/server.pem; ssl_certificate_key {tmp}/server.key"
"""What nginx needs to speak TLS."""


def tell(message: str) -> None:
    """Progress goes to standard error: the tables can be redirected."""
    print(message, file=sys.stderr, flush=True)


def make_certificate(folder: Path) -> None:
    """``server.pem`` and ``server.key``, of nobody's authority, unless they are there."""
    if not (folder / "server.pem").exists():
        argv = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=bench",
        ]
        argv += ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")]
        subprocess.run(argv, check=True, capture_output=True)
        (folder / "server.key").chmod(0o600)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes:
        name: As the table shows it.
        server: The name of the server's description.
        app: What takes the place of ``{app}`` in its command; empty: the description has one.
    """

    name: str
    server: str
    app: str = ""


def cases_of(group: Mapping[str, Any], only: Iterable[str] = ()) -> list[Case]:
    """The cases of a group, of the servers in `only` if there are any."""
    default = group.get("app", "")
    found = [
        Case(case["name"], case.get("server", case["name"]), case.get("app", default))
        for case in group["cases"]
    ]
    wanted = set(only)
    return [case for case in found if not wanted or case.server in wanted]


class Launcher:
    """Starts cases, with a folder for what they write.

    Attributes:
        servers: The descriptions by name.
    """

    def __init__(self, servers: dict[str, Any], tmp: Path, peers: Path) -> None:
        self.servers = servers
        self._tmp = tmp
        self._words = {"here": HERE, "tmp": tmp, "ours": Path(sys.executable).parent, "peers": peers}
        self._skipped: dict[tuple[str, str], list[str] | None] = {}

    def launch(self, case: Case) -> Server:
        """Start the server of a case on a free port."""
        spec = self.servers[case.server]
        port = free_port()
        words = {**self._words, "port": port}
        words["app"] = (case.app or spec.get("app", "")).format(**words)
        tls = bool(spec.get("tls"))
        if tls:
            make_certificate(self._tmp)
        if case.server.startswith("nginx"):
            words["tls"] = NGINX_TLS.format(**words) if tls else ""
            text = (HERE / "nginx.conf").read_text().format(**words)
            (self._tmp / "nginx.conf").write_text(text)
        argv = [part.format(**words) for part in shlex.split(spec["command"])]
        env = {key: value.format(**words) for key, value in spec.get("env", {}).items()}
        log = self._tmp / f"{case.name}.log"
        return Server(case.name, argv, port, env, HERE / "apps", log, tls=tls)

    @contextmanager
    def serving(self, cases: Iterable[Case]) -> Iterator[dict[str, Server]]:
        """Start the servers of `cases` and end them; those that answer, by the names of the cases."""
        with ExitStack() as started:
            up: dict[str, Server] = {}
            for case in cases:
                try:
                    server = self.launch(case)
                    started.callback(server.stop)
                    server.wait_for_answer()
                except (OSError, RuntimeError) as error:
                    tell(f"left out: {error}")
                else:
                    up[case.name] = server
            yield up

    def skipped(self, case: Case, interface: str) -> list[str] | None:
        """The duties that the server of a case skips as a host of such apps; None if it hosts none.

        Every server is tried once; a server that does not start has done none of them.
        """
        key = case.server, interface
        if "{app}" not in self.servers[case.server]["command"]:
            return None
        if key not in self._skipped:
            tell(f"gate: {case.server}")
            with self.serving([replace(case, app=f"duties:{interface}")]) as up:
                found = [duties.skipped(server.port, interface) for server in up.values()]
            self._skipped[key] = found[0] if found else list(duties.DUTIES[interface])
        return self._skipped[key]
