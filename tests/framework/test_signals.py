"""Signals: names, conditions, parameters, waiting, and what the framework tells of itself."""

import asyncio
from typing import Any

import pytest

from tests.framework.streams import ask, make_app
from vivace import Blueprint, Config, HTTPResponse, NotFound, Request, Vivace
from vivace.errors import ConfigError, HTTPException, InvalidSignal, StartupError
from vivace.framework.signals import RESERVED_NAMESPACES, Event


@pytest.fixture
def app() -> Vivace:
    return make_app()


def note(seen: list[Any], where: Vivace | Blueprint, event: str, word: str = "", **options: Any) -> None:
    @where.signal(event, **options)
    async def handler(**context: Any) -> None:
        seen.append((word or event, context))


# Names


@pytest.mark.parametrize("event", ["a.b", "a.b.c.d", "<a>.b.c", "a.<b>.c", "a.*.c", "", "a..c", "a.b.<c"])
def test_a_malformed_name_is_refused(app: Vivace, event: str) -> None:
    with pytest.raises(InvalidSignal, match="Invalid signal event"):
        app.signal(event)(lambda: None)


@pytest.mark.parametrize("event", ["http.foo.bar", "server.init.never", "websocket.x.y", "http.lifecycle.*"])
def test_the_areas_of_the_framework_are_reserved(app: Vivace, event: str) -> None:
    with pytest.raises(InvalidSignal, match="reserved"):
        app.add_signal(None, event)


def test_a_refusal_is_an_http_exception_as_in_sanic(app: Vivace) -> None:
    with pytest.raises(HTTPException):
        app.signal("a.b")
        app.add_signal(None, "a.b")


def test_every_event_of_the_framework_can_be_listened_to(app: Vivace) -> None:
    for event in Event:
        app.add_signal(None, event)
        assert event.value in RESERVED_NAMESPACES[event.value.partition(".")[0]]
    assert len(app.signal_router.routes) == len(Event)


def test_a_handler_has_to_be_a_function(app: Vivace) -> None:
    with pytest.raises(ConfigError, match=r"a\.b\.c"):
        app.signal("a.b.c")(5)  # type: ignore[type-var]


# Dispatching


async def test_a_dispatch_runs_in_a_task_or_inline(app: Vivace) -> None:
    @app.signal("a.b.c")
    async def handler(x: int) -> int:
        return x + 1

    task = await app.dispatch("a.b.c", context={"x": 1})
    assert isinstance(task, asyncio.Task)
    assert await task == 2
    assert await app.dispatch("a.b.c", context={"x": 2}, inline=True) == 3


async def test_the_first_result_ends_the_dispatch_and_priority_orders_it(app: Vivace) -> None:
    seen: list[Any] = []
    note(seen, app, "a.b.c", "low", priority=1)
    note(seen, app, "a.b.c", "high", priority=3)
    note(seen, app, "a.b.c", "none")
    await app.dispatch("a.b.c", inline=True)
    assert [word for word, _ in seen] == ["high", "low", "none"]
    seen.clear()
    await app.dispatch("a.b.c", inline=True, reverse=True)
    assert [word for word, _ in seen] == ["none", "low", "high"]
    app.signal("a.b.c", priority=2)(lambda: "enough")
    seen.clear()
    assert await app.dispatch("a.b.c", inline=True) == "enough"
    assert [word for word, _ in seen] == ["high"]


async def test_parameters_become_arguments_and_the_context_wins(app: Vivace) -> None:
    seen: list[Any] = []
    note(seen, app, "a.b.<c>")
    note(seen, app, "a.n.<c:int>")
    note(seen, app, "a.w.*")
    await app.dispatch("a.b.see", context={"x": 1}, inline=True)
    await app.dispatch("a.b.see", context={"c": 1}, inline=True)
    await app.dispatch("a.n.7", inline=True)
    await app.dispatch("a.w.anything", inline=True)
    assert seen == [
        ("a.b.<c>", {"c": "see", "x": 1}),
        ("a.b.<c>", {"c": 1}),
        ("a.n.<c:int>", {"c": 7}),
        ("a.w.*", {}),
    ]
    with pytest.raises(NotFound):
        await app.dispatch("a.n.seven")


