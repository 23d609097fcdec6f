"""`vivace run` of apps of every kind, and of several at once."""

from pathlib import Path

import pytest

from tests.supervisor.serving import Serving

APPS = {
    "hosted.py": """
import functools

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"wsgi {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]

def unclear(*args):
    return wsgi(*args)

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    body = f"asgi {scope['root_path']}|{scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def asgi2(scope):
    return functools.partial(asgi, scope)

def create_app(debug=False):
    return asgi

async def fails(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
""",
    "project/__init__.py": "",
    "project/wsgi.py": "from hosted import wsgi as application\n",
    "project/asgi.py": "from hosted import asgi as application\n",
    "sample.py": """
from vivace import Vivace, text

app = Vivace("sample")

@app.get("/")
async def home(request):
    return text("native")
""",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    for name, source in APPS.items():
        (tmp_path / name).write_text(source)
    return tmp_path


def run(folder: Path, *arguments: str) -> Serving:
    return Serving(["-m", "vivace", "run", "--port", "0", *arguments], folder)


@pytest.mark.parametrize(
    ("arguments", "kind", "answer"),
    [
        (["hosted:wsgi"], r"wsgi, 4 threads: the function wsgi called with environ, ", "wsgi |/x"),
        (["hosted:wsgi", "--threads", "0"], r"wsgi, inline: ", "wsgi |/x"),
        (["hosted:unclear", "--interface", "wsgi"], r"wsgi, 4 threads: as it was declared", "wsgi |/x"),
        (["hosted:asgi"], r"asgi: the function asgi called with scope, ", "asgi |/x"),
        (["hosted:asgi2"], r"asgi2: the function asgi2 called with scope", "asgi |/x"),
        (["hosted"], r"asgi: .*, made by create_app\(\)", "asgi |/x"),
        (["project.wsgi", "--workers", "2"], r"wsgi, 4 threads: ", "wsgi |/x"),
        (["project.asgi"], r"asgi: ", "asgi |/x"),
    ],
)
def test_apps_of_every_kind(folder: Path, arguments: list[str], kind: str, answer: str) -> None:
    with run(folder, *arguments) as server:
        server.wait_for(rf"Serving {arguments[0]} \({kind}")
        assert server.get("/x").endswith(answer)
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_lifespan_that_fails_ends_the_start(folder: Path, workers: str) -> None:
    with run(folder, "hosted:fails", "--workers", workers) as server:
        assert server.wait() == 3
        assert server.log.count("the app's lifespan failed: no database") == 1
        assert "Traceback" not in server.log


@pytest.mark.parametrize("main", ["sample:app", "hosted:asgi", "hosted:wsgi"])
def test_apps_below_a_path_of_another(folder: Path, main: str) -> None:
    with run(folder, main, "--mount", "/old=project.wsgi", "--mount", "/older/=hosted:asgi") as server:
        server.wait_for(r"Mounted at /old \(wsgi: the function wsgi called with environ, start_response\)")
        server.wait_for(r"Mounted at /older \(asgi: ")
        assert server.get("/old/x").endswith("wsgi /old|/x")
        assert server.get("/older").endswith("asgi /older|/older")
        assert server.get("/").endswith("native" if main == "sample:app" else f"{main[-4:]} |/")
        assert server.stop() == 0


def test_mounts_may_stand_in_a_file_and_hold_for_app_run(folder: Path) -> None:
    (folder / "vivace.toml").write_text('port = 0\n[mounts]\n"/old" = "hosted:wsgi"\n')
    (folder / "web.py").write_text("from sample import app\n\napp.run()\n")
    with Serving(["web.py"], folder) as server:
        assert server.get("/old/x").endswith("wsgi /old|/x")
        assert server.get("/").endswith("native")
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("main", "mounts", "code", "words"),
    [
        ("sample:app", ["/old=hosted:nothing"], 3, "hosted has no attribute 'nothing'"),
        ("hosted:asgi", ["/old=hosted:fails"], 3, "the app mounted at /old: the app's lifespan failed"),
        ("sample:app", ["/a=hosted:wsgi", "/a/=hosted:asgi"], 2, "two apps are mounted at '/a/'"),
        ("hosted:asgi", ["/a=hosted:wsgi", "/a/=hosted:asgi"], 2, "two apps are mounted at '/a/'"),
        (
            "hosted:asgi",
            ["old=hosted:wsgi"],
            2,
            "expected a prefix and what is there such as /old=module:app or /static=folder",
        ),
        ("hosted:asgi", ["/<old>=hosted:wsgi"], 2, "no path parameters"),
    ],
)
def test_mounts_that_cannot_be_served(
    folder: Path, main: str, mounts: list[str], code: int, words: str
) -> None:
    options = [word for mount in mounts for word in ("--mount", mount)]
    with run(folder, main, *options) as server:
        assert server.wait() == code
        assert words in server.log
        assert "Traceback" not in server.log
