"""Dependency injection."""

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.framework.streams import ask, make_app
from vivace import Blueprint, HTTPMethodView, NotFound, Request, Vivace
from vivace.ext import Extend
from vivace.ext.errors import InitError
from vivace.ext.injection import InjectionExtension
from vivace.framework.commands import run_command


class Database:
    def __init__(self, url: str = "memory") -> None:
        self.url = url


class Session:
    def __init__(self, request: Request, database: Database) -> None:
        self.said = f"{request.path} {database.url}"


class Person:
    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    async def load(cls, request: Request, number: int) -> "Person":
        await asyncio.sleep(0)
        return cls(number)


@pytest.fixture
def app() -> Vivace:
    app = make_app()
    Extend(app, built_in_extensions=False, extensions=[InjectionExtension])
    return app


def ext(app: Vivace) -> Any:
    return app.ext


async def test_a_parameter_is_filled_by_its_annotation(app: Vivace) -> None:
    ext(app).dependency(Database("kept"))

    @app.get("/")
    async def handler(request: Request, database: Database) -> Any:
        return [database.url, list(request.match_info)]

    assert (await ask(app)).body == b'["kept",["database"]]'


async def test_a_constructor_gets_request_dependencies_and_path_parameters(app: Vivace) -> None:
    ext(app).add_dependency(Person, Person.load)
    ext(app).add_dependency(Session)
    ext(app).add_dependency(Database)

    @app.get("/people/<number:int>")
    async def handler(request: Request, session: Session, number: int, person: Person) -> Any:
        return [session.said, number, person.number]

    assert (await ask(app, target="/people/7")).body == b'["/people/7 memory",7,7]'


@pytest.mark.parametrize(
    "constructor",
    [
        lambda: Database("plain"),
        lambda request: Database("plain"),
        functools.partial(Database, "plain"),
    ],
)
async def test_a_constructor_may_be_any_callable(app: Vivace, constructor: Callable[..., Any]) -> None:
    ext(app).add_dependency(Database, constructor)

    @app.get("/")
    async def handler(request: Request, database: Database) -> Any:
        return [database.url]

    assert (await ask(app)).body == b'["plain"]'


async def test_the_request_may_have_another_name(app: Vivace) -> None:
    def by_name(asked: Any) -> Database:
        return Database(asked.path)

    def by_annotation(asked: Request) -> Session:
        return Session(asked, Database("x"))

    ext(app).add_dependency(Database, by_name, request_arg="asked")
    ext(app).add_dependency(Session, by_annotation)

    @app.get("/here")
    async def handler(request: Request, database: Database, session: Session) -> Any:
        return [database.url, session.said]

    assert (await ask(app, target="/here")).body == b'["/here","/here x"]'


async def test_constants_fill_annotated_parameters_by_name(app: Vivace) -> None:
    ext(app).add_constant("limit", 5)
    ext(app).load_constants({"SIZE": 2})
    assert app.config["LIMIT"] == 5

    @app.get("/<size:int>")
    async def handler(request: Request, limit: int, size: int, other: str = "own") -> Any:
        return [limit, size, other]

    assert (await ask(app, target="/9")).body == b'[5,9,"own"]'
    with pytest.raises(ValueError, match="A value for LIMIT has already been assigned"):
        ext(app).add_constant("LIMIT", 6)
    ext(app).add_constant("LIMIT", 6, overwrite=True)
    assert app.config["LIMIT"] == 6


async def test_the_programs_own_settings_can_be_constants() -> None:
    app = make_app()
    app.config.update({"MINE": 3})
    Extend(
        app,
        built_in_extensions=False,
        extensions=[InjectionExtension],
        injection_load_custom_constants=True,
    )

    @app.get("/")
    async def handler(request: Request, mine: int, keep_alive_timeout: int = 0) -> Any:
        return [mine, keep_alive_timeout]

    assert (await ask(app)).body == b"[3,0]"


async def test_views_blueprints_and_plain_functions_are_filled_too(app: Vivace) -> None:
    ext(app).dependency(Database("shared"))
    parts = Blueprint("parts", url_prefix="/parts")

    @parts.get("/")
    def part(request: Request, database: Database) -> Any:
        return [database.url, threading.current_thread() is threading.main_thread()]

    class Items(HTTPMethodView, attach=app, uri="/items"):
        async def get(self, request: Request, database: Database) -> Any:
            return [database.url]

        async def post(self, request: Request) -> Any:
            return ["nothing"]

    app.blueprint(parts)
    assert (await ask(app, target="/parts/")).body == b'["shared",false]'
    assert (await ask(app, target="/items")).body == b'["shared"]'
    assert (await ask(app, "HEAD", "/items")).status == 200
    assert (await ask(app, "POST", "/items")).body == b'["nothing"]'


