"""What a program sees of our types: nothing is untyped under mypy --strict."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = """
from vivace import Blueprint, HTTPResponse, Request, Vivace, text

app = Vivace("typed")
shop = Blueprint("shop", url_prefix="/shop")


@app.get("/<id:int>")
async def index(request: Request, id: int) -> HTTPResponse:
    reveal_type(request.args.get("a"))
    return text("ok")


@shop.on_request
async def before(request: Request) -> None: ...


@app.exception(ValueError)
def failed(request: Request, exception: Exception) -> HTTPResponse:
    return text(str(exception))


@app.before_server_start
async def start(app: Vivace) -> None: ...


@app.listener("after_server_stop")
async def stop(app: Vivace) -> None: ...


@app.signal("shop.order.paid")
async def paid(**context: object) -> None: ...


reveal_type(index)
reveal_type(before)
"""


def test_declarations_keep_the_types_of_what_they_declare(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="types are checked on one Python version only")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}"]
    answer = subprocess.run(
        [*argv, str(program)], capture_output=True, text=True, cwd=ROOT / "src", check=False
    )
    assert answer.returncode == 0, answer.stdout
    lines = answer.stdout.splitlines()
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line]
    request = "(request: vivace.framework.request.Request"
    response = "vivace.framework.response.HTTPResponse"
    assert revealed == [
        '"str | None"',
        f'"def {request}, id: int) -> typing.Coroutine[Any, Any, {response}]"',
        f'"def {request}) -> typing.Coroutine[Any, Any, None]"',
    ]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "vivace" / "py.typed").is_file()
