"""The small things of the alias: what they give, and what is said where they are not there yet."""

import asyncio
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vivace import Config, Request
from vivace.compat.sanic import constants, headers, helpers, later, response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.request import Request as SanicRequest
from vivace.compat.sanic.worker import AppLoader
from vivace.errors import LoadFileException, PyFileError


def test_methods_compare_without_case() -> None:
    assert constants.HTTPMethod.GET == "get"
    assert constants.HTTPMethod.GET != "post"
    assert str(constants.HTTPMethod.POST) == "POST"
    assert hash(constants.HTTPMethod.GET) == hash("GET")
    assert constants.HTTPMethod.HEAD in constants.SAFE_HTTP_METHODS
    assert constants.HTTP.VERSION_3.display() == "HTTP/3"


def test_helpers() -> None:
    assert bool(helpers.default)
    assert repr(helpers.default) == "<Default>"
    assert helpers.STATUS_CODES[404] == b"Not Found"
    assert helpers.has_message_body(200)
    assert not any(helpers.has_message_body(status) for status in (100, 204, 304))
    assert helpers.is_entity_header("Content-Type")
    assert helpers.is_hop_by_hop_header("Connection")


@pytest.mark.parametrize(
    ("text", "value"), [("Yes", True), ("on", True), ("1", True), ("off", False), ("N", False)]
)
def test_words_for_yes_and_no(text: str, value: bool) -> None:
    assert helpers.str_to_bool(text) is value


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Invalid truth value maybe$"):
        helpers.str_to_bool("maybe")


def test_strings_are_imported() -> None:
    assert helpers.import_string("logging.getLogger") is logging.getLogger
    assert helpers.import_string("logging") is logging
    assert isinstance(helpers.import_string("logging.Formatter"), logging.Formatter)


def test_files_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.py").write_text("VALUE = 1\n")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert helpers.load_module_from_file_location("${PLACE}/good.py").VALUE == 1
    with pytest.raises(ZeroDivisionError):
        helpers.load_module_from_file_location(tmp_path / "bad.py")
    with pytest.raises(FileNotFoundError, match="No such file"):
        helpers.load_module_from_file_location(tmp_path / "none.py")
    with pytest.raises(LoadFileException, match=r"environment variables are not set: A_NOT_SET, B_NOT_SET$"):
        helpers.load_module_from_file_location("${B_NOT_SET}/${A_NOT_SET}/x.py")


def test_settings_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("VALUE = 2\n")
    (tmp_path / "bad.txt").write_text("VALUE = = 2\n")
    module = helpers.load_module_from_file_location(str(tmp_path / "good").encode())
    assert (module.VALUE, module.__name__, module.__file__) == (2, "config", str(tmp_path / "good"))
    with pytest.raises(PyFileError, match="could not execute config file"):
        helpers.load_module_from_file_location(tmp_path / "bad.txt")
    with pytest.raises(FileNotFoundError, match="Unable to load configuration file"):
        helpers.load_module_from_file_location(tmp_path / "none")
    with pytest.raises(OSError, match=r"^Unable to load configuration json$"):
        helpers.load_module_from_file_location("json")
    assert helpers.load_module_from_file_location("os.path.join") is os.path.join


async def test_files_are_read_by_a_thread(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    async with helpers.open_async(tmp_path / "f") as file:
        assert await file.seek(1) == 1
        assert await file.read() == "ello"


def test_use_context_changes_nothing() -> None:
    with helpers.use_context("fork"):
        helpers.ctrlc_workaround_for_windows(None)


def test_json_and_heads() -> None:
    assert response.json_dumps({"a": 1}) == '{"a":1}'
    assert headers.format_http1_response(200, [(b"a", b"b")]) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"


def test_copies_are_validated() -> None:
    changed = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    same = {"if-modified-since": "Fri, 02 Jan 2026 03:04:05 GMT"}
    older = {"if-modified-since": "Fri, 02 Jan 2026 03:04:04 GMT"}
    answer = asyncio.run(response.validate_file(same, changed))
    assert answer is not None
    assert answer.status == 304
    assert asyncio.run(response.validate_file(older, changed.timestamp())) is None
    assert asyncio.run(response.validate_file({}, changed)) is None


@pytest.mark.parametrize("name", sorted(later.__all__))
def test_what_is_not_there_yet_says_so_when_it_is_used(name: str) -> None:
    kind = getattr(later, name)
    assert not isinstance(1, kind)
    with pytest.raises(NotImplementedError, match=f"{name} is not in Vivace: "):
        kind()


def test_an_app_is_loaded_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_by_name.py").write_text("from vivace import Vivace\napp = Vivace('loaded')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert AppLoader("loaded_by_name:app").load().name == "loaded"
    assert AppLoader(factory=lambda: 1).load() == 1
    with pytest.raises(ValueError, match="no bare folder"):
        AppLoader("folder", as_simple=True)


def test_a_sanic_app_logs_where_sanic_does() -> None:
    app = Sanic("logging")
    assert app.logger.name == "sanic.root"
    assert app.start_method == "fork"


def test_a_sanic_app_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANIC_REQUEST_TIMEOUT", "7")
    monkeypatch.setenv("SANIC_OWN_KEY", "42")
    monkeypatch.setenv("SHOP_OWN_KEY", "1.5")
    app = Sanic("environment")
    assert (app.config.REQUEST_TIMEOUT, app.config.OWN_KEY) == (7, 42)
    other = Sanic("other", env_prefix="SHOP_")
    assert (other.config.REQUEST_TIMEOUT, other.config.OWN_KEY) == (60, 1.5)
    given = Config(REQUEST_TIMEOUT=3)
    assert Sanic("given", given).config is given


def test_a_sanic_app_takes_every_argument() -> None:
    class Own(SanicRequest):
        pass

    app = Sanic("every", request_class=Own, inspector=True, certloader_class=object, strict_slashes=True)
    assert app.strict_slashes
    assert app.config.warnings == ["inspector=True has no effect: there is no inspector"]


def test_a_sanic_app_knows_its_current_request() -> None:
    app = Sanic("current")

    @app.get("/")
    async def index(request: Request) -> Any:
        return response.json({"same": Request.get_current() is request})

    assert app.test_client.get("/")[1].json == {"same": True}