async def test_decorated_handlers_are_seen_through(app: Vivace) -> None:
    ext(app).dependency(Database("deep"))

    def passing(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(request: Request, *args: Any, **values: Any) -> Any:
            return await function(request, *args, **values)

        return wrapper

    @app.get("/")
    @passing
    async def handler(request: Request, database: Database) -> Any:
        return [database.url]

    assert (await ask(app)).body == b'["deep"]'


async def test_a_handler_that_needs_nothing_is_left_alone(app: Vivace) -> None:
    ext(app).dependency(Database())

    @app.get("/<number:int>")
    async def handler(request: Request, number: int) -> Any:
        return [number]

    route = app.router.routes[0]
    assert route.handler is handler
    assert route.plain


async def test_a_constructor_answers_by_raising(app: Vivace) -> None:
    def nobody(request: Request) -> Person:
        raise NotFound("nobody")

    ext(app).add_dependency(Person, nobody)

    @app.get("/")
    async def handler(request: Request, person: Person) -> Any:
        return []

    assert (await ask(app)).status == 404


async def test_middleware_runs_before_constructors(app: Vivace) -> None:
    seen = []

    @app.on_request
    async def first(request: Request) -> None:
        seen.append("middleware")

    def make(request: Request) -> Database:
        seen.append("constructor")
        return Database()

    ext(app).add_dependency(Database, make)

    @app.get("/")
    async def handler(request: Request, database: Database) -> Any:
        return []

    await ask(app)
    assert seen == ["middleware", "constructor"]


def test_a_circle_is_refused_at_the_start(app: Vivace) -> None:
    def make_database(session: Session) -> Database:
        return Database()

    def make_session(database: Database) -> Any:
        return database

    ext(app).add_dependency(Database, make_database)
    ext(app).add_dependency(Session, make_session)
    with pytest.raises(InitError, match=r"Circular dependency injection detected on 'make_session'. Check"):
        app.finalize()


def test_a_constructor_that_lacks_something_is_refused_at_the_start(app: Vivace) -> None:
    ext(app).add_dependency(Session)
    with pytest.raises(InitError, match=r"(?s)resolve dependencies for 'Session'.*- database: <class '"):
        app.finalize()


async def test_an_argument_that_only_other_paths_have_is_said(app: Vivace) -> None:
    ext(app).add_dependency(Person, Person.load)

    @app.get("/")
    async def handler(request: Request, person: Person) -> Any:
        return []

    answer = await ask(app)
    assert answer.status == 500
    assert b"Make sure that all dependencies for 'load' have been registered." in answer.body


async def test_what_nothing_provides_is_logged_when_the_server_starts(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    async def handler(request: Request, database: Database) -> Any:
        return []

    @app.before_server_start
    async def late(app: Vivace) -> None:
        ext(app).dependency(Database())

    @app.get("/person")
    async def other(request: Request, person: Person) -> Any:
        return []

    with caplog.at_level(logging.ERROR):
        for stage in ("before_server_start", "after_server_start"):
            await app.run_listeners(stage)
    assert (await ask(app)).status == 200
    assert [r.message for r in caplog.records if "'person'" in r.message]
    assert not [r.message for r in caplog.records if "'database'" in r.message]


def test_what_is_no_function_is_refused(app: Vivace) -> None:
    with pytest.raises(InitError, match=r"constructor of .* is 5"):
        ext(app).add_dependency(Database, 5)


async def test_functions_are_filled(app: Vivace) -> None:
    ext(app).dependency(Database("cli"))
    ext(app).add_constant("LIMIT", 3)

    async def command(database: Database, limit: int, other: int = 1) -> Any:
        return [database.url, limit, other]

    assert await ext(app).inject(command)(other=2) == ["cli", 3, 2]


def test_commands_are_filled(app: Vivace) -> None:
    ext(app).dependency(Database("cli"))
    ext(app).add_constant("LIMIT", 3)

    async def command(database: Database, limit: int, other: int = 1) -> Any:
        return [database.url, limit, other]

    def plain() -> None: ...

    async def asked(request: Request | None, size: int = 1) -> Any:
        return [request, size]

    commands = ext(app).inject_all({"command": command, "asked": asked, "plain": plain})
    assert commands["plain"] is plain
    assert run_command(commands, "command", ["--limit", "7"]) == ["cli", 7, 1]
    assert run_command(commands, "asked", []) == [None, 1]


async def test_a_command_has_no_request(app: Vivace) -> None:
    ext(app).add_dependency(Database)
    ext(app).add_dependency(Session)

    async def command(session: Session) -> None: ...

    with pytest.raises(RuntimeError, match="'Session' makes: it needs a request, and there is none"):
        await ext(app).inject(command)()
