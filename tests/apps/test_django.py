"""A Django site with the admin, PostgreSQL, files and sessions: by WSGI, ASGI and our bounded handler."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

import vivace
from tests.apps.support import GATES, PATIENCE, Hosted, Serving, until
from tests.conftest import ROOT
from tests.services.postgres import Postgres, postgres

__all__ = ["postgres"]

SITE = Path(__file__).with_name("django_site")
WSGI, ASGI, BOUNDED = "django_site.wsgi", "django_site.asgi", "django_site.bounded"
KINDS = (WSGI, ASGI, BOUNDED)
BIG = bytes(range(256)) * (20 * 4096)  # 20 MiB
PASSWORD = "correct horse"
LINES = "".join(["first\n", *(f"line {number}\n" for number in range(50))])
Environ = Mapping[str, str]


def manage(environ: Environ, *arguments: str) -> str:
    """What a command of `manage.py` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=SITE,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environ(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Environ:
    """What the site needs to know, with a database that has its tables and a superuser."""
    postgres.ask("CREATE DATABASE site")
    environ = {
        "PYTHONPATH": os.pathsep.join([str(Path(vivace.__file__).parents[1]), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "django_site.settings",
        "SITE_DATABASE": str(postgres.folder),
        "SITE_MEDIA": str(tmp_path_factory.mktemp("media")),
        GATES: str(tmp_path_factory.mktemp("gates")),
    }
    assert "Applying papers.0001_initial... OK" in manage(environ, "migrate")
    user = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    name = ("--username", "ada", "--email", "ada@shop.test")
    manage({**environ, **user}, "createsuperuser", "--noinput", *name)
    return environ


@contextmanager
def command(environ: Environ, *arguments: str, **more: str) -> Iterator[Hosted]:
    """A server from the site's folder; it stops with exit code 0 unless the test stopped it before."""
    with Serving(arguments, SITE, {**environ, **more}) as server:
        hosted = Hosted(server, Path(environ[GATES]))
        with hosted.client:
            yield hosted
        if server.process.poll() is None:
            assert server.stop() == 0, server.log


def run(environ: Environ, target: str, *arguments: str, **more: str) -> AbstractContextManager[Hosted]:
    """`vivace run` of the site."""
    return command(environ, "-m", "vivace", "run", target, "--port", "0", *arguments, **more)


@pytest.fixture(scope="module", params=KINDS)
def target(request: pytest.FixtureRequest) -> str:
    """One way after the other to serve the site."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def site(environ: Environ, target: str) -> Iterator[Hosted]:
    """The site as in production, shared by most tests."""
    with run(environ, target) as hosted:
        yield hosted


def token_of(page: httpx2.Response) -> str:
    """The CSRF token of a form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


def log_in(client: httpx2.Client) -> None:
    """Log in to the admin."""
    token = token_of(client.get("/admin/login/"))
    form = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
    answer = client.post("/admin/login/", data=form)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")


def upload(client: httpx2.Client, path: str, title: str, content: bytes) -> httpx2.Response:
    """Fill in a form for a paper."""
    form = {"title": title, "csrfmiddlewaretoken": token_of(client.get(path))}
    return client.post(path, data=form, files={"file": ("paper.bin", content, "application/octet-stream")})


# The admin


def test_admin_wants_a_login(site: Hosted) -> None:
    answer = site.client.get("/admin/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/login/?next=/admin/")


def test_login_without_the_token_is_forbidden(site: Hosted) -> None:
    with site.make_client() as client:
        client.get("/admin/login/")
        answer = client.post("/admin/login/", data={"username": "ada", "password": PASSWORD})
        assert answer.status_code == 403


def test_admin_adds_a_paper_with_its_file(
    site: Hosted, target: str, environ: Environ, postgres: Postgres
) -> None:
    title = f"by admin {target}"
    with site.make_client() as client:
        log_in(client)
        assert "Site administration" in client.get("/admin/").text
        added = upload(client, "/admin/papers/paper/add/", title, b"of the admin")
        assert (added.status_code, added.headers["location"]) == (302, "/admin/papers/paper/")
        assert title in client.get("/admin/papers/paper/").text
    ((name,),) = postgres.ask(f"SELECT file FROM papers_paper WHERE title = '{title}'", "site")
    assert (Path(environ["SITE_MEDIA"]) / name).read_bytes() == b"of the admin"


# Bodies


def test_a_big_upload_comes_back_as_it_was(site: Hosted) -> None:
    with site.make_client() as client:
        added = upload(client, "/papers/", "big", BIG)
        assert added.status_code == 201, added.text
        paper = added.json()
        assert (paper["size"], paper["sha256"]) == (len(BIG), hashlib.sha256(BIG).hexdigest())
        answer = client.get(f"/papers/{paper['number']}/file/")
    assert answer.headers["content-length"] == str(len(BIG))
    assert answer.headers["content-disposition"] == 'attachment; filename="paper.bin"'
    assert answer.content == BIG


def test_head_of_a_download_has_its_length_and_no_body(site: Hosted) -> None:
    with site.make_client() as client:
        number = upload(client, "/papers/", "small", b"0123456789").json()["number"]
        for _ in range(2):  # the connection stays usable
            answer = client.head(f"/papers/{number}/file/")
            assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "10", b"")


def test_a_form_that_lacks_something_is_shown_again(site: Hosted) -> None:
    with site.make_client() as client:
        form = {"title": "no file", "csrfmiddlewaretoken": token_of(client.get("/papers/"))}
        answer = client.post("/papers/", data=form)
        assert answer.status_code == 422
        assert "This field is required" in answer.text


def test_a_body_in_chunks_is_read(site: Hosted) -> None:
    with site.make_client() as client:
        form = f"title=x&csrfmiddlewaretoken={token_of(client.get('/papers/'))}".encode()
        pieces = (form[i : i + 10] for i in range(0, len(form), 10))
        fields = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.post("/papers/", content=pieces, headers=fields)
        assert answer.status_code == 422
        assert 'value="x"' in answer.text


# Streams


def stream(site: Hosted, path: str) -> None:
    """The first line comes while the view still waits for a gate, and the rest when it is open."""
    gate = site.word()
    with site.client.stream("GET", path, params={"gate": gate}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        site.open(gate)
        assert ["first", *lines] == LINES.splitlines()


def test_a_sync_stream_is_sent_as_it_comes(site: Hosted, target: str) -> None:
    if target == ASGI:
        pytest.skip("under ASGI Django itself reads a sync iterator to its end first")
    stream(site, "/stream/")


def test_an_async_stream_is_sent_as_it_comes(site: Hosted, target: str) -> None:
    if target == WSGI:
        pytest.skip("under WSGI Django itself reads an async iterator to its end first")
    stream(site, "/stream/async/")


@pytest.mark.parametrize("path", ["/stream/", "/stream/async/"])
def test_a_stream_is_whole(site: Hosted, path: str) -> None:
    site.open("always")
    assert site.client.get(path, params={"gate": "always"}).text == LINES


# What a view knows of its request


@pytest.mark.parametrize("path", ["/request/", "/request/async/"])
def test_what_a_view_knows(site: Hosted, path: str) -> None:
    fields = [("x-twice", "1"), ("x-twice", "2"), ("host", "shop.test:81")]
    seen = site.client.get(path, params={"a": "1 2"}, headers=fields).json()
    assert seen["method"] == "GET"
    assert (seen["scheme"], seen["host"]) == ("http", "shop.test:81")
    assert seen["uri"] == f"http://shop.test:81{path}?a=1+2"
    assert (seen["path"], seen["path_info"], seen["script_name"]) == (path, path, "")
    meta = seen["meta"]
    assert (meta["SERVER_NAME"], meta["SERVER_PORT"]) == ("127.0.0.1", str(site.server.port))
    assert meta["REMOTE_ADDR"] == "127.0.0.1"
    assert meta["HTTP_X_TWICE"].replace(" ", "") == "1,2"


def test_a_host_that_is_not_allowed_is_400(site: Hosted) -> None:
    assert site.client.get("/request/", headers={"host": "evil.test"}).status_code == 400


def test_a_session_counts(site: Hosted) -> None:
    with site.make_client() as client:
        assert [client.get("/session/").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_an_async_view_asks_the_database(site: Hosted) -> None:
    assert site.client.get("/papers/async/").json()["papers"] >= 0


def test_head_of_a_page(site: Hosted) -> None:
    answer = site.client.head("/")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "6", b"")


# What goes wrong


def test_a_missing_page_is_404(site: Hosted) -> None:
    answer = site.client.get("/nothing/here/")
    assert answer.status_code == 404
    assert "urlpatterns" not in answer.text


def test_an_error_is_500_in_the_log_only(site: Hosted) -> None:
    answer = site.client.get("/boom/")
    assert answer.status_code == 500
    assert "boom" not in answer.text
    site.noted("RuntimeError: boom in a view")
    assert site.client.get("/").text == "papers"


def test_static_files_are_not_served_in_production(site: Hosted) -> None:
    assert site.client.get("/static/papers/site.css").status_code == 404


def test_an_async_view_notices_that_its_client_left(site: Hosted, target: str) -> None:
    if target == WSGI:
        pytest.skip("WSGI has no way to tell")
    word = site.word()
    with site.server.connect() as client:
        client.sendall(f"GET /leave/{word}/ HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
        site.noted(f"{word} began")
    site.noted(f"{word} left")


# Where it is served


def paths_of(seen: dict[str, str]) -> tuple[str, str, str]:
    return seen["script_name"], seen["path"], seen["path_info"]


def test_under_a_path_that_a_proxy_took_off(environ: Environ, target: str) -> None:
    with run(environ, target, "--root-path", "/shop", SITE_DEBUG="1") as site:
        seen = site.client.get("/request/").json()
        assert paths_of(seen) == ("/shop", "/shop/request/", "/request/")
        assert seen["uri"] == f"{site.url}/shop/request/"
        assert site.client.get("/admin/").headers["location"] == "/shop/admin/login/?next=/shop/admin/"
        assert 'href="/shop/static/papers/site.css"' in site.client.get("/papers/").text
        assert "color" in site.client.get("/static/papers/site.css").text


def test_mounted_beside_another_app(environ: Environ, target: str, tmp_path: Path) -> None:
    (tmp_path / "front.py").write_text(
        'from vivace import Vivace, text\napp = Vivace("front")\n'
        '@app.get("/")\nasync def index(request):\n    return text("front")\n'
    )
    mount = f"/old={target}:application"
    with run(environ, str(tmp_path / "front.py"), "--mount", mount, SITE_DEBUG="1") as site:
        assert site.client.get("/").text == "front"
        seen = site.client.get("/old/request/").json()
        assert paths_of(seen) == ("/old", "/old/request/", "/request/")
        assert seen["uri"] == f"{site.url}/old/request/"
        assert 'href="/old/static/papers/site.css"' in site.client.get("/old/papers/").text
        assert "color" in site.client.get("/old/static/papers/site.css").text
        with site.make_client() as client:
            assert upload(client, "/old/papers/", "mounted", b"x").status_code == 201


# Processes and threads


def test_workers_share_the_requests(environ: Environ, target: str) -> None:
    with run(environ, target, "--workers", "2") as site:
        seen: set[int] = set()

        def saw_both() -> bool:
            with site.make_client() as client:
                seen.add(client.get("/request/").json()["pid"])
            return len(seen) == 2

        until(saw_both)


def test_a_stop_lets_a_slow_view_finish(environ: Environ, target: str) -> None:
    with run(environ, target) as site, ThreadPoolExecutor(1) as pool:
        gate = site.word()
        answer = pool.submit(site.client.get, f"/wait/{gate}/")
        site.noted(f"{gate} began")
        site.server.signal(signal.SIGTERM)
        until(lambda: not_accepting(site))
        site.open(gate)
        assert answer.result().text == "waited"
        assert site.server.wait() == 0, site.server.log
        assert "still at work" not in site.server.log


def not_accepting(site: Hosted) -> bool:
    try:
        site.server.connect().close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("bounded", [WSGI, BOUNDED])
def test_database_connections_are_at_most_threads_times_workers(
    environ: Environ, bounded: str, postgres: Postgres
) -> None:
    name = f"counted {bounded}"
    settings = {"SITE_NAME": name, "VIVACE_THREADS": "3"}
    with run(environ, bounded, "--workers", "2", **settings) as site, ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(httpx2.get, f"{site.url}/query/", timeout=PATIENCE) for _ in range(40)]
        held = [0]
        while not all(one.done() for one in asked):
            held.append(postgres.connections(name))
        held.append(postgres.connections(name))  # they stay open for CONN_MAX_AGE
        answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} == {200}
        threads = {(answer.json()["pid"], answer.json()["thread"]) for answer in answers}
    assert 2 <= len(threads) <= 6
    assert len(threads) == held[-1] == max(held)


# Development


def test_static_files_are_served_in_development(environ: Environ, target: str) -> None:
    with run(environ, target, SITE_DEBUG="1") as site:
        answer = site.client.get("/static/papers/site.css")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css")
        assert answer.text == "body { color: #123456 }\n"
        fresh = {"if-modified-since": answer.headers["last-modified"]}
        assert site.client.get("/static/papers/site.css", headers=fresh).status_code == 304
        assert site.client.head("/static/papers/site.css").headers["content-length"] == "24"
        assert len(site.client.get("/static/admin/css/base.css").content) > 10_000
        assert site.client.get("/static/nothing.css").status_code == 404
        assert site.client.get("/static/../settings.py").status_code == 404
        assert site.client.post("/static/papers/site.css").status_code == 404
        assert "RuntimeError" in site.client.get("/boom/").text
