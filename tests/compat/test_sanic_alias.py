"""The `sanic` alias: what resolves, what is said of what does not, and who gets it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Launch, clean_environment
from vivace.compat import sanic as alias
from vivace.compat.sanic.loader import AliasFinder
from vivace.compat.sanic.table import MISSING, MODULES

PROGRAM = """
import json, os, sys
from sanic import Sanic, text
from sanic.response import json as as_json

app = Sanic("program")


@app.get("/")
async def index(request):
    return as_json({"argv": sys.argv[1:], "name": __name__, "pid": os.getpid()})


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), workers=int(os.environ.get("WEB_CONCURRENCY", 1)), motd=False)
"""


@pytest.fixture
def installed() -> Iterator[None]:
    """The alias in this process, for one test."""
    alias.install()
    yield
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AliasFinder)]
    for name in [name for name in sys.modules if name.partition(".")[0] in alias.ROOTS]:
        del sys.modules[name]


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
        **options,
    )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_name_of_the_table_is_there(module: str, installed: None) -> None:
    found = import_module(module)
    for name in MODULES[module]:
        if name == "GunicornWorker":
            pytest.importorskip("gunicorn")
        assert hasattr(found, name), name
        assert name in dir(found)


@pytest.mark.parametrize("name", sorted(MISSING))
def test_what_is_said_to_be_missing_is_missing(name: str) -> None:
    package, _, last = name.rpartition(".")
    assert name not in MODULES
    assert last not in MODULES.get(package, {})


def test_modules_are_attributes_of_their_packages(installed: None) -> None:
    sanic: Any = import_module("sanic")
    from vivace.compat.sanic.response import text

    assert sanic.response.text is text
    assert sanic.server.protocols.http_protocol.HttpProtocol
    assert sanic.__version__ == "25.12.1"
    import_module("sanic.__version__")
    assert sanic.__version__ == "25.12.1"


def test_star_gives_the_public_names(installed: None) -> None:
    names: dict[str, Any] = {}
    exec("from sanic import *", names)
    assert {"Sanic", "Blueprint", "text"} <= names.keys()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("from sanic import Sanik", r"sanic\.Sanik is not in Vivace: the nearest is sanic\.Sanic"),
        ("import sanic.respons", r"sanic\.respons is not in Vivace: the nearest is sanic\.response"),
        ("from sanic import HTTPMethodView", r"HTTPMethodView is in sanic\.views"),
        ("from sanic.response import stream", r"it left Sanic in 22\.x; the nearest is ResponseStream"),
        ("from sanic.nothing.like.it import x", r"sanic\.nothing is not in Vivace"),
    ],
)
def test_what_is_missing_is_an_import_error_that_names_the_nearest(
    installed: None, statement: str, said: str
) -> None:
    with pytest.raises(ImportError, match=said):
        exec(statement)


def test_an_attribute_that_is_missing_is_an_attribute_error(installed: None) -> None:
    sanic: Any = import_module("sanic")
    with pytest.raises(AttributeError, match=r"the nearest is sanic\.text"):
        _ = sanic.txt
    assert not hasattr(sanic, "nothing")


def test_nobody_gets_it_who_did_not_ask() -> None:
    code = (
        "import vivace, vivace.compat.sanic\ntry:\n import sanic\nexcept ImportError:\n print('real or none')"
    )
    assert run(code).stdout in ("real or none\n", "")


def test_the_alias_wins_over_an_installed_sanic_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "sanic.py").write_text("REAL = True\n")
    asked = "from vivace.compat.sanic import install; install(); import sanic; print(sanic.Sanic.__module__)"
    assert run(asked, cwd=tmp_path).stdout == "vivace.compat.sanic.app\n"
    assert run("import sanic; print(sanic.REAL)", cwd=tmp_path).stdout == "True\n"


def test_too_late_an_installation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sanic.py").write_text("REAL = True\n")
    answer = run("import sanic; from vivace.compat.sanic import install; install()", cwd=tmp_path)
    assert "sanic was imported before vivace.compat.sanic.install()" in answer.stderr


def test_installing_loads_no_part_of_the_framework() -> None:
    code = (
        "import sys; from vivace.compat.sanic import install; install(); install(); import sanic\n"
        "print([name for name in sys.modules if name.startswith('vivace.framework')])"
    )
    assert run(code).stdout == "[]\n"


def test_an_unchanged_program_runs(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(PROGRAM)
    argv = [sys.executable, "-m", "vivace.compat.sanic", "web.py", "one", "--two"]
    server = launch(argv, free_port, cwd=tmp_path, PORT=str(free_port), WEB_CONCURRENCY="2")
    answer = json.loads(server.get("/")[2])
    assert (answer["argv"], answer["name"]) == (["one", "--two"], "__main__")
    assert answer["pid"] != server.process.pid
    assert server.stop() == 0


def test_an_unchanged_module_runs(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(PROGRAM)
    argv = [sys.executable, "-m", "vivace.compat.sanic", "-m", "web", "one"]
    server = launch(argv, free_port, cwd=tmp_path, PORT=str(free_port))
    assert json.loads(server.get("/")[2])["argv"] == ["one"]


def test_the_command_line_takes_a_sanic_app(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(PROGRAM)
    vivace = str(Path(sys.executable).with_name("vivace"))
    argv = [vivace, "run", "--sanic", "web:app", "--port", str(free_port), "--workers", "2"]
    server = launch(argv, free_port, cwd=tmp_path)
    assert json.loads(server.get("/")[2])["name"] == "web"


def test_the_worker_class_of_the_documents_runs_under_gunicorn(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "web.py").write_text(PROGRAM)
    address = f"127.0.0.1:{free_port}"
    gunicorn = ["-m", "gunicorn", "-k", "sanic.worker.GunicornWorker", "-b", address, "web:app"]
    server = launch([sys.executable, "-m", "vivace.compat.sanic", *gunicorn], free_port, cwd=tmp_path)
    assert json.loads(server.get("/")[2])["name"] == "web"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "usage:"),
        (["-m"], 2, "usage:"),
        (["--help"], 0, "usage:"),
        (["none.py"], 2, "there is no file none.py"),
    ],
)
def test_a_program_is_needed(arguments: list[str], code: int, said: str) -> None:
    argv = [sys.executable, "-m", "vivace.compat.sanic", *arguments]
    answer = subprocess.run(
        argv, capture_output=True, text=True, cwd=ROOT, env=clean_environment(), check=False
    )
    assert (answer.returncode, said in answer.stderr) == (code, True)


def test_the_page_lists_every_name() -> None:
    page = (ROOT / "docs" / "sanic-names.md").read_text()
    for module, names in MODULES.items():
        if names:
            assert f"| `{module}` | {' '.join(f'`{name}`' for name in names)} |" in page, module
    for name, why in MISSING.items():
        assert f"| `{name}` | {why} |" in page
