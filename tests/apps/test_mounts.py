"""Apps of other frameworks below paths of one of ours: links lead back, and routes take over one by one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.support import PATIENCE, Serving

MAIN = """
from vivace import Vivace, text
from other import asgi, fast, flask, wsgi

app = Vivace("main")

@app.get("/")
async def home(request):
    return text("native home")

@app.get("/papers/new")
async def taken_over(request):
    return text("native papers/new")

app.mount("/flask", flask)
app.mount("/fast", fast)
app.mount("/asgi", asgi)
app.mount("/", wsgi)
"""
OTHER = """
import sys
from contextlib import asynccontextmanager

from django.conf import settings
settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, reverse
from fastapi import FastAPI, Request
from flask import Flask, url_for

def index(request):
    return HttpResponse(f"django {request.method} {reverse('papers')}")

def papers(request):
    return HttpResponse(f"papers {request.method} {request.path} {request.path_info}")

urlpatterns = [path("", index), path("papers/", papers, name="papers"), path("papers/new", papers)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()

flask = Flask(__name__)

@flask.get("/")
def flask_home():
    return "flask " + url_for("flask_home")

@asynccontextmanager
async def lifespan(app):
    print("fast starts", file=sys.stderr, flush=True)
    yield {"word": "from its lifespan"}
    print("fast stops", file=sys.stderr, flush=True)

fast = FastAPI(lifespan=lifespan)

@fast.get("/")
async def fast_home(request: Request):
    return f"fast {request.url_for('fast_home').path} {request.state.word}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("mounts")
    (folder / "main.py").write_text(MAIN)
    (folder / "other.py").write_text(OTHER)
    with Serving(["-m", "vivace", "run", "main.py", "--port", "0"], folder) as serving:
        serving.wait_for("Listening on")
        yield serving
        assert serving.stop() == 0, serving.log
        assert serving.log.count("fast starts") == serving.log.count("fast stops") == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "native home"),
        ("/papers/new", "native papers/new"),
        ("/papers/", "papers GET /papers/ /papers/"),
        ("/asgi/", "django GET /asgi/papers/"),
        ("/asgi/papers/", "papers GET /asgi/papers/ /papers/"),
        ("/flask/", "flask /flask/"),
        ("/fast/", '"fast /fast/ from its lifespan"'),
    ],
)
def test_each_app_answers_and_links_to_itself(server: Serving, path: str, answer: str) -> None:
    assert server.get(path).partition("\r\n\r\n")[2] == answer


@pytest.mark.parametrize(
    ("path", "location"),
    [("/papers", "/papers/"), ("/asgi/papers", "/asgi/papers/"), ("/flask", "/flask/"), ("/fast", "/fast/")],
)
def test_a_missing_slash_is_the_framework_s_business(server: Serving, path: str, location: str) -> None:
    head = server.get(path).partition("\r\n\r\n")[0].lower()
    assert head.split()[1][:2] == "30"
    assert f"{location}\r\n" in head + "\r\n"


def test_methods_that_no_route_has_are_still_the_old_apps(server: Serving) -> None:
    with server.connect() as client:
        client.settimeout(PATIENCE)
        client.sendall(b"DELETE /papers/new HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"papers DELETE" in client.recv(65536)
        client.sendall(b"GET /papers/new HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.recv(65536).endswith(b"native papers/new")
