"""Chromium's ``EventSource`` reads our event streams, and comes back where it was."""

from collections.abc import Callable

import pytest

from tests.services.chromium import Tab, open_browser
from vivace import EventStream, Forbidden, Request, Vivace, html
from vivace.testing import live

__all__ = ["open_browser"]

pytestmark = pytest.mark.once

PAGE = """<!doctype html><title>news</title><body><script>
window.got = []; window.opened = 0;
const source = new EventSource("/news");
source.onopen = () => window.opened++;
source.onmessage = (event) => window.got.push([event.data, event.lastEventId]);
for (const kind of ["entry", "gap"])
  source.addEventListener(kind, (event) => window.got.push([kind, event.data, event.lastEventId]));
window.refused = new EventSource("/refused");
</script>"""


def test_a_browser_reads_events_and_comes_back(open_browser: Callable[[], Callable[[], Tab]]) -> None:
    app = Vivace("news", configure_logging=False)
    app.config.ACCESS_LOG = False
    app.hub.topic("news", history=3)
    streams: list[EventStream] = []

    @app.get("/")
    async def page(request: Request) -> object:
        return html(PAGE)

    @app.sse("/news", retry=100)
    async def news(request: Request, stream: EventStream) -> None:
        streams.append(stream)
        if not stream.last_id:
            await stream.send("two\nlines, and ä", event="entry")
        if request.app.ctx.open:
            await stream.join("news")

    @app.sse("/refused")
    async def refused(request: Request, stream: EventStream) -> None:
        raise Forbidden("not for you")

    @app.get("/publish/<text>")
    async def publish(request: Request, text: str) -> dict[str, str]:
        return {"position": str(await app.hub.publish("news", text))}

    @app.get("/cut")
    async def cut(request: Request) -> dict[str, str]:
        streams[-1].close()
        return {}

    app.ctx.open = True
    with live(app) as server, server.client() as client:
        tab = open_browser()()
        tab.go(server.url)
        tab.until(lambda: len(tab.run("return got")) == 1, "the first event")
        assert tab.run("return got") == [["entry", "two\nlines, and ä", ""]]
        tab.until(lambda: app.hub.has_subscribers("news"), "it has joined")
        one = client.get("/publish/one").json["position"]
        tab.until(lambda: len(tab.run("return got")) == 2, "a message of the group")

        app.ctx.open = False
        client.get("/cut")
        missed = [client.get(f"/publish/{text}").json["position"] for text in ("two", "three")]
        app.ctx.open = True
        tab.until(lambda: len(tab.run("return got")) == 4, "what was missed")
        assert tab.run("return got.slice(1)") == [["one", one], ["two", missed[0]], ["three", missed[1]]]

        app.ctx.open = False
        client.get("/cut")
        last = [client.get(f"/publish/{number}").json["position"] for number in range(5)]
        app.ctx.open = True
        tab.until(lambda: len(tab.run("return got")) == 5, "word of a gap")
        assert tab.run("return got[4][0]") == "gap"
        live_one = client.get("/publish/live").json["position"]
        tab.until(lambda: len(tab.run("return got")) == 6, "what comes after it")
        assert tab.run("return got[5]") == ["live", live_one]
        assert last[-1] != live_one
        assert tab.run("return refused.readyState") == 2, "it is closed, and stays so"
        tab.close()
