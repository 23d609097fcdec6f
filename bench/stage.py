"""A server under trial: an app that can be changed while it serves, and every process that came of it.

Rules of this file:

- A server gets a session of its own and all its processes are found by that: some kill their process group,
  some leave orphans. What is left at the end is killed, process by process.
- The app is one file for native, ASGI and WSGI servers; it writes a line for each process that imports it or
  serves.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.cases import free_port

__all__ = ["Stage", "app_text", "until"]

_APP = """
import asyncio, os, sys, threading, time

VALUE = {value}
BORN = time.time()


def note(word):
    with open("{folder}/" + word, "a") as file:
        file.write(f"{{os.getpid()}}\\n")


def meet_fate():
    note("served")
    if {dies}:
        threading.Timer({dies}, os._exit, (1,)).start()


note("imported")
{harm}
time.sleep({boot})


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        meet_fate()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(float(scope["query_string"] or 4))
    body = f"{{VALUE}} {{os.getpid()}}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(float(environ["QUERY_STRING"] or 4))
    body = f"{{VALUE}} {{os.getpid()}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


{native}
"""
_FRAMEWORK = """
import {package} as framework

app = getattr(framework, "{kind}")("trial")


@app.get("/")
async def index(request):
    return framework.text(f"{{VALUE}} {{os.getpid()}}")


@app.get("/slow")
async def slow(request):
    await asyncio.sleep(float(request.query_string or 4))
    return framework.text(f"{{VALUE}} {{os.getpid()}}")


@app.websocket("/socket")
async def stay(request, ws):
    async for message in ws:
        pass


@app.before_server_start
async def begin(app):
    meet_fate()
"""


def app_text(
    folder: Path, value: int = 1, *, boot: float = 0, dies: float = 0, harm: str = "", package: str = ""
) -> str:
    """The app's file.

    Args:
        folder: Where it notes which processes import it and serve.
        value: What it answers, with the id of its process.
        boot: Seconds that its import takes.
        dies: Seconds after its start at which its process ends; 0: never.
        harm: A statement at the top of it.
        package: ``vivace`` or ``sanic``: an app of that framework stands in it too, named ``app``; ``wsgi``:
            its import is its start, for servers that tell no app of theirs.
    """
    kind = "Vivace" if package == "vivace" else "Sanic"
    native = "meet_fate()" if package == "wsgi" else ""
    if package in {"vivace", "sanic"}:
        native = _FRAMEWORK.format(package=package, kind=kind)
    return _APP.format(folder=folder, value=value, boot=boot, dies=dies, harm=harm, native=native)


def until(condition: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait for a condition; the seconds that it took, infinite if they were not enough."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.005)
    return float("inf")


class Stage:
    """A server, in a folder with its app.

    Args:
        argv: How it is started; ``{port}`` stands for a free port.
        folder: Of its own; ``trial.py`` is the app.
        environ: On top of ours, without what servers read of it.

    Attributes:
        port: Where it listens on 127.0.0.1.
        process: What was started.
    """

    def __init__(self, argv: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.folder = folder
        self._log = folder / "log"
        words = [word.replace("{port}", str(self.port)) for word in argv]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env={**_clean(folder), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.poll()

    def noted(self, word: str) -> list[int]:
        """The processes that wrote this line: ``imported`` or ``served``."""
        path = self.folder / word
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def family(self) -> list[int]:
        """The living processes of its session."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid and fields[0] not in "ZX":
                    found.append(int(name))
        return found

    def ask(self, path: str = "/", patience: float = 2.0) -> str:
        """The content of an answer with status 200, else what happened instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            content = answer.read().decode("utf-8", "replace")
            return content if answer.status == 200 else f"status {answer.status}"
        except TimeoutError:
            return "hangs"
        except ConnectionRefusedError:
            return "refused"
        except (OSError, http.client.HTTPException):
            return "reset"
        finally:
            connection.close()

    def serves(self, value: int | str = "") -> bool:
        """Whether it answers, with this value if one is given."""
        first, _, second = self.ask().partition(" ")
        return second.isdigit() and (not value or first == str(value))

    def wait_until_serving(self, seconds: float = 20.0) -> None:
        """Return when it answers.

        Raises:
            RuntimeError: It does not.
        """
        if until(lambda: self.serves() or self.code is not None, seconds) > seconds or self.code is not None:
            raise RuntimeError(f"it does not answer:\n{self.log[-2000:]}")

    def is_free(self) -> bool:
        """Whether nobody listens at the port."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def send(self, number: int) -> None:
        """Send a signal to the process that was started."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int | None:
        """The exit code; None if it does not end in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode

    def remove(self) -> None:
        """Kill what is left of it."""
        for _ in range(20):  # one that is killed may have been forking
            left = self.family()
            if not left and self.process.poll() is not None:
                return
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)


def _clean(folder: Path) -> dict[str, str]:
    """Our environment without what servers read of it; the app can be imported, and is never cached."""
    read = ("VIVACE_", "SANIC_", "GUNICORN_", "GRANIAN_", "UVICORN_", "LISTEN_", "UWSGI_", "HYPERCORN_")
    names = ("PORT", "WEB_CONCURRENCY", "DEBUG", "NOTIFY_SOCKET")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(read)}
    found = {name: value for name, value in kept.items() if name not in names}
    if "VIVACE_PURE" in os.environ:
        found["VIVACE_PURE"] = os.environ["VIVACE_PURE"]
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**found, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