async def test_a_parameter_and_a_word_are_both_heard(app: Vivace) -> None:
    seen: list[Any] = []
    note(seen, app, "a.b.<c>")
    note(seen, app, "a.b.d")
    await app.dispatch("a.b.d", inline=True)
    assert seen == [("a.b.<c>", {"c": "d"}), ("a.b.d", {})]


async def test_an_event_of_one_word(app: Vivace) -> None:
    seen: list[Any] = []
    note(seen, app, "foo")
    await app.dispatch("foo", inline=True)
    assert seen == [("foo", {})]


async def test_conditions(app: Vivace) -> None:
    seen: list[Any] = []
    note(seen, app, "a.b.c", "exclusive", condition={"one": 1})
    note(seen, app, "a.b.c", "open", condition={"one": 1}, exclusive=False)
    note(seen, app, "a.b.c", "plain")

    async def heard(condition: dict[str, Any] | None) -> list[str]:
        seen.clear()
        await app.dispatch("a.b.c", condition=condition, inline=True)
        return [word for word, _ in seen]

    assert await heard(None) == ["open", "plain"]
    assert await heard({"one": 1}) == ["exclusive", "open"]
    assert await heard({"one": 2}) == []
    assert await heard({"one": 1, "two": 2}) == []


async def test_an_unknown_event_is_an_error_unless_told(app: Vivace) -> None:
    with pytest.raises(NotFound, match=r"no\.such\.signal"):
        await app.dispatch("no.such.signal")
    assert await app.dispatch("no.such.signal", fail_not_found=False, inline=True) is None


