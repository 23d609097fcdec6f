"""The lifespan of ASGI apps: who is told, what fails a start, and who is served without."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.server.support import serving, until
from vivace.config import Config
from vivace.errors import StartupError
from vivace.interfaces.asgi import AsgiInterface
from vivace.interfaces.lifespan import Lifespan

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Recorder:
    """An app that takes part, and notes what it was told."""

    def __init__(self, **answers: Message) -> None:
        self.told: list[str] = []
        self.scope: Message = {}
        self.answers = answers

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        scope["state"]["number"] = 1
        for moment in ("startup", "shutdown"):
            message = await receive()
            self.told.append(message["type"])
            await send(self.answers.get(moment, {"type": f"lifespan.{moment}.complete"}))


async def test_an_app_is_told_of_start_and_stop() -> None:
    app = Recorder()
    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    assert app.told == ["lifespan.startup"]
    assert app.scope["type"] == "lifespan"
    assert app.scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
    assert lifespan.state == {"number": 1}
    await lifespan.stop()
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


async def test_off_tells_nothing() -> None:
    app = Recorder()
    lifespan = Lifespan(app, "off")
    await lifespan.start()
    await lifespan.stop()
    assert app.told == []


async def test_a_start_that_fails_says_why() -> None:
    failed = {"type": "lifespan.startup.failed", "message": "no database"}
    with pytest.raises(StartupError, match="lifespan failed: no database") as caught:
        await Lifespan(Recorder(startup=failed), "auto").start()
    assert (caught.value.stage, caught.value.exit_code) == ("lifespan", 3)


async def test_a_failure_without_a_message() -> None:
    with pytest.raises(StartupError, match="no reason given"):
        await Lifespan(Recorder(startup={"type": "lifespan.startup.failed"}), "auto").start()


async def raises_at_once(scope: Message, receive: Receive, send: Send) -> None:
    raise ValueError(f"no {scope['type']} here")


async def raises_when_told(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    raise ValueError("no database")


async def returns_at_once(scope: Message, receive: Receive, send: Send) -> None:
    return


async def answers_everything_as_http(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200})


@pytest.mark.parametrize("app", [raises_at_once, returns_at_once, answers_everything_as_http])
async def test_an_app_that_knows_no_lifespan(app: Any) -> None:
    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    assert lifespan.state == {}
    await lifespan.stop()
    with pytest.raises(StartupError, match="lifespan"):
        await Lifespan(app, "on").start()


async def test_an_app_that_fails_when_it_was_told_fails_the_start() -> None:
    with pytest.raises(StartupError, match="no database") as caught:
        await Lifespan(raises_when_told, "auto").start()
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_stop_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = Recorder(shutdown={"type": "lifespan.shutdown.failed", "message": "stuck"})
    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    await lifespan.stop()
    assert "stuck" in caplog.text


async def test_a_lifespan_that_crashed_is_in_the_log_at_once_and_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ValueError("in between")

    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    await until(lambda: "in between" in caplog.text)
    await lifespan.stop()
    assert len(caplog.records) == 1


async def test_a_lifespan_that_crashes_when_it_is_to_end_is_in_the_log_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("at the end")

    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    await lifespan.stop()
    assert [record.getMessage().count("at the end") for record in caplog.records] == [1]


async def test_the_answer_to_the_stop_is_none_to_the_start() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with pytest.raises(StartupError, match=r"expected 'lifespan\.startup\.complete'"):
        await Lifespan(app, "auto").start()


async def test_an_app_that_does_not_wait_for_the_stop_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    await lifespan.stop()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_an_answer_that_was_not_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[BaseException] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await send({"type": "lifespan.startup.complete"})
        except Exception as error:
            raised.append(error)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    lifespan = Lifespan(app, "auto")
    await lifespan.start()
    await lifespan.stop()
    assert "without a lifespan message to answer" in str(raised[0])


async def test_requests_get_a_copy_of_the_state_and_no_connection_comes_before_the_start() -> None:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await Recorder()(scope, receive, send)
            return
        seen.append(scope["state"])
        scope["state"]["number"] += 1
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    config = Config()
    config.update({"ACCESS_LOG": False})
    async with serving(AsgiInterface(app, config), config) as running:
        for _ in range(2):
            await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert seen == [{"number": 2}, {"number": 2}]
