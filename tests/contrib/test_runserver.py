"""`manage.py runserver` of a site that has the app: options, checks, reload, and what goes wrong."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import vivace
from tests.conftest import ROOT
from tests.supervisor.serving import Serving, until

SITE = ROOT / "tests" / "apps" / "django_site"
PATHS = os.pathsep.join([str(Path(vivace.__file__).parents[1]), str(ROOT)])
STYLE = "/static/papers/site.css"
Environ = Mapping[str, str]
NOTHING: Environ = {}
ASGI = {"SITE_ASGI": "django_site.asgi.application"}


@contextmanager
def runserver(*arguments: str, environ: Environ = NOTHING, site: Path = SITE) -> Iterator[Serving]:
    """The command, in development unless `environ` says otherwise."""
    given = {"PYTHONPATH": PATHS, "SITE_DEBUG": "1", **environ}
    with Serving(["manage.py", "runserver", *arguments], site, given) as server:
        yield server


def status(server: Serving, path: str) -> int:
    """Of the answer to a request."""
    return int(server.get(path).split()[1])


@pytest.mark.parametrize(
    ("environ", "kind", "sent"), [(NOTHING, "wsgi", signal.SIGTERM), (ASGI, "asgi", signal.SIGINT)]
)
def test_the_site_is_served_until_a_signal(environ: Environ, kind: str, sent: signal.Signals) -> None:
    with runserver("--noreload", "0", environ=environ) as server:
        assert server.get("/").endswith("papers")
        assert status(server, STYLE) == 200
        assert f"Serving django_site.settings ({kind}" in server.log
        server.signal(sent)
        assert server.wait() == 0, server.log


@pytest.mark.parametrize(
    ("option", "debug", "wanted"),
    [("--nostatic", "1", 404), ("--insecure", "0", 200), ("--no-color", "0", 404)],
)
def test_options_for_static_files(option: str, debug: str, wanted: int) -> None:
    with runserver("--noreload", "0", option, environ={"SITE_DEBUG": debug, **ASGI}) as server:
        assert status(server, STYLE) == wanted


def test_without_threading_there_is_one_thread() -> None:
    with runserver("--noreload", "--nothreading", "0", environ=ASGI) as server:
        server.wait_for("up to 1 threads")


def test_an_address_of_ipv6() -> None:
    with runserver("--noreload", "[::1]:0", environ=ASGI) as server:
        server.wait_for(r"Listening on http://\[::1\]:\d+")


def test_the_settings_of_the_process_do_not_move_it() -> None:
    moved = {"PORT": "1", "WEB_CONCURRENCY": "3", "VIVACE_HOST": "0.0.0.0"}
    with runserver("--noreload", "0", environ={**moved, **ASGI}) as server:
        server.wait_for(r"Listening on http://127\.0\.0\.1:\d\d+")
        server.wait_for("1 process ")


@pytest.mark.parametrize(
    ("address", "environ", "reason"),
    [
        ("nowhere", {}, "is not a valid port number or address:port pair"),
        ("0", {"VIVACE_THREDS": "3"}, "VIVACE_THREDS"),
        ("0", {"SITE_ASGI": "django_site.nothing.application"}, "django_site.nothing"),
        ("0", {"SITE_ASGI": "django_site.settings.SECRET_KEY"}, "is no app"),
    ],
)
def test_what_cannot_be_served_is_said(address: str, environ: Environ, reason: str) -> None:
    with runserver("--noreload", address, environ=environ) as server:
        assert server.wait() == 1
        assert reason in server.log


@pytest.mark.parametrize("options", [("--noreload",), ()], ids=["noreload", "reload"])
def test_a_port_in_use_is_said(options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with runserver(*options, port, environ=ASGI) as server:
            assert server.wait() == 1
            assert "the port is in use" in server.log


def test_a_change_of_a_file_is_served(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    views = site / "papers" / "views.py"
    text = views.read_text()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with runserver(str(port), site=site, environ=ASGI) as server:
        assert server.get("/").endswith("papers")
        change(views, text.replace('b"papers"', "b papers"), lambda: "SyntaxError" in server.log)
        change(views, text.replace('b"papers"', 'b"changed papers"'), lambda: is_served(server))
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def change(file: Path, text: str, seen: Callable[[], bool]) -> None:
    """Save a file until it is seen: the reloader misses what changes before its first look."""

    def save() -> bool:
        file.write_text(text)
        time.sleep(0.2)
        return seen()

    until(save)


def is_served(server: Serving) -> bool:
    try:
        return server.get("/").endswith("changed papers")
    except OSError:
        return False