async def test_a_failing_handler_is_logged_or_raised(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.signal("a.b.c")
    async def broken() -> None:
        raise ValueError("ill")

    with pytest.raises(ValueError, match="ill"):
        await app.dispatch("a.b.c", inline=True)
    await asyncio.wait([await app.dispatch("a.b.c")])
    assert "a.b.c failed" in caplog.text


async def test_a_late_signal_is_heard(app: Vivace) -> None:
    seen: list[Any] = []
    app.finalize()
    app.signalize()
    note(seen, app, "a.b.c")
    await app.dispatch("a.b.c", inline=True)
    assert len(seen) == 1


# Waiting


async def test_an_event_is_awaited_with_its_context(app: Vivace) -> None:
    app.add_signal(None, "a.b.c")
    waiting = asyncio.create_task(app.event("a.b.c", 5))
    await asyncio.sleep(0)
    await app.dispatch("a.b.c", context={"x": 1}, inline=True)
    assert await waiting == {"x": 1}


async def test_waiting_ends_at_its_timeout_or_when_nobody_declared_it(app: Vivace) -> None:
    app.add_signal(None, "a.b.c")
    with pytest.raises(TimeoutError):
        await app.event("a.b.c", 0.01)
    with pytest.raises(NotFound):
        await app.event("a.b.d", 0.01)
    app.config.EVENT_AUTOREGISTER = True
    with pytest.raises(TimeoutError):
        await app.event("a.b.d", 0.01)


async def test_waiting_under_a_condition(app: Vivace) -> None:
    app.add_signal(None, "a.b.c")
    waiting = asyncio.create_task(app.event("a.b.c", 5, condition={"n": 1}))
    await asyncio.sleep(0)
    await app.dispatch("a.b.c", inline=True)
    assert not waiting.done()
    await app.dispatch("a.b.c", inline=True, condition={"n": 1}, context={"ok": True})
    assert await waiting == {"ok": True}


async def test_an_event_of_the_framework_is_awaited(app: Vivace) -> None:
    app.get("/")(handler)
    await app.run_listeners("before_server_start")
    waiting = asyncio.create_task(app.event(Event.HTTP_LIFECYCLE_REQUEST, 5))
    await asyncio.sleep(0)
    await ask(app)
    assert (await waiting)["request"].path == "/"


# Blueprints


async def test_a_blueprint_hears_all_and_is_told_alone(app: Vivace) -> None:
    seen: list[Any] = []
    one, two = Blueprint("one"), Blueprint("two")
    for word, where in (("one", one), ("two", two), ("app", app)):
        note(seen, where, "a.b.c", word)
    app.blueprint([one, two])
    await app.dispatch("a.b.c", inline=True)
    assert sorted(word for word, _ in seen) == ["app", "one", "two"]
    seen.clear()
    await one.dispatch("a.b.c", inline=True)
    assert [word for word, _ in seen] == ["one"]
    seen.clear()
    note(seen, one, "late.b.c", "late")
    await app.dispatch("late.b.c", inline=True)
    assert [word for word, _ in seen] == ["late"]


async def test_a_blueprint_waits_for_the_first_of_its_apps(app: Vivace) -> None:
    blueprint = Blueprint("bp")
    with pytest.raises(HTTPException, match="not yet been registered"):
        await blueprint.event("a.b.c")
    blueprint.add_signal(None, "a.b.c")
    other = make_app("other")
    app.blueprint(blueprint)
    other.blueprint(blueprint)
    waiting = asyncio.create_task(blueprint.event("a.b.c", 5))
    while not other.signal_router._waiters:
        await asyncio.sleep(0)
    await other.dispatch("a.b.c", context={"from": "other"}, inline=True)
    assert await waiting == {"from": "other"}


# What the framework tells


async def handler(request: Request) -> str:
    return "ok"


def listen(app: Vivace, seen: list[str]) -> None:
    def declare(event: Event) -> None:
        @app.signal(event)
        async def hear(**context: Any) -> None:
            seen.append(f"{event.value} {' '.join(context)}")

    for event in Event:
        declare(event)


REQUEST = [
    "http.lifecycle.begin conn_info",
    "http.lifecycle.read_head head",
    "http.lifecycle.request request",
    "http.lifecycle.handle request",
    "http.routing.before request",
]
HANDLER = [
    "http.routing.after request route kwargs handler",
    "http.handler.before request",
    "http.handler.after request",
]
RESPONSE = [
    "http.lifecycle.response request response",
    "http.lifecycle.send data",
    "http.lifecycle.complete conn_info",
]


async def test_a_request_is_told_in_order(app: Vivace) -> None:
    seen: list[str] = []
    listen(app, seen)
    app.get("/")(handler)
    assert (await ask(app)).body == b"ok"
    assert seen == REQUEST + HANDLER + RESPONSE


async def test_a_body_and_middleware_are_told(app: Vivace) -> None:
    seen: list[str] = []
    listen(app, seen)
    app.post("/")(handler)
    app.on_request(lambda request: None)
    app.on_response(lambda request, response: None)
    assert (await ask(app, "POST", body=b"abc")).body == b"ok"
    around = ["http.middleware.before request response", "http.middleware.after request response"]
    assert seen == [
        *REQUEST,
        HANDLER[0],
        "http.lifecycle.read_body body",
        *around,
        *HANDLER[1:],
        *around,
        *RESPONSE,
    ]


@pytest.mark.parametrize("target", ["/none", "/broken"])
async def test_an_error_is_told_and_answered(app: Vivace, target: str) -> None:
    seen: list[str] = []
    listen(app, seen)

    @app.get("/broken")
    async def broken(request: Request) -> str:
        raise NotFound("gone")

    assert (await ask(app, target=target)).status == 404
    inside = HANDLER[:2] if target == "/broken" else []
    failed = ["server.exception.report exception", "http.lifecycle.exception request exception"]
    assert seen == REQUEST + inside + failed + RESPONSE


async def test_a_signal_may_change_the_response_and_refuse_a_request(app: Vivace) -> None:
    @app.signal(Event.HTTP_LIFECYCLE_RESPONSE)
    async def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["X-Seen"] = "1"

    @app.signal("http.routing.after")
    async def refuse(request: Request, **context: Any) -> None:
        if request.args.get("no"):
            raise NotFound("no")

    app.get("/")(handler)
    stream = await ask(app)
    assert (stream.body, stream.fields["x-seen"]) == (b"ok", "1")
    assert (await ask(app, target="/?no=1")).status == 404


async def test_who_listens_to_nothing_of_requests_pays_nothing(app: Vivace) -> None:
    app.add_signal(None, "a.b.c")
    app.get("/")(handler)
    app.finalize()
    assert app.routes[0].plain
    app.add_signal(None, Event.HTTP_LIFECYCLE_REQUEST)
    app.finalize()
    assert not app.routes[0].plain


async def test_exceptions_are_reported(app: Vivace) -> None:
    seen: list[Any] = []

    @app.report_exception
    async def report(where: Vivace, exception: Exception) -> None:
        seen.append((where, repr(exception)))

    @app.get("/")
    async def broken(request: Request) -> str:
        raise ValueError("x")

    assert (await ask(app)).status == 500
    assert seen == [(app, "ValueError('x')")]


async def test_the_life_of_the_server_is_told() -> None:
    app = Vivace("app", config=Config())
    seen: list[str] = []
    listen(app, seen)
    app.before_server_start(lambda app: seen.append("listener"))
    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        await app.run_listeners(stage)
    assert seen == [
        "listener",
        "server.init.before app loop",
        "server.init.after app loop",
        "server.shutdown.before app loop",
        "server.shutdown.after app loop",
    ]


async def test_a_failing_signal_of_the_start_ends_it(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    @app.signal("server.init.before")
    async def broken(**context: Any) -> None:
        raise ValueError("ill")

    @app.signal("server.shutdown.before")
    async def broken_too(**context: Any) -> None:
        raise ValueError("later")

    with pytest.raises(StartupError, match="ill"):
        await app.run_listeners("before_server_start")
    await app.run_listeners("before_server_stop")
    assert "server.shutdown.before failed" in caplog.text


async def test_who_hears_an_event_can_be_asked(app: Vivace) -> None:
    @app.signal("shop.order.<number:int>", condition={"a": 1})
    async def heard(**context: Any) -> None:
        pass

    router = app.signal_router
    router.finalize()
    group, handlers, values = router.get("shop.order.5", condition={"a": 1})
    assert (group.name, handlers, values) == ("shop.order.5", [heard], {"number": 5})
    assert group.path == "shop.order.<number:int>"
    with pytest.raises(NotFound, match=r"Could not find signal shop\.order\.5"):
        router.get("shop.order.5")
    (spec,) = router.routes
    assert router.name_index == {"shop.order.<number:int>": spec}
    assert (spec.name, spec.parts, spec.requirements) == (
        "shop.order.<number:int>",
        ("shop", "order", "<number:int>"),
        {"a": 1},
    )
    assert spec.ctx.exclusive


async def test_who_waits_gets_the_parameters_too(app: Vivace) -> None:
    app.add_signal(None, "shop.order.<number:int>")
    waiting = asyncio.create_task(app.event("shop.order.<number:int>"))
    await asyncio.sleep(0)
    await app.dispatch("shop.order.5", context={"a": 1}, inline=True)
    assert await waiting == {"number": 5, "a": 1}


@pytest.mark.parametrize(
    ("condition", "exclusive", "under", "heard"),
    [
        (None, True, None, True),
        (None, True, {"q": 1}, False),
        ({"q": 1}, True, None, False),
        ({"q": 1}, True, {"q": 1}, True),
        ({"q": 1}, False, None, True),
        ({"q": 1}, False, {"q": 2}, False),
        (None, False, {"q": 1}, False),
    ],
)
async def test_a_condition_counts_for_who_waits(
    app: Vivace, condition: Any, exclusive: bool, under: Any, heard: bool
) -> None:
    app.add_signal(None, "a.b.c")
    waiting = asyncio.create_task(app.event("a.b.c", condition=condition, exclusive=exclusive))
    await asyncio.sleep(0)
    await app.dispatch("a.b.c", condition=under, inline=True)
    await asyncio.sleep(0)
    assert waiting.done() is heard
    waiting.cancel()


async def test_what_is_false_does_not_end_a_dispatch(app: Vivace) -> None:
    for result in (None, 0, "", "first", "second"):
        app.add_signal(lambda result=result: result, "a.b.c")
    assert await app.dispatch("a.b.c", inline=True) == "first"


async def test_a_blueprint_waits_for_its_own_events_and_the_apps(app: Vivace) -> None:
    blueprint = Blueprint("bp")
    blueprint.add_signal(None, "a.b.c")
    app.blueprint(blueprint)
    for dispatcher in (blueprint, app):
        waiting = asyncio.create_task(blueprint.event("a.b.c", timeout=5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await dispatcher.dispatch("a.b.c", context={"x": 1})
        assert await waiting == {"x": 1}
